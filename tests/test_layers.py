"""One order: each file imports only what stands before it, wherever in the file the import is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import llmseg

ROOT = Path(llmseg.__file__).parent
ORDER = [
    "errors", "commands", "options", "defaults", "windows", "types", "store", "writer", "stored_values", "names",
    "templates", "background", "folding", "unwanted", "cleaning_rules", "cleaning", "library", "llm",
    "expansion_text", "expansion", "expansion_edits", "interview", "second_looks", "llm_expansion", "tokenizer",
    "hub_tokenizer", "wordpiece", "attention", "mixing", "tower", "clip_config", "vit", "pamr", "calibration",
    "feedback", "proxy", "squash", "dense", "towers", "models", "encoder", "backbone", "text_cache", "text_bank",
    "affinity", "looking", "patch_features", "stored_features", "phrases", "sampling", "score_rows", "scores",
    "class_maps", "crf", "painting", "modes", "assembly", "refinement", "palette", "labels", "components", "regions",
    "exchange", "region_tables", "fonts", "legends", "rendering", "explaining", "coco", "files", "label_files",
    "hovering", "examples", "pipeline", "graph", "evaluation", "addresses", "reporting", "serving", "destinations",
    "stores", "object_lines", "places", "batch", "manifest", "batch_runs", "tally", "local_batch", "runner",
    "scaleout", "expand", "evaluate", "arguments", "run",
]  # fmt: skip


def sources(unit: str) -> list[Path]:
    """The files of a module or of a package."""
    return sorted((ROOT / unit).rglob("*.py")) if (ROOT / unit).is_dir() else [ROOT / f"{unit}.py"]


def imported_modules(path: Path, root: Path = ROOT) -> Iterator[str]:
    """Full names of all imports of a file, those inside functions and TYPE_CHECKING included."""
    package = ["llmseg", *path.relative_to(root).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from . import x` and `from .. import x` may name modules; `from .x import y` names x.
            yield from ([f"{module}.{alias.name}" for alias in node.names] if not node.module else [module])


def house_units(path: Path, root: Path = ROOT) -> set[str]:
    """Modules and packages of the house that a file imports."""
    parts = [name.split(".") for name in imported_modules(path, root)]
    return {part[1] for part in parts if part[0] == "llmseg" and len(part) > 1 and not part[1].startswith("__")}


def test_order_names_every_module_once() -> None:
    units = {path.stem for path in ROOT.glob("*.py")} | {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert len(ORDER) == len(set(ORDER))
    assert set(ORDER) == units - {"__init__"}


@pytest.mark.parametrize("unit", ORDER)
def test_imports_stand_before(unit: str) -> None:
    before = {*ORDER[: ORDER.index(unit)], *([unit] if (ROOT / unit).is_dir() else [])}
    for path in sources(unit):
        assert house_units(path) <= before, path.name


def test_graph_knows_nothing_of_segmentation() -> None:
    for path in sources("graph"):
        assert house_units(path) <= {"errors", "graph"}, path.name


@pytest.mark.parametrize("command", ["run", "expand", "evaluate"])
def test_nobody_imports_a_command(command: str) -> None:
    assert [path.name for path in ROOT.rglob("*.py") if command in house_units(path)] == []


@pytest.mark.parametrize("stranger", ["nodes", "comfy", "folder_paths", "server", "tools", "benchmarks"])
def test_library_imports_no_nodes_and_no_host(stranger: str) -> None:
    for path in ROOT.rglob("*.py"):
        assert stranger not in {name.split(".")[0] for name in imported_modules(path)}, path.name


def test_inside_the_house_imports_are_relative() -> None:
    for path in ROOT.rglob("*.py"):
        absolute = [
            name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [])
            + ([node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else [])
            if name.split(".")[0] == "llmseg"
        ]
        assert absolute == [], path.name


@pytest.mark.parametrize(
    ("source", "units"),
    [
        ("from .errors import InputError", {"errors"}),
        ("from . import scores, __version__", {"scores"}),
        ("def f():\n    from .vit import Clip", {"vit"}),
        ("if TYPE_CHECKING:\n    from .labels import x", {"labels"}),
        ("import llmseg.run", {"run"}),
        ("import json", set()),
    ],
)
def test_the_reader_sees_every_form_of_import(source: str, units: set[str], tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    assert house_units(path, tmp_path) == units
