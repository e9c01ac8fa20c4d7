"""Helps, hurts or neutral; who took the pixels; and whether a list beats its placebo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from llmseg.evaluation.columns import Column
from llmseg.evaluation.counting import ImageCounts, count_image
from llmseg.evaluation.measures import Interval, compare_classes, compare_miou, count_pixels
from llmseg.evaluation.results import ColumnResult, Results
from llmseg.evaluation.verdicts import (
    ALL_CLASSES,
    Verdict,
    find_control,
    find_plain,
    find_takers,
    hurt_classes,
    judge_column,
    tell_placebo,
)
from llmseg.pipeline import SegmentOptions
from llmseg.types import ClassList, ClassName

NAMES = ("dog", "cat", "sky", "nowhere")


def truths(count: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(-1, 3, (9, 14), generator=generator) for _ in range(count)]


def spoil(truth: Tensor, label: int, into: int, share: float, seed: int) -> Tensor:
    """Labels that are right but for a share of one class's pixels."""
    wrong = torch.rand(truth.shape, generator=torch.Generator().manual_seed(seed)) < share
    return torch.where((truth == label) & wrong, into, truth)


def result(found: Sequence[Tensor], column: Column, count: int = 12) -> ColumnResult:
    return ColumnResult(column, tuple(count_image(f, t, len(NAMES)) for f, t in zip(found, truths(count), strict=True)))


def results(*columns: ColumnResult) -> Results:
    classes = ClassList(tuple(map(ClassName, NAMES)))
    samples = tuple(map(str, range(len(columns[0].counts))))
    return Results("test", classes, samples, columns)


@pytest.fixture
def judged() -> Results:
    """Against the baseline the other column loses dogs to cats and sky, and gains sky."""
    base = [spoil(truth, 2, -1, 0.5, number) for number, truth in enumerate(truths(12))]
    other = [spoil(spoil(t, 0, 1, 0.3, n + 50), 0, 2, 0.1, n + 90) for n, t in enumerate(truths(12))]
    return results(result(base, Column("off", "off")), result(other, Column("auto")))


@pytest.mark.parametrize("seed", range(3))
def test_classes_at_once_equal_classes_one_by_one(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    better, worse = (
        [
            torch.randint(0, 5, (4, 5), generator=generator) * (torch.rand(4, 5, generator=generator) < 0.5)
            for _ in range(7)
        ]
        for _ in range(2)
    )
    keep = [2, 0, 3]
    mean, each = compare_classes(count_pixels(better), count_pixels(worse), classes=keep, draws=200, seed=seed)
    assert mean == pytest.approx(compare_miou(better, worse, classes=keep, draws=200, seed=seed))
    for label, interval in zip(keep, each, strict=True):
        assert interval == pytest.approx(compare_miou(better, worse, classes=[label], draws=200, seed=seed))


def test_helps_hurts_neutral(judged: Results) -> None:
    overall, *each = judge_column(judged, 1)
    assert overall.name == ALL_CLASSES
    assert [(verdict.name, verdict.verdict) for verdict in each] == [
        ("dog", "hurts"), ("cat", "hurts"), ("sky", "helps"),
    ]  # fmt: skip
    matrices = [[counts.matrix for counts in column.counts] for column in judged.columns]
    assert overall.difference == pytest.approx(compare_miou(matrices[1], matrices[0], classes=[0, 1, 2]))
    worst = min(each, key=lambda verdict: verdict.difference.value)
    assert hurt_classes((overall, *each))[0] == worst.name
    assert set(hurt_classes((overall, *each))) == {"dog", "cat"}
    assert judge_column(judged, 0)[0].verdict == "neutral"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.2, "helps"), (-0.2, -0.01, "hurts"), (-0.1, 0.1, "neutral"), (0, 0.1, "neutral")],
)
def test_an_interval_that_touches_zero_is_neutral(low: float, high: float, verdict: str) -> None:
    assert Verdict.of("x", Interval((low + high) / 2, low, high)).verdict == verdict


def test_hurt_by_more_than_so_much() -> None:
    verdicts = [Verdict.of(name, Interval(value, value - 0.001, value + 0.001)) for name, value in
                (("a", -0.009), ("b", -0.02), ("c", 0.3), ("d", -0.4))]  # fmt: skip
    assert hurt_classes(verdicts, 0.01) == ["d", "b"]


def test_who_took_the_pixels(judged: Results) -> None:
    cat, sky = find_takers(judged, 1, "dog")
    lost = {"cat": 0, "sky": 0}
    dogs = 0
    for number, truth in enumerate(truths(12)):
        found = spoil(spoil(truth, 0, 1, 0.3, number + 50), 0, 2, 0.1, number + 90)
        for true, guess in zip(truth.flatten().tolist(), found.flatten().tolist(), strict=True):
            dogs += true == 0
            lost["cat"] += true == 0 and guess == 1
            lost["sky"] += true == 0 and guess == 2
    assert (cat.name, cat.pixels, sky.name, sky.pixels) == ("cat", lost["cat"], "sky", lost["sky"])
    assert cat.share == pytest.approx(lost["cat"] / dogs)
    (unknown,) = find_takers(judged, 0, "sky", baseline=1)
    assert unknown.name == "", "the baseline leaves sky unknown"
    assert len(find_takers(judged, 1, "dog", most=1)) == 1
    assert find_takers(judged, 1, "nowhere") == []


def settings(**columns: Column) -> Results:
    counts = (ImageCounts(torch.zeros(3, 4, 5, dtype=torch.int64), torch.zeros(4, 2, dtype=torch.int64)),)
    return results(*(ColumnResult(replace(column, name=name), counts) for name, column in columns.items()))


def test_class_names_alone_under_the_same_settings() -> None:
    found = settings(
        a=Column("", "off"),
        b=Column("", "auto", options=SegmentOptions(templates="bare")),
        c=Column("", "off", options=SegmentOptions(templates="bare", include_names="no")),
        d=Column("", "voc21", options=SegmentOptions(mode="blend", name_weight=0.9)),
        e=Column("", "auto", count=0),
        f=Column("", "auto", options=SegmentOptions(refiner="pamr")),
    )
    assert [find_plain(found, number) for number in range(6)] == [None, 2, None, 0, None, None]


def test_the_control_of_a_list() -> None:
    found = settings(
        a=Column("", "placebo"),
        b=Column("", "placebo:voc21"),
        c=Column("", "auto"),
        d=Column("", "voc21"),
        e=Column("", "auto", count=3),
        f=Column("", "shuffled"),
    )
    assert [find_control(found, number) for number in range(6)] == [None, None, 0, 1, None, None]
    assert find_control(found, 2, "shuffled") == 5


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        ((0.5, 0.1), "beats its placebo"),
        ((0.1, 0.5), "is worse than its placebo"),
        ((0.3, 0.3), "is not shown to beat"),
    ],
)
def test_the_placebo_in_a_sentence(shares: tuple[float, float], told: str) -> None:
    spoiled = [[spoil(t, 0, 1, share, n) for n, t in enumerate(truths(12))] for share in shares]
    found = results(result(spoiled[0], Column("placebo", "placebo")), result(spoiled[1], Column("auto")))
    assert told in tell_placebo(found, 1)
    assert tell_placebo(found, 0) == ""
    assert not math.isnan(judge_column(found, 1)[0].difference.low)
