"""`--images` and `--output` with URLs: the real command, a store in memory, and no secret anywhere."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from conformance_workflows import SIZES, Command, call
from folder_store import register
from PIL import Image

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
WORKFLOW = {
    "1": call("LoadImage", image="x.png"),
    "2": call("SaveImage", images=["1", 0], filename_prefix="x"),
    "3": call("EmptyImage", color=255, **SIZES),
}
SECRET = "s3cr3t"


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


def picture(color: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), color).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def bucket() -> Iterator[Any]:
    """A store in memory with three pictures and a text."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    for name, color in (("a.png", RED), ("b.png", GREEN), ("more/c.png", BLUE)):
        files.pipe_file(f"/in/{name}", picture(color))
    files.pipe_file("/in/notes.txt", b"no picture")
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def records(bucket: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in bucket.cat_file("/out/manifest.jsonl").decode().splitlines()]


def written(bucket: Any) -> list[str]:
    return [key.removeprefix("/out/") for key in bucket.find("/out")]


def test_from_a_store_into_a_store(command: Command, bucket: Any, own_data: Path) -> None:
    outcome = command.run(WORKFLOW, "--images", "memory://in", "--output", "memory://out")
    assert (outcome.code, outcome.err) == (0, "")
    assert written(bucket) == ["a/x_00001_.png", "b/x_00001_.png", "manifest.jsonl", "more/c/x_00001_.png"]
    names = ["memory://in/a.png", "memory://in/b.png", "memory://in/more/c.png"]
    assert [record["image"] for record in records(bucket)] == names
    assert [event["path"] for event in outcome.all("image")] == names
    assert [event["files"] for event in outcome.all("done")] == [
        [f"memory://out/{file}" for file in record["files"]] for record in records(bucket)
    ]
    for name, color, key in zip(names, (RED, GREEN, BLUE), ("a", "b", "more/c"), strict=True):
        with Image.open(io.BytesIO(bucket.cat_file(f"/out/{key}/x_00001_.png"))) as image:
            assert image.convert("RGB").getpixel((0, 0)) == color
            assert json.loads(image.text["prompt"])["1"]["inputs"] == {"image": name}  # type: ignore[attr-defined]
            assert str(own_data) not in image.text["prompt"]  # type: ignore[attr-defined]
    assert not [path for path in own_data.rglob("*") if path.is_file() and path.suffix in (".png", ".lock")]
    assert command.files() == []


def test_resume_between_stores(command: Command, bucket: Any) -> None:
    arguments = ["--images", "memory://in", "--output", "memory://out", "--resume"]
    bucket.pipe_file("/in/b.png", b"no picture")
    assert ran(command, *arguments) == ["a.png", "b.png", "c.png"]
    assert [record["status"] for record in records(bucket)] == ["done", "failed", "done"]
    assert records(bucket)[1]["error"].startswith("node 1 (LoadImage), image: cannot read 'b.png' ")
    bucket.pipe_file("/in/b.png", picture(GREEN))
    assert ran(command, *arguments) == ["b.png"]
    assert ran(command, *arguments) == []
    bucket.pipe_file("/in/a.png", picture(BLUE))
    assert ran(command, *arguments) == ["a.png"], "another picture under the old name"
    bucket.rm_file("/out/more/c/x_00001_.png")
    assert ran(command, *arguments) == ["c.png"]
    assert len(records(bucket)) == 6


def ran(command: Command, *arguments: str) -> list[str]:
    outcome = command.run(WORKFLOW, *arguments)
    assert outcome.code in (0, 3)
    return [Path(event["path"]).name for event in outcome.all("image")]


def test_from_a_store_into_a_folder_and_back(command: Command, bucket: Any) -> None:
    assert command.run(WORKFLOW, "--images", "memory://in/**/*.png").code == 0
    assert command.files() == ["a/x_00001_.png", "b/x_00001_.png", "manifest.jsonl", "more/c/x_00001_.png"]
    folder = f"file://{command.output.as_posix()}/more"
    assert command.run(WORKFLOW, "--images", folder, "--output", "memory://out").code == 0
    assert written(bucket) == ["c/x_00001_/x_00001_.png", "manifest.jsonl"]
    assert records(bucket)[0]["image"] == str((command.output / "more" / "c" / "x_00001_.png").resolve())
    back = f"file://{(command.folder / 'third').as_posix()}"
    assert command.run(WORKFLOW, "--images", "memory://in/a.png", "--output", back).code == 0
    assert (command.folder / "third" / "a" / "x_00001_.png").is_file()


