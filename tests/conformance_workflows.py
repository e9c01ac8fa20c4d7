"""Workflows in a few lines, and the command that runs them, for the conformance cases.

Not here: node classes (`conformance_nodes`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from llmseg.run import main

PACK = Path(__file__).with_name("conformance_nodes.py")
INPUT_SIDE, OUTPUT_SIDE = -10, -20  # the edges of a subgraph, as files number them
MUTED, BYPASSED = 2, 4
SECRET = (7, 77, 177)  # the colour of a picture that nobody may reach

Link = tuple[int, int]  # node and output
SIZES = {"width": 4, "height": 3, "batch_size": 1}


def node(
    node_id: Any,
    kind: str,
    values: Any = None,
    /,
    *,
    outputs: str = "",
    mode: int = 0,
    widgets: Sequence[str] = (),
    more: dict[str, Any] | None = None,
    **inputs: Link | None,
) -> dict[str, Any]:
    """A node of a drawing.

    Args:
        node_id: a number or a text.
        kind: its class, or the id of a subgraph.
        values: its `widgets_values`; None for none.
        outputs: types, separated by spaces.
        mode: 0, MUTED or BYPASSED.
        widgets: names of those inputs that belong to a widget.
        more: other fields, such as `properties`.
        inputs: what each input of the file is linked to.
    """
    rows = [
        {"name": name, "type": "*", "link": link, **({"widget": {"name": name}} if name in widgets else {})}
        for name, link in inputs.items()
    ]
    slots = [{"name": kind, "type": kind, "links": []} for kind in outputs.split()]
    stored = {} if values is None else {"widgets_values": values}
    return {"id": node_id, "type": kind, "mode": mode, "inputs": rows, "outputs": slots, **stored, **(more or {})}


def drawn(*nodes: dict[str, Any], subgraphs: Sequence[dict[str, Any]] = (), **more: Any) -> dict[str, Any]:
    """A UI workflow; its nodes' inputs say what they are linked to, the link table is made here."""
    links = [list(row.values()) for row in _connect(nodes)]
    return {"version": 0.4, "nodes": list(nodes), "links": links, "definitions": {"subgraphs": list(subgraphs)}, **more}


def subgraph(key: str, inputs: str, outputs: dict[str, Link], *nodes: dict[str, Any]) -> dict[str, Any]:
    """A subgraph definition.

    Args:
        key: its id.
        inputs: name:type, separated by spaces.
        outputs: type of each output, and what feeds it.
        nodes: linked to the definition's own inputs as to outputs of node INPUT_SIDE.
    """
    links = _connect(nodes)
    for slot, (kind, (origin, number)) in enumerate(outputs.items()):
        row = {"id": 1000 + slot, "origin_id": origin, "origin_slot": number}
        links.append({**row, "target_id": OUTPUT_SIDE, "target_slot": slot, "type": kind})
    return {
        "id": key,
        "name": key,
        "nodes": list(nodes),
        "links": links,
        "inputs": [dict(zip(("name", "type"), one.split(":"), strict=True)) for one in inputs.split()],
        "outputs": [{"name": kind, "type": kind} for kind in outputs],
    }


def _connect(nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The link table; `link` of every input becomes a number, and the outputs learn theirs."""
    by_id = {one["id"]: one for one in nodes}
    rows: list[dict[str, Any]] = []
    for target in nodes:
        for slot, entry in enumerate(target["inputs"]):
            if entry["link"] is None:
                continue
            (origin, number), entry["link"] = entry["link"], len(rows) + 1
            outputs = by_id[origin]["outputs"] if origin in by_id else []
            kind = outputs[number]["type"] if number < len(outputs) else "*"
            if number < len(outputs):
                outputs[number]["links"].append(entry["link"])
            row = {"id": entry["link"], "origin_id": origin, "origin_slot": number}
            rows.append({**row, "target_id": target["id"], "target_slot": slot, "type": kind})
    return rows


def call(class_type: str, /, **inputs: Any) -> dict[str, Any]:
    """A node of a prompt."""
    return {"class_type": class_type, "inputs": inputs}


@dataclass(frozen=True)
class Outcome:
    """What a run of the command answered: the exit code, the events, the lines for people."""

    code: int
    events: list[dict[str, Any]]
    err: str

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every event of a kind."""
        return [event for event in self.events if event["event"] == kind]

    @property
    def executed(self) -> list[str]:
        """Ids of the nodes that ran, in order."""
        return [event["node"] for event in self.all("finished")]

    @property
    def calls(self) -> list[list[Any]]:
        """Node and arguments of every call of a node that shows."""
        return [json.loads(text) for done in self.all("done") for text in done["texts"]]

    @property
    def received(self) -> dict[str, Any]:
        """The arguments of every node that shows and was called once."""
        assert len({node_id for node_id, _ in self.calls}) == len(self.calls)
        return dict(map(tuple, self.calls))

    @property
    def problems(self) -> list[tuple[str, str, str]]:
        """Node, input and type of every problem."""
        return [(one.get("node", ""), one.get("input", ""), one["type"]) for one in self.all("problem")]


class Command:
    """`python -m llmseg.run --nodes ...` in a folder of its own, with `input` and `out` in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        self.input, self.output = folder / "input", folder / "out"
        self.input.mkdir()

    def picture(self, name: str, color: Any = (200, 100, 50), size: tuple[int, int] = (4, 3), **options: Any) -> Path:
        """Write a picture of one colour into the input folder; its mode follows from the colour."""
        path = self.input / name
        Image.new({3: "RGB", 4: "RGBA"}[len(color)], size, color).save(path, **options)
        return path

    def write(self, workflow: dict[str, Any] | Path) -> Path:
        """The file of a workflow."""
        if isinstance(workflow, Path):
            return workflow
        path = self.folder / "workflow.json"
        path.write_text(json.dumps(workflow), encoding="utf-8")
        return path

    def run(self, workflow: dict[str, Any] | Path, *arguments: str) -> Outcome:
        """Run it with `--json`."""
        code = self.main(workflow, "--json", *arguments)
        out, err = self.capsys.readouterr()
        return Outcome(code, [json.loads(line) for line in out.splitlines()], err)

    def prompt(self, workflow: dict[str, Any] | Path, *arguments: str) -> dict[str, Any]:
        """The API form as `--print-prompt` prints it."""
        assert self.main(workflow, "--print-prompt", *arguments) == 0
        printed: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return printed

    def inputs(self, workflow: dict[str, Any] | Path, *arguments: str) -> dict[str, Any]:
        """The inputs of every node of the API form."""
        return {node_id: record["inputs"] for node_id, record in self.prompt(workflow, *arguments).items()}

    def main(self, workflow: dict[str, Any] | Path, *arguments: str) -> int:
        """The exit code alone."""
        folders = ["--nodes", str(PACK), "--input-dir", str(self.input), "--output", str(self.output)]
        return main([str(self.write(workflow)), *folders, *arguments])

    def files(self) -> list[str]:
        """Everything in the output folder, below it too."""
        found = (path for path in self.output.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.output).as_posix() for path in found)

    def pixels(self, name: str) -> tuple[tuple[int, int], bytes]:
        """Size and content of a saved picture."""
        with Image.open(self.output / name) as image:
            return image.size, image.convert("RGB").tobytes()

    def texts(self, name: str) -> dict[str, Any]:
        """What a saved PNG carries."""
        with Image.open(self.output / name) as image:
            return {key: json.loads(text) for key, text in image.text.items()}  # type: ignore[attr-defined]
