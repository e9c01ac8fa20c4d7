"""`ScoreMaps` -> `ClassMaps`: the maps of a class's phrases become one map.

With z_j the score of phrase j, g the image vector and n phrases in the class:

    off     z_name
    paper   sum_j softmax_j(g.t_j / T) z_j
    blend   a z_name + (1 - a) sum_j softmax_j(g.t_j / T) z_j
    lme     T (log sum_j exp(z_j / T) - log n)
    max     max_j z_j

On the patch grid, so cheap; exact for the linear modes, while max and resizing do not commute.
In none of them does a phrase of one class change the map of another.

Not here: labels (`labels`), refinement (`refinement`). Sources: `paper` arXiv:2404.00701, its released
evaluator; `max` as in SCLIP (arXiv:2312.01597), before the softmax; `blend` after ITACLIP's mix
(arXiv:2411.12044); `lme` is count-neutral and lies between mean (T large) and max (T near 0).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from .defaults import EngineDefaults
from .errors import InputError, lookup
from .options import AUTO, AUTO_NUMBER, MODE_TEMPERATURE
from .scores import ScoreMaps
from .types import ClassMaps

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ASSEMBLERS", "Phrases", "assemble_classes"]


@dataclass(frozen=True)
class Phrases:
    """What an assembler sees of one image.

    Args:
        scores: cosine of every phrase with every patch. [K,h,w]
        name_scores: the same for the class names. [C,h,w]
        relevance: cosine of every phrase with the whole image. [K]
        class_index: class of each phrase. [K]
        temperature: T above.
        name_weight: a above.
    """

    scores: Tensor
    name_scores: Tensor
    relevance: Tensor
    class_index: Tensor
    temperature: float
    name_weight: float

    def reduce(self, values: Tensor, how: str) -> Tensor:
        """Reduce phrases to classes, `how` being sum or amax. [K,...] -> [C,...]"""
        classes = len(self.name_scores)
        start = values.new_full((classes, *values.shape[1:]), 0.0 if how == "sum" else float("-inf"))
        if how == "sum":
            return start.index_add(0, self.class_index, values)
        index = self.class_index.view(-1, *[1] * (values.ndim - 1)).expand_as(values)
        return start.scatter_reduce(0, index, values, how)


def _off(phrases: Phrases) -> Tensor:
    return phrases.name_scores


def _paper(phrases: Phrases) -> Tensor:
    best = phrases.reduce(phrases.relevance, "amax")[phrases.class_index]  # [K], taken out as in `_lme`
    raised = ((phrases.relevance - best) / phrases.temperature).exp()
    weights = raised / phrases.reduce(raised, "sum")[phrases.class_index]
    return phrases.reduce(weights[:, None, None] * phrases.scores, "sum")


def _blend(phrases: Phrases) -> Tensor:
    share = phrases.name_weight
    return share * phrases.name_scores + (1 - share) * _paper(phrases)


def _lme(phrases: Phrases) -> Tensor:
    import torch

    best = phrases.reduce(phrases.scores, "amax")  # [C,h,w], taken out so that exp cannot overflow
    raised = ((phrases.scores - best[phrases.class_index]) / phrases.temperature).exp()
    count = phrases.reduce(torch.ones_like(phrases.relevance), "sum")[:, None, None]
    return best + phrases.temperature * (phrases.reduce(raised, "sum") / count).log()


def _max(phrases: Phrases) -> Tensor:
    return phrases.reduce(phrases.scores, "amax")


ASSEMBLERS: Mapping[str, Callable[[Phrases], Tensor]] = MappingProxyType(
    {"off": _off, "paper": _paper, "blend": _blend, "lme": _lme, "max": _max}
)


def assemble_classes(
    scores: ScoreMaps,
    mode: str = AUTO,
    *,
    temperature: float = AUTO_NUMBER,
    name_weight: float = AUTO_NUMBER,
) -> ClassMaps:
    """Merge phrase scores into one map per class.

    Args:
        scores: B images against K phrases.
        mode: a name in `ASSEMBLERS`, or "auto".
        temperature: T of paper, blend and lme, above 0; -1 is the model's own.
        name_weight: a of blend, 0..1; -1 is the model's own.

    Raises:
        UnknownNameError: no such mode.
        InputError: a temperature of 0, a weight beyond 0..1 or a class without a phrase.
    """
    import torch

    mode = scores.defaults.mode if mode == AUTO else mode
    assemble = lookup(ASSEMBLERS, mode, place="mode")
    temperature, name_weight = _settle(scores.defaults, mode, temperature, name_weight)
    bank = scores.bank
    if len(bank.class_index.unique()) != len(bank.classes.classes):
        raise InputError("a class has no phrase; expected at least its name.", place="text_bank")
    maps, winners = [], []
    for image in range(len(scores)):
        phrases = Phrases(
            scores.phrase_scores(image),
            scores.name_scores(image),
            scores.phrase_relevance(image),
            bank.class_index,
            temperature,
            name_weight,
        )
        maps.append(assemble(phrases))
        winners.append(torch.full_like(maps[-1], -1, dtype=torch.int64) if mode == "off" else _winners(phrases))
    return ClassMaps(
        maps=torch.stack(maps),
        winning_phrase=torch.stack(winners),
        class_score=scores.class_score(),
        classes=bank.classes,
        phrases=bank.phrases,
        size=scores.size,
        logit_scale=scores.defaults.logit_scale,
        mode=mode,
        refiner=scores.defaults.refiner,
    )


def _settle(defaults: EngineDefaults, mode: str, temperature: float, name_weight: float) -> tuple[float, float]:
    """Temperature and name weight in use, "auto" resolved."""
    if temperature == AUTO_NUMBER:
        temperature = defaults.temperature if mode == defaults.mode else MODE_TEMPERATURE.get(mode, 1.0)
    if not 0 < temperature < float("inf"):
        raise InputError(f"{temperature!r}; expected a number above 0, or -1 for the model's own.", place="temperature")
    name_weight = defaults.name_weight if name_weight == AUTO_NUMBER else name_weight
    if not 0 <= name_weight <= 1:
        raise InputError(f"{name_weight!r}; expected 0 to 1, or -1 for the model's own.", place="name_weight")
    return temperature, name_weight


def _winners(phrases: Phrases) -> Tensor:
    """Index of the best phrase within each class at each patch; the first one of equals. [C,h,w]"""
    import torch

    best = phrases.reduce(phrases.scores, "amax")[phrases.class_index]  # [K,h,w]
    numbers = torch.arange(len(phrases.scores), device=best.device)[:, None, None]
    # As floats, which have an infinity: exact up to 16 million phrases. Not float64, which Apple's GPUs lack.
    candidates = torch.where(phrases.scores == best, -numbers.to(torch.float32), float("-inf"))
    return (-phrases.reduce(candidates, "amax")).long()
