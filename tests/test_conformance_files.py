"""Conformance cases 24 and 25, through the command: equal nodes, changed files, names, metadata and guards."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from conformance_workflows import SECRET, SIZES, Command, call, drawn, node
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from llmseg.graph import Executor, ResultCache, read_workflow, validate_prompt
from llmseg.run import load_nodes

EMPTY = call("EmptyImage", color=255, **SIZES)
ROTATED = 6  # EXIF orientation: the camera was turned by a quarter


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    folder = tmp_path / "work"  # so that there is a place outside
    folder.mkdir()
    return Command(folder, capsys)


@pytest.mark.parametrize(
    ("options", "files"), [([], ["x_00001_.png"]), (["--no-cache"], ["x_00001_.png", "x_00002_.png"])]
)
def test_case_24_equal_nodes_run_once(command: Command, options: list[str], files: list[str]) -> None:
    save = call("SaveImage", images=["1", 0], filename_prefix="x")
    outcome = command.run({"1": EMPTY, "2": save, "3": save}, *options)
    assert outcome.code == 0
    assert command.files() == files
    assert [event["node"] for event in outcome.all("cached")] == ([] if options else ["3"])


def stale_picture(command: Command) -> Path:
    """A PNG whose prompt says what its input file held when it was made."""
    prompt = {
        "1": {**call("LoadImage", image="a.png"), "is_changed": ["0" * 64]},
        "2": {**call("SaveImage", images=["1", 0], filename_prefix="x"), "is_changed": None},
    }
    info = PngInfo()
    info.add_text("prompt", json.dumps(prompt))
    path = command.folder / "made.png"
    Image.new("RGB", (2, 2)).save(path, pnginfo=info)
    return path


def test_case_24_a_stale_is_changed_is_not_believed(command: Command) -> None:
    picture = stale_picture(command)
    for number, color in enumerate([(255, 0, 0), (0, 0, 255)], 1):
        command.picture("a.png", color)
        assert command.run(picture).code == 0
        assert command.pixels(f"x_0000{number}_.png") == ((4, 3), bytes(color) * 12)
        assert [set(record) for record in command.texts(f"x_0000{number}_.png")["prompt"].values()] == [
            {"class_type", "inputs"}
        ] * 2


def test_case_24_a_changed_file_is_loaded_again_by_one_executor(command: Command) -> None:
    """What a cache is for, and the one place where believing `is_changed` would show."""
    nodes = load_nodes()
    before = nodes.host.use_headless(nodes.host.HeadlessHost(command.input, command.output, command.output))
    try:
        command.picture("a.png", (255, 0, 0))
        prompt = read_workflow(stale_picture(command)).prompt
        assert prompt is not None
        executor, executed = Executor(nodes.core.CORE_NODES, cache=ResultCache()), []
        for color in [(255, 0, 0), (255, 0, 0), (0, 0, 255)]:
            command.picture("a.png", color)
            validation = validate_prompt(prompt, nodes.core.CORE_NODES)
            executed.append(executor.run(validation.prompt, validation.outputs).executed)
    finally:
        nodes.host.use_headless(before)
    assert executed == [["1", "2"], [], ["1", "2"]]
    assert command.pixels("x_00002_.png") == ((4, 3), bytes((0, 0, 255)) * 12)


def test_case_25_save_naming_metadata_guards(command: Command) -> None:
    editor = drawn(
        node(1, "EmptyImage", [*SIZES.values(), 255], outputs="IMAGE"),
        node(2, "SaveImage", ["a/%date:yyyy%/%width%_x"], images=(1, 0)),
    )
    year = datetime.now().year
    first, second = f"a/{year}/4_x_00001_.png", f"a/{year}/4_x_00002_.png"
    for files in ([first], [first, second]):
        outcome = command.run(editor)
        assert outcome.code == 0
        assert command.files() == files
        assert [Path(name) for name in outcome.all("done")[0]["files"]] == [command.output / files[-1]]
        assert command.texts(files[-1]) == {"prompt": command.prompt(editor), "workflow": editor}


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def refused(command: Command, prompt: dict[str, Any], place: str, problem: str) -> None:
    """Nothing is written, nowhere; the place and the reason are told."""
    command.write(prompt)
    before = everything(command.folder.parent)
    outcome = command.run(prompt)
    assert (outcome.code, [kind for *_, kind in outcome.problems]) == (2, ["custom_validation_failed"])
    assert outcome.err == f"error: workflow.json, {place}: {problem}\n"
    assert everything(command.folder.parent) == before


@pytest.mark.parametrize("prefix", ["../x", "a/../../x", "{folder}/x", "link/x"])
def test_case_25_a_prefix_that_leaves_the_output_folder(command: Command, prefix: str) -> None:
    outside = command.folder / "outside"
    outside.mkdir()
    command.output.mkdir()
    if prefix.startswith("link"):
        link(command.output / "link", outside)
    prefix = prefix.format(folder=outside)
    prompt = {"1": EMPTY, "2": call("SaveImage", images=["1", 0], filename_prefix=prefix)}
    problem = f"path {prefix!r} leaves the output folder; expected a name inside it."
    refused(command, prompt, "node 2 (SaveImage), input 'filename_prefix'", problem)


@pytest.mark.parametrize(
    ("name", "root"),
    [
        ("../../secret.png", "input"),
        ("../../secret.png [input]", "input"),
        ("../../secret.png [output]", "output"),
        ("../../../secret.png [temp]", "temp"),
        ("{secret}", "input"),
        ("link.png", "input"),
        ("link/secret.png", "input"),
    ],
)
def test_case_25_an_image_outside_the_input_folder(command: Command, name: str, root: str) -> None:
    secret = command.folder.parent / "secret.png"
    Image.new("RGB", (4, 3), SECRET).save(secret)
    if name == "link.png":
        link(command.input / name, secret)
    elif name.startswith("link"):
        link(command.input / "link", secret.parent)
    name = name.format(secret=secret)
    prompt = {"1": call("LoadImage", image=name), "2": call("SaveImage", images=["1", 0], filename_prefix="x")}
    bare = name.partition(" [")[0]
    problem = f"path {bare!r} leaves the {root} folder; expected a file inside it."
    refused(command, prompt, "node 1 (LoadImage), input 'image'", problem)


def link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        pytest.skip("links need a right that this user of Windows does not have")


@pytest.mark.parametrize(("orientation", "shape"), [(1, [1, 4, 6, 3]), (ROTATED, [1, 6, 4, 3])])
def test_case_25_an_opaque_jpeg(command: Command, orientation: int, shape: list[int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    command.picture("photo.jpg", (255, 255, 255), (6, 4), exif=exif)
    prompt = {
        "1": call("LoadImage", image="photo.jpg"),
        "2": call("ShowsImage", image=["1", 0], mask=["1", 1]),
    }
    assert command.run(prompt).received["2"] == {
        "image": {"shape": shape, "range": [1.0, 1.0]},
        "mask": {"shape": [1, 64, 64], "range": [0.0, 0.0]},
    }
