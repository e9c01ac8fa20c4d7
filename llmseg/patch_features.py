"""Pictures -> `PatchFeatures`: sliding windows of all images through the image tower in few batches.

Every scale is cut into windows of its own; mirror images, where they are looked at too, into the same ones mirrored,
and the mean of both is kept. A batch holds as many windows as memory allows: on a GPU that runs out
of it, half as many from there on.

Not here: where windows lie (`windows`), what they are looked at with (`looking`), the tower (`encoder`); overlaps are
averaged in `scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from .attention import ATTENTION
from .backbone import Backbone
from .encoder import Encoder
from .errors import InputError, lookup
from .looking import Look, choose_look
from .options import AUTO, AUTO_NUMBER, LAYOUT
from .squash import squash
from .types import Level, PatchFeatures, TextBank
from .windows import MOST_WINDOW_PATCHES, PUBLISHED, SQUASH, WindowPlan, choose_window, plan_windows

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MIRRORED", "SCALE_FACTORS", "build_patch_features", "split_features"]

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
MIRRORED: Mapping[str, bool] = MappingProxyType({"none": False, "horizontal": True})

Tell = Callable[[int], None]


def build_patch_features(
    encoder: Encoder,
    images: Tensor,
    *,
    attention: str = AUTO,
    window: int = AUTO_NUMBER,
    stride: int = AUTO_NUMBER,
    resize: int = AUTO_NUMBER,
    scales: str = AUTO,
    layout: str = AUTO,
    flips: str = "none",
    text_bank: TextBank | None = None,
    backbone: Backbone | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> PatchFeatures:
    """Encode images of one size, every window of every image at every scale.

    Args:
        encoder: the CLIP.
        images: RGB in 0..1. [B,3,H,W]
        attention: a name in `attention.ATTENTION`, or "auto".
        window, stride: pixels of the resized image; in layout grid multiples of the patch size; see `options`.
        resize: short side in pixels at scale 1; 0 keeps the size up to whole patches.
        scales: a name in `SCALE_FACTORS`, or "auto".
        layout: grid, published, squash or auto; see `windows`.
        flips: a name in `MIRRORED`; the look at the whole image, `see_whole`, is not mirrored.
        text_bank: what an attention with feedback looks for in its first pass.
        backbone: tells an attention with a proxy which patches are alike; features are on its grid, which may be finer.
        on_batch: called with (windows done, windows in all) after each batch.

    Raises:
        UnknownNameError: no such attention, scales, layout or flips.
        InputError: not [B,3,H,W], windows that do not fit, gaps between them, or an attention that needs phrases or
            a backbone.
    """
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise InputError(f"shape {list(images.shape)}; expected [B,3,H,W].", place="images")
    defaults, patch = encoder.defaults, encoder.patch_size
    attention = defaults.attention if attention == AUTO else attention
    look = choose_look(encoder, attention, text_bank, backbone)
    layout = defaults.layout if layout == AUTO else layout
    lookup(LAYOUT.names, layout, place="layout")
    window, stride = choose_window(window, stride, defaults, patch, layout)
    resize = defaults.resize if resize == AUTO_NUMBER else resize
    size = (images.shape[2], images.shape[3])
    factors = lookup(SCALE_FACTORS, defaults.scales if scales == AUTO else scales, place="scales")
    plans = [
        plan_windows(size, patch, window=window, stride=stride, resize=resize, factor=factor, layout=layout)
        for factor in factors
    ]
    for plan in plans:
        look.refuse_too_many(encoder, plan)
    looks = 2 if lookup(MIRRORED, flips, place="flips") else 1
    tell = _add_up(on_batch, looks * len(images) * sum(plan.count for plan in plans))
    levels = []
    for plan in plans:
        resized = _resize(images, plan.size, layout)
        level = _encode_level(encoder, resized, plan, look, tell)
        if MIRRORED[flips]:
            mirrored = _encode_mirrored(encoder, resized, plan, look, tell)
            level = Level(mirrored.add_(level.windows).mul_(0.5), level.plan)
        levels.append(level)
    return PatchFeatures(
        levels=tuple(levels),
        see_whole=encoder.whole_image(images),
        size=size,
        model=encoder.identity,
        defaults=defaults,
        aligned=layout != PUBLISHED,
    )


def _add_up(on_batch: Callable[[int, int], None] | None, total: int) -> Tell:
    """A counter of windows over all scales."""
    done = 0

    def tell(windows: int) -> None:
        nonlocal done
        done += windows
        if on_batch is not None:
            on_batch(done, total)

    return tell


def _resize(images: Tensor, size: tuple[int, int], layout: str) -> Tensor:
    from torch.nn.functional import interpolate

    if layout == SQUASH:
        return squash(images, size[0])
    if tuple(images.shape[-2:]) == size:
        return images
    return interpolate(images, size=size, mode="bilinear", antialias=layout != PUBLISHED, align_corners=False)


def _encode_level(encoder: Encoder, images: Tensor, plan: WindowPlan, look: Look, tell: Tell) -> Level:
    """Unit features of all windows of all images. [B,3,H,W] -> [B,ny,nx,h,w,D]"""
    import torch

    stitched = ATTENTION[look.attention].stitched and plan.count > 1
    if stitched:
        _refuse_stitching(plan, encoder.patch_size)

    def encode(batch: Tensor) -> Tensor:
        return encoder.encode_tokens(batch) if stitched else look.encode(encoder, batch, plan.cells)

    cells = look.cells(encoder, plan)
    parts = list(_encode_batches(encode, images, plan, tell, cells[0] * cells[1]))
    rows, columns = len(plan.tops), len(plan.lefts)
    encoded = torch.cat(parts).unflatten(0, (len(images), rows, columns))
    if stitched:
        return _finish_stitched(encoder, encoded, plan, look.attention)
    return Level(encoded, replace(plan, cells=cells))


def _encode_mirrored(encoder: Encoder, images: Tensor, plan: WindowPlan, look: Look, tell: Tell) -> Tensor:
    """Features of the mirror images, mirrored back, so that they belong to the same pixels. -> [B,ny,nx,h,w,D]"""
    wide = plan.cells[1] * encoder.patch_size  # what is over whole patches would be cut off on the other side
    lefts = tuple(plan.size[1] - left - wide for left in reversed(plan.lefts))
    mirrored = replace(plan, window=(plan.window[0], wide), lefts=lefts)
    level = _encode_level(encoder, images.flip(3), mirrored, look, tell)
    return level.windows.flip((2, 4))


def _finish_stitched(encoder: Encoder, windows: Tensor, plan: WindowPlan, attention: str) -> Level:
    """The last block over all windows of each image. [B,ny,nx,N,width] -> one window of the whole image"""
    import torch

    grid = (plan.size[0] // encoder.patch_size, plan.size[1] // encoder.patch_size)
    # One image at a time: attention needs memory in the square of its patches.
    features = [encoder.finish_tokens(_stitch(each, plan, grid)[None], grid, attention) for each in windows]
    return Level(torch.cat(features)[:, None, None], WindowPlan(plan.size, plan.size, (0,), (0,), grid))


def _encode_batches(
    encode: Callable[[Tensor], Tensor], images: Tensor, plan: WindowPlan, tell: Tell, patches: int
) -> Iterator[Tensor]:
    """Batch by batch, as many windows at once as memory holds."""
    import torch

    jobs = [(image, rows, columns) for image in images for rows, columns in plan.boxes]
    at_once = max(1, TOKENS_PER_BATCH // (patches + 1))
    done = 0
    while done < len(jobs):
        batch = jobs[done : done + at_once]
        try:
            part = encode(torch.stack([image[:, rows, columns] for image, rows, columns in batch]))
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
            at_once = len(batch) // 2
            continue
        yield part
        done += len(batch)
        tell(len(batch))


def _refuse_stitching(plan: WindowPlan, patch: int) -> None:
    if any(place % patch for place in (*plan.tops, *plan.lefts, *plan.size)):
        raise InputError(
            "windows lie between patches; expected layout 'grid' for an attention that stitches them.", place="layout"
        )
    if (patches := plan.size[0] * plan.size[1] // patch**2) > MOST_WINDOW_PATCHES:
        raise InputError(
            f"{patches} patches to stitch; expected at most {MOST_WINDOW_PATCHES}. Choose a smaller size.",
            place="resize",
        )


def _stitch(windows: Tensor, plan: WindowPlan, grid: tuple[int, int]) -> Tensor:
    """Tokens of all windows of one image on one grid, averaged like maps. [ny,nx,N,width] -> [prefix+hw,width]"""
    import torch

    width = windows.shape[-1]
    total = windows.new_zeros(*grid, width)
    count = windows.new_zeros(*grid, 1)
    high, wide = plan.cells
    patch = plan.window[0] // high
    prefix = windows.shape[2] - high * wide
    for row, top in enumerate(plan.tops):
        for column, left in enumerate(plan.lefts):
            place = (slice(top // patch, top // patch + high), slice(left // patch, left // patch + wide))
            total[place] += windows[row, column, prefix:].view(high, wide, width)
            count[place] += 1
    first = windows[:, :, :prefix].mean((0, 1))
    return torch.cat([first, (total / count).view(-1, width)])


def split_features(features: PatchFeatures) -> list[PatchFeatures]:
    """The features of every image alone; the look at the whole images stays one pass over all of them. B of B = 1"""
    if (count := len(features.levels[0].windows)) == 1:
        return [features]

    def one(index: int) -> PatchFeatures:
        part = slice(index, index + 1)
        levels = tuple(Level(level.windows[part], level.plan) for level in features.levels)
        return replace(features, levels=levels, see_whole=lambda: features.see_whole()[part])

    return [one(index) for index in range(count)]
