"""The command: from a folder to a table, exit codes, and a process that is killed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from scene_folders import QUICK, write_scenes
from torch import Tensor

from llmseg import evaluate
from llmseg.evaluation.auto_off import split_samples
from llmseg.evaluation.datasets import open_dataset
from llmseg.expansion import load_expansion
from llmseg.store import try_lock

ROOT = Path(__file__).parent.parent
SETTINGS = [part for setting in QUICK for part in ("--set", setting)]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"), 6, first=2)


def run(*arguments: object) -> int:
    return evaluate.main([*map(str, arguments), *SETTINGS])


def events(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def counted(folder: Path) -> Counter[tuple[str, str]]:
    """How often each image of each column stands in the files."""
    return Counter(
        (path.name, json.loads(line)["sample"])
        for path in (folder / "columns").glob("*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    )


def test_a_table(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("folder", scenes, "--output", tmp_path / "out", "--no-report") == 0
    shown = capsys.readouterr()
    assert "| off | " in shown.out
    assert "its placebo: " in shown.out
    assert "6/6  07  4 columns" in shown.err
    assert "images/s" in shown.err
    assert run("folder", scenes, "--output", tmp_path / "out", "--no-report") == 0
    again = capsys.readouterr()
    assert again.err == "", "nothing is computed again"
    assert again.out == shown.out, "and the table is the same"


@pytest.mark.slow
def test_a_report(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("folder", scenes, "--output", tmp_path / "out", "--images", 2) == 0
    told = [line.removeprefix("wrote ") for line in capsys.readouterr().out.splitlines() if line.startswith("wrote ")]
    assert told[0] == str(tmp_path / "out" / "report.html")
    assert all(Path(path).is_file() for path in told)
    page = Path(told[0]).read_text(encoding="utf-8")
    assert "shuffled" in page
    assert "--vary" not in page
    assert "--set refiner=none" in page, "the command that made it"


def test_events_for_programs(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run("folder", scenes, "--output", tmp_path, "--vary", "count=0,2", "--json", "--no-report", "--images", 3) == 0
    )
    told = events(capsys.readouterr().out)
    assert [each["event"] for each in told] == ["image"] * 3 + ["column"] * 2 + ["done"]
    assert [each["computed"] for each in told[:3]] == [2, 2, 2]
    assert told[3]["name"] == "count=0"
    assert told[-1] == {"event": "done", "images": 3, "failed": [], "encoded": 3}


def test_the_baseline_is_the_first_or_the_one_named(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("folder", scenes, "--output", tmp_path, "--no-report", "--images", 1, "--vary", "count=0,2,5")
    assert run(*arguments, "--baseline", "count=5") == 0
    names = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("| count")]
    assert names == ["count=5", "count=0", "count=2"]


def test_all_bad_usage_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run("embeded", "--output", tmp_path / "out", "--vary", "mode=maxx", "--protocol", "scilp_voc21", "--json")
    assert code == 2
    shown = capsys.readouterr()
    assert [line.split(": ")[1] for line in shown.err.splitlines()] == ["protocol", "mode", "dataset"]
    assert shown.err.count("error: ") == 3
    assert [each["event"] for each in events(shown.out)] == ["error"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--calibration", "6"], "calibration: 6 of 6 images; expected fewer than there are."),
        (["--leave-one-out", "sky, sku"], "leave-one-out: unknown name 'sku'"),
        (
            ["--baseline", "of"],
            "baseline: unknown name 'of'; expected one of off, auto, placebo, shuffled. Did you mean",
        ),
        (["--auto-off", "x"], "auto-off: unknown name 'x'"),
        (
            ["--protocol", "sclip_voc21"],
            "protocol: 'sclip_voc21' is for data set 'voc21'; expected that one, not 'folder'.",
        ),
        (["--vary", "expansion=voc2"], "expansion=voc2, expansion: unknown name 'voc2'"),
        (["--vary", "expansion=off", "--calibration", "2"], "columns: no column with a list beside the baseline"),
        (["--device", "nonsense"], "device: cannot use 'nonsense': "),
    ],
)
def test_bad_usage_runs_nothing(
    arguments: list[str], message: str, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("folder", scenes, "--output", tmp_path / "out", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not counted(tmp_path / "out")


def test_one_bad_image_does_not_stop_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes = write_scenes(tmp_path / "scenes", 3)
    (scenes / "images" / "01.png").write_bytes(b"no picture")
    assert run("folder", scenes, "--output", tmp_path / "out") == 3
    shown = capsys.readouterr()
    assert "folder, 2 images" in shown.out
    assert shown.err.splitlines()[-1] == "error: 1 of 3 images failed and are left out: 01"
    for name in ("00", "02"):
        (scenes / "images" / f"{name}.png").write_bytes(b"no picture")
    assert run("folder", scenes, "--output", tmp_path / "other") == 1
    assert "no image could be counted" in capsys.readouterr().err


def test_a_model_that_is_missing_or_does_not_know_the_classes(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("folder", scenes, "--output", tmp_path, "--model", tmp_path / "none.safetensors") == 1
    assert "none.safetensors" in capsys.readouterr().err
    assert run("folder", scenes, "--output", tmp_path, "--model", "ViT-B-16/openai", "--offline") == 1
    assert "cannot be fetched: this run is offline" in capsys.readouterr().err
    other = write_scenes(tmp_path / "scenes", 1)
    names = (other / "classes.txt").read_text(encoding="utf-8").replace("grass", "zqxj")
    (other / "classes.txt").write_text(names, encoding="utf-8")
    assert run("folder", other, "--output", tmp_path / "out") == 2
    assert "does not know the word 'zqxj'" in capsys.readouterr().err


def test_one_process_for_a_folder(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = try_lock(tmp_path / ".lock")
    assert lock is not None
    assert run("folder", scenes, "--output", tmp_path) == 2
    assert "another run writes into" in capsys.readouterr().err
    lock.release()


def test_calibration_and_culprits(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (
        "folder",
        scenes,
        "--output",
        tmp_path,
        "--vary",
        "expansion=off,auto",
        "--calibration",
        2,
        "--no-report",
    )
    assert run(*arguments, "--leave-one-out", "rock,Clock") == 0
    shown = capsys.readouterr()
    assert "folder, 4 images" in shown.out, "the two others decided, and are not reported"
    assert "| expansion=auto (auto off) |" in shown.out
    assert "which no result below is of" in shown.err
    names = open_dataset("folder", scenes).classes.names
    assert load_expansion(tmp_path / "auto_off.json").class_list.names == names
    table = (tmp_path / "leave_one_out.md").read_text(encoding="utf-8")
    assert "| clock | " in table
    assert table.strip() in shown.out
    calibration, reported = split_samples(open_dataset("folder", scenes).samples, 2)
    assert len(calibration) + len(reported) == 6
    assert run(*arguments, "--leave-one-out", "hurt") == 0


@pytest.mark.slow
def test_a_protocol(
    tiny_clip: Callable[..., dict[str, Tensor]],
    saved_clip: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """VOC in its public layout, SCLIP's settings and names, and a random model: nothing but the figure is missing."""
    root = tmp_path / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    Image.new("RGB", (60, 50), (9, 99, 200)).save(root / "JPEGImages" / "a.jpg")
    truth = Image.new("P", (60, 50), 15)
    truth.putpalette(list(range(256)) * 3)
    truth.save(root / "SegmentationClass" / "a.png")
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("a\n", encoding="utf-8")
    model = saved_clip(tiny_clip())
    arguments = ["voc21", root, "--protocol", "sclip_voc21", "--model", model, "--output", tmp_path / "out"]
    assert evaluate.main([*map(str, arguments), "--no-report"]) == 0
    shown = capsys.readouterr().out
    assert "voc21, 1 images, 21 classes" in shown
    assert [line.split("|")[1].strip() for line in shown.splitlines() if line.startswith("| ")][1:3] == [
        "published",
        "auto",
    ]
    described = [json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "out" / "columns").glob("*.json")]
    published = next(each for each in described if each["expansion"] == "published")
    words = {wording: [phrase for phrase, _ in phrases] for wording, _, phrases in published["phrases"]}
    assert "person in jeans" in words["person"]
    assert published["rules"]["logit_scale"] == 65.0
    assert published["options"]["attention"] == "sclip"


