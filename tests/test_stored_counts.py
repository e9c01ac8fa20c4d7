"""Counts on disk: nothing is lost, and nothing that is not whole is believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from llmseg.errors import InputError
from llmseg.evaluation.counting import ImageCounts, measure_counts
from llmseg.evaluation.stored_counts import CountsFile, StoredCounts, StoredImage, add_winners

CLASSES = 4


def random_counts(seed: int) -> ImageCounts:
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randint(0, 10**12, (3, CLASSES, CLASSES + 1), generator=generator)
    cells[torch.rand(cells.shape, generator=generator) < 0.6] = 0
    return ImageCounts(cells, torch.randint(0, 3, (CLASSES, 2), generator=generator))


def stored(seed: int, identity: str = "a") -> StoredImage:
    return StoredImage.pack(identity, random_counts(seed), {"dog": {"poodle": 3, "dög": seed + 1}})


def equal(left: ImageCounts, right: ImageCounts) -> bool:
    return torch.equal(left.by_size, right.by_size) and torch.equal(left.boundaries, right.boundaries)


@pytest.mark.parametrize("seed", range(4))
def test_counts_come_back_as_they_were(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key.jsonl"
    CountsFile(path, CLASSES).append("a/ü.png", stored(seed))
    found = CountsFile(path, CLASSES).find("a/ü.png", "a")
    assert found is not None
    assert equal(found.unpack(CLASSES), random_counts(seed))
    assert found.winners == {"dog": {"poodle": 3, "dög": seed + 1}}


def test_an_image_without_a_counted_pixel(tmp_path: Path) -> None:
    empty = ImageCounts(torch.zeros(3, CLASSES, CLASSES + 1, dtype=torch.int64), torch.zeros(CLASSES, 2).long())
    path = tmp_path / "key.jsonl"
    CountsFile(path, CLASSES).append("x", StoredImage.pack("a", empty, {}))
    found = CountsFile(path, CLASSES).find("x", "a")
    assert found is not None
    assert equal(found.unpack(CLASSES), empty)


def test_another_content_is_another_image(tmp_path: Path) -> None:
    file = CountsFile(tmp_path / "key.jsonl", CLASSES)
    file.append("x", stored(0, "old"))
    assert file.find("x", "new") is None
    file.append("x", stored(1, "new"))
    again = CountsFile(tmp_path / "key.jsonl", CLASSES)
    assert again.find("x", "old") is None
    found = again.find("x", "new")
    assert found is not None
    assert equal(found.unpack(CLASSES), random_counts(1)), "the last line of an image counts"


@pytest.mark.parametrize("kept", [1, 20, -2, -1])
def test_a_line_that_a_crash_cut_off_is_not_there(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "key.jsonl"
    file = CountsFile(path, CLASSES)
    file.append("first", stored(0))
    whole = path.stat().st_size
    file.append("second", stored(1))
    data = path.read_bytes()
    cut = data[: whole + kept] if kept > 0 else data[:kept]
    path.write_bytes(cut)
    again = CountsFile(path, CLASSES)
    # Without its line's end alone a line is whole.
    assert set(again.images) == ({"first", "second"} if kept == -1 else {"first"})
    again.append("third", stored(2))
    assert {"first", "third"} <= set(CountsFile(path, CLASSES).images), "what follows starts a line of its own"


GOOD = {
    "schema": 1,
    "sample": "x",
    "identity": "a",
    "cells": [0, 5],
    "bands": [1, 2],
    "winners": {"dog": {"poodle": 3}},
}


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"sample": 3},
        {"identity": None},
        {"cells": [0]},
        {"cells": [0, -1]},
        {"cells": [0, 0]},
        {"cells": [-1, 5]},
        {"cells": [3 * CLASSES * (CLASSES + 1), 5]},
        {"cells": [0, 1.5]},
        {"cells": [0, 2**70]},
        {"cells": "0, 5"},
        {"bands": [CLASSES * 2, 1]},
        {"winners": {"dog": {"poodle": "3"}}},
        {"winners": {"dog": {"poodle": True}}},
        {"winners": {"dog": 3}},
        {"winners": []},
    ],
)
def test_a_line_that_does_not_fit_is_not_there(change: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "key.jsonl"
    lines = [json.dumps(GOOD | change), "", "null", "[1]", "\x00", "[" * 10**5]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert CountsFile(path, CLASSES).images == {}
    path.write_text(json.dumps(GOOD) + "\n", encoding="utf-8")
    assert set(CountsFile(path, CLASSES).images) == {"x"}


def test_a_file_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="^output: cannot read"):
        CountsFile(tmp_path, CLASSES)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="^output: cannot (read|write)"):
        CountsFile(tmp_path / "file" / "key.jsonl", CLASSES).append("x", stored(0))


def test_many_images_measure_like_their_tensors() -> None:
    images = [stored(seed) for seed in range(5)]
    counts = StoredCounts(images, CLASSES)
    tensors = [random_counts(seed) for seed in range(5)]
    assert measure_counts(counts) == measure_counts(tensors)
    assert len(counts) == 5
    assert all(map(equal, counts, tensors))
    assert equal(counts[-1], tensors[-1])
    assert [len(counts[1:3]), len(counts[:0])] == [2, 0]
    assert equal(counts[1:3][0], tensors[1])


def test_winners_add_up_most_first() -> None:
    images = [
        StoredImage.pack("a", random_counts(0), winners) for winners in ({"dog": {"a": 1, "b": 5}}, {"dog": {"a": 9}})
    ]
    assert list(add_winners(images)["dog"].items()) == [("a", 10), ("b", 5)]
