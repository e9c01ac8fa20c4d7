"""Tensors of a TorchScript archive, such as OpenAI's own CLIP files, read without running or even loading its code.

The archive is a zip of raw numbers and one pickle that says which module holds which. No claim of a size is believed
that the archive does not bear out.

Not here: the pickle (`bags`), other files (`checkpoint`), what the names mean (`layouts`).
Source: the archives that torch.jit.save writes since 1.4; OpenAI's are from 1.7.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from .bags import Bag, Name, read_bags

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["is_torchscript", "read_torchscript"]

LARGEST_PICKLE = 2**22  # bytes; that of a tower of 24 blocks has a tenth of a million
MOST_ATTRIBUTES = 200_000  # of all modules; those of a tower of 48 blocks have a tenth
LONGEST_NAME = 200
DEEPEST = 32  # modules in modules
MOST_DIMENSIONS = 8

STORAGES = {
    "BoolStorage": "bool",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ShortStorage": "int16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
}


def is_torchscript(path: Path) -> bool:
    """Whether a file is a zip with the parts that only TorchScript has."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.count("/") == 1 and name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Tensors by the names they have in the module's state dict; constants and plain attributes among them.

    Raises:
        ModelError: broken, or with claims that the archive does not bear out.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            source = _Archive(archive, path.stat().st_size)
            root = read_bags(source.pickle(), source.storage, _rebuild)
            return dict(_name_tensors(root, "", DEEPEST, [MOST_ATTRIBUTES]))
    except Exception as error:  # a hostile file raises anything
        raise ModelError(
            f"cannot read {path.name!r} as a TorchScript archive ({repr(error)[:200]}); expected the tensors of a "
            "CLIP, as in OpenAI's own files. Get the file again, or its .safetensors edition.",
            place="model",
        ) from error


class _Archive:
    """The entries of the zip, each no larger than it is."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._archive = archive
        self._left = size  # bytes; entries may overlap, and together claim more than the file has
        pickles = (name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl"))
        self._root = next(pickles).removesuffix("data.pkl")
        self._storages: dict[str, Tensor] = {}

    def pickle(self) -> bytes:
        """What says which module holds which numbers."""
        return bytes(self._read("data.pkl", LARGEST_PICKLE))

    def storage(self, pid: object) -> Tensor:
        """The numbers of one storage, flat."""
        import torch

        if not isinstance(pid, tuple) or len(pid) != 5:
            raise ValueError("a storage of another kind")
        kind, name, key, _, count = pid
        if kind != "storage" or not isinstance(name, Name) or type(key) is not str or type(count) is not int:
            raise ValueError("a storage of another kind")
        if key not in self._storages:
            element = getattr(torch, STORAGES[name.name])
            raw = self._read(f"data/{key}", self._left)
            self._storages[key] = torch.frombuffer(raw, dtype=element) if raw else torch.empty(0, dtype=element)
        if len(self._storages[key]) != count:
            raise ValueError(f"storage {key[:80]!r} claims {count} numbers, not {len(self._storages[key])}")
        return self._storages[key]

    def _read(self, name: str, most: int) -> bytearray:
        """One entry, which must be stored as it is: then it cannot claim more than is there."""
        entry = self._archive.getinfo(self._root + name)
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > min(most, self._left):
            raise ValueError(f"entry {name[:80]!r} of {entry.file_size} bytes")
        self._left -= entry.file_size
        return bytearray(self._archive.read(entry))


def _rebuild(storage: Any, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
    """A tensor as a view of its storage, with every number it claims inside it, and none twice over."""
    import torch

    if not isinstance(storage, torch.Tensor) or len(shape) != len(stride) or len(shape) > MOST_DIMENSIONS:
        raise ValueError("a tensor without a storage or a shape")
    if any(type(number) is not int or number < 0 for number in (offset, *shape, *stride)):
        raise ValueError("a tensor whose shape is not of whole numbers")
    count = 1
    for length in shape:
        count *= length
    last = offset + sum((length - 1) * step for length, step in zip(shape, stride, strict=True))
    if count > len(storage) or (count and last >= len(storage)):
        raise ValueError(f"a tensor of shape {shape!r} in a storage of {len(storage)} numbers")
    return storage.as_strided(shape, stride, offset)


def _name_tensors(bag: object, prefix: str, depth: int, left: list[int]) -> Iterator[tuple[str, Tensor]]:
    import torch

    if not isinstance(bag, Bag):
        raise ValueError("no module")
    left[0] -= 1 + len(bag.attributes)
    if depth < 0 or left[0] < 0 or max(map(len, bag.attributes), default=0) > LONGEST_NAME:  # a bag may be in itself
        raise ValueError("modules without end")
    for name, value in bag.attributes.items():
        if isinstance(value, torch.Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, Bag):
            yield from _name_tensors(value, f"{prefix}{name}.", depth - 1, left)
