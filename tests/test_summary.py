"""The table that is printed, and pictures that are made again for a report."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scene_folders import write_scenes

from llmseg.encoder import Encoder
from llmseg.errors import UnknownNameError
from llmseg.evaluation.columns import Column
from llmseg.evaluation.counting import count_image, measure_counts
from llmseg.evaluation.datasets import open_dataset
from llmseg.evaluation.experiments import Experiment
from llmseg.evaluation.pictures import StoredPictures
from llmseg.evaluation.preparing import Material, Prepared
from llmseg.evaluation.results import Results
from llmseg.evaluation.summary import choose_detailed, format_harm, format_summary, format_table, list_harm
from llmseg.evaluation.verdicts import find_takers, hurt_classes, judge_column
from llmseg.pipeline import SegmentOptions

QUICK = SegmentOptions(scales="one", refiner="none")
BLEND = SegmentOptions(scales="one", refiner="none", mode="blend")
COLUMNS = [
    Column("names | alone", "off", options=QUICK),
    Column("list", options=QUICK),
    Column("few", count=2, options=QUICK),
    Column("placebo", "placebo", options=QUICK),
    Column("shuffled", "shuffled", options=QUICK),
    Column("blend", options=BLEND),
    Column("blend, names alone", "off", options=BLEND),
    Column("background", "off", options=SegmentOptions(scales="one", refiner="none", background="surroundings")),
]
Run = tuple[Experiment, list[Prepared], Results]


@pytest.fixture(scope="module")
def run(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    experiment = Experiment(
        Material(open_dataset("folder", write_scenes(folder / "scenes", 4)), encoder), folder / "out"
    )
    prepared = experiment.prepare(COLUMNS)
    experiment.run(prepared)
    return experiment, prepared, experiment.collect(prepared)


def test_the_table(run: Run) -> None:
    results = run[2]
    lines = format_table(results).splitlines()
    assert len(lines) == 2 + len(COLUMNS)
    assert "names \\| alone" in lines[0]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    for number, line in enumerate(lines[2:]):
        cells = [cell.strip() for cell in line.replace("\\|", "/").strip("|").split("|")]
        assert cells[1] == f"{100 * measure_counts(results.columns[number].counts).miou:.1f}"
        overall, *each = judge_column(results, number)
        if number:
            assert cells[4].startswith(f"{100 * overall.difference.value:+.1f} (")
            assert cells[5:8] == [
                overall.verdict,
                *(str(sum(v.verdict == w for v in each)) for w in ("helps", "hurts")),
            ]
    blend = lines[2 + 5].split("|")[-2].strip()
    assert blend.startswith(f"{100 * judge_column(results, 5, baseline=6)[0].difference.value:+.1f}") or not blend


def test_whole_lists_are_looked_into(run: Run) -> None:
    assert [run[2].columns[number].column.name for number in choose_detailed(run[2])] == ["list"]
    text = format_summary(run[2])
    assert "'list'" in text
    assert text.count("placebo: ") == 1


def test_harm_is_told_class_by_class(run: Run) -> None:
    """Shuffled lists do harm; columns against themselves do none."""
    results = run[2]
    verdicts = judge_column(results, 4)
    hurt, judged = hurt_classes(verdicts), {verdict.name: verdict.difference.value for verdict in verdicts}
    lower = [name for name, value in judged.items() if value <= -0.0005 and name != "all classes" and name not in hurt]
    assert lower
    text = format_harm(results, 4)
    for name in hurt:
        takers = find_takers(results, 4, name)
        assert f"| {name} | {100 * judged[name]:+.1f} (" in text
        assert all(f"{taker.name or 'unknown'} {taker.share:.1%}" in text for taker in takers)
    assert all(f"{name} {100 * judged[name]:+.1f}" in text.split("in doubt: ")[1] for name in lower)
    assert format_harm(results, 1, baseline=1) == "Classes that 'list' hurts against 'list': none beyond doubt."
    told = list_harm(results, [3, 4])
    assert [line.split(":")[0] for line in told.splitlines() if line.startswith("- ")] == (
        ["- shuffled"] if hurt else []
    )


def test_pictures_are_those_that_were_counted(run: Run) -> None:
    experiment, prepared, results = run
    pictures = StoredPictures(experiment, prepared)
    encoded = experiment.features.encoded
    for position, name in enumerate(results.samples):
        image, truth = pictures.image(name), pictures.truth(name)
        assert image.dtype == np.uint8
        assert truth.labels.shape == (1, *image.shape[:2])
        for column, result in zip(prepared, results.columns, strict=True):
            found = pictures.labels(name, column.column.name)
            counts = count_image(found.labels[0], truth.labels[0], len(results.classes.names))
            assert torch.equal(counts.by_size, result.counts[position].by_size)
    assert experiment.features.encoded == encoded
    for wrong in (("9", "list"), ("00", "lst")):
        with pytest.raises(UnknownNameError):
            pictures.labels(*wrong)