def test_interrupted(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "format_summary", stop)
    assert run("folder", scenes, "--output", tmp_path, "--images", 1) == 130
    assert "the same command goes on from there" in capsys.readouterr().err


def test_help_needs_no_torch() -> None:
    code = "import sys; from llmseg.evaluate import main\ntry: main(['--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "False"
    assert "INPUT=A,B" in done.stdout


@pytest.mark.slow
def test_a_killed_process_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed twice in the middle: every image of every column exactly once over all runs, as in one unbroken run."""
    scenes = write_scenes(tmp_path / "scenes", 12)
    command = [sys.executable, "-m", "llmseg.evaluate", "folder", str(scenes), "--json", "--no-report", *SETTINGS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    told: list[dict[str, object]] = []
    chooser = random.Random(0)
    broken = tmp_path / "broken"
    for _ in range(2):
        process = subprocess.Popen(
            [*command, "--output", str(broken)], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )
        assert process.stdout is not None
        wanted = chooser.randint(1, 4)
        for line in process.stdout:
            told.append(json.loads(line))
            wanted -= bool(told[-1].get("computed"))
            if not wanted:
                break
        process.kill()
        told += [json.loads(line) for line in process.stdout if line.endswith("}\n")]
        process.wait()
    assert len(counted(broken)) < 4 * 12, "it was killed in time"
    for folder in (broken, tmp_path / "whole"):
        done = subprocess.run(
            [*command, "--output", str(folder)], capture_output=True, text=True, env=environment, cwd=ROOT
        )
        assert done.returncode == 0
        if folder is broken:
            told += events(done.stdout)
    assert set(counted(broken).values()) == {1}
    assert len(counted(broken)) == 4 * 12
    computed = sum(int(each.get("computed", 0)) for each in told)  # type: ignore[call-overload]
    assert 4 * 12 - 2 * 4 <= computed <= 4 * 12, "an image that a kill interrupted told nothing"
    lines = [
        {path.name: sorted(path.read_bytes().splitlines()) for path in (folder / "columns").glob("*.jsonl")}
        for folder in (broken, tmp_path / "whole")
    ]
    assert lines[0] == lines[1]
