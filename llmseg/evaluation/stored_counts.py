"""Counts on disk: one file of a column, one JSON line of an image, so that a run that is killed goes on where it was.

    columns/<key>.jsonl    {"schema": 1, "sample": "a", "identity": ..., "cells": [7, 120, 9, 4], "bands": [0, 12],
                            "winners": {"dog": {"poodle": 120}}}
    columns/<key>.json     the column in words

Counts are written as place and number, place and number, without the zeros. A line that a crash cut off, or that does
not fit the classes, is as if it were not there; of two lines of an image the last one counts.

Not here: counting (`counting`), what a key is made of (`experiments`).
"""

from __future__ import annotations

import json
import os
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ..errors import InputError
from .counting import BUCKETS, ImageCounts

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CannotStore", "CountsFile", "StoredCounts", "StoredImage", "add_winners", "told_as_unstored"]

SCHEMA = 1
LONGEST_LINE = 2**24  # bytes; far above any image's counts

Winners = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class StoredImage:
    """The counts of one image under one column, without the zeros.

    Args:
        identity: hash of the image and its truth.
        cells, bands: place in `ImageCounts.by_size` and `ImageCounts.boundaries`, row by row, and number, by turns.
        winners: pixels that each phrase won, by class name.
    """

    identity: str
    cells: array[int]
    bands: array[int]
    winners: Winners

    @classmethod
    def pack(cls, identity: str, counts: ImageCounts, winners: Winners) -> StoredImage:
        """Leave out the zeros."""
        return cls(identity, _pairs(counts.by_size), _pairs(counts.boundaries), winners)

    def unpack(self, classes: int) -> ImageCounts:
        """The counts as tensors again; `classes` is C."""
        shape = (len(BUCKETS), classes, classes + 1)
        return ImageCounts(_fill(self.cells, shape), _fill(self.bands, (classes, 2)))


class StoredCounts(Sequence[ImageCounts]):
    """Counts of many images, made into tensors one by one: those of a data set would not fit into memory together."""

    def __init__(self, images: Sequence[StoredImage], classes: int) -> None:
        self._images, self._classes = images, classes

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> ImageCounts: ...

    @overload
    def __getitem__(self, index: slice) -> StoredCounts: ...

    def __getitem__(self, index: int | slice) -> ImageCounts | StoredCounts:
        if isinstance(index, slice):
            return StoredCounts(self._images[index], self._classes)
        return self._images[index].unpack(self._classes)

    def __iter__(self) -> Iterator[ImageCounts]:
        return (image.unpack(self._classes) for image in self._images)


class CannotStore(InputError):
    """Counts cannot be written: no fault of an image, so the run must not go on."""


@contextmanager
def told_as_unstored() -> Iterator[None]:
    """What cannot be written when all is counted is no bad usage."""
    try:
        yield
    except InputError as error:
        raise CannotStore(error.problem, place=error.place) from error


class CountsFile:
    """The stored counts of one column.

    Args:
        path: it may not exist yet.
        classes: C.

    Raises:
        InputError: it cannot be read.
    """

    def __init__(self, path: Path, classes: int) -> None:
        self.path, self.classes = path, classes
        self.images: dict[str, StoredImage] = {}
        self._whole = True  # whether the file ends with a line's end
        try:
            with path.open("rb") as file:
                while line := file.readline(LONGEST_LINE):
                    self._whole = line.endswith(b"\n")
                    if (found := _parse(line, classes)) is not None:
                        self.images[found[0]] = found[1]
        except FileNotFoundError:
            pass
        except OSError as error:
            raise InputError(
                f"cannot read {str(path)!r}: {error.strerror}; expected a text file.", place="output"
            ) from error

    def find(self, sample: str, identity: str) -> StoredImage | None:
        """What is stored of this very image, None where nothing is."""
        stored = self.images.get(sample)
        return stored if stored is not None and stored.identity == identity else None

    def append(self, sample: str, image: StoredImage) -> None:
        """Add a line, so that it is on the disk before this returns.

        Raises:
            CannotStore: it cannot be written.
        """
        record = {
            "schema": SCHEMA,
            "sample": sample,
            "identity": image.identity,
            "cells": image.cells.tolist(),
            "bands": image.bands.tolist(),
            "winners": image.winners,
        }
        line = json.dumps(record) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write((line if self._whole else "\n" + line).encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            problem = f"cannot write {str(self.path)!r}: {error.strerror}; expected a writable folder."
            raise CannotStore(problem, place="output") from error
        self._whole = True
        self.images[sample] = image


def add_winners(images: Sequence[StoredImage]) -> dict[str, dict[str, int]]:
    """Pixels that each phrase won in all images together, by class name, the most first."""
    totals: dict[str, Counter[str]] = {}
    for image in images:
        for name, phrases in image.winners.items():
            totals.setdefault(name, Counter()).update(phrases)
    return {name: dict(phrases.most_common()) for name, phrases in totals.items()}


def _pairs(counts: Tensor) -> array[int]:
    flat = counts.flatten()
    places = flat.nonzero()[:, 0].tolist()
    return array("q", [number for place in places for number in (place, int(flat[place]))])


def _fill(pairs: array[int], shape: tuple[int, ...]) -> Tensor:
    import torch

    flat = torch.zeros(shape, dtype=torch.int64).flatten()
    if pairs:
        places, numbers = torch.tensor(pairs, dtype=torch.int64).view(-1, 2).T
        flat[places] = numbers
    return flat.view(shape)


def _parse(line: bytes, classes: int) -> tuple[str, StoredImage] | None:
    """A sample's name and its counts; None for a line that is none: cut off, edited, or of another version."""
    try:
        value = json.loads(line)
        if value["schema"] != SCHEMA or not isinstance(value["sample"], str) or not isinstance(value["identity"], str):
            return None
        cells = _read_pairs(value["cells"], len(BUCKETS) * classes * (classes + 1))
        bands = _read_pairs(value["bands"], classes * 2)
        winners = {str(name): _read_phrases(phrases) for name, phrases in value["winners"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    return value["sample"], StoredImage(value["identity"], cells, bands, winners)


def _read_pairs(value: Any, size: int) -> array[int]:
    pairs = array("q", value)
    if len(pairs) % 2 or any(not 0 <= place < size for place in pairs[::2]) or any(n <= 0 for n in pairs[1::2]):
        raise ValueError("places and numbers by turns")
    return pairs


def _read_phrases(value: Any) -> dict[str, int]:
    if not all(type(pixels) is int and pixels > 0 for pixels in value.values()):
        raise ValueError("pixels of each phrase")
    return {str(phrase): pixels for phrase, pixels in value.items()}
