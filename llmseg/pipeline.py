"""Everything in one call: a picture and class names in, a label map out.

The stages in order, each one function of the module named after it. Call them one by one to keep an
encoder, features or a text bank between calls.

Not here: any stage's work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

from .assembly import assemble_classes
from .backbone import Backbone, load_backbone
from .background import add_background
from .class_maps import ClassMaps
from .encoder import Encoder, load_encoder
from .errors import InputError
from .examples import tell_limits
from .expansion import expand_names
from .files import image_to_tensor, read_image
from .labels import label_pixels
from .models.weights import EMBEDDED
from .names import parse_names
from .options import AUTO, AUTO_NUMBER, BACKGROUND
from .patch_features import build_patch_features
from .refinement import EARLY_REFINERS, refine_maps, refine_scores
from .scores import ScoreMaps, score_image
from .text_bank import build_text_bank
from .types import Expansion, LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

__all__ = ["SegmentOptions", "assemble_scores", "segment", "sharpen_maps"]

Picture = Union[str, Path, "Image.Image", "NDArray[np.uint8]", "Tensor"]


@dataclass(frozen=True)
class SegmentOptions:
    """Knobs of `segment`; each is explained in `options`, "auto" and -1 are the model's own."""

    templates: str = AUTO
    include_names: str = AUTO
    custom_templates: str = ""
    background: str = BACKGROUND.default
    negatives: str = ""
    attention: str = AUTO
    window: int = AUTO_NUMBER
    stride: int = AUTO_NUMBER
    resize: int = AUTO_NUMBER
    scales: str = AUTO
    layout: str = AUTO
    scoring: str = AUTO
    mode: str = AUTO
    gate: str = "none"
    temperature: float = AUTO_NUMBER
    name_weight: float = AUTO_NUMBER
    refiner: str = AUTO
    threshold: float = 0.0
    min_area: float = 0.0
    flips: str = "none"


def segment(
    image: Picture,
    names: str,
    expansion: str | Expansion = "auto",
    *,
    encoder: str | Path | Encoder = EMBEDDED,
    options: SegmentOptions | None = None,
    regions: Tensor | Sequence[Tensor] | None = None,
    backbone: str | Path | Backbone | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> LabelMap:
    """Label every pixel of a picture with one of the named classes.

    Args:
        image: a path, a Pillow image, uint8 [H,W,3], or a batch in 0..1 [B,3,H,W].
        names: class names, as in `names.parse_names`.
        expansion: "auto", "off", a library, text such as "dog: poodle, beagle", or one made before; the
            classes of that one count, not `names`.
        encoder: a loaded encoder, or a model as in `models.weights.read_weights`.
        options: the knobs.
        regions: masks for refiner "regions", as in `guides.take_regions`.
        backbone: a loaded one, or a file, for attention "proxyclip" and refiner "lposs".
        on_batch: called with (windows done, windows in all).

    Returns:
        Labels at the picture's size; position in `names` is the label. [B,H,W]

    Raises:
        InputError: a picture, name or option is wrong.
        ModelError: the model cannot be loaded.
    """
    options = options or SegmentOptions()
    images = _to_images(image)
    classes = parse_names(names) if isinstance(expansion, str) else expansion.class_list
    if isinstance(encoder, (str, Path)):
        encoder = load_encoder(str(encoder))
    backbone = load_backbone(backbone) if isinstance(backbone, (str, Path)) else backbone
    if isinstance(expansion, str):
        expansion = expand_names(classes, expansion, encoder.library)
    tell_limits(encoder, images)
    expansion = add_background(expansion, options.background, options.negatives, known=encoder.knows)
    bank = build_text_bank(encoder, expansion, options.templates, options.include_names, options.custom_templates)
    features = build_patch_features(
        encoder,
        images,
        attention=options.attention,
        window=options.window,
        stride=options.stride,
        resize=options.resize,
        scales=options.scales,
        layout=options.layout,
        flips=options.flips,
        text_bank=bank,
        backbone=backbone,
        on_batch=on_batch,
    )
    scores = score_image(features, bank, options.scoring)
    maps = assemble_scores(scores, images, options, backbone=backbone)
    maps = sharpen_maps(maps, images, options, regions=regions)
    return label_pixels(maps, threshold=options.threshold, min_area=options.min_area)


def assemble_scores(
    scores: ScoreMaps, images: Tensor, options: SegmentOptions, *, backbone: Backbone | None = None
) -> ClassMaps:
    """Merge phrases into one map per class; refiners of score maps come before, as published.

    Args:
        scores: B images against K phrases.
        images: RGB in 0..1. [B,3,H,W]
        options: refiner, mode, temperature, name_weight and gate are read.
        backbone: for refiner "lposs".

    Raises:
        InputError: an option is wrong.
    """
    if options.refiner in EARLY_REFINERS:
        scores = refine_scores(scores, images, options.refiner, backbone=backbone)
    return assemble_classes(
        scores, options.mode, temperature=options.temperature, name_weight=options.name_weight, gate=options.gate
    )


def sharpen_maps(
    maps: ClassMaps,
    images: Tensor,
    options: SegmentOptions,
    *,
    regions: Tensor | Sequence[Tensor] | None = None,
) -> ClassMaps:
    """Refine class maps, unless the refiner worked on the scores before.

    Args:
        maps: one map per class.
        images: RGB in 0..1. [B,3,H,W]
        options: the refiner is read.
        regions: masks for refiner "regions", as in `guides.take_regions`.

    Raises:
        InputError: an option is wrong.
    """
    return maps if options.refiner in EARLY_REFINERS else refine_maps(maps, images, options.refiner, regions=regions)


def _to_images(image: Picture) -> Tensor:
    """Any picture as a batch in 0..1. [B,3,H,W]"""
    import numpy as np
    import torch
    from PIL import Image

    if isinstance(image, torch.Tensor):
        # Written so that NaN fails too.
        if not image.is_floating_point() or not bool(((image >= 0) & (image <= 1)).all()):
            raise InputError(f"{image.dtype} {list(image.shape)}; expected floats in 0..1 [B,3,H,W].", place="image")
        return image.float()
    if isinstance(image, (str, Path)):
        return image_to_tensor(read_image(Path(image)))
    array = np.asarray(image.convert("RGB")) if isinstance(image, Image.Image) else np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise InputError(f"{array.dtype} {list(array.shape)}; expected uint8 [H,W,3].", place="image")
    return image_to_tensor(np.ascontiguousarray(array))  # a flipped view has strides that torch refuses
