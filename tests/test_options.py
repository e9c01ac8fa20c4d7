"""The tables of options: each implementation has exactly their keys, and nothing is typed twice."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable, Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from llmseg import options
from llmseg.options import AUTO, AUTO_NUMBER, MODE_TEMPERATURE, MODEL_DEFAULTS, Choice, EngineDefaults, Number

ROOT = Path(options.__file__).parent
CHOICES = {name: value for name, value in vars(options).items() if isinstance(value, Choice)}
NUMBERS = {name: value for name, value in vars(options).items() if isinstance(value, Number)}


def attention_table() -> Collection[str]:
    from llmseg.attention import ATTENTION

    return ATTENTION


def mode_table() -> Collection[str]:
    from llmseg.assembly import ASSEMBLERS

    return ASSEMBLERS


def templates_table() -> Collection[str]:
    from llmseg.templates import TEMPLATES

    return TEMPLATES


def refiner_table() -> Collection[str]:
    from llmseg.refinement import REFINERS

    return REFINERS


def activation_table() -> Collection[str]:
    from llmseg.vit import ACTIVATIONS

    return ACTIVATIONS


def library_files() -> Collection[str]:
    return {"auto", "off"} | {path.stem for path in (ROOT / "data" / "expansions").glob("*.json")}


def scene_files() -> Collection[str]:
    names = {path.stem for path in (ROOT / "data" / "world" / "examples").glob("*.png")}
    return {name for name in names if not name.endswith("_labels")}


# A new `Choice` must be entered here. The two without a table: yes and no, and the names of models.
IMPLEMENTED: dict[str, Callable[[], Collection[str]]] = {
    "ATTENTION": attention_table,
    "MODE": mode_table,
    "TEMPLATES": templates_table,
    "REFINER": refiner_table,
    "ACTIVATION": activation_table,
    "LIBRARY": library_files,
    "SCENE": scene_files,
    "INCLUDE_NAMES": lambda: ("yes", "no"),
    "MODEL": lambda: options.MODEL.names,
}


@pytest.mark.parametrize("name", CHOICES)
def test_implementation_has_exactly_these_keys(name: str) -> None:
    assert set(IMPLEMENTED[name]()) == set(CHOICES[name].names)


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
    for table in (MODEL_DEFAULTS, MODE_TEMPERATURE, *(choice.names for choice in CHOICES.values())):
        with pytest.raises(TypeError):
            table["new"] = "entry"  # type: ignore[index]


def test_everything_public_is_exported() -> None:
    assert set(options.__all__) >= {*CHOICES, *NUMBERS}


@pytest.mark.parametrize("defaults", [EngineDefaults(), *MODEL_DEFAULTS.values()], ids=["unknown", *MODEL_DEFAULTS])
def test_engine_defaults_are_real_names_within_limits(defaults: EngineDefaults) -> None:
    assert defaults.attention in options.ATTENTION.names
    assert defaults.templates in options.TEMPLATES.names
    assert defaults.mode in options.MODE.names
    for name in ("window", "stride", "resize"):
        assert 0 <= getattr(defaults, name) <= NUMBERS[name.upper()].maximum
    assert 0 < defaults.temperature <= options.TEMPERATURE.maximum
    assert 0 <= defaults.name_weight <= 1
    assert defaults.logit_scale > 0


def test_engine_defaults_by_name() -> None:
    assert options.engine_defaults("emoji-bootstrap") is MODEL_DEFAULTS["emoji-bootstrap"]
    assert options.engine_defaults("nobody's") == EngineDefaults()


def test_calibrated_models_exist() -> None:
    from safetensors import safe_open

    with safe_open(ROOT / "data" / "models" / "embedded.safetensors", framework="pt") as file:
        own_name = json.loads(file.metadata()["llmseg"])["name"]
    listed = {name.partition("/")[0] + "/" + name.partition("/")[2] for name in options.MODEL.names}
    assert set(MODEL_DEFAULTS) <= {own_name, *listed}


def test_mode_temperatures_belong_to_modes() -> None:
    assert set(MODE_TEMPERATURE) < set(options.MODE.names)
    assert all(0 < value <= options.TEMPERATURE.maximum for value in MODE_TEMPERATURE.values())


def test_default_model_is_the_packaged_one() -> None:
    from llmseg.weights import EMBEDDED

    assert options.MODEL.default == EMBEDDED


@pytest.mark.slow
def test_named_models_are_known_to_open_clip() -> None:
    open_clip = pytest.importorskip("open_clip")
    known = {f"{name}/{tag}" for name, tag in open_clip.list_pretrained()}
    assert set(options.MODEL.names) - {"embedded"} <= known


def test_no_list_of_names_is_typed_twice() -> None:
    """No literal elsewhere spells out the names of a table; implementations are dicts of other values."""
    lists = {frozenset(names) for choice in CHOICES.values() for names in (choice.choices, choice.names)}
    found = []
    for path in [*ROOT.rglob("*.py"), *(ROOT.parent / "nodes").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if path.name != "options.py" and isinstance(node, (ast.List, ast.Tuple, ast.Set)):
                values = [entry.value if isinstance(entry, ast.Constant) else None for entry in node.elts]
                if len(values) > 1 and frozenset(values) in lists:
                    found.append(f"{path.name}:{node.lineno}")
    assert found == []


def signature_defaults() -> list[tuple[str, str, Any]]:
    """(function, option, default) wherever a parameter is named after an option and has a default."""
    from llmseg import assembly, files, labels, patch_features, pipeline, refinement, rendering, text_bank

    functions = [
        function
        for module in (assembly, files, labels, patch_features, refinement, rendering, text_bank)
        for name in module.__all__
        if inspect.isfunction(function := getattr(module, name))
    ]
    found = [
        (function.__name__, name.upper(), parameter.default)
        for function in functions
        for name, parameter in inspect.signature(function).parameters.items()
        if name.upper() in {**CHOICES, **NUMBERS} and parameter.default is not parameter.empty
    ]
    return found + [("SegmentOptions", item.name.upper(), item.default) for item in fields(pipeline.SegmentOptions)]


@pytest.mark.parametrize(("function", "name", "default"), signature_defaults())
def test_signatures_default_to_what_the_table_says(function: str, name: str, default: object) -> None:
    table: dict[str, Any] = {**CHOICES, **NUMBERS}
    assert default == table[name].default
