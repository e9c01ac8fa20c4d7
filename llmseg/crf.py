"""Probabilities of labels -> the same, sharpened along the edges of the image by a fully connected CRF.

Every pixel is tied to every other one, the more the nearer it is (`gaussian`), and the more the nearer and the
more alike in colour (`bilateral`). Mean field (Krähenbühl and Koltun, NIPS 2011) repeats: each pixel tells all
others what it believes, and believes what its own evidence and theirs say. The sums over all pairs are Gaussian
filters, done on the permutohedral lattice (Adams, Baek and Davis, Computer Graphics Forum 29(2), 2010).

Rounding, order of the axes and normalisation are those of the C++ code of the first two, which pydensecrf wraps;
so are the labels.

Not here: whose probabilities (`painting`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CRF_PRESETS", "CrfPreset", "DenseCrf"]

LEAST_PROBABILITY = 1e-8
MOST_PIXELS = 2**22  # about 1 kB each in the worst of images, where no two pixels share a vertex


@dataclass(frozen=True)
class CrfPreset:
    """Arguments of `DenseCrf` and of its `infer`."""

    gaussian: tuple[float, float]
    bilateral: tuple[float, float, float]
    steps: int


class DenseCrf:
    """A fully connected CRF over the pixels of one image, with Potts compatibility; for any number of problems.

    Args:
        image: RGB in 0..255. [3,H,W]
        gaussian: standard deviation in pixels, and weight.
        bilateral: standard deviations in pixels and in colour values, and weight.

    Raises:
        InputError: not an image, too large, or deviations too small for it.
    """

    def __init__(
        self,
        image: Tensor,
        gaussian: tuple[float, float] = (3.0, 3.0),
        bilateral: tuple[float, float, float] = (40.0, 13.0, 10.0),
    ) -> None:
        import torch

        _check_image(image)
        for deviation in (gaussian[0], *bilateral[:2]):
            if not 0 < deviation < math.inf:
                raise InputError(f"standard deviation {deviation!r}; expected one above 0.", place="crf")
        self._size = height, width = image.shape[1:]
        self._device = image.device
        rows, columns = torch.arange(height), torch.arange(width)
        places = torch.cartesian_prod(rows, columns).flip(1).to(image.device, torch.float32)  # [P,2], x before y
        colours = image.flatten(1).T.float()  # [P,3]
        likeness = torch.cat([places / bilateral[0], colours / bilateral[1]], dim=1)
        self._kernels = ((gaussian[1], _Kernel(places / gaussian[0])), (bilateral[2], _Kernel(likeness)))

    def infer(self, probability: Tensor, steps: int) -> Tensor:
        """Mean field: what each pixel believes after some steps.

        Args:
            probability: of L labels, for N problems or for one. [N,L,H,W] or [L,H,W]
            steps: rounds of messages, 0 or more.

        Returns:
            The same shape, dtype and device; sums to 1 over L.

        Raises:
            InputError: other pixels than the image has, or numbers that are none.
        """
        if probability.ndim not in (3, 4) or probability.shape[-2:] != self._size:
            height, width = self._size
            raise InputError(
                f"shape {list(probability.shape)}; expected [N,L,{height},{width}] or [L,{height},{width}].",
                place="probability",
            )
        if not probability.isfinite().all():
            raise InputError("holds NaN or infinity; expected numbers.", place="probability")
        problems = probability.to(self._device).float().reshape(-1, probability.shape[-3], math.prod(self._size))
        # Pixels first, so that a kernel moves whole rows; energies keep the sign of the logarithm.
        evidence = problems.clamp(min=LEAST_PROBABILITY).log().permute(2, 0, 1).contiguous()  # [P,N,L]
        beliefs = evidence.softmax(-1)
        for _ in range(steps):
            spoken = beliefs.flatten(1)  # [P,NL]
            energy = evidence
            for weight, kernel in self._kernels:
                energy = energy + weight * kernel.filter(spoken).view_as(evidence)
            beliefs = energy.softmax(-1)
        return beliefs.permute(1, 2, 0).reshape(probability.shape).to(probability)


class _Kernel:
    """Gaussian filter of standard deviation 1 over P points, normalised symmetrically.

    Splat, blur, slice: values go to the corners of the simplex around each point, are blurred there along each
    axis of the lattice, and come back with the weights with which they went. All three gather and none
    scatters, so a GPU adds in the same order every time.

    Args:
        features: of the points, in standard deviations. [P,d]
    """

    def __init__(self, features: Tensor) -> None:
        import torch

        corners, self._weights, steps = _surrounding_simplices(features)
        vertices, places, counts = corners.unique(return_inverse=True, return_counts=True)  # [M], [P,d+1], [M]
        self._corners = places.int()
        order = places.flatten().argsort(stable=True)  # the points at each vertex, one vertex after the other
        self._points = (order // corners.shape[1]).int()
        self._points_weights = self._weights.flatten()[order]
        self._starts = (counts.cumsum(0) - counts).int()
        self._axes = [_neighbours(vertices, step) for step in steps]
        # Constant factors of the filter cancel here.
        self._scale = self._blur(torch.ones_like(features[:, :1])).rsqrt()  # [P,1]

    def filter(self, values: Tensor) -> Tensor:
        """Each point's sum over all points. [P,c] -> [P,c]"""
        return self._scale * self._blur(self._scale * values)

    def _blur(self, values: Tensor) -> Tensor:
        from torch.nn.functional import embedding_bag

        lattice = embedding_bag(
            self._points, values, self._starts, mode="sum", per_sample_weights=self._points_weights
        )  # [M,c]
        for neighbours, weights in self._axes:
            lattice = embedding_bag(neighbours, lattice, mode="sum", per_sample_weights=weights)
        return embedding_bag(self._corners, lattice, mode="sum", per_sample_weights=self._weights)


