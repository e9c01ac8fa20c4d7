"""The numbers and words of public evaluations that segment by a CLIP alone: SCLIP, NACLIP, ClearCLIP.

Not here: what becomes of them (`protocols`). Sources: the tables and the public code of each; their class names are
facts of those, typed here or derived from the data sets' own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..background import SURROUNDINGS
from ..library import library_classes, library_ids

__all__ = ["METHODS", "WITH_BACKGROUND", "Method", "Setting", "published_words"]

LOGIT_SCALE = 40.0  # of SCLIP and those after it, where they set no other
PERSON = ("person", *(f"person in {clothes}" for clothes in ("shirt", "jeans", "dress", "sweater", "skirt", "jacket")))
MONITOR = ("television monitor", "tv monitor", "monitor", "television", "screen")


@dataclass(frozen=True)
class Setting:
    """What differs from data set to data set: short side, published mIoU, and the numbers behind them."""

    resize: int
    figure: float
    threshold: float = 0.0
    logit_scale: float = LOGIT_SCALE
    least_share: float = 0.0
    window: int | None = None
    stride: int | None = None


@dataclass(frozen=True)
class Method:
    """What does not."""

    name: str
    attention: str
    window: int
    stride: int
    source: str
    settings: Mapping[str, Setting]
    refiner: str = "none"
    several: bool = True  # names for a class


SCLIP = Method(
    name="sclip",
    attention="sclip",
    window=224,
    stride=112,
    source="arXiv:2312.01597; settings and figure: its public code",
    settings={
        "voc21": Setting(336, 59.63, threshold=0.1, logit_scale=65.0, least_share=0.1),
        "context60": Setting(336, 31.74, threshold=0.1, logit_scale=50.0),
        "object81": Setting(336, 33.52, threshold=0.1, logit_scale=50.0),
        "voc20": Setting(336, 81.54),
        "cityscapes19": Setting(560, 32.34),
        "context59": Setting(336, 34.46),
        "ade150": Setting(336, 16.45),
        "stuff171": Setting(448, 22.77),
    },
)
NACLIP = Method(
    name="naclip",
    attention="naclip",
    window=224,
    stride=112,
    refiner="pamr",
    source="arXiv:2404.08181; settings and figure: its public code, with PAMR",
    settings={
        "voc21": Setting(336, 64.07, threshold=0.1, window=0, stride=0),
        "context60": Setting(336, 34.99, threshold=0.1),
        "object81": Setting(336, 36.19, threshold=0.1),
        "voc20": Setting(336, 83.03, window=0, stride=0),
        "cityscapes19": Setting(560, 38.27),
        "context59": Setting(336, 38.35),
        "ade150": Setting(336, 19.05),
        "stuff171": Setting(336, 25.69),
    },
)
CLEARCLIP_SCALE = 50.0
CLEARCLIP = Method(
    name="clearclip",
    attention="clearclip",
    window=448,
    stride=224,
    several=False,
    source="arXiv:2407.12442; settings and figure: its public code; figure with background: table 1 of OV-Stitcher",
    settings={
        "voc21": Setting(448, 51.8, threshold=0.5, logit_scale=CLEARCLIP_SCALE),
        "context60": Setting(448, 32.6, threshold=0.15, logit_scale=CLEARCLIP_SCALE),
        "object81": Setting(448, 33.0, threshold=0.4, logit_scale=CLEARCLIP_SCALE),
        "voc20": Setting(448, 80.9, logit_scale=CLEARCLIP_SCALE),
        "cityscapes19": Setting(448, 30.0, logit_scale=CLEARCLIP_SCALE, window=224, stride=224),
        "context59": Setting(448, 35.9, logit_scale=CLEARCLIP_SCALE),
        "ade150": Setting(448, 16.7, logit_scale=CLEARCLIP_SCALE),
        "stuff171": Setting(448, 23.9, logit_scale=CLEARCLIP_SCALE),
    },
)
WITH_BACKGROUND = frozenset({"voc21", "context60", "object81"})
LIBRARIES = {"context60": "context60", "context59": "context60", "ade150": "ade150", "stuff171": "cocostuff171",
             "cityscapes19": "cityscapes19"}  # fmt: skip
METHODS = (SCLIP, NACLIP, CLEARCLIP)


def published_words(dataset: str, several: bool) -> Mapping[str, tuple[str, ...]]:
    """The published wording of every class that the shipped library calls otherwise."""
    words: dict[str, tuple[str, ...]]
    if dataset in ("voc21", "voc20"):
        words = {"boat": ("ship",), "dining table": ("table",), "potted plant": ("pottedplant",)}
        if several:
            words |= {"person": PERSON, "tv monitor": MONITOR, "background": SURROUNDINGS}
        else:
            words["tv monitor"] = ("tvmonitor",)
        if dataset == "voc20":
            words.pop("background", None)
    elif dataset == "object81":
        words = {"person": (*PERSON, "body"), "background": SURROUNDINGS} if several else {}
    else:  # the data set's own words, run together
        library = LIBRARIES[dataset]
        ids = (text.replace(" ", "") for text in library_ids(library))
        words = {name: (text,) for name, text in zip(library_classes(library).names, ids, strict=True) if text != name}
    return MappingProxyType(words)
