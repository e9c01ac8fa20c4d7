"""Every list of names, default, limit and tooltip that a person can choose from.

The nodes, the command line, the error messages and the tests read these tables; each implementation
table (`attention.ATTENTION`, `modes.MODES` ...) has exactly the keys that stand here, and a
test says so. Standard library only, so that reading it never imports torch.

Not here: what the options do, what "auto" means for a model (`defaults`).
"""

from __future__ import annotations

from .engine import (
    ATTENTION,
    BACKGROUND,
    COMPACTNESS,
    FLIPS,
    GATE,
    INCLUDE_NAMES,
    LAYOUT,
    MIN_AREA,
    MODE,
    MODE_TEMPERATURE,
    NAME_WEIGHT,
    REFINER,
    RESIZE,
    SCALES,
    SCORING,
    STRIDE,
    SUPERPIXELS,
    TEMPERATURE,
    TEMPLATES,
    THRESHOLD,
    WINDOW,
)
from .evaluating import DATASET, PROTOCOL
from .expanding import COUNT, KIND, LIBRARY, NETWORK, PROFILE, REFRESH, SENTENCES
from .experiments import CONTROL, PRESET
from .kinds import AUTO, AUTO_NUMBER, CUSTOM, Choice, Number
from .models import ACTIVATION, DTYPE, MODEL
from .results import (
    BBOX_LAYOUT,
    CONTOUR,
    CROP_FACTOR,
    MASKS,
    MEASURES,
    OPACITY,
    REGION,
    REGION_AREA,
    REGION_COUNT,
    SCENE,
    TABLE,
)

__all__ = [
    "ACTIVATION",
    "ATTENTION",
    "AUTO",
    "AUTO_NUMBER",
    "BACKGROUND",
    "BBOX_LAYOUT",
    "COMPACTNESS",
    "CONTOUR",
    "CONTROL",
    "COUNT",
    "CROP_FACTOR",
    "CUSTOM",
    "DATASET",
    "DTYPE",
    "FLIPS",
    "GATE",
    "INCLUDE_NAMES",
    "KIND",
    "LAYOUT",
    "LIBRARY",
    "MASKS",
    "MEASURES",
    "MIN_AREA",
    "MODE",
    "MODEL",
    "MODE_TEMPERATURE",
    "NAME_WEIGHT",
    "NETWORK",
    "OPACITY",
    "PRESET",
    "PROFILE",
    "PROTOCOL",
    "REFINER",
    "REFRESH",
    "REGION",
    "REGION_AREA",
    "REGION_COUNT",
    "RESIZE",
    "SCALES",
    "SCENE",
    "SCORING",
    "SENTENCES",
    "STRIDE",
    "SUPERPIXELS",
    "TABLE",
    "TEMPERATURE",
    "TEMPLATES",
    "THRESHOLD",
    "WINDOW",
    "Choice",
    "Number",
]
