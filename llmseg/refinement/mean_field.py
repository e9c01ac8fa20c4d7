"""Probabilities of many labels sharpened by the fully connected CRF: in C++ where that is installed, else in torch.

pydensecrf is taken where it can be imported and the numbers are in the processor's memory; its labels are those of
our own (`crf`) but for rounding. Neither is needed by anything else.

Not here: the model and its presets (`crf`), which labels take part (`blocks`).
Sources: Krähenbühl and Koltun, NIPS 2011; `pip install pydensecrf2` is imported as pydensecrf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..crf import LEAST_PROBABILITY, CrfPreset, DenseCrf

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["infer_in_cpp", "infer_in_torch", "sharpen_by_crf"]


def sharpen_by_crf(probability: Tensor, picture: Tensor, preset: CrfPreset) -> Tensor:
    """What each pixel believes after the steps of a preset.

    Args:
        probability: of L labels, which compete with nobody else: they are made to sum to 1. [L,H,W]
        picture: RGB in 0..1. [3,H,W]
        preset: of the CRF.

    Returns:
        Probabilities that sum to 1. [L,H,W]
    """
    probability = probability.clamp(min=LEAST_PROBABILITY)
    probability = probability / probability.sum(0)
    if len(probability) < 2:
        return probability
    colours = (picture.clamp(0, 1) * 255).round()
    if probability.device.type == "cpu" and has_cpp():
        return infer_in_cpp(probability, colours, preset)
    return infer_in_torch(probability, colours, preset)


def has_cpp() -> bool:
    """Whether pydensecrf can be imported."""
    try:
        import pydensecrf.densecrf  # noqa: F401
    except Exception:  # not there, or built for another numpy: then we do without
        return False
    return True


def infer_in_torch(probability: Tensor, colours: Tensor, preset: CrfPreset) -> Tensor:
    """The CRF on whatever device the probabilities are. [L,H,W], RGB in 0..255 [3,H,W] -> [L,H,W]"""
    crf = DenseCrf(colours.to(probability.device), preset.gaussian, preset.bilateral)
    return crf.infer(probability, preset.steps)


def infer_in_cpp(probability: Tensor, colours: Tensor, preset: CrfPreset) -> Tensor:
    """The same by pydensecrf. [L,H,W], RGB in 0..255 [3,H,W] -> [L,H,W]"""
    import numpy as np
    import torch
    from pydensecrf.densecrf import DenseCRF2D

    labels, height, width = probability.shape
    crf = DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(np.ascontiguousarray(-probability.float().log().flatten(1).numpy()))
    crf.addPairwiseGaussian(sxy=preset.gaussian[0], compat=preset.gaussian[1])
    pixels = np.ascontiguousarray(colours.movedim(0, -1).byte().numpy())
    place, colour, weight = preset.bilateral
    crf.addPairwiseBilateral(sxy=place, srgb=colour, rgbim=pixels, compat=weight)
    beliefs = np.array(crf.inference(preset.steps), dtype=np.float32)
    return torch.from_numpy(beliefs).view(labels, height, width).to(probability)
