"""How the maps of a class's phrases become one map: one table of modes.

With z_j the score of phrase j, g the image vector, n phrases in the class, p the softmax over all phrases:

    off          z_name
    paper        sum_j softmax_j(g.t_j / T) z_j
    blend        a z_name + (1 - a) sum_j softmax_j(g.t_j / T) z_j
    lme          T (log sum_j exp(z_j / T) - log n)
    topk         mean of the two largest z_j
    max          max_j z_j
    softmax_max  max_j p_j
    softmax_sum  sum_j p_j
    chils        max_j p_j times the class name's probability among the class names
    vote         p_j of the best phrase of all for its class, 0 for all others

Up to `max`, no phrase of one class changes the map of another, and values are scores; then come probabilities. On
the patch grid all but the linear modes (off, paper, blend) are approximate: maximum and enlarging do not commute.
A phrase of weight w counts as w phrases: as a share in paper, blend and lme, else by log(w) on its logit.

Not here: when and where they run (`assembly`). Sources: `paper` arXiv:2404.00701, its released evaluator;
`softmax_max` SCLIP (arXiv:2312.01597), grouped instead of its one-hot product; `blend` after ITACLIP's mix
(arXiv:2411.12044); `chils` and `vote` CHiLS (arXiv:2302.02551); `lme` lies between mean (T large) and max (T small).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from .sampling import Box
from .scores import ScoreMaps

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MODES", "Mode", "PhraseTile"]

BEST_PHRASES = 2  # of `topk`


@dataclass(frozen=True)
class PhraseTile:
    """What a mode sees: one tile of one image.

    Args:
        maps: all scores.
        image, box: which tile.
        temperature: T above.
        name_weight: a above.
    """

    maps: ScoreMaps
    image: int
    box: Box
    temperature: float
    name_weight: float

    @property
    def scores(self) -> Tensor:
        """Cosine of every phrase in `maps.order`. [n,K,w]"""
        return self.maps.tile(self.image, self.box)

    @property
    def name_scores(self) -> Tensor:
        """Cosine of every class name. [n,C,w]"""
        return self.maps.tile(self.image, self.box, names=True)

    @property
    def favoured(self) -> Tensor:
        """Scores with the phrases' weights as an offset. [n,K,w]"""
        weights = self.maps.order.weights
        return self.scores if weights is None else self.scores + (weights.log() / self.logit_scale)[:, None]

    @property
    def probabilities(self) -> Tensor:
        """Softmax over all phrases. [n,K,w]"""
        return (self.favoured * self.logit_scale).softmax(1)

    @property
    def name_probabilities(self) -> Tensor:
        """Softmax over the class names. [n,C,w]"""
        return (self.name_scores * self.logit_scale).softmax(1)

    @property
    def logit_scale(self) -> float:
        """Factor on scores before a softmax."""
        return self.maps.defaults.logit_scale

    def merge(self, values: Tensor, how: Callable[[Tensor, int], Tensor]) -> Tensor:
        """Reduce phrases to classes. [n,K,w] -> [n,C,w]"""
        return self.maps.order.reduce(values, how, dim=1)


def _off(tile: PhraseTile) -> Tensor:
    return tile.name_scores


def _paper(tile: PhraseTile) -> Tensor:
    import torch

    order = tile.maps.order
    logits = tile.maps.phrase_relevance(tile.image)[order.phrases] / tile.temperature  # [K]
    if order.weights is not None:
        logits = logits + order.weights.log()
    shares = (logits - order.spread(order.reduce(logits, torch.logsumexp))).exp()
    return tile.merge(tile.scores * shares[:, None], torch.sum)


def _blend(tile: PhraseTile) -> Tensor:
    share = tile.name_weight
    return share * tile.name_scores + (1 - share) * _paper(tile)


def _lme(tile: PhraseTile) -> Tensor:
    import torch

    order, temperature = tile.maps.order, tile.temperature
    weights = torch.ones_like(order.class_index, dtype=tile.scores.dtype) if order.weights is None else order.weights
    logits = tile.scores / temperature + weights.log()[:, None]
    return temperature * (tile.merge(logits, torch.logsumexp) - order.reduce(weights, torch.sum).log()[:, None])


def _topk(tile: PhraseTile) -> Tensor:
    return tile.merge(tile.favoured, lambda x, dim: x.topk(min(BEST_PHRASES, x.shape[dim]), dim).values.mean(dim))


def _max(tile: PhraseTile) -> Tensor:
    import torch

    return tile.merge(tile.favoured, torch.amax)


def _softmax_max(tile: PhraseTile) -> Tensor:
    import torch

    if tile.maps.order.one_each:
        return tile.merge(tile.probabilities, torch.amax)
    # The class's best first: then only a sum is left of the softmax over all phrases.
    best = tile.merge(tile.favoured, torch.amax)  # [n,C,w]
    largest = best.amax(1, keepdim=True)
    total = (tile.favoured - largest).mul_(tile.logit_scale).exp_().sum(1, keepdim=True)
    return (best - largest).mul_(tile.logit_scale).exp_().div_(total)


def _softmax_sum(tile: PhraseTile) -> Tensor:
    import torch

    return tile.merge(tile.probabilities, torch.sum)


def _chils(tile: PhraseTile) -> Tensor:
    return _softmax_max(tile) * tile.name_probabilities


def _vote(tile: PhraseTile) -> Tensor:
    import torch

    best = _softmax_max(tile)
    sure, won = best.max(1, keepdim=True)  # the first of equals
    return torch.zeros_like(best).scatter_(1, won, sure)


class Mode(NamedTuple):
    """A mode: from a tile of phrases to one of classes, and whether those are probabilities."""

    merge: Callable[[PhraseTile], Tensor]
    probabilities: bool = False


MODES: Mapping[str, Mode] = MappingProxyType(
    {
        "off": Mode(_off),
        "paper": Mode(_paper),
        "blend": Mode(_blend),
        "lme": Mode(_lme),
        "topk": Mode(_topk),
        "max": Mode(_max),
        "softmax_max": Mode(_softmax_max, True),
        "softmax_sum": Mode(_softmax_sum, True),
        "chils": Mode(_chils, True),
        "vote": Mode(_vote, True),
    }
)
