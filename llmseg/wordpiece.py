"""BERT's tokenizer: words -> pieces of a vocabulary, which is the user's file.

The arithmetic is that of the package `tokenizers`, which comes with transformers.

Not here: CLIP's tokenizer (`tokenizer`), the tower that reads the tokens (`towers.bert`). Source: arXiv:1810.04805.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError, ModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["VOCABULARY_FILE", "WordPieceTokenizer", "find_vocabulary"]

VOCABULARY_FILE = "vocab.txt"
REPOSITORY = "bert-base-uncased"  # on the hub, under google-bert too
LARGEST_FILE = 2**24  # bytes; that of bert-base-uncased has 231,508
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


class WordPieceTokenizer:
    """Lower-cased word pieces between [CLS] and [SEP].

    The vocabulary is looked for when the first sentence comes, so that a model whose words are missing still sees.

    Args:
        model: file of the model; see `find_vocabulary`.
        context_length: tokens per sentence, start and end included.
        rows: of the tower's table of pieces.
    """

    def __init__(self, model: Path, context_length: int, rows: int) -> None:
        self.context_length = context_length
        self._model, self._rows = model, rows

    @cached_property
    def _tokenizer(self) -> Any:
        """Raises `ModelError`: no vocabulary, one that is not this model's, or no `tokenizers`."""
        path = find_vocabulary(self._model)
        pieces = _read_vocabulary(path)
        if len(pieces) > self._rows or pieces[SPECIAL[0]] != 0:
            raise ModelError(
                f"{str(path)!r} holds {len(pieces)} pieces; expected [PAD] first and at most {self._rows}, as many as "
                f"the model knows. Use the file of {REPOSITORY}.",
                place="vocabulary",
            )
        return _make_tokenizer(pieces)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without start and end."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def fits(self, text: str) -> bool:
        """Whether start, text and end are no more than `context_length` tokens."""
        return len(self.encode(text)) + 2 <= self.context_length

    def __call__(self, sentences: Sequence[str], length: int | None = None) -> Tensor:
        """Token ids of sentences, padded with zeros. int64 [N,L]

        Args:
            sentences: N of them.
            length: L; None for that of the longest: the tower does not look at padding.

        Raises:
            InputError: a sentence is longer than `context_length`.
        """
        import torch

        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(list(sentences))]
        for sentence, row in zip(sentences, rows, strict=True):
            if len(row) > self.context_length:
                raise InputError(
                    f"{sentence[:60]!r} has {len(row)} tokens; expected at most {self.context_length}. Shorten it.",
                    place="phrase",
                )
        length = length or max((len(row) for row in rows), default=2)
        return torch.tensor([row + [0] * (length - len(row)) for row in rows], dtype=torch.int64).view(-1, length)


def find_vocabulary(beside: Path) -> Path:
    """The vocabulary of a model file: beside it, else where the hub's client keeps what it has fetched.

    Args:
        beside: the model file.

    Raises:
        ModelError: in none of these places; says how to get it.
    """
    own = [beside.with_name(f"{beside.stem}.{VOCABULARY_FILE}"), beside.with_name(VOCABULARY_FILE)]
    cached = [_cached(name) for name in (f"google-bert/{REPOSITORY}", REPOSITORY)]
    for path in (*own, *(path for path in cached if path is not None)):
        if path.is_file():
            return path
    raise ModelError(
        f"no {VOCABULARY_FILE!r}, which turns words into tokens for {beside.name!r}; looked for {own[0]}, {own[1]} and "
        f"{REPOSITORY} in the cache of huggingface_hub. Put the one of {REPOSITORY} beside the model file: "
        f"hf download google-bert/{REPOSITORY} {VOCABULARY_FILE} --local-dir {beside.parent}",
        place="vocabulary",
    )


def _cached(repository: str) -> Path | None:
    """The file in the hub's cache; nothing is fetched."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    try:
        found = try_to_load_from_cache(repository, VOCABULARY_FILE)
    except (OSError, ValueError):
        return None
    return Path(found) if isinstance(found, (str, os.PathLike)) else None


def _read_vocabulary(path: Path) -> dict[str, int]:
    """Pieces and their numbers."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ModelError(f"{str(path)!r} is too large; expected a vocabulary, a piece a line.", place="vocabulary")
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")  # pieces may hold other line breaks
    except (OSError, ValueError) as error:
        raise ModelError(
            f"cannot read {str(path)!r} ({error}); expected a vocabulary, a piece a line.", place="vocabulary"
        ) from error
    pieces = {line.rstrip("\r"): number for number, line in enumerate(lines)}
    missing = [name for name in SPECIAL if name not in pieces]
    if missing:
        raise ModelError(
            f"{str(path)!r} lacks {', '.join(missing)}; expected the vocabulary of {REPOSITORY}.", place="vocabulary"
        )
    return pieces


def _make_tokenizer(pieces: dict[str, int]) -> Any:
    try:
        from tokenizers import BertWordPieceTokenizer
    except Exception as error:
        raise ModelError(
            f"the words of this model need the package tokenizers, which cannot be imported ({error}). "
            "Run: pip install transformers",
            place="vocabulary",
        ) from error
    return BertWordPieceTokenizer(pieces, lowercase=True)
