"""A saved workflow counts on names, places and choices; no version of this pack may take one away.

After a node got something new: python -m tools.schemas
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools import schemas

STORED = schemas.read_snapshot()
Change = Callable[[dict[str, Any]], Any]


def small_node() -> dict[str, Any]:
    """A node of which every kind of promise can be broken."""
    return {
        "inputs": {
            "image": {"group": "required", "kind": "IMAGE"},
            "mode": {"group": "required", "kind": "COMBO", "default": "a", "choices": ["a", "b"]},
            "amount": {"group": "optional", "kind": "FLOAT", "default": 0.5, "min": 0.0, "max": 1.0},
        },
        "outputs": [{"name": "mask", "type": "MASK", "list": False}, {"name": "text", "type": "STRING", "list": True}],
        "output_node": True,
    }


def reorder(inputs: dict[str, Any], *names: str) -> None:
    items = {name: inputs[name] for name in names}
    inputs.clear()
    inputs.update(items)


def breaks(change: Change) -> list[str]:
    changed = small_node()
    change(changed)
    return schemas.find_breaks({"Node": small_node()}, {"Node": changed})


def test_nothing_that_workflows_count_on_has_gone() -> None:
    assert schemas.find_breaks(STORED, schemas.describe_pack()) == []


def test_the_snapshot_holds_every_node_as_it_is() -> None:
    assert schemas.describe_pack() == STORED, "run python -m tools.schemas"
    assert schemas.SNAPSHOT.read_text(encoding="utf-8") == schemas.format_schemas(STORED)


def test_lists_of_one_machine_are_not_stored() -> None:
    for name in ("LLMSegLoadEncoder", "LLMSegSegment"):
        assert STORED[name]["inputs"]["model"]["choices"] == schemas.MARKER
    assert STORED["LLMSegLLMProfile"]["inputs"]["profile"]["choices"] == schemas.MARKER


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda node: reorder(node["inputs"], "mode", "image", "amount"), "inputs begin with"),
        (lambda node: node["inputs"].pop("amount"), "inputs begin with"),
        (lambda node: node["inputs"].update(size=node["inputs"].pop("amount")), "inputs begin with"),
        (lambda node: node["inputs"].update(new={"group": "required", "kind": "INT"}), "'new' is new and required"),
        (lambda node: node["inputs"]["image"].update(kind="MASK"), "input 'image' is MASK; expected IMAGE"),
        (lambda node: node["inputs"]["amount"].update(group="required"), "expected it to stay optional"),
        (lambda node: node["inputs"]["amount"].update(default=0.1), "has the default 0.1; expected 0.5"),
        (lambda node: node["inputs"]["amount"].update(max=0.9), "has the max 0.9; expected 1.0 or wider"),
        (lambda node: node["inputs"]["amount"].update(min=0.1), "has the min 0.1; expected 0.0 or wider"),
        (lambda node: node["inputs"]["mode"].update(choices=["a"]), "no longer offers 'b'"),
        (lambda node: node["outputs"].reverse(), "outputs begin with"),
        (lambda node: node["outputs"].pop(), "outputs begin with"),
        (lambda node: node["outputs"][1].update(list=False), "outputs begin with"),
        (lambda node: node.update(output_node=False), "is no output node"),
    ],
)
def test_what_breaks_workflows_is_told(change: Change, problem: str) -> None:
    (told,) = breaks(change)
    assert told.startswith("Node: ")
    assert problem in told


@pytest.mark.parametrize(
    "change",
    [
        lambda node: node["inputs"].update(new={"group": "optional", "kind": "INT"}),
        lambda node: node["inputs"]["image"].update(kind="IMAGE,MASK"),
        lambda node: node["inputs"]["mode"].update(choices=["c", "b", "a"]),
        lambda node: node["inputs"]["amount"].update(min=-1.0, max=2.0),
        lambda node: node["outputs"].append({"name": "more", "type": "INT", "list": False}),
    ],
)
def test_what_is_appended_breaks_nothing(change: Change) -> None:
    assert breaks(change) == []


def test_a_node_that_went_is_told() -> None:
    assert schemas.find_breaks({"Node": small_node()}, {}) == ["Node: is gone"]
    assert schemas.find_breaks({}, {"Node": small_node()}) == []


def test_a_break_is_written_only_where_it_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = copy.deepcopy(STORED)
    earlier["LLMSegLabel"]["inputs"]["gone"] = {"group": "optional", "kind": "INT"}
    path = tmp_path / "schemas.json"
    path.write_text(schemas.format_schemas(earlier), encoding="utf-8")
    monkeypatch.setattr(schemas, "SNAPSHOT", path)
    assert schemas.main([]) == 1
    assert capsys.readouterr().err.startswith("LLMSegLabel: inputs begin with")
    assert json.loads(path.read_text(encoding="utf-8")) == earlier
    assert schemas.main(["--accept"]) == 0
    assert json.loads(path.read_text(encoding="utf-8")) == schemas.describe_pack()
