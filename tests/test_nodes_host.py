"""Tests of `nodes/host.py` and `nodes/naming.py`, headless and with a fake of ComfyUI's modules."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from llmseg.errors import InputError
from llmseg.writer import BackgroundWriter


def change(host: Any, **values: Any) -> None:
    """Replace fields of the headless host; the fixture restores the one before."""
    now = host.use_headless(None)
    host.use_headless(dataclasses.replace(now, **values))


def test_host_is_comfyui_only_while_its_server_runs(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "server", raising=False)
    assert not host.in_comfyui()
    module = ModuleType("server")
    monkeypatch.setitem(sys.modules, "server", module)
    assert not host.in_comfyui()
    module.__dict__["PromptServer"] = type("PromptServer", (), {})
    assert not host.in_comfyui()
    module.__dict__["PromptServer"].instance = None
    assert not host.in_comfyui()
    module.__dict__["PromptServer"].instance = object()
    assert host.in_comfyui()


def test_importing_the_core_nodes_imports_no_torch_numpy_or_pillow() -> None:
    folder = Path(__file__).resolve().parent
    code = (
        f"import sys; sys.path[:0] = [{str(folder)!r}, {str(folder.parent)!r}]; import importlib\n"
        "from types import ModuleType\n"
        "package = sys.modules['p'] = ModuleType('p')\n"
        f"package.__path__ = [{str(folder.parent / 'nodes')!r}]\n"
        "core = importlib.import_module('p.core')\n"
        "[node.INPUT_TYPES() for node in core.CORE_NODES.values()]\n"
        "assert len(core.CORE_NODES) >= 6\n"
        "print(sorted({'torch', 'numpy', 'PIL', 'folder_paths', 'comfy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_use_headless_answers_the_host_before(host: Any, tmp_path: Path) -> None:
    first, second = (host.HeadlessHost(tmp_path / n, tmp_path, tmp_path) for n in "ab")
    host.use_headless(first)
    assert host.use_headless(second) is first


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.png", "input/x.png"),
        ("sub/x.png", "input/sub/x.png"),
        ("sub/../x.png", "input/x.png"),
        ("x.png [input]", "input/x.png"),
        ("sub/x.png [output]", "output/sub/x.png"),
        ("x.png [temp]", "temp/x.png"),
        ("x.png_[temp]", "temp/x.png"),  # one character before the bracket is cut, whatever it is
        ("x [other]", "input/x [other]"),
        ("[input].png", "input/[input].png"),
    ],
)
def test_input_path_reads_annotated_names(host: Any, tmp_path: Path, name: str, expected: str) -> None:
    assert host.input_path(name) == (tmp_path / expected).resolve()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../x.png", "image: path '../x.png' leaves the input folder; expected a file inside it."),
        ("a/../../x [temp]", "image: path 'a/../../x' leaves the temp folder; expected a file inside it."),
        ("/etc/passwd", "image: path '/etc/passwd' leaves the input folder; expected a file inside it."),
        ("../input2/x", "image: path '../input2/x' leaves the input folder; expected a file inside it."),
        ("x [output", None),
    ],
)
def test_input_path_stays_inside_its_root(host: Any, name: str, message: str | None) -> None:
    if message is None:
        host.input_path(name)
        return
    with pytest.raises(InputError) as caught:
        host.input_path(name)
    assert str(caught.value) == message


LONE = pytest.param("\ud800.png", marks=pytest.mark.skipif(os.name == "nt", reason="Windows allows it"))


@pytest.mark.parametrize("name", ["a\0b.png", LONE])
def test_input_path_refuses_names_that_no_file_can_have(host: Any, name: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"image: path {name!r} ")):
        host.input_path(name)


@pytest.mark.skipif(os.name == "nt", reason="making links needs rights on Windows")
def test_links_are_followed_before_the_guard(nodes: Any, host: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"")
    (tmp_path / "input" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "output" / "away").symlink_to(tmp_path)
    (tmp_path / "input" / "loop").symlink_to(tmp_path / "input" / "loop")
    with pytest.raises(InputError, match=r"path 'link\.png' leaves the input folder"):
        host.input_path("link.png")
    with pytest.raises(InputError, match="path 'away/x' leaves the output folder"):
        host.save_target("away/x")
    with pytest.raises(InputError, match="'loop'"):  # refused here or there, as Python's version has it
        nodes("core.loading").image_file("loop")


def test_only_files_typed_by_the_person_may_lie_elsewhere(host: Any, tmp_path: Path) -> None:
    typed = tmp_path / "photo.jpg"
    change(host, trusted_files=frozenset({typed}))
    assert host.input_path(str(typed)) == typed
    assert [host.is_trusted(name) for name in (str(typed), "photo.jpg")] == [True, False]
    with pytest.raises(InputError, match="leaves the input folder"):
        host.input_path(str(tmp_path / "other.jpg"))


def test_a_url_that_the_person_typed_means_its_copy_and_no_other_does(host: Any, nodes: Any, tmp_path: Path) -> None:
    change(host, fetched_files={"s3://bucket/a.png": tmp_path / "copy.png"})
    assert host.input_path("s3://bucket/a.png") == tmp_path / "copy.png"
    for name in ("s3://bucket/b.png", "file:///etc/a.png", "https://host/a.png"):
        assert host.input_path(name).is_relative_to((tmp_path / "input").resolve()), "a file of a strange name"
        with pytest.raises(InputError, match="no file '"):
            nodes("core.loading").image_file(name)


def test_list_inputs_is_sorted_and_flat(host: Any, tmp_path: Path) -> None:
    folder = tmp_path / "input"
    for name in ("b.PNG", "a.jpg", "notes.txt"):
        (folder / name).write_bytes(b"")
    (folder / "folder.png").mkdir()
    assert host.list_inputs((".png", ".jpg")) == ["a.jpg", "b.PNG"]
    change(host, input_folder=tmp_path / "missing")
    assert host.list_inputs((".png",)) == []


@pytest.mark.parametrize(
    ("existing", "counter"),
    [
        ([], 1),
        (["x_00001_.png", "x_00007_.png"], 8),
        (["x_3.png", "x_5"], 6),
        (["x_b_00009_.png", "xx_00009_.png", "x_9a_.png", "x-9_.png"], 1),
        (["x_00002_.txt", "x_000100_anything.png"], 101),
    ],
)
def test_counter_is_one_more_than_the_highest(host: Any, tmp_path: Path, existing: list[str], counter: int) -> None:
    for name in existing:
        (tmp_path / "output" / name).write_bytes(b"")
    target = host.save_target("x")
    assert (target.stem, target.counter, target.subfolder, target.kind) == ("x", counter, "", "output")
    assert target.folder == (tmp_path / "output").resolve()


def test_save_target_makes_the_subfolder(host: Any, tmp_path: Path) -> None:
    target = host.save_target("a/./b/x", "temp")
    assert target.folder == (tmp_path / "temp" / "a" / "b").resolve()
    assert target.folder.is_dir()
    assert (target.subfolder, target.kind) == (os.path.join("a", "b"), "temp")  # noqa: PTH118


def test_tokens_are_filled(host: Any) -> None:
    stem = host.save_target("%width%x%height%_%year%%month%%day%_%hour%%minute%%second%_%other%", "output", 640, 48)
    assert re.fullmatch(r"640x48_\d{8}_\d{6}_%other%", stem.stem)


def test_filename_counts_and_fills_the_batch_number(nodes: Any) -> None:
    target = nodes("naming").SaveTarget(Path(), "x%batch_num%", 9, "", "output")
    assert [target.filename(0), target.filename(1, ".json")] == ["x0_00009_.png", "x1_00010_.json"]


@pytest.mark.parametrize("prefix", ["../x", "a/../../x", "/tmp/x", "%width%/../../x"])
def test_save_target_stays_inside_and_makes_nothing_outside(host: Any, tmp_path: Path, prefix: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as caught:
        host.save_target(prefix)
    assert str(caught.value) == (
        f"filename_prefix: path {prefix!r} leaves the output folder; expected a name inside it."
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_save_target_refuses_a_zero_byte_and_a_file_in_the_way(host: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"filename_prefix: path 'x.x00'"):
        host.save_target("x\0")
    (tmp_path / "output" / "a").write_bytes(b"")
    with pytest.raises(InputError, match=r"^filename_prefix: cannot make folder 'a': "):
        host.save_target("a/x")


def test_device_and_metadata_are_the_chosen_ones(host: Any) -> None:
    assert (host.torch_device(), host.metadata_enabled()) == (torch.device("cpu"), True)
    change(host, device="meta", save_metadata=False)
    assert (host.torch_device(), host.metadata_enabled()) == (torch.device("meta"), False)
    change(host, device="gpu")
    with pytest.raises(InputError) as caught:
        host.torch_device()
    assert str(caught.value) == (
        "device: 'gpu' cannot be used here; expected a device of this machine such as cpu, cuda or mps."
    )


def test_model_folders_come_from_the_variable(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMSEG_MODELS", raising=False)
    assert host.model_folders() == [Path("models/llmseg"), Path(os.environ["LLMSEG_DATA"], "models")]
    monkeypatch.setenv("LLMSEG_MODELS", os.pathsep.join(["a", "", "b"]))
    assert host.model_folders() == [Path("a"), Path("b")]
    assert host.model_kinds() == [], "kinds are ComfyUI's"


def test_comfyui_answers_while_it_runs(host: Any, comfyui: SimpleNamespace) -> None:
    root = comfyui.root
    assert host.input_path("x.png [output]") == (root / "output" / "x.png").resolve()
    (root / "input" / "a.png").write_bytes(b"")
    assert host.list_inputs((".png",)) == ["a.png"]
    assert host.torch_device() == torch.device("meta")
    assert not host.metadata_enabled()
    assert host.model_folders() == [root / "models" / "llmseg", root / "cv"]
    assert host.model_kinds() == ["llmseg", "clip_vision"], "our own first"
    sys.modules["folder_paths"].add_model_folder_path("llmseg", str(root / "elsewhere"))
    assert host.model_folders()[1] == root / "elsewhere", "whoever adds one: extra_model_paths.yaml, or a pack"


def test_paths_are_guarded_in_comfyui_too(host: Any, comfyui: SimpleNamespace, tmp_path: Path) -> None:
    target = host.save_target("x", "output", 6, 4)
    assert (target.folder, target.counter) == (comfyui.root / "output", 42)
    change(host, trusted_files=frozenset({tmp_path / "x.png"}))
    for call in (host.input_path, host.save_target):
        with pytest.raises(InputError, match=r"put folder; expected a (file|name) inside it"):
            call("../x.png")
    assert not host.is_trusted(str(tmp_path / "x.png"))
    with pytest.raises(InputError, match="leaves the input folder"):
        host.input_path(str(tmp_path / "x.png"))  # trust is the headless runner's
    change(host, fetched_files={"s3://bucket/a.png": tmp_path / "x.png"})
    assert host.input_path("s3://bucket/a.png") != tmp_path / "x.png"


def test_only_files_of_a_run_are_left_to_the_writer(host: Any, tmp_path: Path) -> None:
    output, temp = tmp_path / "run", tmp_path / "shown"
    for folder in (output, temp):
        folder.mkdir()
    with BackgroundWriter() as writer:
        change(host, output_folder=output, temp_folder=temp, writer=writer)
        may_end = threading.Event()

        def make() -> bytes:
            assert may_end.wait(30)
            return b"of a run"

        host.write_file(output / "a.png", make)
        host.write_file(temp / "b.png", lambda: b"a preview")
        assert (output / "a.png").read_bytes() == b""
        assert (temp / "b.png").read_bytes() == b"a preview", "which everybody sees"
        may_end.set()
        host.input_path("a.png [output]")
        assert (output / "a.png").read_bytes() == b"of a run", "whoever reads it waits"
