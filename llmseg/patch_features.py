"""Pictures -> `PatchFeatures`: sliding windows of all images through the image tower in few batches.

Every scale is cut into windows of its own. A batch holds as many windows as memory allows: on a GPU that runs out
of it, half as many from there on.

Not here: where windows lie (`windows`), the tower (`encoder`); overlaps are averaged in `scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from .attention import ATTENTION
from .encoder import Encoder
from .errors import InputError, lookup
from .options import AUTO, AUTO_NUMBER, LAYOUT
from .types import Level, PatchFeatures, TextBank
from .windows import GRID, MOST_WINDOW_PATCHES, WindowPlan, choose_window, plan_windows

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SCALE_FACTORS", "build_patch_features"]

MOST_PAIRED_PATCHES = 2**12  # 1024 x 1024 pixels in a ViT-B/16
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
    text_bank: TextBank | None = None,
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
        layout: grid, published or auto; see `windows`.
        text_bank: what an attention with feedback looks for in its first pass.
        on_batch: called with (windows done, windows in all) after each batch.

    Raises:
        UnknownNameError: no such attention, scales or layout.
        InputError: not [B,3,H,W], windows that do not fit, gaps between them, or an attention that needs phrases.
    """
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise InputError(f"shape {list(images.shape)}; expected [B,3,H,W].", place="images")
    defaults, patch = encoder.defaults, encoder.patch_size
    attention = defaults.attention if attention == AUTO else attention
    phrases = _phrases(encoder, attention, text_bank)
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
    _refuse_pairs(attention, plans)
    tell = _add_up(on_batch, len(images) * sum(plan.count for plan in plans))
    levels = []
    for plan in plans:
        resized = _resize(images, plan.size, antialias=layout == GRID)
        levels.append(_encode_level(encoder, resized, plan, attention, phrases, tell))
    return PatchFeatures(
        levels=tuple(levels),
        see_whole=encoder.whole_image(images),
        size=size,
        model=encoder.identity,
        defaults=defaults,
        aligned=layout == GRID,
    )


def _phrases(encoder: Encoder, attention: str, bank: TextBank | None) -> Tensor | None:
    """What a method with feedback is given; None for all others."""
    if lookup(ATTENTION, attention, place="attention").feedback is None:
        return None
    if bank is None:
        raise InputError(
            f"{attention!r} looks at the phrases; expected a text bank. Connect text_bank, or choose another.",
            place="attention",
        )
    if bank.model != encoder.identity:
        raise InputError(f"phrases encoded by {bank.model!r}; expected {encoder.identity!r}.", place="text_bank")
    return bank.embeddings


def _add_up(on_batch: Callable[[int, int], None] | None, total: int) -> Tell:
    """A counter of windows over all scales."""
    done = 0

    def tell(windows: int) -> None:
        nonlocal done
        done += windows
        if on_batch is not None:
            on_batch(done, total)

    return tell


def _resize(images: Tensor, size: tuple[int, int], antialias: bool) -> Tensor:
    from torch.nn.functional import interpolate

    if tuple(images.shape[-2:]) == size:
        return images
    return interpolate(images, size=size, mode="bilinear", antialias=antialias, align_corners=False)


def _encode_level(
    encoder: Encoder, images: Tensor, plan: WindowPlan, attention: str, phrases: Tensor | None, tell: Tell
) -> Level:
    """Unit features of all windows of all images. [B,3,H,W] -> [B,ny,nx,h,w,D]"""
    import torch

    stitched = ATTENTION[attention].stitched and plan.count > 1
    if stitched:
        _refuse_stitching(plan, encoder.patch_size)

    def encode(batch: Tensor) -> Tensor:
        return encoder.encode_tokens(batch) if stitched else encoder.encode_patches(batch, attention, phrases)

    parts = list(_encode_batches(encode, images, plan, tell))
    rows, columns = len(plan.tops), len(plan.lefts)
    encoded = torch.cat(parts).unflatten(0, (len(images), rows, columns))
    return _finish_stitched(encoder, encoded, plan, attention) if stitched else Level(encoded, plan)


def _finish_stitched(encoder: Encoder, windows: Tensor, plan: WindowPlan, attention: str) -> Level:
    """The last block over all windows of each image. [B,ny,nx,1+P,width] -> one window of the whole image"""
    import torch

    grid = (plan.size[0] // encoder.patch_size, plan.size[1] // encoder.patch_size)
    # One image at a time: attention needs memory in the square of its patches.
    features = [encoder.finish_tokens(_stitch(each, plan, grid)[None], grid, attention) for each in windows]
    return Level(torch.cat(features)[:, None, None], WindowPlan(plan.size, plan.size, (0,), (0,), grid))


def _encode_batches(
    encode: Callable[[Tensor], Tensor], images: Tensor, plan: WindowPlan, tell: Tell
) -> Iterator[Tensor]:
    """Batch by batch, as many windows at once as memory holds."""
    import torch

    jobs = [(image, rows, columns) for image in images for rows, columns in plan.boxes]
    at_once = max(1, TOKENS_PER_BATCH // (plan.cells[0] * plan.cells[1] + 1))
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


def _refuse_pairs(attention: str, plans: Sequence[WindowPlan]) -> None:
    method = ATTENTION[attention]
    if method.feedback is None and method.calibration is None:
        return
    for plan in plans:
        # They hold a number for every pair of patches, several times over, and a workflow file may ask for any size.
        if (patches := plan.cells[0] * plan.cells[1]) > MOST_PAIRED_PATCHES:
            raise InputError(
                f"{patches} patches; expected at most {MOST_PAIRED_PATCHES} for attention {attention!r}. "
                "Choose a smaller window.",
                place="window",
            )


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
    """Tokens of all windows of one image on one grid, averaged like maps. [ny,nx,1+P,width] -> [1+hw,width]"""
    import torch

    width = windows.shape[-1]
    total = windows.new_zeros(*grid, width)
    count = windows.new_zeros(*grid, 1)
    high, wide = plan.cells
    patch = plan.window[0] // high
    for row, top in enumerate(plan.tops):
        for column, left in enumerate(plan.lefts):
            place = (slice(top // patch, top // patch + high), slice(left // patch, left // patch + wide))
            total[place] += windows[row, column, 1:].view(high, wide, width)
            count[place] += 1
    cls = windows[:, :, 0].mean((0, 1))
    return torch.cat([cls[None], (total / count).view(-1, width)])
