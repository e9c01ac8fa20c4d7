"""The command that splits names from a shell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from llm_server import FakeModel, only, says, serve_model, status

from llmseg.expand import main

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def running() -> Iterator[FakeModel]:
    with serve_model() as model:
        yield model


@pytest.fixture
def model(running: FakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    running.forget()
    config = tmp_path / "llmseg.toml"
    config.write_text(
        f'[profiles.fake]\nbase_url = "{running.base_url}"\nmodel = "fake-1"\npause = 0.01\ntries = 2\nbatch = 1\n'
        "concurrency = 1\nprice_in = 0.1\nprice_out = 0.4\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("LLMSEG_CONFIG", str(config))
    monkeypatch.setenv("LLMSEG_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return running


def read(path: str = "expansion.json") -> dict[str, list[str]]:
    value = json.loads(Path(path).read_text(encoding="utf-8"))
    return {
        entry["name"]: [item["text"] for item in entry["subclasses"] if item["status"] != "dropped"]
        for entry in value["classes"]
    }


def test_a_library_needs_no_profile(model: FakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cat, sky", "--library", "coco81"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("cat: tabby cat, ")
    assert err == "wrote expansion.json\n"
    assert list(read()) == ["cat", "sky"]


def test_a_profile_is_asked_and_the_lock_file_written(model: FakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dog, cat", "--profile", "fake", "--count", "2", "--lock", "sub/pets.json"]) == 0
    out, err = capsys.readouterr()
    assert [line.split("  #")[0] for line in out.splitlines()] == ["dog: red dog, small dog", "cat: red cat, small cat"]
    assert err.splitlines() == [
        "fake-1 by fake: 2 requests, 0 answers were stored",
        "tokens: 2000 read, 200 written, cost about 0.0003",
        "dropped, count: beyond the number that is kept",
        f"wrote {Path('sub/pets.json')}",
    ]
    assert read("sub/pets.json") == {"dog": ["red dog", "small dog"], "cat": ["red cat", "small cat"]}


def test_what_the_lock_file_holds_is_kept_and_not_asked(model: FakeModel) -> None:
    edited = {"classes": [{"name": "dog", "subclasses": [{"text": "my poodle", "status": "user"}]}]}
    Path("expansion.json").write_text(json.dumps(edited), encoding="utf-8")
    assert main(["dog, cat", "--profile", "fake", "--count", "1"]) == 0
    assert read() == {"dog": ["my poodle"], "cat": ["red cat"]}
    assert model.asked() == [["cat"]]
    assert main(["dog, cat", "--profile", "fake", "--count", "1", "--replace"]) == 0
    assert read() == {"dog": ["red dog"], "cat": ["red cat"]}


def test_entries_are_never_lost_in_silence(model: FakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    main(["dog, bus", "--library", "coco81"])
    before = Path("expansion.json").read_bytes()
    capsys.readouterr()
    assert main(["dog", "--profile", "fake"]) == 2
    assert capsys.readouterr().err == (
        "error: lock: 'expansion.json' holds 'bus', which is not asked for; expected all of its classes. "
        "Name another file, or add --replace.\n"
    )
    assert Path("expansion.json").read_bytes() == before
    assert model.requests == []


def test_a_dry_run_asks_and_writes_nothing(model: FakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dog, cat", "--profile", "fake", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert out == "dog:\ncat:\n"
    assert err.splitlines()[1].startswith("preview: 2 subclasses questions would take 2 requests, about ")
    assert not Path("expansion.json").exists()
    assert model.requests == []


def test_json_is_the_lock_file_itself(model: FakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    main(["dog", "--profile", "fake", "--json"])
    assert capsys.readouterr().out == Path("expansion.json").read_text(encoding="utf-8")


def test_names_from_a_file(model: FakeModel) -> None:
    Path("names.txt").write_text("dog\n# no\ncat\n", encoding="utf-8")
    assert main(["@names.txt", "--library", "off"]) == 0
    assert read() == {"dog": [], "cat": []}


def test_frozen_works_from_the_lock_file_alone(model: FakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    main(["dog, cat", "--profile", "fake", "--count", "1", "--lock", "lock.json"])
    os.environ["LLMSEG_DATA"] = str(Path("elsewhere").resolve())
    asked = len(model.requests)
    assert main(["dog, cat", "--profile", "fake", "--count", "1", "--lock", "lock.json", "--frozen"]) == 0
    assert main(["dog, cat, cow", "--profile", "fake", "--lock", "lock.json", "--frozen"]) == 1
    assert "error: llm: no stored answer for 'cow', and the network is frozen" in capsys.readouterr().err
    assert read("lock.json") == {"dog": ["red dog"], "cat": ["red cat"]}
    assert main(["dog, cat, cow", "--profile", "fake", "--lock", "lock.json", "--offline"]) == 3
    assert read("lock.json") == {"dog": ["red dog"], "cat": ["red cat"], "cow": []}
    assert len(model.requests) == asked


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["dog", "--profile", "fke"], 2, "error: profile: unknown name 'fke'; expected one of openai, "),
        (["dog", "--profile", "lmstudio"], 2, "error: model: no model named for profile 'lmstudio'; expected one, "),
        (["  "], 2, "error: names: no class name in '  '; expected names separated by commas"),
        (["@missing.txt"], 2, "error: names: cannot read 'missing.txt'"),
        (["dog", "--library", "zoo"], 2, "error: library: unknown name 'zoo'"),
    ],
)
def test_bad_usage_is_one_line(
    arguments: list[str], code: int, message: str, model: FakeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    err = capsys.readouterr().err
    assert err.startswith(message)
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["dog", "--count", "0"], ["dog", "--count", "x"], ["dog", "--kind", "poems"], []]
)
def test_usage_that_the_parser_refuses(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_what_failed_is_told_and_counted(model: FakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    model.always = only(says(None, refusal="no"), "gun")
    assert main(["dog, gun", "--profile", "fake", "--count", "1"]) == 3
    out, err = capsys.readouterr()
    assert out.splitlines()[1] == "gun:  # fallback: refused: no"
    assert (
        "warning: no answer for 'gun' (refused: no); the name stands alone. Another refresh asks again."
        in err.splitlines()
    )
    model.always = status(401)
    assert main(["cow", "--profile", "fake", "--lock", "x.json"]) == 1
    assert capsys.readouterr().err.startswith("error: llm: 127.0.0.1 refuses the key of 'fake' (401).")
    assert not Path("x.json").exists()


def test_help_is_quick_and_says_everything() -> None:
    code = "import sys; from llmseg.expand import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print({'torch', 'openai', 'numpy', 'httpx', 'httpx2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "--profile NAME" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal for one process")
def test_ctrl_c_ends_a_call_that_waits(model: FakeModel) -> None:
    model.delay = 10.0
    command = [sys.executable, "-m", "llmseg.expand", "dog, cat", "--profile", "fake"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    while not model.requests and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=8)
    assert (process.returncode, err) == (130, "error: interrupted; answers that came stay stored.\n")
    assert not Path("expansion.json").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--critic"], "one verdict for each phrase"),
        (["--domain", "drawings"], "DOMAIN: drawings"),
        (["--language", "de"], "LANGUAGE of the targets: de"),
        (["--kind", "synonyms"], "synonyms each"),
    ],
)
def test_every_wish_reaches_the_model(arguments: list[str], told: str, model: FakeModel) -> None:
    assert main(["dog", "--profile", "fake", *arguments]) == 0
    assert any(told in body["messages"][1]["content"] for body in model.requests)


def test_model_refresh_and_strict_are_obeyed(model: FakeModel) -> None:
    model.lists = {"dog": ["wireless dog", "poodle", "husky"]}
    main(["dog", "--profile", "fake", "--model", "other-2", "--refresh", "3", "--strict"])
    assert (model.requests[0]["model"], model.requests[0]["seed"]) == ("other-2", 3)
    assert read() == {"dog": ["poodle", "husky"]}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--model", "x"], "error: usage: --model is for language models; name one by --profile."),
        (["--critic"], "error: usage: --critic is for language models; name one by --profile."),
        (["--dry-run"], "error: usage: --dry-run is for language models; name one by --profile."),
        (["--profile", "fake", "--library", "voc21"], "error: usage: --library and --profile; expected one of them."),
        (["--profile", "fake", "--lock", "."], "error: lock: cannot write '.'; expected a file in a writable folder."),
        (["--profile", "fake", "--lock", ""], "error: lock: cannot write '.'; expected a file in a writable folder."),
    ],
)
def test_what_would_be_ignored_or_lost_is_refused_first(
    arguments: list[str], line: str, model: FakeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dog", *arguments]) == 2
    assert capsys.readouterr().err.splitlines() == [line]
    assert model.requests == []


@pytest.mark.parametrize("text", ["-5", "x", "1" * 40])
def test_refresh_has_limits(text: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["dog", "--profile", "fake", "--refresh", text])
    assert caught.value.code == 2


@pytest.mark.skipif(os.name == "nt", reason="pipes end in another way there")
def test_a_reader_that_leaves_costs_nothing(model: FakeModel) -> None:
    command = f"{sys.executable} -m llmseg.expand dog --profile fake | true"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert "Traceback" not in done.stderr
    assert list(read()) == ["dog"]


def test_a_lock_is_not_worn_out_by_its_neighbours(model: FakeModel) -> None:
    model.lists = {"cat": ["tiger cat", "tabby", "siamese"]}
    main(["cat", "--profile", "fake"])
    main(["cat, tiger", "--profile", "fake"])
    assert read()["cat"] == ["tabby", "siamese"]
    main(["cat, sky", "--profile", "fake", "--lock", "expansion.json", "--replace"])
    assert read()["cat"] == ["tiger cat", "tabby", "siamese"]
