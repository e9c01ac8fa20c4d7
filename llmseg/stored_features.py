"""Patch features for a store of results: what they are found by, and the part of them that is worth a file.

The windows are kept. What the encoder and the picture give for nothing is taken from there again: the size, the
defaults, and the look at the whole image, which is made only where an assembly asks for it.

Not here: encoding (`patch_features`), files (`stored_values`).
"""

from __future__ import annotations

from dataclasses import asdict, astuple
from typing import TYPE_CHECKING, Any

from .attention import ATTENTION
from .backbone import Backbone
from .encoder import Encoder
from .errors import InputError, lookup
from .options import AUTO
from .store import content_hash
from .stored_values import tensor_hash
from .types import Level, PatchFeatures, TextBank
from .windows import WindowPlan

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["features_key", "pack_features", "unpack_features"]


def features_key(
    encoder: Encoder,
    images: Tensor,
    *,
    attention: str,
    text_bank: TextBank | None = None,
    backbone: Backbone | None = None,
    **options: object,
) -> str | None:
    """A text that determines the features; None where a file is not worth it.

    On a GPU the tower is as quick as the file and the digest of the picture together.

    Args:
        encoder: the CLIP.
        images: in any layout; every number of them counts.
        attention: as in `build_patch_features`.
        text_bank: counts only for an attention with feedback; other words need no other features.
        backbone: counts only for an attention with a proxy.
        options: the rest of what `build_patch_features` is given.

    Raises:
        UnknownNameError: no such attention.
    """
    if encoder.device.type != "cpu":
        return None
    method = lookup(ATTENTION, encoder.defaults.attention if attention == AUTO else attention, place="attention")
    phrases = ""
    if method.feedback is not None:
        if text_bank is None:
            return None
        phrases = f"{text_bank.model} {tensor_hash(text_bank.embeddings)}"
    eyes = ""
    if method.proxy is not None:
        if backbone is None:
            return None
        eyes = backbone.identity
    number_format = str(encoder.image_dtype)
    made_by = [encoder.identity, number_format, asdict(encoder.defaults)]
    return content_hash(made_by, tensor_hash(images), attention, phrases, eyes, options)


def pack_features(features: PatchFeatures) -> dict[str, Any]:
    """What of the features is kept: plain values and tensors."""
    levels = [[level.windows, astuple(level.plan)] for level in features.levels]
    return {"levels": levels, "aligned": features.aligned}


def unpack_features(kept: Any, encoder: Encoder, images: Tensor) -> PatchFeatures:
    """The features again, as the encoder made them of the images.

    Args:
        kept: as made by `pack_features`.
        encoder: the CLIP.
        images: RGB in 0..1. [B,3,H,W]

    Raises:
        InputError: `kept` is something else.
    """
    try:
        levels = tuple(_level(windows, WindowPlan(*plan), encoder, images) for windows, plan in kept["levels"])
        aligned = bool(kept["aligned"])
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{error!r}; expected patch features.", place="stored value") from error
    return PatchFeatures(
        levels=levels,
        see_whole=encoder.whole_image(images),
        size=(images.shape[2], images.shape[3]),
        model=encoder.identity,
        defaults=encoder.defaults,
        aligned=aligned,
    )


def _level(windows: Tensor, plan: WindowPlan, encoder: Encoder, images: Tensor) -> Level:
    expected = [len(images), len(plan.tops), len(plan.lefts), *plan.cells, encoder.embed_dim]
    if list(windows.shape) != expected:
        raise InputError(f"windows {list(windows.shape)}; expected {expected}.", place="stored value")
    return Level(windows, plan)
