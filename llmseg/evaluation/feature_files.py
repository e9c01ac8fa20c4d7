"""Encoded images on disk, so that a later run with another column looks at no image again.

    features/<key>.safetensors    windows of every scale; below the user's data folder

Files are mapped into memory while they are read and copied once. When the folder is full, those that this run does not
use make room, the ones used longest ago first; what then finds no room is encoded again by the next run. The folder
may be deleted at any time, and whatever is wrong with a file costs time, never the run.

Not here: the key (`stored_features`), encoding (`patch_features`).
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..encoder import Encoder
from ..errors import InputError
from ..store import content_hash, user_folder, write_atomic
from ..stored_features import features_key, pack_features, unpack_features
from ..stored_values import tensor_hash
from ..types import PatchFeatures

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MOST_BYTES", "FeatureFiles"]

logger = logging.getLogger("llmseg")

SCHEMA = 1
ENTRY = "llmseg"
SUFFIX = ".safetensors"
MOST_BYTES = 8 * 2**30  # of all files together


class FeatureFiles:
    """Encodes images, each once.

    Args:
        folder: where the files are; None for the user's own.
        most_bytes: of all files together; 0 keeps none.

    Attributes:
        encoded: how often an image was encoded.
    """

    def __init__(self, folder: Path | None = None, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder or user_folder("data") / "features"
        self.most_bytes = most_bytes
        self.encoded = 0
        self._start = time.time()
        self._used: int | None = None  # bytes in the folder; None before that was looked at

    def get(self, encoder: Encoder, images: Tensor, encode: Callable[[], PatchFeatures], **way: Any) -> PatchFeatures:
        """The features of images, from a file where there is one.

        Args:
            encoder: the CLIP.
            images: RGB in 0..1. [B,3,H,W]
            encode: makes them.
            way: what `stored_features.features_key` wants beside: the arguments that `encode` hands on.
        """
        key = features_key(encoder, images, **way) if self.most_bytes else None
        path = self.folder / f"{content_hash(SCHEMA, _surroundings(), key)}{SUFFIX}"
        if key is not None:
            try:
                found = unpack_features(_read(path, key), encoder, images)
            except FileNotFoundError:
                pass
            except Exception as error:  # whatever lies there, nothing of it may stop the run
                logger.warning("%s is damaged (%s). Its image is encoded again.", path, error)
            else:
                with suppress(OSError):
                    os.utime(path)  # so that it is not among the oldest
                return found
        features = encode()
        self.encoded += 1
        if key is not None:
            self._keep(path, key, features)
        return features

    def _keep(self, path: Path, key: str, features: PatchFeatures) -> None:
        data = _dump(pack_features(features), key)
        if not self._make_room(len(data)):
            return
        try:
            write_atomic(path, data)
            self._used = (self._used or 0) + len(data)
        except InputError as error:
            reason = getattr(error.__cause__, "strerror", None) or error.problem
            logger.warning(
                "cannot keep encoded images in %s: %s. The next run encodes them again.", path.parent, reason
            )
            self.most_bytes = 0

    def _make_room(self, size: int) -> bool:
        """Whether so many bytes fit; files that this run has not used give way."""
        if self._used is None or self._used + size > self.most_bytes:
            files = sorted(_files(self.folder))
            self._used = sum(bytes_ for _, bytes_, _ in files)
            for used_at, bytes_, path in files:
                if self._used + size <= self.most_bytes or used_at >= self._start:
                    break
                with suppress(OSError):
                    path.unlink()
                    self._used -= bytes_
        if self._used + size > self.most_bytes:
            logger.warning(
                "encoded images fill %s (%.1f GiB); the next run encodes the others again. Allow more by --features.",
                self.folder,
                self.most_bytes / 2**30,
            )
            self.most_bytes = 0
        return bool(self.most_bytes)


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    """Time of the last use, bytes and path of each file."""
    found = []
    with suppress(OSError):
        for path in folder.glob(f"*{SUFFIX}"):
            with suppress(OSError):
                stat = path.stat()
                found.append((stat.st_mtime, stat.st_size, path))
    return found


def _dump(kept: dict[str, Any], key: str) -> bytes:
    """The file: tensors by the number of their level; all else as JSON in its header."""
    from safetensors.torch import save

    tensors = {str(number): windows.contiguous().clone() for number, (windows, _) in enumerate(kept["levels"])}
    plans = [plan for _, plan in kept["levels"]]
    digests = [tensor_hash(tensors[str(number)]) for number in range(len(plans))]
    return save(tensors, {ENTRY: json.dumps([SCHEMA, key, digests, plans, kept["aligned"]])})


def _read(path: Path, key: str) -> dict[str, Any]:
    """What `_dump` was given.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: other content than was written.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        schema, own_key, digests, plans, aligned = json.loads(file.metadata()[ENTRY])
        # Copied to where torch itself would put them: sums may depend on how numbers lie in memory.
        tensors = [file.get_tensor(str(number)).clone() for number in range(len(plans))]
    if [schema, own_key, digests] != [SCHEMA, key, [tensor_hash(tensor) for tensor in tensors]]:
        raise InputError("other content than was written; expected the digests to fit.", place="features")
    levels = [[windows, _as_tuples(plan)] for windows, plan in zip(tensors, plans, strict=True)]
    return {"levels": levels, "aligned": aligned}


def _as_tuples(value: Any) -> Any:
    """Lists of JSON as the tuples that they were."""
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


@lru_cache(maxsize=1)
def _surroundings() -> list[str]:
    """Whatever changes features without changing an argument: a checkout changes without its version."""
    import torch

    root = Path(__file__).parent.parent
    sources = sorted(path for path in root.rglob("*.py") if "evaluation" not in path.relative_to(root).parts)
    return [__version__, torch.__version__, content_hash(*(path.read_bytes() for path in sources))]
