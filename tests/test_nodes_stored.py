"""`nodes.stored`: a later process finds what an earlier one computed, and no file can make a run fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import import_nodes

from llmseg.encoder import Encoder, load_encoder
from llmseg.graph import Event, Executor, RunResult, StoredResult

ENCODING: Any = import_nodes("encoding")
STORED: Any = import_nodes("stored")
ROOT = Path(__file__).resolve().parent.parent
PICTURE = torch.rand(1, 24, 40, 3, generator=torch.Generator().manual_seed(0))
TINY = "tiny.safetensors"


# --- small nodes ---


class Node:
    RETURN_TYPES: tuple[str, ...] = ("*",)
    FUNCTION = "execute"
    log: list[Any] = []  # noqa: RUF012

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"a": ("*",)}, "optional": {"b": ("*",)}, "hidden": {"me": "UNIQUE_ID"}}

    def execute(self, a: Any, b: Any = 0, me: Any = None) -> Any:
        self.log.append((a, b))
        return ((a, b),)


class Kept(Node):
    @classmethod
    def STORE_KEY(cls, a: Any, b: Any = 0) -> str | None:
        return None if b == "never" else f"{a!r} {b!r}"


class KeptToo(Kept):
    pass


class Shown(Kept):
    def execute(self, a: Any, b: Any = 0, me: Any = None) -> Any:
        self.log.append((a, b))
        return {"ui": {"text": [a]}, "result": ((a, b),)}


class Whole(Kept):
    INPUT_IS_LIST = True


class Listed(Kept):
    OUTPUT_IS_LIST = (True,)

    def execute(self, a: Any, b: Any = 0, me: Any = None) -> Any:
        self.log.append((a, b))
        return ([a, b],)


class Odd(Kept):
    def execute(self, a: Any, b: Any = 0, me: Any = None) -> Any:
        self.log.append((a, b))
        return (object(),)


class Packed(Kept):
    @classmethod
    def STORE_PACK(cls, output: Any) -> Any:
        return {"output": output[0]}

    @classmethod
    def STORE_UNPACK(cls, kept: Any, a: Any, b: Any = 0) -> Any:
        return ((kept["output"], b),)


class Confused(Kept):
    """Its files never mean anything."""

    @classmethod
    def STORE_PACK(cls, output: Any) -> Any:
        return output

    @classmethod
    def STORE_UNPACK(cls, kept: Any, **arguments: Any) -> Any:
        raise ZeroDivisionError


class Failing(Kept):
    @classmethod
    def STORE_KEY(cls, **arguments: Any) -> str | None:
        raise RuntimeError("no")


class Items(Node):
    OUTPUT_IS_LIST = (True,)

    def execute(self, a: Any, b: Any = 0, me: Any = None) -> Any:
        return (list(range(a)),)


class ExecutionBlocker:
    message = None


class Block(Node):
    def execute(self, a: Any, b: Any = 0, me: Any = None) -> Any:
        return (ExecutionBlocker(),)


class Picture(Node):
    pixels = PICTURE

    def execute(self, a: Any, b: Any = 0, me: Any = None) -> Any:
        return (self.pixels + b,)


class Out(Node):
    RETURN_TYPES = ()
    given: list[Any] = []  # noqa: RUF012

    def execute(self, a: Any, b: Any = 0, me: Any = None) -> Any:
        self.given.append(a)
        return ()


SMALL = (Node, Kept, KeptToo, Shown, Whole, Listed, Odd, Packed, Confused, Failing, Items, Block, Picture, Out)
CLASSES = {**{each.__name__: each for each in SMALL}, **{name: node for name, (node, _) in ENCODING.NODES.items()}}


def run(
    prompt: dict[str, tuple[str, dict[str, Any]]], output: str = "1", store: Any = None
) -> tuple[RunResult, list[Any]]:
    """Run as a new process would; the outcome, and the items that the node `output` gave."""
    prompt = {**prompt, "out": ("Out", {"a": [output, 0]})}
    nodes = {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in prompt.items()}
    events: list[Event] = []
    Node.log.clear()
    Out.given.clear()
    result = Executor(CLASSES, store=store or STORED.StoredResults(), on_event=events.append).run(nodes, ["out"])
    assert result.errors == []
    assert [event.node_id for event in events if event.kind == "cached"] == result.cached
    return result, list(Out.given)


def files() -> list[Path]:
    folder = STORED.StoredResults().folder
    return sorted(folder.iterdir()) if folder.is_dir() else []


# --- what is stored, and when it is found ---


@pytest.mark.parametrize("kind", ["Kept", "Shown", "Listed", "Packed"])
def test_a_second_run_finds_the_result(kind: str) -> None:
    first, given = run({"1": (kind, {"a": 1, "b": 2})})
    assert first.cached == []
    assert len(files()) == 1
    again, found = run({"1": (kind, {"a": 1, "b": 2})})
    assert again.cached == ["1"]
    assert Node.log == []
    assert found == given != []
    assert again.ui == first.ui == ({"1": {"text": [1]}} if kind == "Shown" else {})


def test_somebody_may_keep_results_beside_the_run(tmp_path: Path) -> None:
    waiting: list[Any] = []
    store = STORED.StoredResults(tmp_path / "results")
    store.later = waiting.append
    prompt: dict[str, tuple[str, dict[str, Any]]] = {"1": ("Kept", {"a": 1})}
    run(prompt, store=store)
    assert len(waiting) == 1
    assert not (tmp_path / "results").exists()
    waiting[0]()
    assert run(prompt, store=STORED.StoredResults(tmp_path / "results"))[0].cached == ["1"]


@pytest.mark.parametrize("kind", ["Node", "Odd", "Failing"])
def test_what_is_not_storable_runs_again(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        result, _ = run({"1": (kind, {"a": 1})})
        assert result.cached == []
    assert files() == []
    assert caplog.messages == []


def test_another_argument_or_class_is_another_result() -> None:
    run({"1": ("Kept", {"a": 1, "b": 2})})
    for other in [("Kept", {"a": 1, "b": 3}), ("Kept", {"a": 1}), ("KeptToo", {"a": 1, "b": 2})]:
        assert run({"1": other})[0].cached == []
    assert len(files()) == 4
    run({"1": ("Kept", {"a": 1, "b": "never"})})
    assert len(files()) == 4


def test_hidden_inputs_and_ids_do_not_count() -> None:
    run({"1": ("Kept", {"a": 1})})
    assert run({"7": ("Kept", {"a": 1})}, "7")[0].cached == ["7"]


def test_every_call_of_a_list_counts() -> None:
    def listed(count: int, kind: str, **inputs: Any) -> tuple[RunResult, Any]:
        return run({"1": (kind, {"a": ["2", 0], **inputs}), "2": ("Items", {"a": count})})

    for kind in ("Kept", "Packed", "Whole"):
        _, given = listed(3, kind)
        assert len(Node.log) == (1 if kind == "Whole" else 3)
        again, found = listed(3, kind)
        assert again.cached == ["1"]
        assert found == given
        assert len(found) == (1 if kind == "Whole" else 3)
        assert listed(2, kind)[0].cached == []
        assert listed(3, kind, b=1)[0].cached == []
        count = len(files())
    assert count == 9


def test_a_blocked_call_stores_nothing() -> None:
    result, _ = run({"1": ("Kept", {"a": ["2", 0]}), "2": ("Block", {"a": 1})})
    assert result.blocked == ["1", "out"]
    assert files() == []


@pytest.mark.parametrize("what", ["version", "torch", "device", "sources"])
def test_other_surroundings_are_another_result(what: str, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run({"1": ("Kept", {"a": 1})})
    if what == "version":
        monkeypatch.setattr("llmseg.__version__", "99")
    elif what == "torch":
        monkeypatch.setattr(torch, "__version__", "99")
    elif what == "device":
        host.use_headless(host.HeadlessHost(Path(), Path(), Path(), device="meta"))
    else:
        monkeypatch.setattr(STORED, "_sources", lambda folder: "other")
    assert run({"1": ("Kept", {"a": 1})})[0].cached == []


def test_sources_change_with_every_letter(tmp_path: Path) -> None:
    seen = set()
    for name, text in [("a.py", ""), ("a.py", "x = 1"), ("a.py", "x = 2"), ("b.py", ""), ("notes.txt", "")]:
        (tmp_path / name).write_text(text, encoding="utf-8")
        STORED._sources.cache_clear()
        seen.add(STORED._sources(tmp_path))
    assert len(seen) == 4, "a text is no source"


# --- patch features ---


@pytest.fixture
def tiny(tiny_clip: Callable[..., Any], saved_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    path = saved_clip(tiny_clip(), TINY)
    monkeypatch.setenv("LLMSEG_MODELS", str(path.parent))
    return path


def encoding(**inputs: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    settings = {"attention": "naclip", "window": 16, "stride": 8, "resize": 24, "scales": "one", "layout": "grid"}
    links = {"encoder": ["2", 0], "image": ["3", 0]}
    return {
        "1": ("LLMSegEncodeImage", {**links, **settings, **inputs}),
        "2": ("LLMSegLoadEncoder", {"model": TINY, "activation": "auto"}),
        "3": ("Picture", {"a": 1}),
    }


def test_patch_features_come_from_the_file(tiny: Path) -> None:
    _, (features,) = run(encoding())
    again, (found,) = run(encoding())
    assert again.cached == ["1"]
    assert sorted(again.executed) == ["2", "3", "out"]
    assert found.levels[0].windows.equal(features.levels[0].windows)
    assert found.levels[0].plan == features.levels[0].plan
    assert found.see_whole().equal(features.see_whole())
    assert (found.size, found.model, found.defaults) == (features.size, features.model, features.defaults)


def test_another_option_pixel_or_weight_is_encoded(
    tiny: Path, tiny_clip: Callable[..., Any], saved_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(encoding())
    changes = {"attention": "sclip", "window": 24, "stride": 16, "resize": 32, "scales": "three", "layout": "published"}
    for name, value in changes.items():
        assert run(encoding(**{name: value}))[0].cached == [], name
    assert run(encoding())[0].cached == ["1"]
    with monkeypatch.context() as patch:
        other = PICTURE.clone()
        other[0, 23, 39, 2] += 2**-20
        patch.setattr(Picture, "pixels", other)
        assert run(encoding())[0].cached == []
    assert run(encoding())[0].cached == ["1"]
    saved_clip(tiny_clip(1), TINY)
    assert run(encoding())[0].cached == []


def test_a_list_of_pictures_is_one_result(tiny: Path) -> None:
    prompt = {**encoding(), "3": ("Picture", {"a": 1, "b": ["4", 0]}), "4": ("Items", {"a": 2})}
    _, given = run(prompt)
    again, found = run(prompt)
    assert again.cached == ["1"]
    assert [
        each.levels[0].windows.equal(other.levels[0].windows) for each, other in zip(given, found, strict=True)
    ] == [True] * 2
    assert not found[0].levels[0].windows.equal(found[1].levels[0].windows)
    assert len(files()) == 1


def test_a_failing_node_fails_as_ever(tiny: Path) -> None:
    with pytest.raises(AssertionError, match="looks at the phrases"):
        run(encoding(attention="resclip"))
    assert files() == []


def test_limits_of_a_model_are_told_from_the_file_too(
    encoder: Encoder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"encoder": [encoder], "image": [torch.zeros(1, 64, 64, 3)], "attention": ["auto"], "window": [64]}
    arguments |= {"stride": [64], "resize": [0], "scales": ["one"]}
    for _ in range(2):
        monkeypatch.setattr("llmseg.examples._told", set())
        caplog.clear()
        store, node = STORED.StoredResults(), ENCODING.LLMSegEncodeImage()
        key = store.key(node, arguments)
        result = store.get(key)
        if result is None:
            features = node.execute(**{name: value for name, (value,) in arguments.items()})
            store.put(key, StoredResult([list(features)], {}))
        assert caplog.messages == [f"{encoder.name}: {encoder.limits}"]
    assert result is not None


# --- files that cannot be used ---


def damage_here(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 0x55
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "first byte": lambda path: damage_here(path, 0),
    "header": lambda path: damage_here(path, 0.02),
    "tensor": lambda path: damage_here(path, 0.5),
    "last byte": lambda path: damage_here(path, 1),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "continued": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "text": lambda path: path.write_text("This is no result.", encoding="utf-8"),
    "other value": lambda path: path.write_bytes(STORED.dump_value([1, 2], 1000)),
    "other key": lambda path: path.write_bytes(STORED.dump_value({"key": "0" * 64, "outputs": [[1]], "ui": {}}, 1000)),
    "other outputs": lambda path: path.write_bytes(
        STORED.dump_value({"key": path.stem, "outputs": [{"levels": 1}], "ui": {}}, 1000)
    ),
    "fewer outputs": lambda path: path.write_bytes(
        STORED.dump_value({"key": path.stem, "outputs": [], "ui": {}}, 1000)
    ),
    "no outputs": lambda path: path.write_bytes(STORED.dump_value({"key": path.stem}, 1000)),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_told_once_and_written_again(
    damage: Callable[[Path], object], tiny: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, (features,) = run(encoding())
    (path,) = files()
    whole = path.read_bytes()
    damage(path)
    again, (found,) = run(encoding())
    assert again.cached == []
    assert found.levels[0].windows.equal(features.levels[0].windows)
    (message,) = caplog.messages
    assert message.startswith(f"{path} is damaged (")
    assert message.endswith("). Its node runs again.")
    assert path.read_bytes() == whole
    assert run(encoding())[0].cached == ["1"]
    assert len(caplog.messages) == 1


def test_a_huge_file_is_not_read(caplog: pytest.LogCaptureFixture) -> None:
    def small() -> Any:
        return STORED.StoredResults(most_bytes=2**16)

    run({"1": ("Kept", {"a": 1})}, store=small())
    (path,) = files()
    with path.open("r+b") as file:
        file.truncate(2**40)  # sparse: it takes no room
    assert run({"1": ("Kept", {"a": 1})}, store=small())[0].cached == []
    assert caplog.messages == [
        f"{path} is damaged (size: more than 16384 bytes; expected fewer.). Its node runs again."
    ]
    assert run({"1": ("Kept", {"a": 1})}, store=small())[0].cached == ["1"]


def test_a_folder_with_the_name_of_a_file(caplog: pytest.LogCaptureFixture) -> None:
    run({"1": ("Kept", {"a": 1})})
    (path,) = files()
    path.unlink()
    path.mkdir()
    result, given = run({"1": ("Kept", {"a": 1})})
    assert (result.cached, given) == ([], [(1, 0)])
    assert [message.split(":")[0].split(" in ")[0] for message in caplog.messages] == [
        f"cannot read {path}",
        "cannot keep results of nodes",
    ]


def test_many_damaged_files_are_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        run({"1": ("Kept", {"a": number})})
    for path in files():
        path.write_bytes(b"")
    store = STORED.StoredResults()
    for number in range(3):
        assert run({"1": ("Kept", {"a": number})}, store=store)[0].cached == []
    assert len(caplog.messages) == 1


def test_a_class_that_cannot_read_its_own_file_runs(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        result, given = run({"1": ("Confused", {"a": 1})})
        assert (result.cached, given) == ([], [(1, 0)])
    assert len(caplog.messages) == 1


def test_keys_of_others_are_no_keys() -> None:
    store = STORED.StoredResults()
    assert store.get("../../etc/passwd") is None
    store.put("../x", StoredResult([[1]], {}))
    assert files() == []


# --- disks that say no ---


@pytest.mark.skipif(os.name == "nt", reason="the system's own words differ")
def test_a_folder_that_cannot_be_made_is_told_once(own_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    own_data.parent.mkdir(parents=True, exist_ok=True)
    own_data.write_bytes(b"")  # a file where the folder should be
    store = STORED.StoredResults()
    for number in range(2):
        result, given = run({"1": ("Kept", {"a": number})}, store=store)
        assert (result.cached, given) == ([], [(number, 0)])
    reason = "Not a directory. The next run computes them again."
    assert caplog.messages == [f"cannot keep results of nodes in {own_data / 'results'}: {reason}"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize(("mode", "found", "warnings"), [(0o500, ["1"], 1), (0o000, [], 2)])
def test_a_folder_that_is_closed(mode: int, found: list[str], warnings: int, caplog: pytest.LogCaptureFixture) -> None:
    run({"1": ("Kept", {"a": 1})})
    store = STORED.StoredResults()
    store.folder.chmod(mode)
    try:
        assert run({"1": ("Kept", {"a": 1})}, store=store)[0].cached == found
        for number in (2, 3):
            assert run({"1": ("Kept", {"a": number})}, store=store)[1] == [(number, 0)]
    finally:
        store.folder.chmod(0o700)
    assert len(caplog.messages) == warnings


def test_a_full_disk(own_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # bytes that a file may have
    try:
        assert run({"1": ("Kept", {"a": 1})})[1] == [(1, 0)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    reason = "File too large. The next run computes them again."
    assert caplog.messages == [f"cannot keep results of nodes in {own_data / 'results'}: {reason}"]
    assert files() == []


# --- room ---


def put(store: Any, number: int, count: int = 1000) -> str:
    """Store `count` numbers; the key."""
    key = store.key(Kept(), {"a": [number]})
    store.put(key, StoredResult([[torch.full((count,), float(number))]], {}))
    return key


def test_the_folder_stays_below_its_limit_and_loses_what_was_used_longest_ago() -> None:
    limit = 100_000  # some twenty results
    store, keys = STORED.StoredResults(most_bytes=limit), []
    for number in range(60):
        keys.append(put(store, number, 1000))
        assert sum(path.stat().st_size for path in files()) <= limit
        for path in files():  # file systems may be coarse about time
            age = keys.index(path.stem)
            os.utime(path, (1000 + age, 1000 + age))
    assert [store.get(key) is not None for key in keys] == [False] * (60 - len(files())) + [True] * len(files())
    assert 15 < len(files()) < 24


def test_what_was_read_is_not_among_the_oldest() -> None:
    limit = 100_000
    store = STORED.StoredResults(most_bytes=limit)
    keys = [put(store, number) for number in range(20)]
    for age, key in enumerate(keys):
        os.utime(store._path(key), (1000 + age, 1000 + age))
    assert store.get(keys[0]) is not None
    for number in range(20, 26):
        put(store, number)
    assert [store.get(key) is not None for key in keys[:3]] == [True, False, False]


def test_a_result_that_takes_too_much_of_the_room_is_not_stored(caplog: pytest.LogCaptureFixture) -> None:
    store = STORED.StoredResults(most_bytes=80_000)
    assert store.get(put(store, 1, 2500)) is not None
    assert store.get(put(store, 2, 2501)) is None
    assert caplog.messages == []


# --- several processes ---

WRITER = """
import sys
import torch
from llmseg.encoder import load_encoder
from llmseg.graph import StoredResult
from llmseg.run import load_nodes
import importlib
load_nodes()
stored, encoding = (importlib.import_module(f"llmseg_nodes.{name}") for name in ("stored", "encoding"))
picture = torch.arange(24 * 40 * 3).view(1, 24, 40, 3) / 2880
arguments = {"encoder": [load_encoder(sys.argv[1])], "image": [picture], "attention": ["naclip"], "window": [24], "stride": [16],
             "resize": [24], "scales": ["one"], "layout": ["grid"]}
