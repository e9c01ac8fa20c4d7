"""Workflows of one rule each, converted here and by two real frontends in a browser.

A file of `editor_cases` holds the rule in a sentence, the workflow, and what each frontend made of it (`1.35.9` and
`1.58.1`: class and inputs of every node, or an error). The newer one is followed, except where `otherwise` says why
not; then `expected` is the prompt that we write. `frozen` is the time that the page showed, `random` the number
that its ``Math.random`` gave, `free_ids` marks graphs whose ids each frontend makes up.

`object_info.json` declares the classes: core ones as ComfyUI 0.8.0 described them, and ``Case...``, which were made
for these files and declare what core classes do not.
Not here: whole workflows as people share them (`test_graph_conformance`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from llmseg.graph import NodeDefinition, to_prompt

FOLDER = Path(__file__).parent / "editor_cases"
CASES = sorted(path for path in FOLDER.glob("*.json") if path.stem != "object_info")
ENOUGH = 40
# Widgets that only a script in the browser knows: the class does not declare them, so the server ignores them.
SCRIPT_WIDGETS = {
    "PreviewAny": re.compile("preview|previewMode"),
    "SaveGLB": re.compile("image"),
    "CustomCombo": re.compile("index|option[0-9]+"),
    "LoadImage": re.compile("upload"),
}


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def definitions() -> dict[str, NodeDefinition]:
    records = read_json(FOLDER / "object_info.json")
    return {name: NodeDefinition.from_object_info(name, record) for name, record in records.items()}


def plain(value: Any) -> Any:
    """`value` with every whole number as an int, because JavaScript has only one kind of number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def compared(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """Class and declared inputs of every node; values as text, for which true and 1 differ."""
    found = {}
    for key, node in prompt.items():
        script = SCRIPT_WIDGETS.get(node["class_type"])
        inputs = {name: value for name, value in node["inputs"].items() if not (script and script.fullmatch(name))}
        texts = {name: json.dumps(plain(value), sort_keys=True) for name, value in inputs.items()}
        found[key] = (node["class_type"], texts)
    return found


def unnamed(prompt: Mapping[str, Any]) -> list[str]:
    """The same graph with every link replaced by what it leads to: equal for equal graphs under other ids."""

    def text(key: str) -> str:
        kind, inputs = found[key]
        parts = {}
        for name, value in inputs.items():
            link = json.loads(value)
            parts[name] = [text(link[0]), link[1]] if isinstance(link, list) else value
        return json.dumps([kind, parts], sort_keys=True)

    found = compared(prompt)
    return sorted(map(text, found))


def test_there_are_enough_cases_and_all_say_what_they_show() -> None:
    assert len(CASES) >= ENOUGH
    for path in CASES:
        case = read_json(path)
        assert case["rule"].strip(), path.name
        assert {"1.35.9", "1.58.1"} <= case.keys(), path.name
        assert ("otherwise" in case) == ("expected" in case), path.name


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_a_case_converts_as_in_the_real_frontend(path: Path, definitions: dict[str, NodeDefinition]) -> None:
    case = read_json(path)
    wanted = case.get("expected", case["1.58.1"])
    now = datetime.fromisoformat(case["frozen"]) if "frozen" in case else None
    prompt = to_prompt(case["workflow"], definitions, now=now, pick=lambda n: int(case["random"] * n)).prompt
    if case.get("free_ids"):
        assert unnamed(prompt) == unnamed(wanted)
        return
    assert compared(prompt) == compared(wanted)
    if case["1.35.9"].keys() == prompt.keys():
        assert list(prompt) == list(case["1.35.9"])
