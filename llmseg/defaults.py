"""What "auto" means: the settings of the engine, model by model. Standard library only.

Not here: the names and limits of the settings (`options`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["KIND_DEFAULTS", "MODEL_DEFAULTS", "EngineDefaults", "engine_defaults"]


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


# For models that nobody calibrated: NACLIP's published protocol and `blend`.
KIND_DEFAULTS: Mapping[str, EngineDefaults] = MappingProxyType(
    {
        "vit": EngineDefaults(),
        # An attention pool is read by its values, which is MaskCLIP's form already; a changed last block would hand
        # the pool what it was never trained on. Argued, not measured. Sigmoid models keep the logit scale: theirs are
        # trained to about what CLIP's are, and their bias, the same for all classes, drops out of a softmax.
        "pooled": EngineDefaults(attention="vanilla"),
        # Convolutions need no windows, and places 32 pixels apart need a larger image: MaskCLIP's own 512.
        "resnet": EngineDefaults(attention="maskclip", window=0, resize=512),
        # The preset of arXiv:2404.00701; the gate belongs to its refiner.
        "simseg": EngineDefaults(
            attention="vanilla",
            templates="openai80",
            mode="paper",
            window=0,
            stride=0,
            resize=288,
            layout="squash",
            temperature=1.0,
            include_names=False,
            refiner="simseg",
        ),
    }
)


def engine_defaults(model: str, kind: str = "vit") -> EngineDefaults:
    """The defaults of a model by its own name; models nobody calibrated share those of their kind."""
    return MODEL_DEFAULTS.get(model, KIND_DEFAULTS.get(kind, KIND_DEFAULTS["vit"]))
