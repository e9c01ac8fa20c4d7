"""The images of a batch that come next: decoded before their turn, and on a GPU encoded with the one whose turn it is.

On a CPU several images at once are no quicker than one by one, so there each is encoded alone.

Not here: which images there are (`llmseg.batch_runs`), decoding (`core.reading`), encoding (`llmseg.patch_features`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from llmseg.patch_features import split_features
from llmseg.store import file_stamp
from llmseg.types import PatchFeatures

from .sockets import to_images

if TYPE_CHECKING:
    from torch import Tensor

AHEAD = 4  # images decoded before their turn
MOST_AHEAD_BYTES = 2**29  # of them together, as floats
TOGETHER = {"cpu": 1}  # images encoded at once, by device
TOGETHER_ELSEWHERE = 4

Decode = Callable[[Path], tuple["Tensor", "Tensor"]]
Way = tuple[object, ...]


class _Decoded(NamedTuple):
    stamp: tuple[int, ...] | None
    image: Tensor
    mask: Tensor


class _Encoded(NamedTuple):
    way: Way
    features: PatchFeatures


@dataclass
class Lookahead:
    """What is known of the images that come next. To be closed, or used in a `with` statement.

    Args:
        decode: reads a file: colours [1,H,W,3] and mask [1,H,W].
        together: how many images are encoded at once; None for what suits the device.
    """

    decode: Decode
    together: int | None = None
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "llmseg-reader"), init=False)
    _decoded: dict[Path, Future[_Decoded]] = field(default_factory=dict, init=False)
    _bytes: dict[Path, int] = field(default_factory=dict, init=False)
    _encoded: dict[Path, list[_Encoded]] = field(default_factory=dict, init=False)
    _turn: Path | None = field(default=None, init=False)
    _current: tuple[Path, Tensor] | None = field(default=None, init=False)

    def expect(self, path: Path, upcoming: Sequence[Path]) -> None:
        """Say whose turn it is and which come next; what is among neither is forgotten."""
        unused = self._turn is not None and self._current is None  # whoever loads does not ask here
        wanted = [path, *([] if unused else upcoming[:AHEAD])]
        self._turn, self._current = path, None
        self._encoded = {each: found for each, found in self._encoded.items() if each in wanted}
        self._bytes = {each: self._bytes.get(each) or _decoded_bytes(each) for each in wanted[1:]}
        for old in [each for each in self._decoded if each not in wanted]:
            self._decoded.pop(old).cancel()
        room = MOST_AHEAD_BYTES
        for each in wanted[1:]:
            room -= self._bytes[each]
            if room < 0:
                return
            if each not in self._decoded:
                self._decoded[each] = self._pool.submit(self._decode, each)

    def read(self, path: Path) -> tuple[Tensor, Tensor]:
        """The decoded image whose turn it is; any other file is read like anywhere else.

        Raises:
            InputError: as `decode` does.
        """
        path = path.resolve()
        known = self._ready(path)
        # What failed before its turn may have been mended, or fetched, since; what was read may have changed.
        if known is None or known.stamp != file_stamp(path):
            self._encoded.pop(path, None)
            known = self._decode(path)
        if path == self._turn:  # a workflow may load other images too
            self._current = (path, known.image)
        return known.image, known.mask

    def _decode(self, path: Path) -> _Decoded:
        return _Decoded(file_stamp(path), *self.decode(path))

    def _ready(self, path: Path) -> _Decoded | None:
        """A picture that was decoded before its turn; waits for one that is being decoded."""
        future = self._decoded.get(path)
        return None if future is None or future.exception() is not None else future.result()

    def encode(self, image: Tensor, way: Way, device: str, build: Callable[[Tensor], PatchFeatures]) -> PatchFeatures:
        """The features of an image, made together with those of the images of its size that come next.

        Args:
            image: what a node was given; only an image just as `read` gave it has neighbours. [B,H,W,3]
            way: everything that the features depend on beside the image.
            device: type of the device that encodes.
            build: makes the features of a batch in 0..1. [B,3,H,W]
        """
        if self._current is None or image is not self._current[1] or len(image) > 1:
            return build(to_images(image))
        path = self._current[0]
        ready = self._encoded.get(path, [])
        for known in ready:
            if _is_same(known.way, way):
                ready.remove(known)
                return known.features
        together = TOGETHER.get(device, TOGETHER_ELSEWHERE) if self.together is None else self.together
        # What is ready is of another way: others encode it too, or no two images are encoded in one.
        peers = {} if ready else self._peers(path, image, together - 1)
        made = _build_together(build, image, list(peers.values()))
        for peer, features in zip(peers, made[1:], strict=False):  # none where memory was too small
            self._encoded.setdefault(peer, []).append(_Encoded(way, features))
        return made[0]

    def _peers(self, path: Path, image: Tensor, most: int) -> dict[Path, Tensor]:
        """Images of the same size that are decoded or about to be. [1,H,W,3] each"""
        peers: dict[Path, Tensor] = {}
        for other in self._decoded:
            if len(peers) < most and other != path:
                known = self._ready(other)  # none where it failed, which is told when its turn comes
                if known is not None and known.image.shape == image.shape:
                    peers[other] = known.image
        return peers

    def __enter__(self) -> Lookahead:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)


def _is_same(one: Way, other: Way) -> bool:
    """Whether both are the same texts and numbers, and the very same objects."""
    plain = (str, int, float)
    return len(one) == len(other) and all(
        a is b or (isinstance(a, plain) and a == b) for a, b in zip(one, other, strict=True)
    )


def _build_together(
    build: Callable[[Tensor], PatchFeatures], image: Tensor, peers: Sequence[Tensor]
) -> list[PatchFeatures]:
    """Features of an image and its peers, of the image alone where they do not fit into memory. [1,H,W,3] each"""
    import torch

    if peers:
        try:
            return split_features(build(to_images(torch.cat([image, *peers]))))
        except torch.OutOfMemoryError:
            pass
    return [build(to_images(image))]


def _decoded_bytes(path: Path) -> int:
    """Memory that a file will fill, by its header; all of the room where that cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            channels = 4 if "A" in file.mode or "transparency" in file.info else 3
            return file.width * file.height * channels * 4 * getattr(file, "n_frames", 1)
    except Exception:  # Pillow raises a dozen kinds; whoever decodes it says what is wrong
        return MOST_AHEAD_BYTES
