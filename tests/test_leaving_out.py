"""Which phrase is to blame."""

from __future__ import annotations

from pathlib import Path

import pytest
from scene_folders import write_scenes

from llmseg.encoder import Encoder
from llmseg.errors import UnknownNameError
from llmseg.evaluation.columns import Column
from llmseg.evaluation.datasets import open_dataset
from llmseg.evaluation.experiments import Experiment
from llmseg.evaluation.leaving_out import find_culprits, format_culprits, without_phrase
from llmseg.evaluation.measures import iou_per_class
from llmseg.evaluation.preparing import Material, Prepared
from llmseg.expansion import save_expansion
from llmseg.pipeline import SegmentOptions
from llmseg.types import ClassExpansion, ClassName, Expansion, Phrase

OPTIONS = SegmentOptions(scales="one", refiner="none", include_names="no")


@pytest.fixture
def prepared(encoder: Encoder, tmp_path: Path) -> tuple[Experiment, Prepared]:
    """Rock has two phrases that fit and one that is another class's; sky is left as it is."""
    dataset = open_dataset("folder", write_scenes(tmp_path / "scenes", 6, first=2))
    phrases = tuple(Phrase(text, source="test") for text in ("rock photo", "dirt scene", "rock picture"))
    save_expansion(Expansion((ClassExpansion(ClassName("rock"), phrases),)), tmp_path / "mine.json")
    experiment = Experiment(Material(dataset, encoder), tmp_path / "out")
    column = experiment.prepare([Column("mine", str(tmp_path / "mine.json"), options=OPTIONS)])
    experiment.run(column)
    return experiment, column[0]


def iou_of_rock(experiment: Experiment, prepared: Prepared) -> float:
    results = experiment.collect([prepared])
    total = sum((c.matrix for c in results.columns[0].counts[1:]), results.columns[0].counts[0].matrix)
    return float(iou_per_class(total)[results.classes.names.index("rock")])


def test_the_culprit_comes_first(prepared: tuple[Experiment, Prepared]) -> None:
    experiment, column = prepared
    encoded = experiment.features.encoded
    found = find_culprits(experiment, column, ["Rock", "sky"], experiment.material.dataset.samples)
    assert (found[0].name, found[0].phrase) == ("rock", "dirt scene")
    assert found[0].gain.value > 0
    assert {each.phrase for each in found} == {"rock photo", "dirt scene", "rock picture"}
    assert experiment.features.encoded == encoded, "on features that are there"
    gains = [each.gain.value for each in found]
    assert gains == sorted(gains, reverse=True)
    for each in found:
        fewer = experiment.prepare_one(column.column, without_phrase(column.expansion, "rock", each.phrase))
        difference = iou_of_rock(experiment, fewer) - iou_of_rock(experiment, column)
        assert each.gain.value == pytest.approx(difference)
        assert each.pixels == experiment.collect([column]).columns[0].winners["rock"].get(each.phrase, 0)


def test_as_a_table(prepared: tuple[Experiment, Prepared]) -> None:
    experiment, column = prepared
    found = find_culprits(experiment, column, ["rock"], experiment.material.dataset.samples)
    lines = format_culprits(found).splitlines()
    assert len(lines) == 2 + 3
    assert lines[2].startswith("| rock | dirt scene | ")
    assert len({line.count("|") for line in lines}) == 1


def test_no_such_class(prepared: tuple[Experiment, Prepared]) -> None:
    experiment, column = prepared
    with pytest.raises(UnknownNameError, match="^leave-one-out: unknown name 'rok'.*Did you mean 'rock'"):
        find_culprits(experiment, column, ["rok"], experiment.material.dataset.samples)
