"""Scores flow between the patches of a picture that a backbone finds alike, until they agree.

With W the likeness of patches, zero beside the nearest and on the diagonal, and D its row sums, the scores Y become
(1 - a) (I - a D^-1/2 W D^-1/2)^-1 Y: label propagation, solved to the end by conjugate gradients. It is linear in Y,
so it runs on scores or on the features behind them, whichever have fewer channels.

    W = max(0, cosine)^3 exp(-distance / 100 pixels), for the 400 nearest by cosine, plus its transpose

Published without the factor 1 - a, which keeps the scores on the scale of cosines, with ten steps of conjugate
gradients, and with the patches of overlapping windows side by side; here they have been averaged before.

Not here: the backbone (`backbone`), refiners that look at colours (`pamr`). Source: LPOSS (arXiv:2503.19777).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import InputError
from ..sampling import Sampler
from ..scores import Layer, ScoreMaps

if TYPE_CHECKING:
    from torch import Tensor

    from ..backbone import Backbone

__all__ = ["likeness", "propagate", "propagate_scores"]

NEIGHBOURS = 400
POWER = 3
REACH = 100.0  # pixels
SHARE = 0.95  # a
TOLERANCE = 1e-6  # of the residual, as a share of the right side
STEPS = 200  # more are never needed: the system's condition is (1 + a) / (1 - a) at most
MOST_PATCHES = 2**13  # a number for each pair: 256 MB


def propagate_scores(scores: ScoreMaps, images: Tensor, backbone: Backbone | None) -> ScoreMaps:
    """Refine score maps on the patch grid.

    Args:
        scores: B images against K phrases, in fast scoring.
        images: RGB in 0..1, of any size. [B,3,H,W]
        backbone: tells which patches are alike.

    Raises:
        InputError: no backbone, scores at pixels, another number of images, or too many patches.
    """
    import torch

    if backbone is None:
        raise InputError(
            "'lposs' asks a backbone which patches are alike; expected one. Connect Load Backbone, or choose another.",
            place="refiner",
        )
    if scores.exact or len(scores.layers) != 1:
        raise InputError(
            "'lposs' works on patches; expected scores on the patch grid. Choose scoring 'fast'.", place="refiner"
        )
    if len(images) != len(scores):
        raise InputError(f"{len(images)} images; expected the {len(scores)} of the maps.", place="image")
    height, width = scores.grid
    if height * width > MOST_PATCHES:
        raise InputError(
            f"{height} x {width} patches; expected at most {MOST_PATCHES} for 'lposs'. Choose a smaller resize.",
            place="refiner",
        )
    patch = scores.seen[0] / height  # pixels
    few = scores.scored or len(scores.queries) <= scores.queries.shape[1]
    refined = []
    for image, picture in enumerate(images):
        features = backbone.value_features(picture[None], scores.grid)[0]
        channels = scores.channels(image).flatten(1).T  # [P,c]
        flown = propagate(likeness(features.to(channels), patch), channels)
        refined.append(flown.unflatten(0, scores.grid))
    return replace(scores, layers=(Layer(torch.stack(refined), Sampler()),), scored=few)


def likeness(features: Tensor, patch: float) -> Tensor:
    """W: how alike patches are, symmetric.

    Args:
        features: unit vectors. [h,w,E]
        patch: side of a patch in pixels.

    Returns:
        [P,P]
    """
    import torch

    height, width, _ = features.shape
    flat = features.flatten(0, 1)
    cosines = flat @ flat.T
    nearest = cosines.topk(min(NEIGHBOURS, len(flat)), dim=1)
    near = torch.zeros_like(cosines).scatter_(1, nearest.indices, nearest.values.clamp(min=0).pow(POWER))
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width)).to(flat) * patch
    weights = near * torch.exp(-torch.cdist(places, places) / REACH)
    weights = weights + weights.T
    weights.fill_diagonal_(0)
    return weights


def propagate(weights: Tensor, values: Tensor) -> Tensor:
    """(1 - a) (I - a D^-1/2 W D^-1/2)^-1 values, each column by itself.

    Args:
        weights: W, symmetric, nothing negative. [P,P]
        values: [P,c]
    """
    import torch

    degrees = weights.sum(1)
    scale = degrees.rsqrt().where(degrees > 0, 0.0)  # a patch like no other keeps its scores
    flow = weights * scale[:, None] * scale

    def times(x: Tensor) -> Tensor:
        return x - SHARE * (flow @ x)

    x = values.clone()
    residual = values - times(x)
    step = residual.clone()
    length = residual.square().sum(0)
    enough = (TOLERANCE**2) * values.square().sum(0)
    for _ in range(STEPS):
        if bool((length <= enough).all()):
            break
        turned = times(step)
        rate = length / (step * turned).sum(0).clamp(min=torch.finfo(x.dtype).tiny)
        x = x + rate * step
        residual = residual - rate * turned
        new = residual.square().sum(0)
        step = residual + new / length.clamp(min=torch.finfo(x.dtype).tiny) * step
        length = new
    return (1 - SHARE) * x
