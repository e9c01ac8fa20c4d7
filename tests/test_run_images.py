"""`--images` and `--bind`: one workflow over many pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conformance_workflows import SIZES, Command, call

from llmseg.store import try_lock

QUICKSTART = Path(__file__).parent.parent / "workflows" / "quickstart.json"
EMPTY = call("EmptyImage", color=255, **SIZES)


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


def saver(source: str = "1") -> dict[str, Any]:
    return call("SaveImage", images=[source, 0], filename_prefix="x")


ONE_LOADER = {"1": call("LoadImage", image="x.png"), "2": saver(), "3": EMPTY, "4": call("ShowsImage", image=["3", 0])}
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def photos(command: Command) -> Path:
    """Three pictures, one of them in a sub-folder, outside the input folder; and a text that is none."""
    folder = command.folder / "photos"
    (folder / "more").mkdir(parents=True)
    for name, color in (("a.png", RED), ("b.png", GREEN), ("more/c.png", BLUE)):
        command.picture("any.png", color).rename(folder / name)
    (folder / "notes.txt").write_text("no picture", encoding="utf-8")
    return folder


def colors(command: Command) -> list[bytes]:
    """The first pixel of every picture that was written, in the order of the manifest."""
    written = [file for record in records(command) for file in record["files"]]
    assert sorted([*written, "manifest.jsonl"]) == command.files()
    return [command.pixels(name)[1][:3] for name in written]


def records(command: Command) -> list[dict[str, Any]]:
    lines = (command.output / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["."], [RED, GREEN, BLUE]),
        (["*.png"], [RED, GREEN]),
        (["**/*.png"], [RED, GREEN, BLUE]),
        (["*"], [RED, GREEN]),
        (["b.png", "a.png", "b.png"], [GREEN, RED]),
        (["more", "a.png"], [BLUE, RED]),
    ],
)
def test_images(command: Command, photos: Path, names: list[str], expected: list[Any]) -> None:
    outcome = command.run(ONE_LOADER, "--images", *(str(photos / name) for name in names))
    assert outcome.code == 0
    assert colors(command) == [bytes(color) for color in expected]
    told = [(event["number"], event["total"]) for event in outcome.all("image")]
    assert told == [(number + 1, len(expected)) for number in range(len(expected))]
    assert len(outcome.all("done")) == len(expected)


def test_every_image_has_the_files_of_all_outputs(command: Command, photos: Path) -> None:
    outcome = command.run({**ONE_LOADER, "5": saver("3")}, "--images", str(photos))
    assert outcome.code == 0
    for place in ("a", "b", "more/c"):
        assert {f"{place}/x_00001_.png", f"{place}/x_00002_.png"} <= set(command.files()), (
            "also what is the same for all"
        )
    assert outcome.executed.count("3") == 1


def test_images_keep_what_does_not_depend_on_them(command: Command, photos: Path) -> None:
    for options, times in (([], 1), (["--no-cache"], 3)):
        outcome = command.run(ONE_LOADER, "--images", str(photos), *options)
        assert outcome.executed.count("3") == times
        assert outcome.executed.count("1") == 3


@pytest.mark.parametrize("bind", ["5", "Second", "LoadImageMask"])
def test_images_bound_to_one_of_several(command: Command, photos: Path, bind: str) -> None:
    command.picture("x.png", RED)
    second = {**call("LoadImageMask", image="x.png", channel="blue"), "_meta": {"title": "Second"}}
    prompt = {
        "1": call("LoadImage", image="x.png"),
        "2": call("ShowsImage", image=["1", 0], mask=["5", 0]),
        "5": second,
    }
    outcome = command.run(prompt, "--images", str(photos / "a.png"), str(photos / "more"), "--bind", bind)
    assert outcome.code == 0
    assert [values["mask"]["range"] for _, values in outcome.calls] == [[0.0, 0.0], [1.0, 1.0]]
    assert [values["image"]["shape"] for _, values in outcome.calls] == [[1, 3, 4, 3]] * 2


def test_images_need_one_loader(command: Command, photos: Path) -> None:
    prompt = {**ONE_LOADER, "5": call("LoadImage", image="x.png"), "6": saver("5")}
    outcome = command.run(prompt, "--images", str(photos))
    message = "workflow.json, --images: 2 nodes load images, 1, 5; expected one. Name it with --bind."
    assert (outcome.code, outcome.err) == (2, f"error: {message}\n")
    outcome = command.run(prompt, "--images", str(photos), "--bind", "2")
    message = "workflow.json, --bind: '2' (SaveImage) loads no image; expected an image loader."
    assert (outcome.code, outcome.err) == (2, f"error: {message}\n")
    outcome = command.run(prompt, "--images", str(photos / "*.jpg"))
    message = f"--images: no image at {str(photos / '*.jpg')!r}; expected a file, a folder or a pattern."
    assert (outcome.code, outcome.err) == (2, f"error: {message}\n")
    assert command.files() == []
    with pytest.raises(SystemExit, match="2"):
        command.main(prompt, "--bind", "1")


def test_images_go_on_after_a_broken_one(command: Command, photos: Path) -> None:
    (photos / "b.png").write_bytes(b"no picture")
    outcome = command.run(ONE_LOADER, "--images", str(photos))
    assert outcome.code == 3
    assert colors(command) == [bytes(RED), bytes(BLUE)]
    failed = [event["node"] for event in outcome.all("failed")]
    assert failed == ["1"]
    assert outcome.err.splitlines()[-1] == f"error: 1 of 3 images failed: {photos.resolve() / 'b.png'}"
    for name in ("a.png", "more/c.png"):
        (photos / name).write_bytes(b"no picture")
    assert command.run(ONE_LOADER, "--images", str(photos)).code == 1


def test_images_take_the_place_of_an_example(command: Command, photos: Path) -> None:
    image = str((photos / "a.png").resolve())
    arguments = [QUICKSTART, "--images", image]
    loader = command.prompt(*arguments)["5"]
    assert (loader["class_type"], loader["inputs"]) == ("LoadImage", {"image": image})
    outcome = command.run(*arguments)
    assert outcome.code == 0
    assert command.pixels("a/quickstart/park_00001_labels.png")[0] == (4, 3)
    classes = {event["class_type"] for event in outcome.all("finished")}
    assert "LoadImage" in classes
    assert "LLMSegExampleImage" not in classes


def test_results_lie_under_the_names_of_their_images_and_the_manifest_tells_of_each(
    command: Command, photos: Path
) -> None:
    assert command.run(ONE_LOADER, "--images", str(photos)).code == 0
    assert command.files() == ["a/x_00001_.png", "b/x_00001_.png", "manifest.jsonl", "more/c/x_00001_.png"]
    told = records(command)
    assert [record["image"] for record in told] == [
        str(photos.resolve() / name) for name in ("a.png", "b.png", "more/c.png")
    ]
    assert [record["files"] for record in told] == [["a/x_00001_.png"], ["b/x_00001_.png"], ["more/c/x_00001_.png"]]
    assert {record["status"] for record in told} == {"done"}
    assert len({record["workflow"] for record in told}) == 1
    assert len({record["sha256"] for record in told}) == 3


def test_classes_of_saved_labels_are_in_the_manifest(command: Command, photos: Path) -> None:
    assert command.run(QUICKSTART, "--images", str(photos / "a.png"), "--set", "Class Names.text=grass, sky").code == 0
    (record,) = records(command)
    assert set(record["classes"]) == {"grass", "sky"}
    assert sum(record["classes"].values()) == pytest.approx(1)


def test_resume_runs_what_is_new_changed_failed_or_gone(command: Command, photos: Path) -> None:
    images = ["--images", str(photos), "--resume"]
    (photos / "b.png").write_bytes(b"no picture")
    assert command.run(ONE_LOADER, *images).code == 3
    assert records(command)[1]["status"] == "failed"
    assert "b.png" in records(command)[1]["error"]
    assert ran(command, ONE_LOADER, *images) == ["b.png"], "what failed is tried again"
    command.picture("any.png", GREEN).replace(photos / "b.png")
    assert ran(command, ONE_LOADER, *images) == ["b.png"]
    assert ran(command, ONE_LOADER, *images) == []
    command.picture("any.png", BLUE).replace(photos / "a.png")
    assert ran(command, ONE_LOADER, *images) == ["a.png"], "another picture under the old name"
    command.picture("any.png", RED).replace(photos / "d.png")
    assert ran(command, ONE_LOADER, *images) == ["d.png"]
    (command.output / "d" / "x_00001_.png").unlink()
    assert ran(command, ONE_LOADER, *images) == ["d.png"]
    other = {**ONE_LOADER, "2": call("SaveImage", images=["1", 0], filename_prefix="y")}
    assert ran(command, other, *images) == ["a.png", "b.png", "d.png", "c.png"], "another workflow"
    assert command.files() == [f"{name}/y_00001_.png" for name in ("a", "b", "d")] + [
        "manifest.jsonl",
        "more/c/y_00001_.png",
    ]


def ran(command: Command, *arguments: Any) -> list[str]:
    outcome = command.run(*arguments)
    assert outcome.code in (0, 1, 3)
    return [Path(event["path"]).name for event in outcome.all("image")]


def test_without_resume_everything_runs_again_into_the_same_places(command: Command, photos: Path) -> None:
    for _ in range(2):
        assert command.run(ONE_LOADER, "--images", str(photos)).code == 0
    assert len(command.files()) == 4
    assert len(records(command)) == 6


def test_two_batches_do_not_share_a_folder(command: Command, photos: Path) -> None:
    lock = try_lock(command.output / ".llmseg" / "lock")
    assert lock is not None
    outcome = command.run(ONE_LOADER, "--images", str(photos))
    lock.release()
    message = f"output: another run writes into {str(command.output)!r}; expected a folder of its own."
    assert (outcome.code, outcome.err) == (2, f"error: {message}\n")


def test_resume_needs_images(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(ONE_LOADER, "--resume")
    assert "--resume goes on with a batch of images; expected --images too" in capsys.readouterr().err
