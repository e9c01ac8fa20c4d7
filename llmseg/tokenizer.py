"""CLIP's byte-pair tokenizer: text -> token ids, equal to open_clip's `SimpleTokenizer`.

The merge table is read from the data file of the installed `open_clip_torch` package, without
importing that package (its import is slow and needs torchvision).

Not here: sentences (`templates`); tokenizers of other towers. Source: Radford et al., "Learning
Transferable Visual Models From Natural Language Supervision" (arXiv:2103.00020), section 2.4.
"""

from __future__ import annotations

import gzip
import html
import importlib.util
import itertools
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .errors import InputError, ModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["END", "START", "VOCABULARY_SIZE", "ClipTokenizer", "Tokenizer", "batch_lengths", "is_plain"]

MERGES_FILE = "bpe_simple_vocab_16e6.txt.gz"
MERGE_COUNT = 49152 - 256 - 2
VOCABULARY_SIZE = 49408
START = 49406
END = 49407
SPECIAL = {"<start_of_text>": START, "<end_of_text>": END}
CACHED_PIECES = 65_536

# \p{L} and \p{N} need the `regex` package, which comes with open_clip_torch.
PIECES = r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class Tokenizer(Protocol):
    """What the text side asks of a tokenizer.

    Attributes:
        context_length: tokens of the longest sentence, those that mark its start and end included.
    """

    context_length: int

    def fits(self, text: str) -> bool:
        """Whether a sentence is read to its end."""

    def __call__(self, sentences: Sequence[str], length: int | None = None) -> Tensor:
        """Token ids of sentences, padded to a length; None for the longest, where the text tower allows that. [N,L]

        Raises:
            InputError: a sentence is longer than `context_length`.
        """


class ClipTokenizer:
    """Byte-pair encoding over lower-cased text.

    Args:
        context_length: tokens per sentence, start and end included.
    """

    def __init__(self, context_length: int = 77) -> None:
        import regex

        self.context_length = context_length
        self._pieces = regex.compile(PIECES, regex.IGNORECASE)
        self._ids, self._ranks = _tables()
        self._bytes = _byte_letters()
        self._cache: dict[str, tuple[int, ...]] = {}

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without start and end."""
        return [token for piece in self._pieces.findall(clean_text(text)) for token in self._encode_piece(piece)]

    def fits(self, text: str) -> bool:
        """Whether start, text and end are no more than `context_length` tokens."""
        room = self.context_length - 2
        if len(text) <= room and is_plain(text):  # no token is shorter than a letter
            return True
        return len(self.encode(text)) <= room

    def __call__(self, sentences: Sequence[str], length: int | None = None) -> Tensor:
        """Token ids of sentences, padded with zeros. int64 [N,L]

        Args:
            sentences: N of them.
            length: L; None for that of the longest, which is exact for causal text towers pooled at the end token.

        Raises:
            InputError: a sentence is longer than `context_length`.
        """
        import torch

        rows = [[START, *self.encode(sentence), END] for sentence in sentences]
        for sentence, row in zip(sentences, rows, strict=True):
            if len(row) > self.context_length:
                raise InputError(
                    f"{sentence[:60]!r} has {len(row)} tokens; expected at most {self.context_length}. Shorten it.",
                    place="phrase",
                )
        length = length or max((len(row) for row in rows), default=2)
        return torch.tensor([row + [0] * (length - len(row)) for row in rows], dtype=torch.int64).view(-1, length)

    def _encode_piece(self, piece: str) -> tuple[int, ...]:
        if piece not in self._cache:
            if len(self._cache) >= CACHED_PIECES:
                self._cache.clear()
            self._cache[piece] = self._encode_new_piece(piece)
        return self._cache[piece]

    def _encode_new_piece(self, piece: str) -> tuple[int, ...]:
        if piece in SPECIAL:
            return (SPECIAL[piece],)
        letters = [self._bytes[byte] for byte in piece.encode()]
        letters[-1] += "</w>"
        return tuple(self._ids[part] for part in self._merge(letters))

    def _merge(self, parts: list[str]) -> list[str]:
        unranked = len(self._ranks)
        while len(parts) > 1:
            pairs = list(itertools.pairwise(parts))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, unranked))
            if best not in self._ranks:
                break
            merged, position = [], 0
            while position < len(parts):
                if tuple(parts[position : position + 2]) == best:
                    merged.append(parts[position] + parts[position + 1])
                    position += 2
                else:
                    merged.append(parts[position])
                    position += 1
            parts = merged
        return parts


def clean_text(text: str) -> str:
    """Repair broken Unicode, resolve HTML entities, collapse white space, lower case."""
    # Imported only for text that it can change, control characters and entities among it: a twentieth of a second.
    if not is_plain(text):
        import ftfy

        text = ftfy.fix_text(text)
    return " ".join(html.unescape(html.unescape(text)).split()).lower()


def is_plain(text: str) -> bool:
    """Whether cleaning a text only collapses its spaces and lowers its case."""
    return text.isascii() and text.isprintable() and "&" not in text


def batch_lengths(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Positions of rows in batches of similar length, the shortest first; the last of a batch is its longest.

    Args:
        lengths: tokens of each row. [N]
        budget: most tokens of a batch, padding included; a single row may have more.

    >>> batch_lengths([3, 9, 3, 2], budget=9)
    [[3, 0, 2], [1]]
    """
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batches and (len(batches[-1]) + 1) * lengths[row] <= budget:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def find_merges() -> Path:
    """Where the installed open_clip_torch keeps CLIP's merge table.

    Raises:
        ModelError: the package or its file is missing.
    """
    spec = importlib.util.find_spec("open_clip")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / MERGES_FILE
        if path.is_file():
            return path
    raise ModelError(
        f"{MERGES_FILE!r} is missing; expected it in the package open_clip_torch. Run: pip install open_clip_torch",
        place="tokenizer",
    )


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    lines = gzip.decompress(find_merges().read_bytes()).decode().split("\n")[1 : MERGE_COUNT + 1]
    merges = [(left, right) for left, right in (line.split() for line in lines)]
    letters = list(_byte_letters().values())
    words = [*letters, *(letter + "</w>" for letter in letters), *(left + right for left, right in merges)]
    ids = {word: number for number, word in enumerate([*words, "<start_of_text>", "<end_of_text>"])}
    return ids, {pair: rank for rank, pair in enumerate(merges)}


@lru_cache(maxsize=1)
def _byte_letters() -> dict[int, str]:
    # GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the others are moved above 255.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {byte: chr(byte) for byte in printable}
    hidden = [byte for byte in range(256) if byte not in table]
    return {**table, **{byte: chr(256 + number) for number, byte in enumerate(hidden)}}
