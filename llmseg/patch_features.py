"""Pictures -> `PatchFeatures`: sliding windows of all images through the image tower in few batches.

Windows lie on the patch grid: the image is resized to whole patches, and the last window of a row is
shifted back to the border instead of being padded. Every scale is a grid of its own.

Not here: the tower (`encoder`); overlaps are averaged in `scores`. Source: mmsegmentation's slide
inference, as used by SCLIP (arXiv:2312.01597) and NACLIP (arXiv:2404.08181).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from .defaults import EngineDefaults
from .encoder import Encoder
from .errors import InputError, lookup
from .options import AUTO, AUTO_NUMBER
from .types import Level, PatchFeatures

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SCALE_FACTORS", "build_patch_features", "window_boxes"]

MOST_PATCHES = 2**20  # of an image: 16,384 x 16,384 pixels in a ViT-B/16
MOST_PATCHES_IN_ALL = 2**22  # over all windows of an image at one scale: 8 GB at 512 numbers each
MOST_WINDOW_PATCHES = 2**14  # 2048 x 2048 pixels there
TOKENS_PER_BATCH = 16_384  # about 200 MB of activations in a ViT-B/16

# The finest first: maps are made on its grid.
SCALE_FACTORS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "one": (1.0,),
        "three": (1.4, 0.7, 0.35),
        "five": (1.4, 1.0, 0.7, 0.5, 0.35),
        "seven": (2.0, 1.4, 1.0, 0.7, 0.5, 0.35, 0.25),
    }
)

Box = tuple[int, int, int, int]


def build_patch_features(
    encoder: Encoder,
    images: Tensor,
    *,
    attention: str = AUTO,
    window: int = AUTO_NUMBER,
    stride: int = AUTO_NUMBER,
    resize: int = AUTO_NUMBER,
    scales: str = AUTO,
    on_batch: Callable[[int, int], None] | None = None,
) -> PatchFeatures:
    """Encode images of one size, every window of every image at every scale.

    Args:
        encoder: the CLIP.
        images: RGB in 0..1. [B,3,H,W]
        attention: a name in `attention.ATTENTION`, or "auto".
        window, stride: pixels of the resized image, multiples of the patch size; see `options`.
        resize: short side in pixels at scale 1; 0 keeps the size up to whole patches.
        scales: a name in `SCALE_FACTORS`, or "auto".
        on_batch: called with (windows done, windows in all) after each batch.

    Raises:
        UnknownNameError: no such attention or scales.
        InputError: not [B,3,H,W], window or stride no multiple of the patch size, or gaps between windows.
    """
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise InputError(f"shape {list(images.shape)}; expected [B,3,H,W].", place="images")
    defaults, patch = encoder.defaults, encoder.patch_size
    window, stride = _window_and_stride(window, stride, defaults, patch)
    resize = defaults.resize if resize == AUTO_NUMBER else resize
    size = (images.shape[2], images.shape[3])
    factors = lookup(SCALE_FACTORS, defaults.scales if scales == AUTO else scales, place="scales")
    grids = [_grid(size, resize, patch, factor) for factor in factors]
    for grid in grids:
        _refuse_too_much(grid, window, stride)
    boxes = [window_boxes(grid, window, stride) for grid in grids]
    tell = _add_up(on_batch, len(images) * sum(map(len, boxes)))
    levels = []
    for grid, places in zip(grids, boxes, strict=True):
        resized = _resize(images, (grid[0] * patch, grid[1] * patch))
        levels.append(Level(_encode_windows(encoder, resized, places, attention, tell), places, grid))
    return PatchFeatures(
        levels=tuple(levels),
        image_vector=encoder.encode_image(images),
        size=size,
        model=encoder.identity,
        defaults=defaults,
    )


def window_boxes(grid: tuple[int, int], window: int, stride: int) -> tuple[Box, ...]:
    """Top, left, bottom, right of each window, in patches, row by row.

    Args:
        grid: patches of the image, height first.
        window: side in patches; 0 is the whole image. Cut to the image where that is smaller.
        stride: step in patches.

    >>> window_boxes((4, 6), window=4, stride=3)
    ((0, 0, 4, 4), (0, 2, 4, 6))
    """
    if window == 0:
        return ((0, 0, *grid),)
    height, width = min(window, grid[0]), min(window, grid[1])
    return tuple(
        (top, left, top + height, left + width)
        for top in _starts(grid[0], height, stride)
        for left in _starts(grid[1], width, stride)
    )


def _starts(length: int, window: int, stride: int) -> list[int]:
    count = -(-(length - window) // stride) + 1
    return [min(number * stride, length - window) for number in range(count)]


def _window_and_stride(window: int, stride: int, defaults: EngineDefaults, patch: int) -> tuple[int, int]:
    """Both in patches; a default is fitted to the patch size and to the other, a person's number must fit."""
    in_patches = round(defaults.window / patch) if window == AUTO_NUMBER else _whole_patches(window, patch, "window")
    if in_patches == 0:
        return 0, 1
    if stride in (AUTO_NUMBER, 0):
        own = round(defaults.stride / patch) if stride == AUTO_NUMBER else in_patches // 2
        return in_patches, max(1, min(own, in_patches))
    step = _whole_patches(stride, patch, "stride")
    if step > in_patches:
        raise InputError(
            f"{stride} pixels; expected at most the window, {in_patches * patch}. Some patches would be in no window.",
            place="stride",
        )
    return in_patches, step


