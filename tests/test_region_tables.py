"""The table of regions: the same figures in every form."""

from __future__ import annotations

import csv
import io
import json

import pytest
import torch
from test_regions import NAMES, make_labels, random_labels

from llmseg import InputError, LabelMap
from llmseg.region_tables import count_regions, format_regions
from llmseg.regions import find_regions

EVERY = list(range(len(NAMES)))


@pytest.fixture
def labels() -> LabelMap:
    """Two images of 2 x 5: two dogs and sky; then sea with two unknown pixels."""
    values = torch.tensor([[[0, 2, 2, 0, 0], [0, 2, 2, 2, 2]], [[3, 3, 3, -1, 3], [3, 3, -1, 3, 3]]])
    return make_labels(values, torch.linspace(0, 1, 20).view(2, 2, 5))


def test_rows_say_what_is_there_pixel_by_pixel() -> None:
    result = random_labels(2)
    rows = iter(count_regions(result, [3, 1], min_area=0.02))
    for image in range(2):
        pieces = find_regions(result, EVERY, min_area=0.02)[image].regions
        for label in (3, 1, -1):
            row = next(rows)
            mask = result.labels[image] == label
            assert row.image == image + 1
            assert row.name == ("unknown" if label < 0 else NAMES[label])
            assert row.share == pytest.approx(float(mask.float().mean()), abs=1e-6)
            assert row.confidence == pytest.approx(float(result.confidence[image][mask].mean()), abs=1e-4)
            counted = None if label < 0 else sum(piece.label == label for piece in pieces)
            assert row.regions == counted
    assert list(rows) == []


def test_a_class_that_is_not_there_has_a_row_of_zeros(labels: LabelMap) -> None:
    absent = count_regions(labels, [1])
    assert [(row.name, row.share, row.confidence, row.regions) for row in absent if row.name == "hot dog"] == [
        ("hot dog", 0, None, 0)
    ] * 2


def test_text_lists_what_was_found(labels: LabelMap) -> None:
    assert format_regions(count_regions(labels, EVERY)).splitlines() == [
        "image 1",
        "  share  confidence  regions  class",
        " 60.00%        0.29        1  sky",
        " 40.00%        0.16        2  dog",
        "",
        "image 2",
        "  share  confidence  regions  class",
        " 80.00%        0.76        1  sea",
        " 20.00%        0.79           unknown",
    ]


def test_text_of_one_image_needs_no_number() -> None:
    one = make_labels(torch.zeros(1, 2, 2, dtype=torch.int64))
    assert format_regions(count_regions(one, EVERY)) == (
        "  share  confidence  regions  class\n100.00%        1.00        1  dog"
    )


def test_csv_and_json_hold_every_class(labels: LabelMap) -> None:
    rows = count_regions(labels, EVERY)
    read = list(csv.DictReader(io.StringIO(format_regions(rows, "csv"))))
    assert [(row["image"], row["class"]) for row in read] == [
        *(("1", name) for name in NAMES),
        *(("2", name) for name in (*NAMES, "unknown")),
    ]
    assert read[0] == {"image": "1", "class": "dog", "share": "0.400000", "confidence": "0.1579", "regions": "2"}
    assert read[1] == {"image": "1", "class": "hot dog", "share": "0.000000", "confidence": "", "regions": "0"}
    document = json.loads(format_regions(rows, "json"))
    assert document["schema"] == 1
    assert [entry["share"] for entry in document["rows"]] == [float(row["share"]) for row in read]
    assert document["rows"][1] == {"image": 1, "class": "hot dog", "share": 0, "confidence": None, "regions": 0}


def test_csv_quotes_what_needs_it() -> None:
    odd = LabelMap(
        labels=torch.zeros(1, 1, 1, dtype=torch.int64),
        names=('a, "b"',),
        palette=((0, 0, 0),),
        confidence=torch.ones(1, 1, 1),
        winning_phrase=torch.full((1, 1, 1), -1),
    )
    (row,) = csv.DictReader(io.StringIO(format_regions(count_regions(odd, [0]), "csv")))
    assert row["class"] == 'a, "b"'


def test_an_unknown_form_lists_the_others(labels: LabelMap) -> None:
    with pytest.raises(InputError) as error:
        format_regions(count_regions(labels, EVERY), "xml")
    assert str(error.value) == "format: unknown name 'xml'; expected one of text, csv, json."


def test_an_area_that_is_no_share_is_told(labels: LabelMap) -> None:
    with pytest.raises(InputError) as error:
        count_regions(labels, EVERY, min_area=1.5)
    assert str(error.value) == "min_area: 1.5; expected a number from 0 to 1."
