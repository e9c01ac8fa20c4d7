"""ResCLIP's second look: where a first pass gave patches the same phrase, they attend to each other.

Not here: the two passes (`dense`), the numbers (`attention.Feedback`).
Source: ResCLIP (arXiv:2411.15851), semantic feedback refinement, with the published code's details: a path is
looked at over as many of its evenly spaced points as the patches are apart, rows are blurred along the flattened
index, and a label map is half a float wide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .attention import Feedback
from .pamr import pamr

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["label_affinity", "patch_labels"]

SIGMA = 5.0  # of the blur, in patches along the flattened index
PIXELS_AT_ONCE = 4096
POINTS_AT_ONCE = 2**22  # of paths between patches: 32 MB, a few times over


def patch_labels(features: Tensor, phrases: Tensor, guide: Tensor, feedback: Feedback) -> Tensor:
    """The phrase most pixels of each patch were given. [h,w,D] -> int64 [h,w]

    Args:
        features: unit vectors of one image or window.
        phrases: unit vectors. [K,D]
        guide: the normalised picture. [3,H,W]
        feedback: logit scale and threshold.
    """
    import torch
    from torch.nn.functional import interpolate

    grid, size = features.shape[:2], tuple(guide.shape[-2:])
    few = len(phrases) <= features.shape[-1]
    channels = features @ phrases.T if few else features
    maps = interpolate(channels.movedim(-1, 0)[None], size=size, mode="bilinear", align_corners=False)[0]
    maps = pamr(maps, guide.to(maps)).flatten(1)  # [min(K,D),H*W]
    labels = []
    for part in maps.split(PIXELS_AT_ONCE, 1):
        likely = ((part if few else phrases @ part) * feedback.logit_scale).softmax(0).max(0)
        labels.append(likely.indices.masked_fill(likely.values < feedback.threshold, 0))
    rows, columns = (side // count for side, count in zip(size, grid, strict=True))
    whole = torch.cat(labels).view(size)[: grid[0] * rows, : grid[1] * columns]
    by_patch = whole.unflatten(0, (grid[0], rows)).unflatten(2, (grid[1], columns)).transpose(1, 2).flatten(2)
    most: Tensor = by_patch.mode(-1).values
    return most


def label_affinity(labels: Tensor) -> Tensor:
    """How much each patch belongs to each other by their labels, 0 to 1. [h,w] -> [h*w,h*w]

    One where the labels are equal; less, by distance, where the way there leaves the label; then blurred and
    normalised row by row.
    """
    import torch
    from torch.nn.functional import conv1d

    height, width = labels.shape
    flat = labels.flatten()
    places = torch.stack(torch.meshgrid(*(torch.arange(n, device=flat.device) for n in (height, width)), indexing="ij"))
    places = places.flatten(1).T  # [P,2]
    steps = (places[:, None] - places[None]).abs().amax(-1)  # [P,P]
    longest = int(steps.max())
    same = (flat[:, None] == flat[None]).float()
    decay = torch.exp(-steps / max(longest, 1))
    affinity = torch.where(_stays_inside(labels, places, steps, longest), same, same * decay)
    size = min(len(flat), int(6 * SIGMA + 1))
    size += 1 - size % 2
    offsets = torch.arange(size, device=flat.device) - size // 2
    kernel = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    blurred = conv1d(affinity[:, None], (kernel / kernel.sum()).view(1, 1, -1), padding=size // 2)[:, 0]
    rows = blurred / (blurred.sum(-1, keepdim=True) + 1e-8)
    return (rows / rows.max()).half().float()


def _stays_inside(labels: Tensor, places: Tensor, steps: Tensor, longest: int) -> Tensor:
    """Whether the way from each patch to each other keeps to the first one's label. bool [P,P]"""
    import torch

    share = torch.linspace(0, 1, longest + 1, device=labels.device)[:, None]  # [S,1]
    counted = torch.arange(longest + 1, device=labels.device)
    inside = torch.empty(steps.shape, dtype=torch.bool, device=labels.device)
    at_once = max(1, POINTS_AT_ONCE // (len(places) * (longest + 1)))
    for first in range(0, len(places), at_once):
        some = slice(first, first + at_once)
        points = places[some, None, None] * (1 - share) + places[None, :, None] * share  # [n,P,S,2]
        rows, columns = points.round().long().unbind(-1)
        own = labels[places[some, 0], places[some, 1]][:, None, None]
        inside[some] = ((labels[rows, columns] == own) | (counted > steps[some, :, None])).all(-1)
    return inside
