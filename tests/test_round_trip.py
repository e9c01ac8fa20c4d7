"""A picture that a run saved is a workflow file itself: it runs again, with the same pixels and the same metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conformance_workflows import BYPASSED, INPUT_SIDE, Command, call, drawn, node, subgraph
from PIL import Image

QUICKSTART = Path(__file__).parent.parent / "workflows" / "quickstart.json"
SAVED = "saved_00001_.png"

PROMPT = {
    "1": call("LoadImage", image="a.png"),
    "2": {**call("ImageInvert", image=["1", 0]), "_meta": {"title": "Größe 語 😀"}},
    "3": call("ImageScale", image=["2", 0], upscale_method="area", width="9", height=7, crop="disabled"),  # "9": a text
    "4": call("SaveImage", images=["3", 0], filename_prefix="saved"),
    "5": call("ShowsChoices", choices={"__value__": ["a", 0]}),
}


def editor() -> dict[str, Any]:
    """A drawing that needs every step of the conversion."""
    scale = node(
        5,
        "ImageScale",
        ["area", 3, 7, "disabled"],
        image=(INPUT_SIDE, 1),
        width=(INPUT_SIDE, 0),
        widgets=["width"],
        outputs="IMAGE",
    )
    return drawn(
        node(1, "LoadImage", ["a.png", "image"], outputs="IMAGE MASK"),
        node(2, "Reroute", outputs="*", input=(1, 0)),
        node(3, "ImageInvert", outputs="IMAGE", image=(2, 0), more={"title": "Größe 語 😀"}),
        node(4, "ImageInvert", outputs="IMAGE", image=(3, 0), mode=BYPASSED),
        node(12, "sub", [9], outputs="IMAGE", picture=(4, 0)),
        node(13, "SaveImage", ["%ImageInvert.none%saved"], images=(12, 0), more={"title": "Keep"}),
        node(14, "ShowsChoices", [["a", 0]]),
        node(15, "Note", ["about it"]),
        subgraphs=[subgraph("sub", "width:INT picture:IMAGE", {"IMAGE": (5, 0)}, scale)],
        extra={"ds": {"scale": 1.5}},
    )


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    made = Command(tmp_path, capsys)
    gradient = Image.new("RGB", (8, 6))
    gradient.putdata([(x * 30, y * 40, x * y * 7) for y in range(6) for x in range(8)])
    gradient.save(made.input / "a.png")
    return made


def saved_by(command: Command, workflow: Any, *arguments: str, output: str = "out") -> Path:
    """The one picture that a run writes, in a folder of its own."""
    command.output = command.folder / output
    outcome = command.run(workflow, *arguments)
    assert outcome.code == 0, outcome.err
    assert [values["choices"] for _, values in outcome.calls] == [["a", 0]]  # a list is never taken for a link
    (written,) = command.files()
    return command.output / written


@pytest.mark.parametrize("form", ["prompt", "workflow"])
def test_round_trip_of_a_saved_picture(command: Command, form: str) -> None:
    workflow = PROMPT if form == "prompt" else editor()
    first = saved_by(command, workflow)
    carried, pixels = command.texts(first.name), command.pixels(first.name)
    assert pixels[0] == (9, 7)
    printed = command.prompt(workflow)
    if form == "prompt":
        printed["3"]["inputs"]["width"] = 9  # as validation understood the text
    assert carried == {"prompt": printed, **({"workflow": workflow} if form == "workflow" else {})}
    for number, choice in enumerate(
        [[], ["--from", "prompt"], *([["--from", "workflow"]] if form == "workflow" else [])]
    ):
        again = saved_by(command, first, *choice, output=f"again{number}")
        assert again.name == first.name
        assert command.pixels(again.name) == pixels
        assert command.texts(again.name) == carried


def test_round_trip_of_a_shipped_workflow(command: Command) -> None:
    small = ["--set", "Encode Image.resize=64"]  # quick
    assert command.main(QUICKSTART, *small) == 0
    first = command.output
    carried = command.texts("quickstart/overlay_00001_.png")
    assert carried["workflow"] == json.loads(QUICKSTART.read_text(encoding="utf-8"))
    files, names = command.files(), [name for name in command.files() if name.endswith(".png")]
    pixels = [command.pixels(name) for name in names]
    for number, choice in enumerate(["prompt", "workflow"]):
        command.output = command.folder / f"again{number}"
        assert command.main(first / "quickstart" / "overlay_00001_.png", "--from", choice, *small) == 0
        assert command.files() == files
        assert [command.pixels(name) for name in names] == pixels
        assert command.texts("quickstart/overlay_00001_.png") == carried


@pytest.mark.parametrize("form", ["prompt", "workflow"])
def test_round_trip_with_a_changed_input(command: Command, form: str) -> None:
    first = saved_by(command, editor())
    carried = command.texts(first.name)
    again = saved_by(
        command, first, "--from", form, "--set", "12:5.width=5", "--set", "Keep.filename_prefix=b", output="b"
    )
    assert again.name == "b_00001_.png"
    assert command.pixels(again.name)[0] == (5, 7)
    changed = command.texts(again.name)
    assert changed["workflow"] == carried["workflow"]  # the drawing as it was drawn
    assert changed["prompt"]["12:5"]["inputs"].pop("width") == 5
    assert changed["prompt"]["13"]["inputs"].pop("filename_prefix") == "b"
    del carried["prompt"]["12:5"]["inputs"]["width"], carried["prompt"]["13"]["inputs"]["filename_prefix"]
    assert changed["prompt"] == carried["prompt"]


def test_round_trip_without_a_drawing(command: Command) -> None:
    first = saved_by(command, PROMPT)
    outcome = command.run(first, "--from", "workflow")
    assert outcome.code == 2
    assert outcome.err == (
        f"error: {SAVED}: holds no UI workflow; expected one, as asked for. "
        "Leave the choice out to run its API prompt.\n"
    )
