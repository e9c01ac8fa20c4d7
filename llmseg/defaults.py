"""What "auto" means: the settings of the engine, model by model. Standard library only.

Not here: the names and limits of the settings (`options`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["MODEL_DEFAULTS", "EngineDefaults", "engine_defaults"]


@dataclass(frozen=True)
class EngineDefaults:
    """What `AUTO` means for one model; chosen on calibration seeds, never on reported ones.

    Args:
        attention, templates, mode, refiner: names in the tables of `options`.
        window, stride, resize: pixels; 0 as in `WINDOW` and `RESIZE`.
        scales, layout, scoring: names in `SCALES`, `LAYOUT` and `SCORING`.
        temperature, name_weight: as in `TEMPERATURE` and `NAME_WEIGHT`.
        include_names: whether a class name joins its subclasses.
        logit_scale: factor on cosines before the softmax over classes.
    """

    attention: str = "naclip"
    templates: str = "short7"
    mode: str = "blend"
    window: int = 224
    stride: int = 112
    resize: int = 336
    scales: str = "one"
    layout: str = "grid"
    scoring: str = "fast"
    temperature: float = 0.05
    name_weight: float = 0.5
    include_names: bool = True
    refiner: str = "none"
    logit_scale: float = 40.0


# The unnamed defaults serve any CLIP that nobody calibrated: NACLIP's published protocol and `blend`.
MODEL_DEFAULTS: Mapping[str, EngineDefaults] = MappingProxyType(
    {
        "emoji-world": EngineDefaults(
            attention="naclip",
            templates="captions6",
            mode="max",
            window=64,
            stride=32,
            resize=0,
            scales="five",
            include_names=True,
            refiner="bilateral",
            logit_scale=40.0,
        ),
    }
)


def engine_defaults(model: str) -> EngineDefaults:
    """The defaults of a model by its own name; models nobody calibrated share one set."""
    return MODEL_DEFAULTS.get(model, EngineDefaults())
