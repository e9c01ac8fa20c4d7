"""Expansion off where it does harm, decided on calibration images and on no other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from scene_folders import write_scenes

from llmseg.encoder import Encoder
from llmseg.errors import InputError
from llmseg.evaluation.auto_off import HARM, make_auto_off, split_samples, switch_off
from llmseg.evaluation.columns import Column
from llmseg.evaluation.datasets import Dataset, Sample, open_dataset
from llmseg.evaluation.experiments import Experiment
from llmseg.evaluation.preparing import Material
from llmseg.evaluation.verdicts import hurt_classes, judge_column
from llmseg.evaluation.vocabularies import Vocabulary, expand_column
from llmseg.expansion import load_expansion, save_expansion
from llmseg.library import library_classes
from llmseg.pipeline import SegmentOptions
from llmseg.types import ClassExpansion, ClassName, Expansion, Phrase

QUICK = SegmentOptions(scales="one", refiner="none")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset("folder", write_scenes(tmp_path_factory.mktemp("scenes"), 8, first=2))


def named(names: Sequence[str]) -> list[Sample]:
    """Samples that are never read."""
    return [Sample(name, *[partial(next, iter(()))] * 3) for name in names]


def test_the_split_is_drawn_by_names_alone() -> None:
    names = [f"{number:03}" for number in range(40)]
    calibration, reported = split_samples(named(names), 10)
    assert len(calibration) == 10
    assert sorted(s.name for s in (*calibration, *reported)) == names
    other = split_samples(named(names[::-1]), 10)[0]
    assert {s.name for s in other} == {s.name for s in calibration}
    assert {s.name for s in split_samples(named(names), 10, seed=1)[0]} != {s.name for s in calibration}
    assert {s.name for s in calibration} != set(names[:10])
    assert split_samples(named(names), 0)[0] == ()
    for count in (40, 41):
        with pytest.raises(InputError, match="expected fewer than there are"):
            split_samples(named(names), count)


def test_off_is_what_a_file_means_by_it(tmp_path: Path) -> None:
    vocabulary = Vocabulary(library_classes("voc21"))
    whole = expand_column(vocabulary, "auto")
    off = switch_off(whole, ["dog", "cat"])
    save_expansion(off, tmp_path / "off.json")
    loaded = load_expansion(tmp_path / "off.json")
    for entry, before in zip(loaded.classes, whole.classes, strict=True):
        assert entry.kept == (() if entry.class_name.name in ("dog", "cat") else before.kept)
    assert loaded.provenance["auto_off"].endswith("dog, cat")
    assert [entry.kept for entry in off.classes] == [entry.kept for entry in whole.classes], "to be read"


def harmful(path: Path, dataset: Dataset, encoder: Encoder) -> str:
    """Lists of the library, but two classes that are everywhere have each other's names."""
    names = {"rock": "dirt", "dirt": "rock"}
    library = expand_column(Vocabulary(dataset.classes, encoder.library, encoder.knows), "auto")
    classes = [
        ClassExpansion(ClassName(e.class_name.name), (Phrase(f"{names[e.class_name.name]} scene", source="test"),))
        if e.class_name.name in names
        else e
        for e in library.classes
    ]
    save_expansion(Expansion(tuple(classes)), path)
    return str(path)


def test_decided_on_calibration_images_only(dataset: Dataset, encoder: Encoder, tmp_path: Path) -> None:
    """The decision follows from the calibration images: spoiling the reported ones changes nothing of it."""
    source = harmful(tmp_path / "harm.json", dataset, encoder)
    options = SegmentOptions(scales="one", refiner="none", include_names="no")
    columns = [Column("off", "off", options=options), Column("harm", source, options=options)]
    calibration, reported = split_samples(dataset.samples, 6)
    experiment = Experiment(Material(dataset, encoder), tmp_path / "out")
    prepared = experiment.prepare(columns)
    experiment.run(prepared, calibration)  # the reported ones are not even counted
    column, off = make_auto_off(experiment, prepared[1], calibration, tmp_path / "auto_off.json")
    assert off
    assert set(off) <= {"rock", "dirt"}
    assert column.column.name == "harm (auto off)"
    kept = {e.class_name.name: e.kept for e in load_expansion(tmp_path / "auto_off.json").classes}
    assert all(kept[name] == () for name in off)
    before = {e.class_name.name: e.kept for e in prepared[1].expansion.classes}
    assert all(kept[name] == before[name] for name in kept if name not in off)
    experiment.run([*prepared, column], reported)
    results = experiment.collect([*prepared, column], reported)
    assert set(results.samples) == {sample.name for sample in reported}
    assert not set(column.file.images) & {sample.name for sample in calibration}, "never counted there"


def test_a_list_is_judged_against_names_under_its_own_settings(
    dataset: Dataset, encoder: Encoder, tmp_path: Path
) -> None:
    """Not against what stands first: there the same list may do the same harm."""
    source = harmful(tmp_path / "harm.json", dataset, encoder)
    options = SegmentOptions(scales="one", refiner="none", include_names="no")
    experiment = Experiment(Material(dataset, encoder), tmp_path / "out")
    first, second = experiment.prepare([Column(name, source, options=options) for name in ("first", "second")])
    _, off = make_auto_off(experiment, second, dataset.samples, tmp_path / "auto_off.json")
    experiment.run([first, second])
    assert off
    assert hurt_classes(judge_column(experiment.collect([first, second]), 1), HARM) == []


def test_nothing_hurts(dataset: Dataset, encoder: Encoder, tmp_path: Path) -> None:
    experiment = Experiment(Material(dataset, encoder), tmp_path / "out")
    prepared = experiment.prepare([Column("a", "auto", options=QUICK), Column("b", "auto", options=QUICK)])
    experiment.run(prepared)
    column, off = make_auto_off(experiment, prepared[1], dataset.samples[:4], tmp_path / "auto_off.json")
    assert off == []
    assert column.file is prepared[1].file, "the same phrases are the same column"
