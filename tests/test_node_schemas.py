"""What every node declares: complete, within the house rules, and readable without torch."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import import_nodes

from llmseg import __version__

ROOT = Path(__file__).parent.parent
PACK = import_nodes()
SOCKETS = import_nodes("sockets")
OURS: dict[str, Any] = PACK.NODE_CLASS_MAPPINGS
HOST_TYPES = {"IMAGE", "MASK", "STRING", "INT", "FLOAT", "BOOLEAN"}
OUR_TYPES = {value for name, value in vars(SOCKETS).items() if name.isupper() and isinstance(value, str)}


def inputs(node: Any) -> dict[str, Any]:
    declared = node.INPUT_TYPES()
    return {**declared["required"], **declared.get("optional", {})}


def sockets(*kinds: str) -> set[str]:
    """Single types; a socket of several lists them with commas."""
    return {each for kind in kinds for each in kind.split(",")}


def test_ids_are_prefixed_and_titled() -> None:
    assert all(name.startswith("LLMSeg") for name in OURS)
    assert set(PACK.NODE_DISPLAY_NAME_MAPPINGS) == set(OURS)
    titles = list(PACK.NODE_DISPLAY_NAME_MAPPINGS.values())
    assert len(set(titles)) == len(titles)


def test_the_nodes_were_written_for_this_library() -> None:
    assert __version__ == PACK.VERSION


@pytest.mark.parametrize("name", OURS)
def test_every_input_has_a_tooltip_and_its_limits(name: str) -> None:
    for key, (kind, options) in inputs(OURS[name]).items():
        assert options["tooltip"].strip(), key
        if isinstance(kind, list):
            assert options["default"] in kind, key
        elif kind in ("INT", "FLOAT"):
            assert options["min"] <= options["default"] <= options["max"], key
            assert options["step"] > 0, key
        else:
            assert sockets(kind) <= HOST_TYPES | OUR_TYPES, key


@pytest.mark.parametrize("name", OURS)
def test_outputs_are_named_described_and_of_known_types(name: str) -> None:
    node = OURS[name]
    assert node.DESCRIPTION
    assert node.CATEGORY.split("/")[0] == "llmseg"
    assert sockets(*node.RETURN_TYPES) <= HOST_TYPES | OUR_TYPES
    if node.RETURN_TYPES:
        assert len(node.OUTPUT_TOOLTIPS) == len(node.RETURN_TYPES)
        assert len(getattr(node, "RETURN_NAMES", node.RETURN_TYPES)) == len(node.RETURN_TYPES)
    else:
        assert node.OUTPUT_NODE is True


@pytest.mark.parametrize("name", OURS)
def test_the_function_takes_exactly_the_declared_inputs(name: str) -> None:
    function = getattr(OURS[name], OURS[name].FUNCTION)
    parameters = inspect.signature(function).parameters
    assert [key for key in parameters if key != "self"] == list(inputs(OURS[name]))
    optional = OURS[name].INPUT_TYPES().get("optional", {})
    assert all(parameters[key].default is not inspect.Parameter.empty for key in optional)


@pytest.mark.parametrize("name", OURS)
def test_execute_is_thin(name: str) -> None:
    source = inspect.getsource(getattr(OURS[name], OURS[name].FUNCTION))
    assert len(source.splitlines()) <= 26, "convert, call one library function, convert"


def test_importing_the_nodes_and_their_schemas_needs_no_torch() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); from conftest import import_nodes; pack = import_nodes();"
        "[node.INPUT_TYPES() for node in pack.NODE_CLASS_MAPPINGS.values()];"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_nodes_import_the_library_absolutely_and_never_one_another() -> None:
    allowed = {
        "host",
        "progress",
        "sockets",
        "naming",
        "models",
        "guard",
        "memory",
        "downloads",
        "previews",
        "inputs",
        "lookahead",
        "headless",
    }
    for path in (ROOT / "nodes").glob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] == ["from"] and words[1].startswith(".") and path.stem != "__init__":
                modules = [words[1].lstrip(".")] if words[1] != "." else [word.rstrip(",") for word in words[3:]]
                assert set(modules) <= allowed, f"{path.name}: {line}"
