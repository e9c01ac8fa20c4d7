"""Where an image is cut into windows, at one scale. Standard library only.

Three layouts. `grid`: the image is resized to whole patches and windows lie on the patch grid, so that everything can
be averaged patch by patch. `squash`: the same, but to a square. `published`: proportions are kept to the pixel and
windows start where the stride says, as in the published evaluations; what is over whole patches in a window is not
looked at. In all three the last window of a row is shifted back to the border instead of being padded.

Not here: pixels (`patch_features`). Source: mmsegmentation's resize and slide inference, as used by SCLIP
(arXiv:2312.01597) and NACLIP (arXiv:2404.08181).
"""

from __future__ import annotations

from dataclasses import dataclass

from .defaults import EngineDefaults
from .errors import InputError
from .options import AUTO_NUMBER

__all__ = [
    "GRID",
    "MOST_WINDOW_PATCHES",
    "PUBLISHED",
    "SQUASH",
    "WindowPlan",
    "choose_window",
    "plan_windows",
    "starts",
]

GRID, PUBLISHED, SQUASH = "grid", "published", "squash"
MOST_PATCHES = 2**20  # of an image: 16,384 x 16,384 pixels in a ViT-B/16
MOST_PATCHES_IN_ALL = 2**22  # over all windows of an image at one scale: 8 GB at 512 numbers each
MOST_WINDOW_PATCHES = 2**14  # 2048 x 2048 pixels there
LONGEST_SIDE = 2048  # pixels, in the published layout


@dataclass(frozen=True)
class WindowPlan:
    """One scale of an image; all sizes in pixels of the resized image, height first.

    Args:
        size: of the resized image.
        window: of every window.
        tops, lefts: where windows start; there is one for every pair.
        cells: patches of a window.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    cells: tuple[int, int]

    @property
    def count(self) -> int:
        """Windows in all."""
        return len(self.tops) * len(self.lefts)

    @property
    def boxes(self) -> list[tuple[slice, slice]]:
        """Rows and columns of each window, row by row."""
        height, width = self.window
        return [(slice(top, top + height), slice(left, left + width)) for top in self.tops for left in self.lefts]


def starts(length: int, window: int, stride: int) -> tuple[int, ...]:
    """Where windows of one row start, the last one shifted back to the border.

    >>> starts(10, window=4, stride=4)
    (0, 4, 6)
    """
    count = -(-(length - window) // stride) + 1
    return tuple(min(number * stride, length - window) for number in range(count))


def choose_window(window: int, stride: int, defaults: EngineDefaults, patch: int, layout: str) -> tuple[int, int]:
    """Window and stride in use, in pixels; a window of 0 is the whole image.

    A default is fitted to the patch size and to the other; a person's number must fit.

    Raises:
        InputError: negative, no multiple of the patch size where the layout needs one, or gaps between windows.
    """
    step = 1 if layout == PUBLISHED else patch
    side = round(defaults.window / patch) * patch if window == AUTO_NUMBER else _check(window, patch, step, "window")
    if side == 0:
        return 0, patch
    if stride in (AUTO_NUMBER, 0):
        own = round(defaults.stride / patch) * patch if stride == AUTO_NUMBER else side // 2 // step * step
        return side, max(step, min(own, side))
    stride = _check(stride, patch, step, "stride")
    if stride > side:
        raise InputError(
            f"{stride} pixels; expected at most the window, {side}. Some patches would be in no window.", place="stride"
        )
    return side, stride


def _check(pixels: int, patch: int, step: int, place: str) -> int:
    too_small = place == "window" and 0 < pixels < patch
    if pixels < 0 or pixels % step or too_small:
        near = max(1, round(pixels / patch)) * patch
        wanted = (
            f"a multiple of the model's patch size {patch}, such as {near}" if step > 1 else f"0 or at least {patch}"
        )
        raise InputError(f"{pixels} pixels; expected {wanted}.", place=place)
    return pixels


def plan_windows(
    size: tuple[int, int], patch: int, *, window: int, stride: int, resize: int, factor: float, layout: str
) -> WindowPlan:
    """Resize an image of some size and cut it.

    Args:
        size: pixels of the original, height first.
        patch: side of a patch in pixels.
        window, stride: as from `choose_window`; a window is cut to the image where that is smaller.
        resize: short side in pixels at factor 1; 0 keeps the size, in layout squash that of the short side.
        factor: of this scale.
        layout: grid, published or squash.

    Raises:
        InputError: more patches than memory holds.
    """
    scale = factor * resize / min(size) if resize else factor
    if layout == SQUASH:
        height = width = max(1, round(factor * (resize or min(size)) / patch)) * patch
    elif layout == GRID:
        height, width = (max(1, round(side * scale / patch)) * patch for side in size)
    else:
        scale = min(scale, LONGEST_SIDE / max(size)) if resize else scale
        height, width = (max(patch, int(side * scale + 0.5)) for side in size)
    sides = (min(window or height, height), min(window or width, width))
    tops, lefts = (starts(length, side, stride) for length, side in zip((height, width), sides, strict=True))
    plan = WindowPlan((height, width), sides, tops, lefts, (sides[0] // patch, sides[1] // patch))
    _refuse_too_much(plan, patch)
    return plan


def _refuse_too_much(plan: WindowPlan, patch: int) -> None:
    # A workflow file may ask for any size; attention in one window needs memory in the square of its patches.
    cells = plan.cells[0] * plan.cells[1]
    limits = (
        ("resize", (plan.size[0] // patch) * (plan.size[1] // patch), MOST_PATCHES),
        ("window", cells, MOST_WINDOW_PATCHES),
        ("stride", plan.count * cells, MOST_PATCHES_IN_ALL),
    )
    for place, patches, most in limits:
        if patches > most:
            raise InputError(
                f"{patches} patches; expected at most {most}. Choose a smaller size or a larger stride.", place=place
            )
