"""`ScoreMaps` -> `ClassMaps`: the maps of a class's phrases become one map, when asked for.

Maps on the patch grid are made at once and held; those at pixels are made tile by tile when labels are decided.

Not here: how phrases are merged (`modes`), labels (`labels`), refinement (`refinement`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .class_maps import ClassMaps, HeldMaps
from .defaults import EngineDefaults
from .errors import InputError, lookup
from .modes import MODES, Mode, PhraseTile
from .options import AUTO, AUTO_NUMBER, GATE, MODE_TEMPERATURE
from .painting import present_classes
from .sampling import Box, tile_boxes
from .scores import ScoreMaps

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AssembledMaps", "assemble_classes"]

COLDEST = 1e-30  # below it scores over a temperature overflow; the best phrase wins long before
MOST_HELD = 2**26  # numbers of patch-grid maps that are kept for the next stage: 256 MB


@dataclass(frozen=True)
class AssembledMaps:
    """Class maps made of phrase scores, on the grid of the scores, when asked for."""

    scores: ScoreMaps
    mode: Mode
    temperature: float
    name_weight: float

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """B, C, h, w."""
        return len(self.scores), len(self.scores.bank.classes.classes), *self.scores.grid

    def tile(self, image: int, box: Box) -> Tensor:
        """Values of a tile. [n,C,w]"""
        return self.mode.merge(PhraseTile(self.scores, image, box, self.temperature, self.name_weight))


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
        mode: a name in `MODES`, or "auto".
        temperature: T of paper, blend and lme, above 0; -1 is the model's own.
        name_weight: a of blend, 0..1; -1 is the model's own.
        gate: which classes may be in an image, a name in `options.GATE`.

    Raises:
        UnknownNameError: no such mode or gate.
        InputError: a temperature of 0, a weight beyond 0..1 or a class without a phrase.
    """
    mode = scores.defaults.mode if mode == AUTO else mode
    merging = lookup(MODES, mode, place="mode")
    lookup(GATE.names, gate, place="gate")
    temperature, name_weight = _settle(scores.defaults, mode, temperature, name_weight)
    bank = scores.bank
    if len(bank.class_index.unique()) != len(bank.classes.classes):
        raise InputError("a class has no phrase; expected at least its name.", place="text_bank")
    maps = ClassMaps(
        source=AssembledMaps(scores, merging, temperature, name_weight),
        classes=bank.classes,
        phrases=bank.phrases,
        size=scores.size,
        logit_scale=scores.defaults.logit_scale,
        mode=mode,
        refiner=scores.defaults.refiner,
        scores=scores,
        probabilities=merging.probabilities,
        present=_find_present(scores) if gate == "simseg" else None,
    )
    return _hold(maps) if not scores.exact and math.prod(maps.source.shape) <= MOST_HELD else maps


def _find_present(scores: ScoreMaps) -> Tensor:
    import torch

    background = scores.bank.classes.background
    return torch.stack([present_classes(score, background) for score in scores.class_score])


def _hold(lazy: ClassMaps) -> ClassMaps:
    """All values, made tile by tile: there may be many more phrases than classes."""
    import torch

    assert lazy.scores is not None
    maps = torch.empty(lazy.source.shape, dtype=lazy.scores.bank.embeddings.dtype, device=lazy.scores.device)
    for image in range(len(lazy)):
        for box in tile_boxes(lazy.grid, len(lazy.phrases), device=lazy.scores.device):
            maps[image, :, box.rows, box.columns] = lazy.source.tile(image, box).transpose(0, 1)
    return replace(lazy, source=HeldMaps(maps))


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
