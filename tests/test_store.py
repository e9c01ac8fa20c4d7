"""Files appear whole or not at all, also when the writer is killed or the disk says no."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmseg import store
from llmseg.errors import InputError
from llmseg.store import content_hash, read_text, write_atomic, write_json

WRITER = """
import sys
from pathlib import Path
from llmseg.store import write_atomic
print("ready", flush=True)
number = 0
while True:
    number += 1
    write_atomic(Path(sys.argv[1]), bytes([number % 251]) * 3_000_000)
"""


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_write_makes_folders_and_leaves_only_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.bin"
    write_atomic(path, b"first")
    write_atomic(path, b"second")
    assert path.read_bytes() == b"second"
    assert files_below(tmp_path) == ["a", "b", "c.bin"]


def test_file_name_of_the_greatest_length(tmp_path: Path) -> None:
    path = tmp_path / ("\u00e4" * 120 + ".bin")
    write_atomic(path, b"x")
    assert path.read_bytes() == b"x"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
def test_file_has_the_modes_of_any_other_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_atomic(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(os.name == "nt", reason="the system's own words differ")
def test_target_that_is_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "target"
    path.mkdir()
    with pytest.raises(InputError) as caught:
        write_atomic(path, b"x")
    assert str(caught.value) == f"output: cannot write {str(path)!r}: Is a directory; expected a writable folder."
    assert isinstance(caught.value.__cause__, OSError)
    assert files_below(tmp_path) == ["target"], "no temporary file is left"


@pytest.mark.skipif(os.name == "nt", reason="the system's own words differ")
def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"kept")
    path = tmp_path / "folder" / "name.bin"
    with pytest.raises(InputError) as caught:
        write_atomic(path, b"x")
    assert str(caught.value) in {
        f"output: cannot write {str(path)!r}: {words}; expected a writable folder."
        for words in ("Not a directory", "File exists")
    }
    assert (tmp_path / "folder").read_bytes() == b"kept"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    path = tmp_path / "name.bin"
    with pytest.raises(InputError) as caught:
        write_atomic(path, b"x")
    text = f"output: cannot write {str(path)!r}: Permission denied; expected a writable folder."
    assert str(caught.value) == text
    assert files_below(tmp_path) == []


def test_name_with_a_nul(tmp_path: Path) -> None:
    path = tmp_path / "a\0b"
    with pytest.raises(InputError, match=r"^output: cannot write .*; expected a writable folder\.$"):
        write_atomic(path, b"x")
    with pytest.raises(InputError, match=r"^names: cannot read .*; expected a text file\.$"):
        read_text(path, place="names")
    assert files_below(tmp_path) == []


def test_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "target.bin"
    chance = random.Random(7)
    root = Path(store.__file__).parents[1]
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, cwd=root) as process:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == b"ready"
            time.sleep(0.05 + 0.1 * chance.random())
            process.kill()
        data = path.read_bytes()
        assert len(data) == 3_000_000
        assert data == data[:1] * len(data)


def test_json_is_readable_and_comes_back(tmp_path: Path) -> None:
    value = {"name": "caf\u00e9 \U0001f98a", "broken": "\ud800", "list": [1, 2.5, None]}
    write_json(tmp_path / "x.json", value)
    raw = (tmp_path / "x.json").read_bytes()
    assert raw.startswith('{\n  "name": "café 🦊",\n  "broken": "\\ud800"'.encode())
    assert raw.endswith(b"}\n")
    assert json.loads(read_text(tmp_path / "x.json", place="p")) == value


def test_byte_order_mark_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"\xef\xbb\xbfdog\r\ncat")
    assert read_text(tmp_path / "x.txt", place="p") == "dog\ncat"


def test_missing_text_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    with pytest.raises(InputError) as caught:
        read_text(path, place="names")
    assert str(caught.value) == f"names: cannot read {str(path)!r}: No such file or directory; expected a text file."


def test_text_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"\xff\xfe\x00d")
    with pytest.raises(InputError) as caught:
        read_text(path, place="names")
    assert str(caught.value) == f"names: {str(path)!r} is not UTF-8 text; expected a text file."


def test_absurdly_large_text_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    with path.open("wb") as file:
        file.truncate(store.TEXT_LIMIT + 1)  # sparse: takes no room
    with pytest.raises(InputError) as caught:
        read_text(path, place="names")
    assert str(caught.value) == f"names: {str(path)!r} has 67108865 bytes; expected at most 67108864."


def test_hash_is_of_the_content() -> None:
    assert len(content_hash()) == 64
    assert content_hash({"a": 1, "b": [2]}, b"x") == content_hash({"b": [2], "a": 1}, b"x")
    parts: list[tuple[object, ...]] = [
        (),
        ("a",),
        ("b",),
        ("a", "b"),
        ("ab",),
        (b"a",),
        (b'"a"',),
        (1,),
        ("1",),
        (None,),
    ]
    assert len({content_hash(*part) for part in parts}) == len(parts)


def test_trimming_drops_what_was_written_first(tmp_path: Path) -> None:
    for age, name in enumerate(("c", "a/b", "a/d", "e")):
        write_atomic(tmp_path / name, bytes(10))
        os.utime(tmp_path / name, (age, age))
    store.trim_folder(tmp_path, 40)
    assert files_below(tmp_path) == ["a", "b", "c", "d", "e"]
    store.trim_folder(tmp_path, 25)
    assert files_below(tmp_path) == ["a", "d", "e"]
    store.trim_folder(tmp_path, 0)
    assert files_below(tmp_path) == ["a"]
    store.trim_folder(tmp_path / "none", 0)


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_trimming_stays_in_the_folder(tmp_path: Path) -> None:
    write_atomic(tmp_path / "outside" / "precious", bytes(10))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "cache" / "file").symlink_to(tmp_path / "outside" / "precious")
    store.trim_folder(tmp_path / "cache", 0)
    assert (tmp_path / "outside" / "precious").is_file()
