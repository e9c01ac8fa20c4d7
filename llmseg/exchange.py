"""Label maps as what other packs and ComfyUI itself take: SEGS, bounding boxes, batches of masks.

    SEGS            ((height, width), [SEG, ...]) of one image, as ComfyUI-Impact-Pack has it
    BOUNDING_BOX    one list for each image of {x, y, width, height, label, score}, as ComfyUI has it since 2026
    BBOX            lists of four numbers, of which packs think differently

Not here: files (`files`), tables (`region_tables`).
Sources: ComfyUI-Impact-Pack 7 and 8, ComfyUI of 2026 (`DrawBBoxes`, `CropByBBoxes`, `ImageCropV2`), KJNodes,
ComfyUI-segment-anything-2, as far as their nodes hand values to one another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import InputError, lookup
from .options import BBOX_LAYOUT, CROP_FACTOR, MASKS
from .regions import Box, ImageRegions, Region
from .types import LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["BBOXES", "SEG", "STACKS", "Segs", "list_bboxes", "list_boxes", "make_segs", "stack_masks", "surround"]


class SEG(NamedTuple):
    """One region; fields, their order and the last default are those of ComfyUI-Impact-Pack.

    Args:
        cropped_image: float32 in 0..1 [1,h,w,3]; None where no image was given.
        cropped_mask: 1 inside the region, else 0. float32 [h,w]
        confidence: 0..1.
        crop_region: left, top, right and bottom of the crop, h x w pixels.
        bbox: the same of the region itself.
        label: name of the class.
        control_net_wrapper: for its own nodes to fill.
    """

    cropped_image: Tensor | None
    cropped_mask: NDArray[np.float32]
    confidence: float
    crop_region: list[int]
    bbox: tuple[int, int, int, int]
    label: str
    control_net_wrapper: Any = None


Segs = tuple[tuple[int, int], list[SEG]]
Dictionary = dict[str, Any]


def make_segs(
    found: Sequence[ImageRegions], images: Tensor | None = None, *, crop_factor: float = CROP_FACTOR.default
) -> list[Segs]:
    """The regions of every image for the nodes of ComfyUI-Impact-Pack, whose SEGS hold one image each.

    Args:
        found: the regions. [B]
        images: the pictures that were labelled, RGB in 0..1. [B,3,H,W]
        crop_factor: sides of a crop over those of its region's box, at least 1; crops stay inside the image.

    Returns:
        One SEGS for each image. [B]

    Raises:
        InputError: other images than those that were labelled, or a factor below 1.
    """
    if not crop_factor >= 1:
        raise InputError(f"{crop_factor!r}; expected at least 1.", place="crop_factor")
    if images is not None and len(images) != len(found):
        raise InputError(f"{len(images)} images; expected {len(found)}, one per label map.", place="image")
    pictures = [None] * len(found) if images is None else list(images)
    return [_make_segs(*each, crop_factor) for each in zip(found, pictures, strict=True)]


def _make_segs(found: ImageRegions, picture: Tensor | None, crop_factor: float) -> Segs:
    height, width = found.numbers.shape
    if picture is not None and tuple(picture.shape[1:]) != (height, width):
        given = f"{picture.shape[1]} x {picture.shape[2]}"
        raise InputError(f"{given} pixels; expected the {height} x {width} of the labels.", place="image")
    return (height, width), [_make_seg(found, region, picture, crop_factor) for region in found.regions]


def _make_seg(found: ImageRegions, region: Region, picture: Tensor | None, crop_factor: float) -> SEG:
    height, width = found.numbers.shape
    left, right = _enlarge(region.box.left, region.box.right, crop_factor, width)
    top, bottom = _enlarge(region.box.top, region.box.bottom, crop_factor, height)
    # A copy: nodes that paste into their crop must not write to our image.
    crop = (
        None if picture is None else picture[:, top:bottom, left:right].movedim(0, -1)[None].cpu().clone().contiguous()
    )
    return SEG(
        cropped_image=crop,
        cropped_mask=found.mask(region, Box(left, top, right, bottom)).astype("float32"),
        confidence=region.confidence,
        crop_region=[left, top, right, bottom],
        bbox=(region.box.left, region.box.top, region.box.right, region.box.bottom),
        label=region.name,
    )


def _enlarge(start: int, end: int, factor: float, limit: int) -> tuple[int, int]:
    """A side made longer about its middle, then moved and cut to lie within 0..limit; it never loses a pixel."""
    length = end - start
    wanted = min(limit, max(length, round(length * factor)))
    first = min(max(0, start - (wanted - length + 1) // 2), limit - wanted)
    return first, first + wanted


def list_boxes(found: Sequence[ImageRegions]) -> list[list[Dictionary]]:
    """One list for each image of {x, y, width, height, label, score}, in pixels. [B]"""
    return [
        [
            {
                **{"x": region.box.left, "y": region.box.top, "width": region.box.width, "height": region.box.height},
                **{"label": region.name, "score": region.confidence},
            }
            for region in image.regions
        ]
        for image in found
    ]


def list_bboxes(found: Sequence[ImageRegions], layout: str = BBOX_LAYOUT.default) -> list[Any]:
    """Boxes as four numbers each, laid out as a name in `BBOXES` says.

    Raises:
        UnknownNameError: an unknown layout.
    """
    return lookup(BBOXES, layout, place="bbox_layout")(found)


def _list_sides(found: Sequence[ImageRegions]) -> list[Any]:
    return [
        (region.box.left, region.box.top, region.box.width, region.box.height)
        for image in found
        for region in image.regions
    ]


def _list_corners(found: Sequence[ImageRegions]) -> list[Any]:
    return [[list(region.box) for region in image.regions] for image in found]


def surround(found: Sequence[ImageRegions]) -> Dictionary:
    """The one box {x, y, width, height} that holds every region of every image; all of the image where none is."""
    boxes = [region.box for image in found for region in image.regions]
    if not boxes:
        height, width = found[0].numbers.shape
        boxes = [Box(0, 0, width, height)]
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def stack_masks(result: LabelMap, classes: Sequence[int], which: str = MASKS.default) -> tuple[Tensor, list[str]]:
    """Masks of some classes as one batch, and the class names of each.

    Class after class, because that is how ComfyUI repeats an image batch: image i of such a repeated batch
    belongs to mask i.

    Args:
        result: the labels. [B,H,W]
        classes: labels of the classes, in the order wanted.
        which: a name in `STACKS`.

    Returns:
        bool [C*B,H,W] for "each", [B,H,W] for "union"; the names, joined by commas, for each mask.

    Raises:
        UnknownNameError: unknown masks.
    """
    return lookup(STACKS, which, place="masks")(result, classes)


def _stack_each(result: LabelMap, classes: Sequence[int]) -> tuple[Tensor, list[str]]:
    import torch

    masks = torch.cat([result.labels == label for label in classes])
    return masks, [result.names[label] for label in classes for _ in range(len(result.labels))]


def _stack_union(result: LabelMap, classes: Sequence[int]) -> tuple[Tensor, list[str]]:
    import torch

    masks = torch.isin(result.labels, torch.tensor(list(classes), device=result.labels.device))
    return masks, [", ".join(result.names[label] for label in classes)] * len(result.labels)


BBOXES: Mapping[str, Callable[[Sequence[ImageRegions]], list[Any]]] = {"xywh": _list_sides, "xyxy": _list_corners}
STACKS: Mapping[str, Callable[[LabelMap, Sequence[int]], tuple[Tensor, list[str]]]] = {
    "each": _stack_each,
    "union": _stack_union,
}
