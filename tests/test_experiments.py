"""Experiments: the same counts as one picture at a time, nothing computed twice, one bad image stops no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_folders import write_scenes

from llmseg.encoder import Encoder
from llmseg.errors import InputError
from llmseg.evaluation.columns import Column
from llmseg.evaluation.datasets import open_dataset
from llmseg.evaluation.experiments import Experiment, Step
from llmseg.evaluation.preparing import Material
from llmseg.evaluation.results import Results
from llmseg.evaluation.stored_counts import CannotStore
from llmseg.expansion import save_expansion
from llmseg.library import library_classes
from llmseg.pipeline import SegmentOptions, segment
from llmseg.types import ClassExpansion, ClassName, Expansion, Phrase

QUICK = SegmentOptions(scales="one", refiner="none")
OFF, AUTO = Column("off", "off", options=QUICK), Column("auto", options=QUICK)
Make = Callable[..., Experiment]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"), 3)


@pytest.fixture
def make(encoder: Encoder, scenes: Path, tmp_path: Path) -> Make:
    """An experiment; each call is a run of its own over the same stored counts."""

    def experiment(root: Path = scenes, folder: str = "out") -> Experiment:
        steps: list[Step] = []
        made = Experiment(Material(open_dataset("folder", root), encoder), tmp_path / folder, tell=steps.append)
        made.steps = steps  # type: ignore[attr-defined]
        return made

    return experiment


def run(experiment: Experiment, *columns: Column) -> Results:
    prepared = experiment.prepare(columns)
    experiment.run(prepared)
    return experiment.collect(prepared)


def computed(experiment: Experiment) -> list[int]:
    return [step.computed for step in experiment.steps]  # type: ignore[attr-defined]


def slow_counts(experiment: Experiment, column: Column, encoder: Encoder) -> list[list[list[int]]]:
    """The public pipeline on each picture, counted pixel by pixel."""
    dataset = experiment.material.dataset
    names = ", ".join(dataset.classes.names)
    found = []
    for sample in dataset.samples:
        result = segment(sample.read_image(), names, column.expansion, encoder=encoder, options=column.options)
        rows = [[0] * (len(dataset.classes.names) + 1) for _ in dataset.classes.names]
        for true, guess in zip(sample.read_truth().flatten(), result.labels[0].flatten().tolist(), strict=True):
            if true >= 0:
                rows[true][guess if guess >= 0 else -1] += 1
        found.append(rows)
    return found


@pytest.mark.parametrize(
    "column",
    [OFF, AUTO, replace(AUTO, options=SegmentOptions(scales="one", mode="blend", templates="single", threshold=0.4))],
)
def test_counts_are_those_of_the_pipeline(make: Make, column: Column, encoder: Encoder) -> None:
    results = run(make(), column)
    expected = slow_counts(make(), column, encoder)
    assert [counts.matrix.tolist() for counts in results.columns[0].counts] == expected
    assert results.samples == ("00", "01", "02")


def test_winners_are_the_phrases_of_the_label_map(make: Make, encoder: Encoder) -> None:
    experiment = make()
    results = run(experiment, AUTO)
    expected: dict[tuple[str, str], int] = {}
    for sample in experiment.material.dataset.samples:
        names = ", ".join(experiment.material.dataset.classes.names)
        found = segment(sample.read_image(), names, "auto", encoder=encoder, options=QUICK)
        for label, phrase in zip(found.labels.flatten().tolist(), found.winning_phrase.flatten().tolist(), strict=True):
            if label >= 0:
                key = (found.names[label], found.phrases[phrase] if phrase >= 0 else found.names[label])
                expected[key] = expected.get(key, 0) + 1
    won = results.columns[0].winners
    assert {(name, phrase): n for name, phrases in won.items() for phrase, n in phrases.items()} == expected


def test_a_second_run_computes_nothing_and_a_new_column_only_itself(make: Make) -> None:
    first = make()
    before = run(first, OFF, AUTO)
    assert computed(first) == [2, 2, 2]
    assert first.features.encoded == 3, "once for both columns"
    second = make()
    again = run(second, OFF, AUTO)
    assert (computed(second), second.features.encoded) == ([0, 0, 0], 0)
    third = make()
    more = run(third, OFF, replace(AUTO, name="blend", options=replace(QUICK, mode="blend")), AUTO)
    assert (computed(third), third.features.encoded) == ([1, 1, 1], 0)
    for left, right in ((before.columns[1], again.columns[1]), (before.columns[1], more.columns[2])):
        assert all(bool((a.by_size == b.by_size).all()) for a, b in zip(left.counts, right.counts, strict=True))
        assert left.winners == right.winners


def test_a_name_is_no_part_of_a_column(make: Make) -> None:
    run(make(), AUTO)
    again = make()
    run(again, replace(AUTO, name="other"), replace(AUTO, name="the library", expansion="emoji"))
    assert computed(again) == [0, 0, 0]


def test_an_edited_file_is_another_column(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    column = Column("mine", str(path), options=QUICK)
    for phrases, expected in ((("poodle",), 1), (("poodle",), 0), (("poodle", "beagle"), 1), (("poodle",), 0)):
        listed = tuple(Phrase(text, source="test") for text in phrases)
        save_expansion(Expansion((ClassExpansion(ClassName("dog"), listed),)), path)
        experiment = make()
        run(experiment, column)
        assert computed(experiment) == [expected] * 3


def test_a_changed_image_or_truth_is_counted_again(make: Make, tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "scenes", 3)
    run(make(root), OFF)
    for kind in ("images", "labels"):
        path = root / kind / "01.png"
        pixels = np.asarray(Image.open(path)).copy()
        pixels[-1, -1] ^= 1
        Image.fromarray(pixels).save(path)
        experiment = make(root)
        run(experiment, OFF)
        assert computed(experiment) == [0, 1, 0]


def test_a_run_that_was_stopped_goes_on(make: Make) -> None:
    """Stopped in the middle of an image, between two columns of it."""
    whole = run(make(folder="whole"), OFF, AUTO)
    stopped = make()
    prepared = stopped.prepare([OFF, AUTO])
    append, calls = prepared[1].file.append, 0

    def stop(*line: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        append(*line)  # type: ignore[arg-type]

    prepared[1].file.append = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stopped.run(prepared)
    rest = make()
    results = run(rest, OFF, AUTO)
    assert computed(rest) == [0, 1, 2]
    for left, right in zip(whole.columns, results.columns, strict=True):
        assert [c.by_size.tolist() for c in left.counts] == [c.by_size.tolist() for c in right.counts]
    lines = [len(path.read_bytes().splitlines()) for path in stopped._preparer.folder.glob("*.jsonl")]
    assert lines == [3, 3], "every image of every column exactly once"


def test_an_image_that_cannot_be_read_is_left_out_of_all_columns(make: Make, tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "scenes", 4)
    run(make(root), OFF)
    (root / "images" / "01.png").write_bytes(b"no picture")
    Image.new("L", (7, 5)).save(root / "labels" / "02.png")
    experiment = make(root)
    results = run(experiment, OFF, AUTO)
    assert results.samples == ("00", "03")
    assert [len(column.counts) for column in results.columns] == [2, 2]
    assert set(experiment.failures) == {"01", "02"}
    assert experiment.failures["02"] == "02: image and truth are 64 x 64 and 7 x 5 pixels; expected one size."
    assert [step.error for step in experiment.steps] == ["", *experiment.failures.values(), ""]  # type: ignore[attr-defined]


def test_a_full_disk_is_no_fault_of_an_image(make: Make) -> None:
    experiment = make()
    prepared = experiment.prepare([OFF])
    prepared[0].file.path.mkdir()  # where the file of counts would be
    with pytest.raises(CannotStore, match="output: cannot write"):
        experiment.run(prepared)
    assert experiment.failures == {}


def test_no_image_at_all(make: Make, tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "scenes", 1)
    (root / "images" / "00.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"^folder: no image could be counted \(00"):
        run(make(root), OFF)


def test_every_problem_of_every_column_is_told_before_anything_runs(make: Make) -> None:
    columns = [
        Column("a", "voc2"),
        Column("b", "auto", options=replace(QUICK, templates="custom")),
        Column("c", "auto", options=replace(QUICK, negatives="dog")),
    ]
    with pytest.raises(InputError) as caught:
        make().prepare(columns)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "a, expansion", "b, custom_templates", "c, negatives",
    ]  # fmt: skip


def test_what_is_no_class_of_the_data_set_is_unknown(make: Make) -> None:
    """An added background has a label beyond those of the data set."""
    results = run(make(), replace(OFF, options=replace(QUICK, background="surroundings", threshold=0.9)))
    classes = len(results.classes.classes)
    total = sum((counts.matrix for counts in results.columns[0].counts[1:]), results.columns[0].counts[0].matrix)
    assert total.shape == (classes, classes + 1)
    assert int(total[:, -1].sum()) > 0
    assert "background" in results.columns[0].winners


def test_an_attention_with_feedback_has_features_of_its_own(make: Make) -> None:
    options = replace(QUICK, attention="resclip")
    experiment = make()
    run(experiment, Column("a", "off", options=options), Column("b", "auto", options=options))
    assert experiment.features.encoded == 6


def test_the_class_list_of_the_world_is_the_libraries() -> None:
    assert open_dataset("embedded").classes.names == library_classes("emoji").names
