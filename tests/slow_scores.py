"""Random records for the stages behind the encoder, and the published order of scoring, a window at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from llmseg.defaults import EngineDefaults
from llmseg.scores import ScoreMaps, score_image
from llmseg.types import ClassList, ClassName, Level, PatchFeatures, TextBank
from llmseg.windows import GRID, PUBLISHED, WindowPlan, plan_windows

PATCH = 8
WIDTH = 6  # numbers of a feature


def units(*shape: int, seed: int) -> Tensor:
    """Random unit vectors. [...,WIDTH]"""
    return normalize(torch.randn(*shape, WIDTH, generator=torch.Generator().manual_seed(seed)), dim=-1)


def make_bank(
    index: Sequence[int],
    embeddings: Tensor | None = None,
    names: Tensor | None = None,
    weights: Sequence[float] | None = None,
    roles: Sequence[str] = (),
) -> TextBank:
    """A bank of phrases with these classes; what is not given is random, or alike for all."""
    classes = max(index) + 1
    return TextBank(
        embeddings=units(len(index), seed=1) if embeddings is None else embeddings,
        class_index=torch.tensor(index),
        name_embeddings=units(classes, seed=2) if names is None else names,
        classes=ClassList(
            tuple(ClassName(f"class {n}", role=[*roles, *["thing"] * classes][n]) for n in range(classes))
        ),
        phrases=tuple(f"phrase {number}" for number in range(len(index))),
        templates="single",
        model="m",
        weights=None if weights is None else torch.tensor(weights),
    )


def make_features(
    size: tuple[int, int] = (40, 56),
    *,
    seen: tuple[int, int] | None = None,
    window: int = 0,
    stride: int = PATCH,
    factors: Sequence[float] = (1.0,),
    layout: str = GRID,
    images: int = 2,
    **defaults: Any,
) -> PatchFeatures:
    """Random features of images of some size that were seen at another."""
    plans = [
        plan_windows(seen or size, PATCH, window=window, stride=stride, resize=0, factor=factor, layout=layout)
        for factor in factors
    ]
    whole = units(images, seed=4)
    return PatchFeatures(
        levels=tuple(make_level(plan, images, seed=10 + number) for number, plan in enumerate(plans)),
        see_whole=lambda: whole,
        size=size,
        model="m",
        defaults=EngineDefaults(**defaults),
        aligned=layout == GRID,
    )


def make_level(plan: WindowPlan, images: int, seed: int) -> Level:
    """Random features of every window of a plan."""
    return Level(units(images, len(plan.tops), len(plan.lefts), *plan.cells, seed=seed), plan)


def make_scores(index: Sequence[int], *, scoring: str = "fast", **given: Any) -> ScoreMaps:
    """Scores of random features; `given` is for `make_bank` or for `make_features`."""
    bank = {name: given.pop(name) for name in ("embeddings", "names", "weights", "roles") if name in given}
    return score_image(make_features(**given), make_bank(index, **bank), scoring)


def published_scores(features: PatchFeatures, image: int, vectors: Tensor) -> Tensor:
    """Every window enlarged, added up, divided by the count, the whole resized; mean over scales. [K,H,W]"""
    levels = []
    for level in features.levels:
        plan = level.plan
        total, count = torch.zeros(len(vectors), *plan.size), torch.zeros(plan.size)
        for row, top in enumerate(plan.tops):
            for column, left in enumerate(plan.lefts):
                cosines = (level.windows[image, row, column] @ vectors.T).movedim(-1, 0)
                enlarged = interpolate(cosines[None], size=plan.window, mode="bilinear", align_corners=False)[0]
                total[:, top : top + plan.window[0], left : left + plan.window[1]] += enlarged
                count[top : top + plan.window[0], left : left + plan.window[1]] += 1
        assert count.min() >= 1
        levels.append(interpolate((total / count)[None], size=features.size, mode="bilinear", align_corners=False)[0])
    return torch.stack(levels).mean(0)


# What the published order meets: keywords of `make_features`; the stages are held against it one by one.
PUBLISHED_CASES: dict[str, dict[str, Any]] = {
    "landscape": {"size": (40, 56), "window": 24, "stride": 16},
    "portrait": {"size": (56, 40), "window": 24, "stride": 16},
    "whole image": {"size": (40, 56), "window": 0},
    "between patches": {"size": (48, 64), "window": 24, "stride": 13, "layout": PUBLISHED},
    "no whole windows": {"size": (45, 61), "window": 30, "stride": 17, "layout": PUBLISHED},
    "larger than the image": {"size": (21, 35), "window": 64, "stride": 32, "layout": PUBLISHED},
    "one axis larger": {"size": (21, 70), "window": 32, "stride": 20, "layout": PUBLISHED},
    "original smaller": {"size": (19, 30), "seen": (40, 63), "window": 24, "stride": 11, "layout": PUBLISHED},
    "original larger": {"size": (90, 67), "seen": (45, 33), "window": 24, "stride": 9, "layout": PUBLISHED},
    "grid, original larger": {"size": (61, 90), "seen": (30, 45), "window": 16, "stride": 8},
    "several scales": {"size": (40, 56), "window": 24, "stride": 16, "factors": (1.4, 1.0, 0.5)},
    "several scales between": {
        "size": (44, 51), "window": 24, "stride": 15, "factors": (1.4, 0.7, 0.35), "layout": PUBLISHED
    },
    "several images": {"size": (24, 32), "window": 16, "stride": 8, "images": 3},
}  # fmt: skip
