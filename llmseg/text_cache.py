"""Vectors of phrases on disk, so that a phrase that was encoded once is not encoded by any later process.

    text/<key>/<name>.safetensors    phrases: SHA-256 of each, uint8 [n,32]; vectors: unit, float32 [n,D]

A key names the encoder and the frames of the template set. A shard is never changed, only added, merged with
others or dropped. The folder may be deleted at any time, and whatever is wrong with a shard costs time, never the run.

Not here: encoding, and the vectors in memory (`text_bank`).
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError
from .store import content_hash, trim_folder, try_lock, user_folder, write_atomic

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["load_vectors", "store_vectors", "text_key"]

logger = logging.getLogger("llmseg")

SCHEMA = 1
MOST_BYTES = 512 * 2**20  # of all shards together: a quarter of a million phrases at 512 numbers each
MOST_SHARDS = 32  # of one key
LARGE_SHARD = MOST_BYTES // MOST_SHARDS  # stays as it is, so that merging costs little and needs little memory
SHARD_NAME = re.compile(r"[0-9a-f]{16}\.safetensors")  # whatever else lies there is not ours
DIGEST = 32  # bytes
UNIT = 1e-3  # how far from 1 the length of a unit vector may be


def text_key(encoder: str, frames: Sequence[str]) -> str:
    """What vectors are found by: changes with the weights and with every letter of a frame."""
    return content_hash(SCHEMA, encoder, list(frames))[:32]


def load_vectors(key: str, phrases: Iterable[str], width: int) -> dict[str, Tensor]:
    """The vectors that are on disk, by phrase; a phrase that is not there is left out. each [D]

    Args:
        key: as made by `text_key`.
        phrases: as the encoder reads them.
        width: D.
    """
    wanted = {_digest(phrase): phrase for phrase in phrases}
    found: dict[str, Tensor] = {}
    for path in _shards(key):
        if not wanted:
            break
        found |= {wanted.pop(digest): vector for digest, vector in _read_shard(path, width, wanted).items()}
    return found


def store_vectors(key: str, vectors: Mapping[str, Tensor]) -> None:
    """Keep unit vectors by phrase. each float32 [D]"""
    try:
        _write_shard(key, {_digest(phrase): vector for phrase, vector in vectors.items()})
        width = len(next(iter(vectors.values())))
        if len(small := [path for path in _shards(key) if _size(path) < LARGE_SHARD]) > MOST_SHARDS:
            _merge(key, small, width)
        trim_folder(_root(), MOST_BYTES)
    except InputError as error:  # a full disk, or one that may only be read
        reason = getattr(error.__cause__, "strerror", None) or error.problem
        _tell_once("cannot keep the vectors of phrases in %s: %s. The next run encodes them again.", _root(), reason)


def _root() -> Path:
    return user_folder("data") / "text"


def _digest(phrase: str) -> bytes:
    return bytes.fromhex(content_hash(phrase))


def _shards(key: str) -> list[Path]:
    with suppress(OSError):  # sorted, so that every process takes the same one of two vectors of a phrase
        return sorted(path for path in (_root() / key).iterdir() if SHARD_NAME.fullmatch(path.name))
    return []


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _write_shard(key: str, rows: Mapping[bytes, Tensor]) -> Path:
    import torch
    from safetensors.torch import save

    digests = torch.frombuffer(bytearray(b"".join(rows)), dtype=torch.uint8).view(-1, DIGEST)
    data = save({"phrases": digests, "vectors": torch.stack(list(rows.values()))})
    path = _root() / key / f"{content_hash(data)[:16]}.safetensors"
    write_atomic(path, data)
    return path


def _read_shard(path: Path, width: int, wanted: Collection[bytes] | None = None) -> dict[bytes, Tensor]:
    """Rows of a shard by phrase, all of them where none are named; none where it is damaged or gone."""
    from safetensors import SafetensorError

    try:
        return _read_rows(path, width, wanted)
    except FileNotFoundError:  # merged or dropped by another process since the folder was listed
        return {}
    except OSError as error:
        _tell_once("cannot read %s: %s. Its phrases are encoded again.", path, str(error))
        return {}
    except (SafetensorError, RuntimeError, TypeError, ValueError) as error:
        logger.warning("%s is damaged (%s); removed. Its phrases are encoded again.", path, error)
        with suppress(OSError):
            path.unlink()
        return {}


def _read_rows(path: Path, width: int, wanted: Collection[bytes] | None) -> dict[bytes, Tensor]:
    import torch
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        digests, vectors = file.get_tensor("phrases"), file.get_tensor("vectors")  # mapped: not read before it is used
        count = len(digests)
        if (digests.dtype, digests.shape) != (torch.uint8, (count, DIGEST)):
            raise ValueError(f"phrases {digests.dtype} {list(digests.shape)}")
        if (vectors.dtype, vectors.shape) != (torch.float32, (count, width)):
            raise ValueError(f"vectors {vectors.dtype} {list(vectors.shape)}, not {[count, width]}")
        data = digests.numpy().tobytes()
        rows = {data[start : start + DIGEST]: row for row, start in enumerate(range(0, len(data), DIGEST))}
        if wanted is not None:
            rows = {digest: rows[digest] for digest in wanted if digest in rows}
        chosen = vectors[list(rows.values())]
    if not ((chosen.norm(dim=-1) - 1).abs() < UNIT).all():  # nor is NaN below anything
        raise ValueError("vectors that are not of unit length")
    return dict(zip(rows, chosen, strict=True))


def _merge(key: str, paths: Sequence[Path], width: int) -> None:
    """Make one shard of many, unless another process is at it."""
    lock = try_lock(user_folder("data") / "locks" / f"text-{key}.lock")
    if lock is None:
        return
    try:
        rows = dict(itertools.chain.from_iterable(_read_shard(path, width).items() for path in reversed(paths)))
        whole = _write_shard(key, rows) if rows else None
        for path in paths:
            if path != whole:
                with suppress(OSError):
                    path.unlink()
    finally:
        lock.release()


@lru_cache(maxsize=100)
def _tell_once(message: str, *details: object) -> None:
    logger.warning(message, *details)