def _surrounding_simplices(features: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """The d+1 corners of the simplex of the lattice that holds each point.

    Args:
        features: in standard deviations. [P,d]

    Returns:
        A number for every corner [P,d+1], its barycentric weight [P,d+1], and how much the number grows with one
        step along each of the d+1 axes.
    """
    import torch

    elevated = _elevate(features)
    axes = elevated.shape[1]
    turns = (elevated * (1 / axes)).round()
    origin = turns * axes  # the nearest point whose coordinates are all multiples of d+1 [P,d+1]
    rank = (elevated - origin).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    # Rounding may leave the plane on which coordinates sum to 0.
    rank += turns.sum(1, keepdim=True).long()
    back = ((rank < 0).long() - (rank >= axes).long()) * axes
    rank += back
    origin += back
    offsets = (elevated - origin) * (1 / axes)
    weights = torch.empty_like(offsets).scatter_(1, axes - 1 - rank, offsets)  # by falling rank
    weights = weights - weights.roll(1, dims=1)
    weights[:, 0] += 1
    strides = _strides(origin)
    first = ((origin - origin.amin(0)).long() * strides).sum(1)
    corners = [first + ((corner - axes * (rank >= axes - corner).long()) * strides).sum(1) for corner in range(axes)]
    steps = axes * strides - strides.sum()
    return torch.stack(corners, dim=1), weights, steps.tolist()


def _elevate(features: Tensor) -> Tensor:
    """Points in the plane of d+1 coordinates that sum to 0, at the scale of the lattice. [P,d] -> [P,d+1]"""
    import torch

    axes = features.shape[1] + 1
    deviation = math.sqrt(2 / 3) * axes  # of splat, blur and slice together
    total = torch.zeros_like(features[:, 0])
    columns = []
    for axis in range(axes - 1, 0, -1):
        scaled = features[:, axis - 1] * (deviation / math.sqrt(axis * (axis + 1)))
        columns.append(total - axis * scaled)
        total = total + scaled
    return torch.stack([total, *reversed(columns)], dim=1)


def _strides(origin: Tensor) -> Tensor:
    """Weights of the coordinates in the number of a vertex, 0 for the last, which the others imply. int64 [d+1]

    Args:
        origin: a corner of each point's simplex. [P,d+1]
    """
    import torch

    axes = origin.shape[1]
    # Corners and their neighbours are at most this far from the origin, so no two of them share a number.
    room = 4 * axes
    spans = [int(span) + room for span in (origin.amax(0) - origin.amin(0))[:-1].tolist()]
    if math.prod(spans) >= 2**63:
        raise InputError("standard deviations too small for this image; expected larger ones.", place="crf")
    strides = [math.prod(spans[axis + 1 :]) for axis in range(axes - 1)]
    return torch.tensor([*strides, 0], device=origin.device)


def _neighbours(vertices: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Each vertex and the two beside it along an axis, and their weights: 0 for those that no point touches.

    Args:
        vertices: their numbers, sorted. [M]
        step: between neighbours.

    Returns:
        Positions in `vertices` and weights. [M,3], [M,3]
    """
    import torch

    wanted = vertices[:, None] + torch.tensor([0, step, -step], device=vertices.device)
    found = torch.searchsorted(vertices, wanted).clamp(max=len(vertices) - 1)
    weights = torch.tensor([1.0, 0.5, 0.5], device=vertices.device)
    return found.int(), (vertices[found] == wanted) * weights


def _check_image(image: Tensor) -> None:
    if image.ndim != 3 or image.shape[0] != 3 or not image.numel():
        raise InputError(f"shape {list(image.shape)}; expected [3,H,W].", place="image")
    if image[0].numel() > MOST_PIXELS:
        raise InputError(f"{image[0].numel()} pixels; expected at most {MOST_PIXELS}.", place="image")
    if not image.isfinite().all():
        raise InputError("holds NaN or infinity; expected numbers.", place="image")


CRF_PRESETS: Mapping[str, CrfPreset] = MappingProxyType(
    {
        # Yi et al., CVPR 2023: images of 288 x 288.
        "simseg": CrfPreset(gaussian=(3.0, 3.0), bilateral=(40.0, 13.0, 10.0), steps=3),
        # Images at their own size: the example of pydensecrf, with the steps of DeepLab (arXiv:1412.7062).
        "deeplab": CrfPreset(gaussian=(3.0, 3.0), bilateral=(80.0, 13.0, 10.0), steps=10),
    }
)
