"""Workers without Ray: what is computed before, how a cluster is divided, reports as text, the options."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import import_nodes

from llmseg.batch_runs import Outcome
from llmseg.errors import InputError, NodeError
from llmseg.graph import Event, Problem, RunResult, StoredResult, define_nodes
from llmseg.manifest import Record
from llmseg.run import main
from llmseg.scaleout.beforehand import find_shared, is_plain, nodes_behind
from llmseg.scaleout.cluster import Share, check_address, share_out
from llmseg.scaleout.reports import Recorder, Report
from llmseg.types import ClassList, ClassName, Expansion

ROOT = Path(__file__).parent.parent
NODES = import_nodes()
import_nodes("core")


class Switch:
    """Chooses one of two, and reads no other."""

    RETURN_TYPES = ("*",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        lazy = ("*", {"lazy": True})
        return {"required": {"which": ("BOOLEAN",)}, "optional": {"on": lazy, "off": lazy}}


class Dice(Switch):
    """Another number at every look."""

    RETURN_TYPES = ("INT",)

    @classmethod
    def IS_CHANGED(cls, **inputs: Any) -> float:
        return float("nan")


CLASSES: dict[str, type] = {**NODES.core.CORE_NODES, **NODES.NODE_CLASS_MAPPINGS, "Switch": Switch, "Dice": Dice}
DEFINITIONS = define_nodes(CLASSES)


def call(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


# Names -> phrases -> vectors, an image, and what is found in it.
PROMPT = {
    "names": call("LLMSegClassNames", text="dog, sky", preset="custom"),
    "expand": call("LLMSegExpand", class_names=["names", 0], library="auto"),
    "encoder": call("LLMSegLoadEncoder", model="embedded", activation="auto"),
    "text": call("LLMSegEncodeText", encoder=["encoder", 0], expansion=["expand", 0]),
    "image": call("LoadImage", image="x.png"),
    "patches": call("LLMSegEncodeImage", encoder=["encoder", 0], image=["image", 0]),
    "score": call("LLMSegScore", patch_features=["patches", 0], text_bank=["text", 0]),
    "assemble": call("LLMSegAssemble", score_maps=["score", 0]),
    "label": call("LLMSegLabel", class_maps=["assemble", 0]),
    "save": call("LLMSegSaveLabels", label_map=["label", 0], filename_prefix="x", masks=False),
}


def shared(outputs: Sequence[str] = ("save",), **changes: Any) -> list[str]:
    return find_shared({**PROMPT, **changes}, "image", outputs, DEFINITIONS, CLASSES)


def test_phrases_are_shared_and_models_are_not() -> None:
    assert shared() == ["expand"]
    assert nodes_behind(PROMPT, ["expand"]) == {"expand", "names"}


def test_an_output_that_shows_phrases_is_none_of_the_image_but_every_image_shows_them() -> None:
    assert shared(["table"], table=call("PreviewAny", source=["expand", 1])) == ["expand"]


def test_what_depends_on_the_image_is_not_shared() -> None:
    assert (
        shared(names=call("LLMSegClassNames", text=["caption", 0]), caption=call("PreviewAny", source=["image", 0]))
        == []
    )


def test_a_switch_between_phrases_is_shared_and_chooses_there() -> None:
    changes = {
        "other": call("LLMSegExpand", class_names=["names", 0], library="off"),
        "switch": call("Switch", which=True, on=["expand", 0], off=["other", 0]),
        "text": call("LLMSegEncodeText", encoder=["encoder", 0], expansion=["switch", 0]),
    }
    assert shared(**changes) == ["switch"]


def test_what_may_never_be_asked_for_is_not_computed() -> None:
    switch = call("Switch", which=True, on=["image", 0], off=["expand", 0])
    assert shared(["show"], switch=switch, show=call("PreviewAny", source=["switch", 0])) == []


def test_what_changes_at_every_look_is_not_shared() -> None:
    dice = call("Dice", which=True)
    assert shared(text=call("LLMSegEncodeText", expansion=["expand", 0], count=["dice", 0]), dice=dice) == ["expand"]


def test_nothing_behind_an_output_node_is_shared_for_it_would_write_here() -> None:
    changes = {
        "all": call("LLMSegSegment", image=["still", 0], class_names="dog"),
        "still": call("LLMSegExampleImage", scene="park"),
        "names": call("LLMSegClassNames", text=["all", 2]),
    }
    assert shared(**changes) == []


def test_unknown_classes_that_no_output_needs_do_not_matter() -> None:
    assert shared(strange=call("Nowhere", value=["expand", 0])) == ["expand"]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("text", True),
        ([1, 2.0, None, True], True),
        (Expansion(()), True),
        (ClassList((ClassName("dog"),)), True),
        (object(), False),
        ([print], False),
    ],
)
def test_values_that_travel(value: Any, plain: bool) -> None:
    assert is_plain(StoredResult([[value]], {})) is plain
    assert not is_plain(StoredResult([[value]], {"text": ["shown"]}))


# -- the cluster ------------------------------------------------------------------------------------


def cluster(*nodes: tuple[int, int], dead: int = 0) -> Any:
    """A Ray with nodes of so many CPUs and GPUs."""
    listed = [
        {"Alive": True, "Resources": {"CPU": float(cpus), **({"GPU": gpus} if gpus else {})}} for cpus, gpus in nodes
    ]
    gone = [{"Alive": False, "Resources": {}}] * dead
    return SimpleNamespace(nodes=lambda: [*listed, *gone])


@pytest.mark.parametrize(
    ("nodes", "jobs", "device", "expected"),
    [
        ([(2, 0)], None, "cpu", Share(1, 2.0)),
        ([(8, 0)], None, "cpu", Share(4, 2.0)),
        ([(8, 0), (4, 0)], None, "cpu", Share(6, 2.0)),
        ([(1, 0)], None, "cpu", Share(1, 1.0)),
        ([(2, 0)], 2, "cpu", Share(2, 1.0)),
        ([(2, 0)], 4, "cpu", Share(4, 0.5)),
        ([(3, 0), (3, 0)], 4, "cpu", Share(4, 1.0)),
        ([(2, 0), (2, 0), (2, 0)], 2, "cpu", Share(2, 2.0)),
        ([(16, 4)], None, "cuda", Share(4, 4.0, 1.0)),
        ([(16, 4), (16, 0)], 2, "cuda", Share(2, 16.0, 1.0)),
        ([(16, 1)], 2, "cuda", Share(2, 8.0, 0.5)),
        ([(16, 3)], 4, "cuda", Share(4, 4.0, 0.5)),
        ([(8, 0)], None, "mps", Share(1, 8.0)),
        ([(64, 0)], None, "cpu", Share(10, 6.0)),
    ],
)
def test_a_cluster_is_divided(nodes: Any, jobs: int | None, device: str, expected: Share) -> None:
    share = share_out(cluster(*nodes, dead=1), jobs, device, 10)
    assert share == expected
    for amount, which in ((share.cpus, 0), (share.gpus, 1)):
        assert not amount or sum(int(node[which] / amount) for node in nodes) >= share.jobs, "all of them fit"


def test_no_more_workers_than_images() -> None:
    assert share_out(cluster((64, 0)), 50, "cpu", 3).jobs == 3


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", "device: 'cuda', and the Ray cluster has no GPU; expected one, or --device cpu."),
        ("cuda:1", "device: 'cuda:1'; expected cuda with --engine ray: Ray gives each worker its GPU."),
    ],
)
def test_devices_that_no_worker_has(device: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        share_out(cluster((4, 0)), None, device, 10)
    assert str(caught.value) == message


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "ray://127.0.0.1:1", "127.0.0.1:99999"])
def test_nobody_at_an_address(address: str) -> None:
    with pytest.raises(InputError) as caught:
        check_address(address)
    expected = f"--address: no Ray cluster answers at {address!r}; expected host:port of a running one, or auto."
    assert str(caught.value) == expected


# -- reports ----------------------------------------------------------------------------------------


def failed(node_id: str) -> NodeError:
    try:
        try:
            raise ValueError("deep down")
        except ValueError as error:
            raise NodeError(node_id, "Load", InputError("no file; expected one.", place="image")) from error
    except NodeError as error:
        return error


RECORD = Record("/a.png", "a", "f" * 64, "0" * 64, "failed", 1.5, ("a/x.png",), {"dog": 0.5}, "wrong", "2026-01-31")


def test_a_report_survives_as_text() -> None:
    ui = {"4": {"text": ("seen",), "images": [{"filename": "x.png", "subfolder": "", "type": "output"}]}}
    result = RunResult(ui, ["1", "4"], ["2"], ["3"], {"1": 0.5}, [failed("7")])
    recorder = Recorder()
    recorder.event(Event("finished", "1", "Load", "Load", 0.5, display_id="1"))
    recorder.event(Event("progress", "1", "Load", "Load", value=1, total=2))
    recorder.warning("careful")
    recorder.problems([Problem("1", "Load", "", "image", "missing", "no image", ("4",))], "w.json")
    text = Report(Outcome(1, result, "wrong"), RECORD, recorder.take(), "printed\n").pack()
    assert text.isascii()
    report = Report.unpack(text)
    assert report.record == RECORD
    assert report.outcome is not None
    assert report.outcome.result is not None
    found = report.outcome.result
    assert (found.executed, found.cached, found.blocked, found.seconds) == (["1", "4"], ["2"], ["3"], {"1": 0.5})
    assert json.dumps(found.ui) == json.dumps(ui)
    (error,) = found.errors
    assert (str(error), error.node_id, error.class_type) == (str(failed("7")), "7", "Load")
    assert "ValueError: deep down" in str(error.__cause__)
    assert recorder.take() == []

    heard: list[Any] = []
    listener: Any = SimpleNamespace(
        event=heard.append, warning=heard.append, problems=lambda problems, source: heard.append((problems, source))
    )
    report.tell(listener)
    assert [type(one).__name__ for one in heard] == ["Event", "str", "tuple"]
    assert heard[2] == ([Problem("1", "Load", "", "image", "missing", "no image", ("4",))], "w.json")


def test_what_nodes_of_other_people_show_may_be_anything() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for ui in ({"1": {"x": circle}}, {"1": {(1, 2): [object()]}}, {"1": {"text": [object, b"x"]}}):
        report = Report.unpack(Report(Outcome(0, RunResult(ui)), RECORD).pack())  # type: ignore[arg-type]
        assert report.outcome is not None
        assert report.outcome.result is not None
    assert all(isinstance(text, str) for text in report.outcome.result.ui["1"]["text"])


def test_a_report_of_an_image_that_was_done_or_of_none_at_all() -> None:
    assert Report.unpack(Report().pack()) == Report()
    assert Report.unpack(Report(refused="no GPU").pack()).refused == "no GPU"


# -- the options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "ray"], "--engine ray runs a batch of images; expected --images too"),
        (["--images", "x", "--jobs", "2"], "--address and --jobs are for workers; expected --engine ray too"),
        (["--images", "x", "--address", "auto"], "--address and --jobs are for workers; expected --engine ray too"),
        (
            ["--images", "x", "--engine", "ray", "--jobs", "0"],
            "argument --jobs: '0'; expected a number from 1 to 10000",
        ),
        (["--images", "x", "--engine", "dask"], "argument --engine: invalid choice: 'dask'"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["w.json", *arguments])
    assert message in capsys.readouterr().err


def test_without_the_package_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "a.png").write_bytes(b"")
    workflow = str(ROOT / "workflows" / "quickstart.json")
    arguments = [workflow, "--images", str(tmp_path / "a.png"), "--output", str(tmp_path / "out"), "--engine", "ray"]
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --engine ray: the package 'ray' cannot be used (")
    assert line.endswith("); expected Ray Data. Run: pip install llmseg[ray]")
    assert not (tmp_path / "out").exists()


def test_neither_help_nor_a_batch_without_workers_imports_ray() -> None:
    program = (
        "import sys\nfrom llmseg.run import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('ray', 'torch', 'llmseg.scaleout') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    *told, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    assert any("--engine {local,ray}" in line for line in told)
