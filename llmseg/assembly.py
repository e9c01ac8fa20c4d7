"""`ScoreMaps` -> `ClassMaps`: the maps of a class's phrases become one map.

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

Not here: labels (`labels`), refinement (`refinement`). Sources: `paper` arXiv:2404.00701, its released evaluator;
`softmax_max` SCLIP (arXiv:2312.01597), grouped instead of its one-hot product; `blend` after ITACLIP's mix
(arXiv:2411.12044); `chils` and `vote` CHiLS (arXiv:2302.02551); `lme` lies between mean (T large) and max (T small).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from .class_maps import ClassMaps, HeldMaps
from .defaults import EngineDefaults
from .errors import InputError, lookup
from .options import AUTO, AUTO_NUMBER, GATE, MODE_TEMPERATURE
from .painting import present_classes
from .sampling import Box, tile_boxes
from .scores import ScoreMaps

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ASSEMBLERS", "AssembledMaps", "Assembler", "PhraseTile", "assemble_classes"]

BEST_PHRASES = 2  # of `topk`
COLDEST = 1e-30  # below it scores over a temperature overflow; the best phrase wins long before
MOST_HELD = 2**26  # numbers of patch-grid maps that are kept for the next stage: 256 MB


@dataclass(frozen=True)
class PhraseTile:
    """What an assembler sees: one tile of one image.

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


class Assembler(NamedTuple):
    """A mode: from a tile of phrases to one of classes, and whether those are probabilities."""

    merge: Callable[[PhraseTile], Tensor]
    probabilities: bool = False


ASSEMBLERS: Mapping[str, Assembler] = MappingProxyType(
    {
        "off": Assembler(_off),
        "paper": Assembler(_paper),
        "blend": Assembler(_blend),
        "lme": Assembler(_lme),
        "topk": Assembler(_topk),
        "max": Assembler(_max),
        "softmax_max": Assembler(_softmax_max, True),
        "softmax_sum": Assembler(_softmax_sum, True),
        "chils": Assembler(_chils, True),
        "vote": Assembler(_vote, True),
    }
)


@dataclass(frozen=True)
class AssembledMaps:
    """Class maps made of phrase scores, on the grid of the scores, when asked for."""

    scores: ScoreMaps
    assembler: Assembler
    temperature: float
    name_weight: float

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """B, C, h, w."""
        return len(self.scores), len(self.scores.bank.classes.classes), *self.scores.grid

    def tile(self, image: int, box: Box) -> Tensor:
        """Values of a tile. [n,C,w]"""
        return self.assembler.merge(PhraseTile(self.scores, image, box, self.temperature, self.name_weight))


def assemble_classes(
    scores: ScoreMaps,
    mode: str = AUTO,
    *,
    temperature: float = AUTO_NUMBER,
    name_weight: float = AUTO_NUMBER,
    gate: str = "none",
) -> ClassMaps:
    """Merge phrase scores into one map per class.

    Args:
        scores: B images against K phrases.
        mode: a name in `ASSEMBLERS`, or "auto".
        temperature: T of paper, blend and lme, above 0; -1 is the model's own.
        name_weight: a of blend, 0..1; -1 is the model's own.
        gate: which classes may be in an image, a name in `options.GATE`.

    Raises:
        UnknownNameError: no such mode or gate.
        InputError: a temperature of 0, a weight beyond 0..1 or a class without a phrase.
    """
    mode = scores.defaults.mode if mode == AUTO else mode
    assembler = lookup(ASSEMBLERS, mode, place="mode")
    lookup(GATE.names, gate, place="gate")
    temperature, name_weight = _settle(scores.defaults, mode, temperature, name_weight)
    bank = scores.bank
    if len(bank.class_index.unique()) != len(bank.classes.classes):
        raise InputError("a class has no phrase; expected at least its name.", place="text_bank")
    lazy = ClassMaps(
        source=AssembledMaps(scores, assembler, temperature, name_weight),
        classes=bank.classes,
        phrases=bank.phrases,
        size=scores.size,
        logit_scale=scores.defaults.logit_scale,
        mode=mode,
        refiner=scores.defaults.refiner,
        scores=scores,
        probabilities=assembler.probabilities,
        present=_find_present(scores) if gate == "simseg" else None,
    )
    held = not scores.exact and _numbers(lazy.source.shape) <= MOST_HELD
    return replace(lazy, source=_hold(lazy)) if held else lazy


def _find_present(scores: ScoreMaps) -> Tensor:
    import torch

    background = scores.bank.classes.background
    return torch.stack([present_classes(score, background) for score in scores.class_score])


def _numbers(shape: tuple[int, int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2] * shape[3]


def _hold(lazy: ClassMaps) -> HeldMaps:
    """All values, made tile by tile: there may be many more phrases than classes."""
    import torch

    images, classes, height, width = lazy.source.shape
    maps = None
    for image in range(images):
        for box in tile_boxes((height, width), len(lazy.phrases)):
            tile = lazy.source.tile(image, box).transpose(0, 1)
            if maps is None:
                maps = torch.empty(images, classes, height, width, dtype=tile.dtype, device=tile.device)
            maps[image, :, box.rows, box.columns] = tile
    assert maps is not None
    return HeldMaps(maps)


def _settle(defaults: EngineDefaults, mode: str, temperature: float, name_weight: float) -> tuple[float, float]:
    """Temperature and name weight in use, "auto" resolved."""
    if temperature == AUTO_NUMBER:
        temperature = defaults.temperature if mode == defaults.mode else MODE_TEMPERATURE.get(mode, 1.0)
    if not 0 < temperature < float("inf"):
        raise InputError(f"{temperature!r}; expected a number above 0, or -1 for the model's own.", place="temperature")
    name_weight = defaults.name_weight if name_weight == AUTO_NUMBER else name_weight
    if not 0 <= name_weight <= 1:
        raise InputError(f"{name_weight!r}; expected 0 to 1, or -1 for the model's own.", place="name_weight")
    return max(temperature, COLDEST), name_weight