def test_a_list_of_paths_and_urls(command: Command, bucket: Any) -> None:
    local = command.picture("d.png", BLUE)
    (command.folder / "list.txt").write_text(f"memory://in/a.png\n{local}\n", encoding="utf-8")
    outcome = command.run(WORKFLOW, "--images", f"@{command.folder / 'list.txt'}", "--output", "memory://out")
    assert outcome.code == 0
    assert [record["image"] for record in records(bucket)] == ["memory://in/a.png", str(local.resolve())]


def test_only_looking_writes_nothing(command: Command, bucket: Any, own_data: Path) -> None:
    arguments = ["--images", "memory://in/a.png", "--output", "memory://out"]
    printed = command.prompt(WORKFLOW, *arguments)
    assert printed["1"]["inputs"] == {"image": "memory://in/a.png"}
    assert command.run(WORKFLOW, *arguments, "--check").code == 0
    assert written(bucket) == []
    assert not list(own_data.rglob("*.png"))


def test_a_workflow_names_no_url(command: Command, bucket: Any) -> None:
    prompt = {**WORKFLOW, "4": call("LoadImage", image="memory://in/b.png"), "5": call("PreviewImage", images=["4", 0])}
    outcome = command.run(prompt)
    assert outcome.code == 2
    assert "no file 'memory://in/b.png'; expected an image in the input folder." in outcome.err
    outcome = command.run(prompt, "--images", "memory://in/a.png", "--bind", "1")
    assert outcome.code == 3, "the person's URL is read, the workflow's is not"
    assert "no file 'memory://in/b.png'; expected an image in the input folder." in outcome.err
    saver = {**WORKFLOW, "2": call("SaveImage", images=["1", 0], filename_prefix="memory://in/stolen")}
    command.run(saver, "--images", "memory://in/a.png", "--output", "memory://out")
    assert not [key for key in bucket.find("/in") if "stolen" in key]


def test_nothing_that_gives_access_is_said_or_kept(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register()
    monkeypatch.setattr("folder_store.Share._strip_protocol", staticmethod(without_user))
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture(RED))
    (folder / "b.png").write_bytes(b"no picture")
    source = f"share://user:{SECRET}@host{folder.as_posix()}"
    output = f"share://user:{SECRET}@host{(tmp_path / 'results').as_posix()}"
    outcome = command.run(WORKFLOW, "--debug", "--images", source, f"{source}/gone.png", "--output", output)
    assert outcome.code == 3
    assert sorted(event["path"] for event in outcome.all("image")) == [
        f"share://host{folder.as_posix()}/{name}.png" for name in ("a", "b", "gone")
    ]
    said = json.dumps(outcome.events) + outcome.err
    assert SECRET not in said
    assert command.run(WORKFLOW, "--debug", "--images", f"{source}/none", "--output", output).code == 2
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) > 3
    for path in kept:
        assert SECRET.encode() not in path.read_bytes(), path
    assert not [path for path in tmp_path.rglob("*") if SECRET in path.name]


def without_user(path: Any) -> str:
    return "/" + str(path).partition("@host/")[2].rstrip("/") if "@host/" in str(path) else str(path).rstrip("/")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "memory://none"], "--images: no image at 'memory://none'; expected a file, a folder or a pattern."),
        (["--images", "memory://in/notes"], "--images: no image at 'memory://in/notes'; expected a file, a folder or a pattern."),
        (["--images", "oci://key:s3cr3t@bucket/x.png"], "--images: 'oci' needs the package ocifs; pip install ocifs"),
        (["--images", "memory://in/a.png", "--output", "oci://key:s3cr3t@bucket"], "output: 'oci' needs the package ocifs; pip install ocifs"),
        (["--images", "memory://in/a.png", "--output", "https://host/x?sig=s3cr3t"], "output: 'https://host/x' can only be read; expected a store such as s3, gs or az."),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(arguments: list[str], message: str, command: Command, bucket: Any) -> None:
    outcome = command.run(WORKFLOW, *arguments)
    assert (outcome.code, outcome.err) == (2, f"error: {message}\n")


def test_a_misspelt_protocol_is_one_line(command: Command, bucket: Any) -> None:
    outcome = command.run(WORKFLOW, "--images", "memroy://in")
    assert outcome.code == 2
    assert outcome.err.startswith("error: --images: unknown name 'memroy'; expected one of ")
    assert outcome.err.endswith(" names. Did you mean 'memory'?\n")


def test_a_single_run_writes_into_a_folder(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(WORKFLOW, "--output", "memory://out")
    assert "--output takes a URL for a batch of images; expected --images too" in capsys.readouterr().err