def _whole_patches(pixels: int, patch: int, place: str) -> int:
    if pixels < 0 or pixels % patch:
        near = max(1, round(pixels / patch)) * patch
        raise InputError(
            f"{pixels} pixels; expected a multiple of the model's patch size {patch}, such as {near}.", place=place
        )
    return pixels // patch


def _grid(size: tuple[int, int], resize: int, patch: int, factor: float) -> tuple[int, int]:
    scale = factor * resize / min(size) if resize else factor
    height, width = (max(1, round(side * scale / patch)) for side in size)
    return height, width


def _refuse_too_much(grid: tuple[int, int], window: int, stride: int) -> None:
    # A workflow file may ask for any size; attention in one window needs memory in the square of its patches.
    height, width = (min(window or side, side) for side in grid)
    windows = len(_starts(grid[0], height, stride)) * len(_starts(grid[1], width, stride)) if window else 1
    limits = (
        ("resize", grid[0] * grid[1], MOST_PATCHES),
        ("window", height * width, MOST_WINDOW_PATCHES),
        ("stride", windows * height * width, MOST_PATCHES_IN_ALL),
    )
    for place, patches, most in limits:
        if patches > most:
            raise InputError(
                f"{patches} patches; expected at most {most}. Choose a smaller size or a larger stride.", place=place
            )


def _add_up(on_batch: Callable[[int, int], None] | None, total: int) -> Callable[[int], None]:
    """A counter of windows over all scales."""
    done = 0

    def tell(windows: int) -> None:
        nonlocal done
        done += windows
        if on_batch is not None:
            on_batch(done, total)

    return tell


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    from torch.nn.functional import interpolate

    if tuple(images.shape[-2:]) == size:
        return images
    return interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)


def _encode_windows(
    encoder: Encoder,
    images: Tensor,
    boxes: tuple[Box, ...],
    attention: str,
    tell: Callable[[int], None],
) -> Tensor:
    """Unit features of all windows of all images. [B,3,H,W] -> [B,N,h,w,D]"""
    import torch

    patch = encoder.patch_size
    jobs = [(image, box) for image in range(len(images)) for box in boxes]
    height, width = boxes[0][2] - boxes[0][0], boxes[0][3] - boxes[0][1]
    per_batch = max(1, TOKENS_PER_BATCH // (height * width + 1))
    features = []
    for start in range(0, len(jobs), per_batch):
        batch = [
            images[image, :, top * patch : bottom * patch, left * patch : right * patch]
            for image, (top, left, bottom, right) in jobs[start : start + per_batch]
        ]
        features.append(encoder.encode_patches(torch.stack(batch), attention))
        tell(len(batch))
    out: Tensor = torch.cat(features).unflatten(0, (len(images), len(boxes)))
    return out