store, node = stored.StoredResults(), encoding.LLMSegEncodeImage()
key = store.key(node, arguments)
features = node.execute(**{name: value for name, (value,) in arguments.items()})
print(key, flush=True)
sys.stdin.readline()
for _ in range(200):
    store.put(key, StoredResult([list(features)], {}))
    assert store.get(key).outputs[0][0].levels[0].windows.equal(features[0].levels[0].windows)
"""


def test_two_processes_at_once_leave_a_whole_file(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tiny)], **pipes, text=True, cwd=ROOT) for _ in range(2)
    ]
    keys = {writer.stdout.readline().strip() for writer in writers if writer.stdout is not None}
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    ended = [writer.communicate(timeout=120)[1] for writer in writers]
    assert ended == ["", ""], "no warning, no failure"
    assert [writer.returncode for writer in writers] == [0, 0]
    (key,) = keys
    assert [path.name for path in files()] == [f"{key}.safetensors"]

    picture = torch.arange(24 * 40 * 3).view(1, 24, 40, 3) / 2880
    options = {"attention": "naclip", "window": 24, "stride": 16, "resize": 24, "scales": "one", "layout": "grid"}
    arguments = {
        "encoder": [load_encoder(str(tiny))],
        "image": [picture],
        **{name: [each] for name, each in options.items()},
    }
    store, node = STORED.StoredResults(), ENCODING.LLMSegEncodeImage()
    assert store.key(node, arguments) == key, "a process computes the same key as any other"
    assert store.get(key := store.key(node, arguments)) is not None
    assert caplog.messages == []


# --- from end to end ---


def test_the_quickstart_encodes_its_picture_once(tmp_path: Path, own_data: Path) -> None:
    told, pictures = [], []
    for number in range(2):
        output = tmp_path / str(number)
        command = ["workflows/quickstart.json", "--set", "Encode Image.scales=one", "--json", "--output", str(output)]
        done = subprocess.run(
            [sys.executable, "-m", "llmseg.run", *command], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
        )
        assert (done.returncode, done.stderr) == (0, "")
        events = [json.loads(line) for line in done.stdout.splitlines()]
        told.append([each["event"] for each in events if each.get("class_type") == "LLMSegEncodeImage"])
        pictures.append({path.relative_to(output): path.read_bytes() for path in output.rglob("*.png")})
    assert (told[0][0], told[0][-1], told[1]) == ("started", "finished", ["cached"])
    assert pictures[0] == pictures[1] != {}
    assert len(list((own_data / "results").iterdir())) == 1
