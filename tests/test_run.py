"""The command line: exit codes, overrides, what goes to which stream."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from llmseg.run import main

ROOT = Path(__file__).parent.parent
QUICKSTART = ROOT / "workflows" / "quickstart.json"

PREVIEW = {"1": {"class_type": "PreviewAny", "inputs": {"source": "hello"}}}


def write(path: Path, prompt: dict[str, Any]) -> str:
    path.write_text(json.dumps(prompt), encoding="utf-8")
    return str(path)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")


def test_results_on_stdout_and_progress_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(tmp_path / "w.json", PREVIEW)]) == 0
    out, err = capsys.readouterr()
    assert out == "hello\n"
    assert "Preview" in err
    assert "1 nodes executed, 0 cached" in err


def test_set_by_title_changes_the_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main([str(QUICKSTART), "--set", "Class Names.text=dog, grass, sky", "--output", str(tmp_path)])
    assert code == 0
    written = sorted(path.name for path in (tmp_path / "quickstart").iterdir())
    assert [name for name in written if "mask" in name] == [
        f"park_00001_mask_{name}.png" for name in ("dog", "grass", "sky")
    ]
    listed = [line.removeprefix("wrote ") for line in capsys.readouterr().out.splitlines()]
    assert sorted(listed) == sorted(str(tmp_path / "quickstart" / name) for name in written)


def test_set_reads_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "names.txt").write_text("dog\ngrass\nsky", encoding="utf-8")
    main([str(QUICKSTART), "--set", f"Class Names.text=@{tmp_path / 'names.txt'}", "--print-prompt"])
    prompt = json.loads(capsys.readouterr().out)
    assert prompt["1"]["inputs"]["text"] == "dog\ngrass\nsky"


def test_an_unknown_title_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(QUICKSTART), "--set", "Clas Names.text=dog", "--check"]) == 2
    assert "Did you mean 'Class Names'?" in capsys.readouterr().err


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(PREVIEW).encode())))
    assert main(["-"]) == 0
    assert capsys.readouterr().out == "hello\n"


def test_json_events_are_one_object_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(QUICKSTART), "--json", "--output", str(tmp_path)]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    finished = [event["class_type"] for event in events if event["event"] == "finished"]
    assert len(finished) == 13
    assert events[-1]["event"] == "done"
    assert events[-1]["success"] is True
    assert all(Path(name).is_file() for name in events[-1]["files"])
    assert any(event["event"] == "progress" and event["value"] == event["max"] for event in events)


def test_a_failing_node_ends_with_1_and_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "broken.png"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    arguments = [write(tmp_path / "w.json", prompt), "--input-dir", str(tmp_path), "--output", str(tmp_path / "out")]
    assert main(arguments) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: w.json, node 1 (LoadImage)")
    assert not list((tmp_path / "out").rglob("*.png"))


def test_debug_shows_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere.json"), "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_bad_output_is_left_out_and_the_others_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = {**PREVIEW, "2": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}}
    file = write(tmp_path / "w.json", prompt)
    assert main([file]) == 3
    out, err = capsys.readouterr()
    assert out == "hello\n"
    assert "error: w.json, node 2 (SaveImage), input 'images': missing; expected IMAGE." in err
    assert main([file, "--check"]) == 2


def test_a_path_that_the_person_typed_is_trusted(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.new("RGB", (4, 3), (255, 0, 0)).save(elsewhere / "red.png")
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    base = [write(tmp_path / "w.json", prompt), "--input-dir", str(tmp_path), "--output", str(tmp_path / "out")]
    assert main([*base, "--set", f"1.image={elsewhere / 'red.png'}"]) == 0
    assert Image.open(tmp_path / "out" / "x_00001_.png").getpixel((0, 0)) == (255, 0, 0)
    # The same path inside the file is refused: the file's author is not the person at the keyboard.
    prompt["1"]["inputs"]["image"] = str(elsewhere / "red.png")
    base[0] = write(tmp_path / "w2.json", prompt)
    (tmp_path / "input").mkdir()
    base[2] = str(tmp_path / "input")
    assert main(base) == 2


def test_no_workflow_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert (
        capsys.readouterr().err == "error: usage: no workflow; expected the path of a file, or - for standard input.\n"
    )


def test_list_nodes_names_ours_and_the_stand_ins(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-nodes"]) == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert {"LLMSegSegment", "LLMSegClassNames", "LoadImage", "SaveImage", "PreviewAny", "ImageScale"} <= listed


def test_object_info_stands_in_for_classes_that_are_not_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = {"Foreign": {"input": {"required": {"size": ["INT", {"default": 3}]}}, "output": [], "name": "Foreign"}}
    (tmp_path / "info.json").write_text(json.dumps(info), encoding="utf-8")
    editor = {"nodes": [{"id": 1, "type": "Foreign", "widgets_values": [5]}], "links": [], "version": 0.4}
    file = write(tmp_path / "w.json", editor)
    assert main([file, "--print-prompt", "--object-info", str(tmp_path / "info.json")]) == 0
    assert json.loads(capsys.readouterr().out)["1"]["inputs"] == {"size": 5}


def test_only_running_imports_torch() -> None:
    check = "import sys; from llmseg.run import main; code = main({!r}); sys.exit(code or 9 * ('torch' in sys.modules))"
    for arguments in (["--list-nodes"], [str(QUICKSTART), "--check"], [str(QUICKSTART), "--print-prompt"]):
        assert python("-c", check.format(arguments)).returncode == 0, arguments


def test_a_reader_that_leaves_causes_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "llmseg.run", "--list-nodes"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.wait()


def test_the_module_runs_as_a_command() -> None:
    result = python("-m", "llmseg.run", "--version")
    assert result.stdout.startswith("llmseg ")
    assert result.returncode == 0


def test_a_warning_of_the_library_reaches_the_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        str(QUICKSTART),
        "--output",
        str(tmp_path),
        "--set",
        "Expand Class Names.subclasses=dog: poodle, gizmo",
    ]
    assert main(arguments) == 0
    warning = "the model 'emoji-world' does not know every word of gizmo (dog); left out."
    assert f"warning: {warning}\n" in capsys.readouterr().err
    assert main([*arguments, "--json"]) == 0
    assert json.dumps({"event": "warning", "message": warning}) in capsys.readouterr().out.splitlines()


def test_standard_input_that_is_no_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{\xff\xfe}")))
    assert main(["-"]) == 2
    assert capsys.readouterr().err == "error: standard input: byte 1 is not UTF-8; expected a JSON text file.\n"


def test_a_title_need_not_be_stored_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    editor = json.loads(QUICKSTART.read_text(encoding="utf-8"))
    for node in editor["nodes"]:
        node.pop("title", None)
    file = write(tmp_path / "w.json", editor)
    assert main([file, "--set", "Class Names.text=dog", "--print-prompt"]) == 0
    assert json.loads(capsys.readouterr().out)["1"]["inputs"]["text"] == "dog"


def test_a_device_that_cannot_be_used_is_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(QUICKSTART), "--device", "cudax", "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "error: device: 'cudax' cannot be used here; expected a device of this machine such as cpu, cuda or mps.\n"
    )
    assert not list(tmp_path.iterdir())


def test_a_title_cannot_forge_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = {"1": {**PREVIEW["1"], "_meta": {"title": "fine\nerror: forged\x1b[31m"}}}
    assert main([write(tmp_path / "w.json", prompt)]) == 0
    err = capsys.readouterr().err
    assert r"fine\nerror: forged\x1b[31m" in err
    assert "\x1b" not in err


def test_not_a_number_is_a_bad_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(QUICKSTART), "--check", "--set", "Label Pixels.threshold=NaN"]
    assert main(arguments) == 2
    assert "input 'threshold': nan; expected a number." in capsys.readouterr().err
