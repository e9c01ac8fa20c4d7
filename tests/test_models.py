"""`models`, `fetching`: the command that fetches weights, against a hub and an address on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from weight_server import REVISION, WeightServer, serve_weights

from llmseg.errors import InputError, ModelError
from llmseg.models.catalogue import Source, find_source, known_sources
from llmseg.models.command import main
from llmseg.models.downloads import OFFLINE_VARIABLES, check_whole, find_weights, read_record
from llmseg.models.fetching import HUB, URL, fetch_weights
from llmseg.options import MODEL
from llmseg.store import try_lock

ROOT = Path(__file__).parent.parent
NAME = "ViT-B-16-quickgelu/openai"
REPOSITORY = "timm/vit_base_patch16_clip_224.openai"
FILE = "ViT-B-16-quickgelu--openai.safetensors"
CONTENT = bytes(range(256)) * 100_000  # 25.6 MB
KEPT = 10 * 2**20  # what the hub's client writes at a time
BROKEN = KEPT + 3_000_000

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def server() -> Iterator[WeightServer]:
    with serve_weights() as state:
        state.put(REPOSITORY, "open_clip_model.safetensors", CONTENT)
        yield state


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models, an empty cache of the hub, no word on the network, and nobody's own settings."""
    for variable in (*OFFLINE_VARIABLES, "HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("LLMSEG_MODELS", "HF_HOME", "LLMSEG_CONFIG"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    monkeypatch.delenv("LLMSEG_CONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf_home" / "hub"), raising=False)
    return tmp_path / "llmseg_models"


@pytest.fixture
def run(server: WeightServer) -> Run:
    """The command in a process of its own, with the hub on this machine."""

    def finish(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        process = start(server, *arguments, **environment)
        out, errors = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, errors)

    return finish


def start(server: WeightServer, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The command in a process that Ctrl-C reaches."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from llmseg.models.command import main; sys.exit(main(sys.argv[1:]))"
    )
    environment = {**os.environ, "HF_ENDPOINT": server.address, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- from the hub ---


def test_get_fetches_a_file_once_and_where_finds_it(run: Run, server: WeightServer, folders: Path) -> None:
    done = run("get", NAME)
    assert (done.returncode, done.stdout.strip()) == (0, str(folders / FILE))
    assert f"fetching open_clip_model.safetensors, 26 MB, from {REPOSITORY} at {REVISION}" in done.stderr
    assert (folders / FILE).read_bytes() == CONTENT
    assert read_record(folders / FILE) == {
        "source": f"hub:{REPOSITORY}/open_clip_model.safetensors",
        "revision": REVISION,
        "name": NAME,
        "size": len(CONTENT),
        "sha256": sha(CONTENT),
    }
    assert sorted(path.name for path in folders.iterdir()) == [FILE, "ViT-B-16-quickgelu--openai.source.json"]
    asked = len(server.asked)
    assert run("where", NAME).stdout.strip() == str(folders / FILE)
    again = run("get", NAME)
    assert (again.returncode, again.stdout.strip()) == (0, str(folders / FILE))
    assert again.stderr.splitlines()[-1] == f"{folders / FILE} is there already, and whole"
    assert len(server.asked) == asked, "nothing was asked for it"


def test_a_transfer_that_breaks_off_goes_on_by_itself(run: Run, server: WeightServer, folders: Path) -> None:
    server.break_after = BROKEN
    assert run("get", NAME).returncode == 0
    assert (folders / FILE).read_bytes() == CONTENT
    assert [wanted for method, _, wanted in server.asked if method == "GET"] == ["", f"bytes={KEPT}-"]


@pytest.mark.skipif(os.name == "nt", reason="signals go another way there")
def test_what_a_stopped_transfer_brought_is_kept(run: Run, server: WeightServer, folders: Path) -> None:
    server.hold_after = BROKEN
    process = start(server, "get", NAME)
    staging = folders / ".ViT-B-16-quickgelu--openai.part"
    try:
        for _ in range(600):
            if sum(path.stat().st_size for path in staging.glob("*.safetensors.part")) == KEPT:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "error: interrupted; what has come is kept, run the same command to go on."
    assert not (folders / FILE).exists()
    assert run("get", NAME).returncode == 0
    assert (folders / FILE).read_bytes() == CONTENT
    assert server.asked[-1][2] == f"bytes={KEPT}-"
    assert not staging.exists()


def test_another_hash_than_the_hubs_is_refused(run: Run, server: WeightServer, folders: Path) -> None:
    server.lie = True
    done = run("get", NAME)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"error: model: what came from {REPOSITORY} has {len(CONTENT)} bytes and SHA-256 {sha(CONTENT)[:12]}...; expected "
        f"{len(CONTENT)} bytes and {sha(b'?')[:12]}. It was removed; fetch it again."
    )
    assert not (folders / FILE).exists()
    server.lie = False
    assert run("get", NAME).returncode == 0


def test_a_library_model_comes_with_its_companions(run: Run, server: WeightServer, folders: Path) -> None:
    for name in ("open_clip_model.safetensors", "open_clip_config.json", "tokenizer.json", "README.md"):
        server.put("timm/ViT-B-16-SigLIP", name, name.encode())
    done = run("get", "ViT-B-16-SigLIP/webli", "--to", str(folders / "else where"))
    folder = folders / "else where" / "ViT-B-16-SigLIP--webli"
    assert done.stdout.strip() == str(folder / "open_clip_model.safetensors")
    assert {path.name: path.read_bytes() for path in folder.iterdir() if "source" not in path.name} == {
        name: name.encode() for name in ("open_clip_model.safetensors", "open_clip_config.json", "tokenizer.json")
    }
    assert "licence: Apache-2.0" in done.stderr
    assert (
        find_weights(known_sources()["ViT-B-16-SigLIP/webli"], [folders / "else where"])
        == folder / "open_clip_model.safetensors"
    )


def test_a_repository_without_the_files_says_which_were_looked_for(run: Run, server: WeightServer) -> None:
    server.files.clear()
    assert run("get", NAME).stderr.splitlines()[-1] == (
        f"error: hub: {REPOSITORY} holds none of open_clip_model.safetensors, open_clip_pytorch_model.bin."
    )


def test_no_hub_at_all_is_one_line(run: Run) -> None:
    done = run("get", NAME, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"error: model: cannot fetch {NAME!r} from {REPOSITORY} on the hub: "
    )
    assert "Traceback" not in done.stderr


# --- from an address ---


@pytest.fixture
def source(server: WeightServer) -> Source:
    """A source as OpenAI's: the hash stands in the address."""
    path = f"/openaipublic/models/{sha(CONTENT)}/ViT-T-8.pt"
    server.files[path] = CONTENT
    return Source("ViT-T-8/openai", url=server.address + path, vit=True)


def fetch(source: Source, folder: Path, **options: Any) -> tuple[Path, list[str]]:
    said: list[str] = []
    return fetch_weights(source, folder, origin=URL, say=said.append, **options), said


def test_an_address_is_fetched_and_checked(source: Source, folders: Path) -> None:
    path, said = fetch(source, folders)
    assert path == folders / "ViT-T-8--openai.pt"
    assert path.read_bytes() == CONTENT
    assert said == [f"fetching ViT-T-8.pt, at most an unknown size, from {source.url}"]
    assert read_record(path)["source"] == source.url
    assert fetch(source, folders)[1] == [f"{path} is there already, and whole"]


def test_a_part_is_gone_on_with(source: Source, server: WeightServer, folders: Path) -> None:
    part = folders / ".ViT-T-8--openai.part" / "ViT-T-8.pt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:777_777])
    assert fetch(source, folders)[0].read_bytes() == CONTENT
    assert server.asked[-1][2] == "bytes=777777-"
    assert not part.exists()


def test_a_server_without_ranges_starts_over(source: Source, server: WeightServer, folders: Path) -> None:
    server.ranges = False
    part = folders / ".ViT-T-8--openai.part" / "ViT-T-8.pt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"something else")
    assert fetch(source, folders)[0].read_bytes() == CONTENT


def test_a_part_that_is_the_whole_needs_no_more(source: Source, folders: Path) -> None:
    part = folders / ".ViT-T-8--openai.part" / "ViT-T-8.pt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    assert fetch(source, folders)[0].read_bytes() == CONTENT


def test_a_wrong_hash_is_removed_and_said(source: Source, folders: Path) -> None:
    part = folders / ".ViT-T-8--openai.part" / "ViT-T-8.pt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)  # of another file
    with pytest.raises(ModelError) as caught:
        fetch(source, folders)
    digest = sha(b"x" * 1000 + CONTENT[1000:])
    assert str(caught.value) == (
        f"model: what came from {source.url} has {len(CONTENT)} bytes and SHA-256 {digest[:12]}...; expected any number of "
        f"bytes and {sha(CONTENT)[:12]}. It was removed; fetch it again."
    )
    assert not part.exists()
    assert fetch(source, folders)[0].read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_given_up(source: Source, folders: Path) -> None:
    part = folders / ".ViT-T-8--openai.part" / "ViT-T-8.pt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT + b"x")
    with pytest.raises(ModelError, match="416"):
        fetch(source, folders)
    assert fetch(source, folders)[0].read_bytes() == CONTENT


def test_without_a_published_hash_nothing_is_put_together(source: Source, server: WeightServer, folders: Path) -> None:
    server.files["/b16.pt"] = CONTENT
    source = replace(source, url=f"{server.address}/b16.pt")
    part = folders / ".ViT-T-8--openai.part" / "b16.pt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    assert fetch(source, folders)[0].read_bytes() == CONTENT
    assert server.asked[-1][2] == ""


def test_an_address_that_is_gone(source: Source, server: WeightServer, folders: Path) -> None:
    server.files.clear()
    with pytest.raises(ModelError, match="404"):
        fetch(source, folders)


def test_a_changed_file_is_refused_and_replaced(source: Source, folders: Path) -> None:
    path, _ = fetch(source, folders)
    path.write_bytes(CONTENT[:5000])
    with pytest.raises(ModelError) as caught:
        fetch(source, folders)
    assert str(caught.value) == (
        f"model: {path} is partial or was changed; expected SHA-256 {sha(CONTENT)[:12]}... "
        "Run: python -m llmseg.models get ViT-T-8/openai --replace"
    )
    with pytest.raises(ModelError) as caught:
        check_whole(path, sha(CONTENT[:5000]))
    assert str(caught.value) == (
        f"model: 'ViT-T-8--openai.pt' is not what was fetched: its SHA-256 begins with {sha(CONTENT[:5000])[:12]}; expected "
        f"{sha(CONTENT)[:12]}. It has 5000 bytes of {len(CONTENT)}. Run: python -m llmseg.models get ViT-T-8/openai --replace"
    )
    assert fetch(source, folders, replace=True)[0].read_bytes() == CONTENT


def test_a_file_that_somebody_put_there_is_left_alone(source: Source, folders: Path) -> None:
    folders.mkdir()
    (folders / "ViT-T-8--openai.safetensors").write_bytes(b"own")
    path, said = fetch(source, folders)
    assert (path.read_bytes(), said) == (
        b"own", [f"{path} is there already; nobody wrote down what it must be. Fetch it anew with --replace."]
    )  # fmt: skip


def test_one_program_at_a_time(source: Source, folders: Path) -> None:
    lock = try_lock(folders / ".ViT-T-8--openai.part" / "lock")
    assert lock is not None
    with pytest.raises(ModelError) as caught:
        fetch(source, folders)
    lock.release()
    assert str(caught.value) == f"model: another program is fetching 'ViT-T-8/openai' into {folders}; wait for it."
    assert fetch(source, folders)[0].read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made(source: Source, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot make .*; expected a writable folder"):
        fetch(source, tmp_path / "file")


@pytest.mark.parametrize(("origin", "message"), [(HUB, "expected --from url"), (URL, "expected --from hub")])
def test_a_source_that_is_not_there(folders: Path, origin: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fetch_weights(Source("a/b"), folders, origin=origin)
    if origin == URL:
        with pytest.raises(InputError, match=message):
            fetch_weights(known_sources()["RN50/openai"], folders, origin=origin)


@pytest.mark.parametrize("record", ["{", "[" * 10**5, "[]", '{"sha256": 7}', '{"sha256": ""}', ""])
def test_a_record_that_cannot_be_read_says_nothing(folders: Path, record: str) -> None:
    folders.mkdir()
    (folders / "a.source.json").write_text(record, encoding="utf-8")
    check_whole(folders / "a.pt", "00")


# --- without network ---


@pytest.mark.parametrize("variable", OFFLINE_VARIABLES)
def test_the_hubs_own_word_is_obeyed(
    variable: str, folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv(variable, "1")
    assert main(["get", NAME]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"error: model: {NAME!r} cannot be fetched: {variable} is 1."
    assert not folders.exists()


def test_offline_is_obeyed(folders: Path, capsys: Any) -> None:
    assert main(["get", NAME, "--offline"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"error: model: {NAME!r} cannot be fetched: this run is offline."
    assert not folders.exists()


def in_hub_cache(folders: Path, content: bytes, name: str) -> Path:
    """A file as the hub's cache keeps it."""
    repository = folders.parent / "hf_home" / "hub" / "models--timm--vit_base_patch16_clip_224.openai"
    for folder in ("blobs", "refs", "snapshots/abc"):
        (repository / folder).mkdir(parents=True, exist_ok=True)
    (repository / "refs" / "main").write_text("abc", encoding="utf-8")
    (repository / "blobs" / sha(content)).write_bytes(content)
    (repository / "snapshots" / "abc" / name).symlink_to(repository / "blobs" / sha(content))
    return repository / "blobs" / sha(content)


@pytest.mark.skipif(os.name == "nt", reason="making links needs rights on Windows")
def test_a_cache_is_taken_from_without_network_and_checked(folders: Path, capsys: Any) -> None:
    blob = in_hub_cache(folders, CONTENT, "open_clip_model.safetensors")
    assert main(["get", NAME, "--offline"]) == 0
    assert (folders / FILE).read_bytes() == CONTENT
    assert not (folders / FILE).is_symlink()
    assert read_record(folders / FILE)["sha256"] == sha(CONTENT)
    (folders / FILE).unlink()
    blob.write_bytes(CONTENT[:9])
    assert main(["get", NAME, "--offline"]) == 1
    assert f"its SHA-256 begins with {sha(CONTENT[:9])[:12]}; expected {sha(CONTENT)[:12]}." in capsys.readouterr().err
    assert not (folders / FILE).exists()


def test_list_and_where_need_no_network_and_no_torch(tmp_path: Path) -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise OSError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from llmseg.models.command import main\n"
        f"codes = [main(['list', '--all']), main(['list', '--json']), main(['where']), main(['where', {NAME!r}])]\n"
        "print(codes, [name for name in ('torch', 'numpy', 'open_clip', 'PIL') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 1] []", done.stderr


# --- what is said ---


def test_list_names_what_the_combo_offers(folders: Path, capsys: Any) -> None:
    folders.mkdir()
    (folders / FILE).write_bytes(b"x")
    assert main(["list"]) == 0
    first, head, *rows = capsys.readouterr().out.splitlines()
    assert first == "embedded: in this package, needs no file"
    assert head.split() == ["name", "size", "licence", "from", "here"]
    table = {row.split()[0]: row for row in rows}
    assert list(table) == [name for name in MODEL.names if name != "embedded"]
    assert "598 MB" in table[NAME]
    assert table[NAME].endswith(str(folders / FILE))
    assert "MIT" in table["ViT-B-16/laion2b_s34b_b88k"]
    assert table["ViT-L-14-quickgelu/openai"].endswith(" -")


def test_all_of_them_as_json(capsys: Any) -> None:
    assert main(["list", "--all", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert len(listed) > 150
    entry = next(entry for entry in listed if entry["name"] == "ViT-B-16/openai")
    assert len(entry["sha256"]) == 64
    assert entry["repository"] == REPOSITORY
    assert {entry["path"] for entry in listed} == {""}


def test_where(folders: Path, capsys: Any) -> None:
    assert main(["where"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"get puts models into {folders}; they are looked for in",
        str(folders),
    ]
    assert main(["where", "embedded"]) == 0
    assert Path(capsys.readouterr().out.strip()).is_file()
    assert main(["where", NAME]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {NAME!r} is in none of {folders}, ")
    assert error.endswith(f". Run: python -m llmseg.models get {NAME}\n")


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("ViT-B-16-quickgelu", "error: name: 'ViT-B-16-quickgelu' names no weights; expected ViT-B-16-quickgelu/TAG, TAG one of openai, "),
        ("ViT-B-16-quickgelu/opena", "error: name: 'ViT-B-16-quickgelu/opena' is not known; nearest: ViT-B-16-quickgelu/openai"),
        ("zzz", "error: name: unknown name 'zzz'; expected one of "),
        ("embedded", "error: name: 'embedded' is in this package; there is nothing to fetch."),
    ],
)  # fmt: skip
def test_names_that_are_none(name: str, start: str, capsys: Any) -> None:
    assert main(["get", name]) == 2
    assert capsys.readouterr().err.startswith(start)


def test_every_option_is_documented(capsys: Any) -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    for command in ("list", "get", "where"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
        assert [option for option in options if f"`{option}" not in page] == []
        assert f"llmseg.models {command}" in page


# --- the table ---


@pytest.mark.slow
def test_the_table_is_that_of_open_clip() -> None:
    open_clip = pytest.importorskip("open_clip")
    from tools.catalogue import PATH, describe_weights

    kept = json.loads(PATH.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(describe_weights()))
    assert {name: now[name] for name in kept["weights"] if name in now} == kept["weights"]
    if kept["made_from"] == f"open_clip {open_clip.__version__}":
        assert list(kept["weights"]) == list(now)


def test_sources_are_complete() -> None:
    for name, source in known_sources().items():
        assert source.name == name
        assert source.repository.count("/") == 1
        assert len(source.mean) == len(source.std) == 3
        assert find_source(name) is source
    assert find_source("ViT-B-16-quickgelu/OpenAI") is known_sources()[NAME], "as open_clip takes tags"
    assert find_source("ViT-B-32/datacomp-xl-s13b-b90k") is not None
    assert find_source("ViT-B-32/nonesuch", ask_library=False) is None


def test_licences_are_those_of_repositories_in_the_table() -> None:
    licences = json.loads((ROOT / "llmseg" / "data" / "models" / "named.json").read_text(encoding="utf-8"))["licences"]
    assert set(licences) <= {source.repository for source in known_sources().values()}


def test_hashes_stand_in_two_publishers_addresses() -> None:
    lengths = {len(source.sha256) for source in known_sources().values() if source.sha256}
    assert lengths == {8, 64}
    assert all(set(source.sha256) <= set("0123456789abcdef") for source in known_sources().values())


def test_quickgelu_weights_run_quickgelu_under_both_names() -> None:
    marks = {name for name, source in known_sources().items() if source.quick_gelu}
    assert {"ViT-B-16/openai", NAME, "ViT-L-14/dfn2b", "ViT-H-14/metaclip_fullcc", "ViT-H-14-378/dfn5b"} <= marks
    plain = {"ViT-B-16/laion2b_s34b_b88k", "ViT-L-14/dfn2b_s39b", "ViT-H-14/metaclip_altogether"}
    assert not plain & marks
    assert plain <= known_sources().keys()
