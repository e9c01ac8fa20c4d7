"""Expansion off where it does harm, decided on images that are not reported.

Not here: verdicts, running.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..expansion import save_expansion
from ..types import Expansion
from .columns import Column
from .experiments import Experiment
from .preparing import Prepared
from .stored_counts import told_as_unstored
from .verdicts import hurt_classes, judge_column

if TYPE_CHECKING:
    from .datasets import Sample

__all__ = ["HARM", "make_auto_off", "split_samples", "switch_off"]

HARM = 0.01  # IoU: what a class must lose, one point
SUFFIX = " (auto off)"


def split_samples(
    samples: Sequence[Sample], calibration: int, seed: int = 0
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Images to decide on and images to report, drawn by their names, whatever order they come in.

    Args:
        samples: all of them.
        calibration: how many are decided on.
        seed: of the draw.

    Raises:
        InputError: none would be left to report.
    """
    if not 0 <= calibration < len(samples):
        problem = f"{calibration} of {len(samples)} images; expected fewer than there are."
        raise InputError(problem, place="calibration")
    names = sorted(sample.name for sample in samples)
    random.Random(seed).shuffle(names)
    chosen = set(names[:calibration])
    return tuple(s for s in samples if s.name in chosen), tuple(s for s in samples if s.name not in chosen)


def switch_off(expansion: Expansion, names: Sequence[str]) -> Expansion:
    """An expansion in which some classes keep their name alone; their lists stay to be read, and are not used."""
    off = set(names)
    classes = tuple(
        replace(entry, class_name=replace(entry.class_name, policy="keep")) if entry.class_name.name in off else entry
        for entry in expansion.classes
    )
    listed = ", ".join(names) or "none"
    return Expansion(classes, {**expansion.provenance, "auto_off": f"expansion off, decided on calibration: {listed}"})


def make_auto_off(
    experiment: Experiment, prepared: Prepared, calibration: Sequence[Sample], path: Path
) -> tuple[Prepared, list[str]]:
    """A column without the lists that do harm on the calibration images, written as a lock file too.

    A class loses its list where its IoU falls by more than a point against class names alone under the same settings,
    and even the upper end of the interval lies below zero.

    Args:
        experiment: data set and model.
        prepared: the column in question.
        calibration: images that no result is reported on.
        path: of the lock file.

    Returns:
        The new column, and the classes that it switches off, the worst first.

    Raises:
        InputError: no image can be counted, or the file cannot be written.
    """
    alone = replace(prepared.column, name=f"{prepared.column.name} (names alone)", expansion="off", count=None)
    pair = [*experiment.prepare([alone]), prepared]
    experiment.run(pair, calibration)
    results = experiment.collect(pair, calibration)
    hurt = hurt_classes(judge_column(results, 1), HARM)
    with told_as_unstored():
        save_expansion(switch_off(prepared.expansion, hurt), path)
    column: Column = replace(prepared.column, name=prepared.column.name + SUFFIX, expansion=str(path), count=None)
    # Read back from the file, so that what is reported is what anybody gets who uses it.
    return experiment.prepare([column])[0], hurt
