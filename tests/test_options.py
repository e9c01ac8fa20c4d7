"""The tables of options: each implementation has exactly their keys, and nothing is typed twice."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import pytest

import llmseg
from llmseg import options
from llmseg.options import AUTO, AUTO_NUMBER, MODE_TEMPERATURE, Choice, Number

ROOT = Path(llmseg.__file__).parent
CHOICES = {name: value for name, value in vars(options).items() if isinstance(value, Choice)}
NUMBERS = {name: value for name, value in vars(options).items() if isinstance(value, Number)}


def attention_table() -> Collection[str]:
    from llmseg.attention import ATTENTION

    return ATTENTION


def mode_table() -> Collection[str]:
    from llmseg.modes import MODES

    return MODES


def scales_table() -> Collection[str]:
    from llmseg.patch_features import SCALE_FACTORS

    return SCALE_FACTORS


def flips_table() -> Collection[str]:
    from llmseg.patch_features import MIRRORED

    return MIRRORED


def templates_table() -> Collection[str]:
    from llmseg.templates import TEMPLATES

    return {*TEMPLATES, options.CUSTOM}


def refiner_table() -> Collection[str]:
    from llmseg.refinement import REFINERS, SCORE_REFINERS

    return {*REFINERS, *SCORE_REFINERS}


def layout_table() -> Collection[str]:
    from llmseg.windows import GRID, PUBLISHED, SQUASH

    return GRID, PUBLISHED, SQUASH


def scoring_table() -> Collection[str]:
    from llmseg.scores import EXACT, FAST

    return FAST, EXACT


def dtype_table() -> Collection[str]:
    import torch

    return {name for name in options.DTYPE.names if getattr(torch, name).is_floating_point}


def activation_table() -> Collection[str]:
    from llmseg.vit import ACTIVATIONS

    return ACTIVATIONS


def library_files() -> Collection[str]:
    return {"auto", "off"} | {path.stem for path in (ROOT / "data" / "expansions").glob("*.json")}


def scene_files() -> Collection[str]:
    names = {path.stem for path in (ROOT / "data" / "world" / "examples").glob("*.png")}
    return {name for name in names if not name.endswith("_labels")}


def kind_table() -> Collection[str]:
    from llmseg.llm.kinds import KINDS

    return set(KINDS) - {"translate", "refill", "critic"}  # which serve the others


def profile_table() -> Collection[str]:
    from llmseg.llm import PROFILES

    return PROFILES


def region_table() -> Collection[str]:
    from llmseg.components import COMPONENTS

    return COMPONENTS


def masks_table() -> Collection[str]:
    from llmseg.exchange import STACKS

    return STACKS


def bbox_table() -> Collection[str]:
    from llmseg.exchange import BBOXES

    return BBOXES


def table_table() -> Collection[str]:
    from llmseg.region_tables import TABLES

    return TABLES


def measures_table() -> Collection[str]:
    from llmseg.evaluation.comparison import MEASURE_TABLES

    return MEASURE_TABLES


def dataset_table() -> Collection[str]:
    from llmseg.evaluation.datasets import DATASETS

    return DATASETS


def protocol_table() -> Collection[str]:
    from llmseg.evaluation.protocols import PROTOCOLS

    return PROTOCOLS


def control_table() -> Collection[str]:
    from llmseg.evaluation.vocabularies import CONTROLS

    return CONTROLS


def preset_table() -> Collection[str]:
    from llmseg.evaluation.presets import PRESETS

    return PRESETS


# A new `Choice` must be entered here. Those without a table: yes and no, the gate, the background, the network, and the names of models.
IMPLEMENTED: dict[str, Callable[[], Collection[str]]] = {
    "ATTENTION": attention_table,
    "MODE": mode_table,
    "SCALES": scales_table,
    "TEMPLATES": templates_table,
    "REFINER": refiner_table,
    "FLIPS": flips_table,
    "LAYOUT": layout_table,
    "SCORING": scoring_table,
    "DTYPE": dtype_table,
    "ACTIVATION": activation_table,
    "LIBRARY": library_files,
    "SCENE": scene_files,
    "KIND": kind_table,
    "PROFILE": profile_table,
    "REGION": region_table,
    "MASKS": masks_table,
    "BBOX_LAYOUT": bbox_table,
    "TABLE": table_table,
    "MEASURES": measures_table,
    "DATASET": dataset_table,
    "PROTOCOL": protocol_table,
    "CONTROL": control_table,
    "PRESET": preset_table,
    "NETWORK": lambda: ("online", "offline", "frozen"),
    "INCLUDE_NAMES": lambda: ("yes", "no"),
    "MODEL": lambda: options.MODEL.names,
    "GATE": lambda: ("none", "simseg"),
    "BACKGROUND": lambda: ("listed", "surroundings"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_implementation_has_exactly_these_keys(name: str) -> None:
    assert set(IMPLEMENTED[name]()) == set(CHOICES[name].names)


def test_score_maps_take_some_of_the_refiners() -> None:
    from llmseg.refinement import EARLY_REFINERS, REFINERS, SCORE_REFINERS

    assert {"none", *EARLY_REFINERS} <= set(SCORE_REFINERS) < set(options.REFINER.names)
    assert set(options.REFINER.names) - set(REFINERS) == {"lposs"}  # which works on patches


def test_temperatures_are_those_of_modes() -> None:
    assert set(MODE_TEMPERATURE) <= set(mode_table())


@pytest.mark.parametrize("name", CHOICES)
def test_choice_is_complete(name: str) -> None:
    choice = CHOICES[name]
    assert choice.default in choice.choices
    assert choice.tooltip.strip().endswith(".")
    assert all(text.strip() for text in choice.names.values())
    assert choice.choices == ([AUTO] if choice.auto else []) + list(choice.names)
    lines = choice.help.splitlines()
    assert lines[0] == choice.tooltip
    assert [line.partition(": ")[0] for line in lines[1:]] == choice.choices


@pytest.mark.parametrize("name", NUMBERS)
def test_number_is_within_its_limits(name: str) -> None:
    number = NUMBERS[name]
    assert number.minimum <= number.default <= number.maximum
    assert number.step > 0
    assert number.tooltip.strip().endswith(".")
    assert (number.minimum == AUTO_NUMBER) == ("-1:" in number.tooltip), "-1 is explained where it is allowed"


def test_tables_cannot_be_changed() -> None:
    for table in (MODE_TEMPERATURE, *(choice.names for choice in CHOICES.values())):
        with pytest.raises(TypeError):
            table["new"] = "entry"  # type: ignore[index]


def test_everything_public_is_exported() -> None:
    assert set(options.__all__) >= {*CHOICES, *NUMBERS}
