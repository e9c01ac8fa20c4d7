"""Tokenizers that come as files of their own, SentencePiece among them: SigLIP's and SigLIP 2's.

Their files are the user's: they are looked for beside the model and among what the hub's client has fetched before;
nothing is fetched here. They are opened for the first sentence, so that a model without them still sees pictures and
reads token ids.

Not here: CLIP's own tokenizer (`tokenizer`). Sources: open_clip 3 `tokenizer`; transformers' AutoTokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError, ModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["HubTokenizer"]

FILES = ("tokenizer.json", "spiece.model", "tokenizer.model")  # any one of them is the vocabulary


class HubTokenizer:
    """A tokenizer of the hub whose files are on this computer.

    Args:
        name: of its repository.
        file: of the model; a folder of its name is looked at first, then the one it lies in. None for neither.
        context_length: tokens per sentence.
        vocabulary: how many tokens the model knows.
        clean: name of open_clip's way to clean texts before.
    """

    def __init__(
        self, name: str, file: Path | None, context_length: int, vocabulary: int, clean: str = "whitespace"
    ) -> None:
        self.name, self.clean = name, clean
        self.context_length, self.vocabulary = context_length, vocabulary
        self.folders = () if file is None else (file.parent / file.stem, file.parent)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, the end token among them.

        Raises:
            ModelError: files or the package that reads them are missing, or they are of another model.
        """
        ids: list[int] = self._tokenizer(self._clean(text), truncation=False)["input_ids"]
        if max(ids, default=0) >= self.vocabulary:
            raise ModelError(
                f"token {max(ids)} in {text[:60]!r}; expected fewer than {self.vocabulary}, as the model knows. "
                f"The tokenizer's files are not those of {self.name!r}.",
                place="tokenizer",
            )
        return ids

    def fits(self, text: str) -> bool:
        """Whether a sentence is read to its end."""
        return len(self.encode(text)) <= self.context_length

    def __call__(self, sentences: Sequence[str], length: int | None = None) -> Tensor:
        """Token ids of sentences, padded to all that the model reads: its towers see the padding. int64 [N,L]

        Args:
            sentences: N of them.
            length: `context_length`, or None for the same.

        Raises:
            InputError: a sentence is longer than `context_length`.
            ModelError: files or the package that reads them are missing.
        """
        import torch

        rows = [self.encode(sentence) for sentence in sentences]
        for sentence, row in zip(sentences, rows, strict=True):
            if len(row) > self.context_length:
                raise InputError(
                    f"{sentence[:60]!r} has {len(row)} tokens; expected at most {self.context_length}. Shorten it.",
                    place="phrase",
                )
        length = length or self.context_length
        padding = self._tokenizer.pad_token_id or 0
        padded = [row + [padding] * (length - len(row)) for row in rows]
        return torch.tensor(padded, dtype=torch.int64).view(-1, length)

    @cached_property
    def _clean(self) -> Callable[[str], str]:
        from open_clip.tokenizer import get_clean_fn

        clean: Callable[[str], str] = get_clean_fn(self.clean)
        return clean

    @cached_property
    def _tokenizer(self) -> Any:
        folder = next((each for each in self.folders if any((each / name).is_file() for name in FILES)), None)
        try:
            from transformers import AutoTokenizer
        except Exception as error:  # a torch or tokenizers that does not match it fails with more than ImportError
            if folder is None:
                raise self._missing() from error
            raise ModelError(
                f"the tokenizer in {str(folder)!r} needs transformers, which cannot be imported ({error}). "
                "Run: pip install transformers sentencepiece",
                place="tokenizer",
            ) from error
        try:
            source = self.name if folder is None else str(folder)
            return AutoTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # it raises many kinds; each means: not there, or not usable
            if folder is None:
                raise self._missing() from error
            reason = " ".join(str(error).split())[:200]
            raise ModelError(
                f"cannot read the tokenizer in {str(folder)!r} ({reason}); expected the files of "
                f"{self.name!r}. Run: pip install transformers sentencepiece, or fetch the files again.",
                place="tokenizer",
            ) from error

    def _missing(self) -> ModelError:
        looked = ", ".join([*(repr(str(folder)) for folder in self.folders), "the hub's cache"])
        target = str(self.folders[0]) if self.folders else "FOLDER"
        return ModelError(
            f"no tokenizer of {self.name!r} on this computer, looked in {looked}; expected {', '.join(FILES[:-1])} or "
            f"{FILES[-1]}, with tokenizer_config.json. Run: hf download {self.name} "
            f'--include "tokenizer*" "*.model" "special_tokens_map.json" --local-dir "{target}"',
            place="tokenizer",
        )
