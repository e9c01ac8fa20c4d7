"""Workflows that ask a language model, from the command line: no key leaves, no network where there is none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llm_server import FakeModel, serve_model, status

from llmseg.run import main

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "workflows" / "llm_expansion.json"
CANARY = "sk-canary-9d2b6e41"

# What is asked goes into a picture, a text and a file.
WORKFLOW: dict[str, Any] = {
    "1": {"class_type": "LLMSegClassNames", "inputs": {"text": "dog, car, sky", "preset": "custom"}},
    "2": {"class_type": "LLMSegLLMProfile", "inputs": {"profile": "fake", "model": ""}},
    "3": {"class_type": "LLMSegExpand", "inputs": {"class_names": ["1", 0], "library": "auto", "llm": ["2", 0]}},
    "4": {"class_type": "PreviewAny", "inputs": {"source": ["3", 1]}},
    "5": {"class_type": "LLMSegSaveExpansion", "inputs": {"expansion": ["3", 0], "filename_prefix": "phrases"}},
    "6": {"class_type": "LLMSegExampleImage", "inputs": {"scene": "park"}},
    "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "picture"}},
}


@pytest.fixture(scope="module")
def running() -> Iterator[FakeModel]:
    with serve_model() as model:
        yield model


@pytest.fixture
def model(running: FakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    running.forget()
    running.lists = {"dog": ["poodle", "shiba"], "car": ["taxi", "jeep"]}
    (tmp_path / "llmseg.toml").write_text(
        f'[profiles.fake]\nbase_url = "{running.base_url}"\nmodel = "fake-1"\nkey_variable = "CANARY_KEY"\n'
        "pause = 0.01\ntries = 2\n",
        encoding="utf-8",
    )
    (tmp_path / "workflow.json").write_text(json.dumps(WORKFLOW), encoding="utf-8")
    for name, value in (("CONFIG", "llmseg.toml"), ("DATA", "data")):
        monkeypatch.setenv(f"LLMSEG_{name}", str(tmp_path / value))
    monkeypatch.setenv("CANARY_KEY", CANARY)
    monkeypatch.chdir(tmp_path)
    return running


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--debug"]])
@pytest.mark.parametrize("failing", [False, True])
def test_a_key_is_in_nothing_that_a_run_writes(
    arguments: list[str], failing: bool, model: FakeModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    echo = {"error": {"message": f"Incorrect API key provided: {CANARY}"}}
    model.script = [status(500, echo), status(401, echo)] if failing else [status(500, echo)]
    assert main(["workflow.json", *arguments]) == (1 if failing else 0)
    assert model.headers[0]["authorization"] == f"Bearer {CANARY}"
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert failing or {path.suffix for path in written} >= {".png", ".json", ".toml"}
    for path in written:
        assert CANARY.encode() not in path.read_bytes(), path
    streams = capfd.readouterr()
    assert CANARY not in streams.out + streams.err


def test_a_second_run_of_the_command_pays_for_nothing(model: FakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workflow.json"]) == 0
    assert main(["workflow.json", "--frozen"]) == 0
    assert len(model.requests) == 1
    assert "# fake-1 by fake: 0 requests, 3 answers were stored" in capsys.readouterr().out


def test_changing_what_comes_after_never_asks_again(model: FakeModel) -> None:
    main(["workflow.json"])
    main(["workflow.json", "--set", "6.scene=night"])
    assert len(model.requests) == 1
    main(["workflow.json", "--set", "3.refresh=1"])
    assert len(model.requests) == 2


# Whoever tries to connect is told on; the two folders are empty, as on a new machine.
FORBIDDEN = """
import socket, sys
def refuse(*arguments): raise SystemExit("somebody tried to connect")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from llmseg.run import main
sys.exit(main(sys.argv[1:]))
"""


def run_without_network(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LLMSEG_DATA": str(folder / "data"), "LLMSEG_CONFIG": ""}
    environment |= {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "APPDATA", "LOCALAPPDATA")}
    command = [sys.executable, "-c", FORBIDDEN, *arguments, "--output", str(folder / "out")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", env=environment)


def test_frozen_works_from_the_lock_file_alone(tmp_path: Path) -> None:
    done = run_without_network(tmp_path, str(SHIPPED), "--frozen")
    assert done.returncode == 0, done.stderr
    assert "# 8 classes from the lock file" in done.stdout
    assert list((tmp_path / "out").rglob("*.png"))
    kept = sorted(path.name for path in (tmp_path / "data").iterdir())
    assert kept == ["results", "text"], "encoded pictures and vectors of phrases, no answers"


def test_frozen_says_what_the_lock_file_lacks(tmp_path: Path) -> None:
    done = run_without_network(tmp_path, str(SHIPPED), "--frozen", "--set", "Class Names.text=dog, tram")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"error: {SHIPPED.name}, node 2 (LLMSegExpand), llm: no stored answer for 'tram', and the network is frozen; "
        "expected all of them. Run once without --frozen, or give a lock file that has them."
    )


def test_the_same_without_frozen_would_connect(tmp_path: Path) -> None:
    done = run_without_network(tmp_path, str(SHIPPED), "--set", "Class Names.text=dog, tram")
    assert "somebody tried to connect" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal for one process")
def test_ctrl_c_ends_a_run_that_waits_for_an_answer(model: FakeModel) -> None:
    model.delay = 10.0
    process = subprocess.Popen(
        [sys.executable, "-m", "llmseg.run", "workflow.json"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    while not model.requests and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=8)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "error: interrupted; files already written stay."
