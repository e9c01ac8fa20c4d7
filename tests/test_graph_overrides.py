"""NODE.INPUT=VALUE: finding nodes, reading values, and what goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmseg.errors import InputError
from llmseg.graph import InputSpec, NodeDefinition, apply_overrides

DEFINITIONS = {
    "Save": NodeDefinition("Save", (InputSpec("prefix", "STRING"), InputSpec("images", "IMAGE"))),
    "Blur": NodeDefinition("Blur", (InputSpec("n", "INT"), InputSpec("mode", ["box", "7"], False))),
}
PROMPT: dict[str, Any] = {
    "1": {"class_type": "Blur", "inputs": {"n": ["3", 0]}, "_meta": {"title": "Blur v1.5"}},
    "2": {"class_type": "Blur", "inputs": {"n": 1}, "_meta": {"title": "blur V1.5"}},
    "3": {"class_type": "Other", "inputs": {"text": "old", "size": 2}, "_meta": {"title": "Blur v1"}},
    "4": {"class_type": "Save", "inputs": {"prefix": "x"}},
    "12:5": {"class_type": "Deep", "inputs": {"a.b": 1}},
}


def changed(*assignments: str) -> dict[str, Any]:
    after = apply_overrides(PROMPT, DEFINITIONS, assignments)
    return {
        f"{key}.{name}": value
        for key, node in after.items()
        for name, value in node["inputs"].items()
        if PROMPT[key]["inputs"].get(name) != value
    }


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("2.n=5", {"2.n": 5}),
        ("1.n=5", {"1.n": 5}),  # replaces a link
        ("Blur v1.5.n=5", {"1.n": 5}),  # title, as written, before other cases
        ("blur V1.5.n=5", {"2.n": 5}),
        ("Blur v1.size=3", {"3.size": 3}),
        ("Save.prefix=a=b", {"4.prefix": "a=b"}),  # the first = only
        ("SAVE.prefix=7", {"4.prefix": "7"}),  # STRING stays text
        ("4.prefix=", {"4.prefix": ""}),
        ("4.prefix=@@home", {"4.prefix": "@home"}),
        ("2.mode=box", {"2.mode": "box"}),
        ("2.mode=7", {"2.mode": "7"}),  # a choice as it stands
        ('2.mode="box"', {"2.mode": "box"}),
        ("2.mode=other", {"2.mode": "other"}),  # validation will say
        ('2.mode=["a", 0]', {"2.mode": {"__value__": ["a", 0]}}),  # a list is a value, never a link
        ("3.text=[1]", {"3.text": "[1]"}),  # unknown class: the value there tells the type
        ("12:5.a.b=2", {"12:5.a.b": 2}),
    ],
)
def test_assignments(assignment: str, expected: dict[str, Any]) -> None:
    assert changed(assignment) == expected


def test_later_assignments_win_and_the_prompt_given_is_not_changed() -> None:
    assert changed("2.n=5", "2.n=6") == {"2.n": 6}
    assert PROMPT["2"]["inputs"] == {"n": 1}


def test_files_are_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_text("caf\u00e9\n", encoding="utf-8")
    assert changed(f"4.prefix=@{path}") == {"4.prefix": "caf\u00e9\n"}
    path.write_text(" 8 ", encoding="utf-8")
    assert changed(f"2.n=@{path}") == {"2.n": 8}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("2.n", "--set: '2.n'; expected NODE.INPUT=VALUE."),
        ("n=2", "--set: 'n=2'; expected NODE.INPUT=VALUE."),
        ("Sve.prefix=x", "--set Sve.prefix: unknown node 'Sve'; expected the id, the title or the class of a node. Did you mean 'Save'?"),
        ("Blur.n=1", "--set Blur.n: 'Blur' means 2 nodes, 1, 2; expected one. Use its id."),
        ("4.prefx=x", "--set 4.prefx: unknown input 'prefx' of node 4 (Save); expected one of prefix, images. Did you mean 'prefix'?"),
        ("2.n=many", "--set 2.n: 'many' cannot be read; expected INT, written as JSON."),
        ("2.n=@nowhere", "--set 2.n: nowhere cannot be read (No such file or directory); expected a text file."),
    ],
)  # fmt: skip
def test_mistakes_are_explained(assignment: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        changed(assignment)
    assert str(caught.value) == message
