"""Files written beside the caller: in order, whole, and what fails is told to whoever waits."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from llmseg.errors import InputError
from llmseg.writer import BackgroundWriter


def test_the_caller_goes_on_while_a_file_is_made(tmp_path: Path) -> None:
    may_end, path = threading.Event(), tmp_path / "a.png"

    def make() -> bytes:
        assert may_end.wait(30)
        return b"whole"

    with BackgroundWriter() as writer:
        writer.write(path, make)
        assert path.read_bytes() == b""  # its name is taken at once
        may_end.set()
        writer.wait()
        assert path.read_bytes() == b"whole"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_everything_is_done_in_the_order_in_which_it_was_given(tmp_path: Path) -> None:
    done: list[str] = []

    def make(name: str) -> bytes:
        done.append(name)
        return name.encode()

    with BackgroundWriter() as writer:
        for name in "abc":
            writer.write(tmp_path / name, lambda name=name: make(name))
        last = writer.do(lambda: [*done, *sorted(path.name for path in tmp_path.iterdir())])
        assert last.result() == ["a", "b", "c", "a", "b", "c"]


def test_leaving_waits_for_what_was_given(tmp_path: Path) -> None:
    with BackgroundWriter() as writer:
        for number in range(20):
            writer.write(tmp_path / str(number), lambda number=number: bytes([number]) * 100_000)
    assert all((tmp_path / str(number)).read_bytes() == bytes([number]) * 100_000 for number in range(20))


def test_what_fails_is_told_and_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise InputError("a label too many; expected fewer.", place="labels")

    with BackgroundWriter() as writer:
        writer.write(tmp_path / "bad", fail)
        writer.write(tmp_path / "good", lambda: b"good")
        with pytest.raises(InputError, match=r"^labels: a label too many"):
            writer.wait()
        wait = writer.written()
        writer.write(tmp_path / "next", lambda: b"of another image")
        writer.wait()  # the failed one was taken
        with pytest.raises(InputError, match=r"^labels: a label too many"):
            wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good", "next"]


def test_a_folder_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "a"
    with BackgroundWriter() as writer, pytest.raises(InputError) as caught:
        writer.write(path, lambda: b"")
    problem = f"cannot write {str(path)!r}: No such file or directory; expected a writable folder."
    assert str(caught.value) == f"output: {problem}"
