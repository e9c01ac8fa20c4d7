"""The reasons behind labels, by hand."""

from __future__ import annotations

import pytest
import torch

from llmseg.explaining import LISTED, TENTHS, format_usage, label_confidence
from llmseg.types import LabelMap


@pytest.fixture
def result() -> LabelMap:
    return LabelMap(
        labels=torch.tensor([[[0, 0, 1], [0, 1, -1]]]),
        names=("dog", "sky", "cat"),
        palette=((255, 0, 0), (0, 0, 255), (0, 255, 0)),
        confidence=torch.tensor([[[0.5, 0.7, 1.0], [0.9, 0.0, 0.2]]]),
        winning_phrase=torch.tensor([[[0, 0, 2], [1, 2, -1]]]),
        phrases=("poodle", "shiba", "sky", "tabby", "cat"),
    )


def test_usage_by_hand(result: LabelMap) -> None:
    assert format_usage(result).splitlines() == [
        " 33.33%  sure 0.60  dog: poodle",
        " 33.33%  sure 0.50  sky",
        " 16.67%  sure 0.90  dog: shiba",
        " 16.67%             unknown",
        "won nowhere: cat",
        "phrases that won nowhere (1 of 5): tabby",
    ]


def test_long_lists_are_counted() -> None:
    labels = torch.zeros(1, 1, 1, dtype=torch.int64)
    names = tuple(f"c{number}" for number in range(LISTED + 3))
    result = LabelMap(labels, names, ((0, 0, 0),) * len(names), torch.ones(1, 1, 1), labels - 1)
    first, idle = format_usage(result).splitlines()
    assert first == "100.00%  sure 1.00  c0"
    assert idle.endswith(", c40 and 2 more")


def test_all_unknown() -> None:
    labels = torch.full((2, 2, 2), -1)
    result = LabelMap(labels, ("dog",), ((0, 0, 0),), torch.zeros(2, 2, 2), labels)
    assert format_usage(result) == f"100.00%  {'':9}  unknown\nwon nowhere: dog"
    assert (label_confidence(result).labels == -1).all()


def test_confidence_in_tenths(result: LabelMap) -> None:
    sure = label_confidence(result)
    assert sure.labels.tolist() == [[[5, 7, 9], [9, 0, -1]]]
    assert len(sure.names) == len(sure.palette) == len(TENTHS) == 10
    assert sure.names[5] == "50-60 % sure"
    brightness = [sum(colour) for colour in TENTHS]
    assert brightness == sorted(brightness), "lighter is surer"


def test_confidence_that_is_no_number_is_none() -> None:
    labels = torch.zeros(1, 1, 3, dtype=torch.int64)
    odd = torch.tensor([[[float("nan"), float("inf"), -1.0]]])
    result = LabelMap(labels, ("dog",), ((0, 0, 0),), odd, labels - 1)
    assert label_confidence(result).labels.tolist() == [[[0, 9, 0]]]
