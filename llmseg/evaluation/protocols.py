"""Ways to segment a data set as others published: every setting that their figures depend on.

A protocol sets the size of the image, windows, attention, the class names and templates, the softmax and what happens
to labels afterwards. What it cannot set is the model's weights and the pictures: a figure is met only with those that
it was published with.

Not here: the numbers and words of each method (`published`), data sets (`datasets`), what rules do (`deciding`).
Sources: each protocol's own, and the public code that goes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType

from ..pipeline import SegmentOptions
from ..types import ClassList
from .published import METHODS, WITH_BACKGROUND, Method, published_words

__all__ = ["PROTOCOLS", "LabelRules", "Protocol", "name_classes"]

OPENAI_B16 = "ViT-B-16-quickgelu/openai"


@dataclass(frozen=True)
class LabelRules:
    """What published evaluations do beside the engine's own steps; the defaults change nothing.

    Args:
        logit_scale: factor on cosines before every softmax; None for the model's own.
        unknown_is_background: whether pixels that no class claims are label 0.
        least_share: classes other than the background that win at most this share of all pixels of such classes are
            given up in an image, and their pixels go to their next best class, 0..1; SCLIP's area threshold.
        gate_top: of how many of the best class names the simseg gate's threshold is made; 0 for the engine's 30.
    """

    logit_scale: float | None = None
    unknown_is_background: bool = False
    least_share: float = 0.0
    gate_top: int = 0


@dataclass(frozen=True)
class Protocol:
    """How a published figure was made.

    Args:
        name: in `options.PROTOCOL`.
        dataset: in `options.DATASET`.
        options: the engine's knobs.
        rules: what happens beside them.
        phrases: what stands for a class instead of its name, by class; a class without an entry keeps its name.
        model: that it was published with.
        source: where the settings and the figure stand.
        figure: published mIoU in percent; None where there is none.
        expansion: what phrases it was published with: its own, off, or the list that comes closest.
    """

    name: str
    dataset: str
    options: SegmentOptions
    rules: LabelRules
    phrases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    model: str = OPENAI_B16
    source: str = ""
    figure: float | None = None
    expansion: str = "published"


def name_classes(protocol: Protocol, classes: ClassList) -> ClassList:
    """The classes as the protocol calls them where it has one name for one: what encoders read, not what people see."""

    def rename(name: str) -> str:
        own = protocol.phrases.get(name, ())
        return own[0] if len(own) == 1 else ""

    return ClassList(tuple(replace(entry, english=rename(entry.name) or entry.english) for entry in classes.classes))


def _make(method: Method, dataset: str) -> Protocol:
    setting = method.settings[dataset]
    options = SegmentOptions(
        templates="openai80",
        include_names="no",
        attention=method.attention,
        window=method.window if setting.window is None else setting.window,
        stride=method.stride if setting.stride is None else setting.stride,
        resize=setting.resize,
        scales="one",
        layout="published",
        scoring="exact",
        mode="softmax_max",
        refiner=method.refiner,
        threshold=setting.threshold,
    )
    rules = LabelRules(
        logit_scale=setting.logit_scale,
        unknown_is_background=dataset in WITH_BACKGROUND,
        least_share=setting.least_share,
    )
    return Protocol(
        name=f"{method.name}_{dataset}",
        dataset=dataset,
        options=options,
        rules=rules,
        phrases=published_words(dataset, method.several),
        source=method.source,
        figure=setting.figure,
    )


def _make_simseg(name: str, mode: str, expansion: str, source: str, figure: float) -> Protocol:
    """SimSeg's own protocol, which arXiv:2404.00701 kept but for the maps."""
    return Protocol(
        name=name,
        dataset="voc21",
        options=SegmentOptions(
            templates="openai80",
            include_names="no",
            attention="vanilla",
            window=0,
            stride=0,
            resize=288,
            scales="one",
            layout="squash",
            scoring="fast",
            mode=mode,
            temperature=1.0,
            refiner="simseg",
        ),
        rules=LabelRules(unknown_is_background=True, gate_top=10),
        phrases=MappingProxyType({"dining table": ("table",), "potted plant": ("plant",), "tv monitor": ("monitor",)}),
        model="simseg.vit-s.pth",
        source=source,
        figure=figure,
        expansion=expansion,
    )


MAKERS: Mapping[str, Callable[[], Protocol]] = {
    **{
        f"{method.name}_{dataset}": partial(_make, method, dataset) for method in METHODS for dataset in method.settings
    },
    "simseg_voc21": partial(
        _make_simseg,
        "simseg_voc21",
        mode="off",
        expansion="off",
        source="Yi et al., CVPR 2023; settings and figure: its public code, ViT-S; 57.4 with ViT-B",
        figure=56.6,
    ),
    "paper_voc21": partial(
        _make_simseg,
        "paper_voc21",
        mode="paper",
        expansion="voc21",
        source="arXiv:2404.00701; about 61.7 (secondary source), with the authors' lists and 13 templates",
        figure=61.7,
    ),
}


class _Protocols(Mapping[str, Protocol]):
    """The protocols, each made when it is asked for: their words stand in libraries, which take a moment to read."""

    def __init__(self) -> None:
        self._made: dict[str, Protocol] = {}

    def __getitem__(self, name: str) -> Protocol:
        if name not in self._made:
            self._made[name] = MAKERS[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(MAKERS)

    def __len__(self) -> int:
        return len(MAKERS)


PROTOCOLS: Mapping[str, Protocol] = _Protocols()
