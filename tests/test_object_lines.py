"""Lines of a manifest in a store that cannot append: whatever object is the last one written, none is lost."""

from __future__ import annotations

import random
from collections.abc import Iterator

import fsspec
import pytest

from llmseg import object_lines
from llmseg.addresses import Url
from llmseg.errors import InputError
from llmseg.object_lines import ObjectLines
from llmseg.stores import Store


class Dying(Store):
    """A store that answers a number of changes, and then nothing any more."""

    left = 10**9

    def write(self, name: str, data: bytes) -> None:
        self._count()
        super().write(name, data)

    def remove(self, name: str) -> None:
        self._count()
        super().remove(name)

    def _count(self) -> None:
        if self.left <= 0:
            raise InputError("gone", place="test")
        self.left -= 1


@pytest.fixture
def store() -> Iterator[Dying]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield Dying(Url("memory://out"), "output")
    files.store.clear()


def test_lines_become_the_manifest(store: Dying) -> None:
    lines = ObjectLines(store)
    assert lines.read() == []
    lines.finish()
    assert store.names() == set(), "nothing was said"
    for number in range(3):
        lines.append(b"%d\n" % number)
    assert store.names() == {f".llmseg/lines/000001-00000{number}.jsonl" for number in (1, 2, 3)}
    lines.finish()
    lines.finish()
    assert store.names() == {"manifest.jsonl"}
    assert store.read("manifest.jsonl") == b"0\n1\n2\n"
    again = ObjectLines(store)
    assert again.read() == [b"0\n", b"1\n", b"2\n"]
    again.append(b"3\n")
    again.finish()
    assert store.read("manifest.jsonl") == b"0\n1\n2\n3\n"


def test_a_manifest_that_was_edited_is_read(store: Dying) -> None:
    store.write("manifest.jsonl", b"a\r\n\nb")
    store.write(".llmseg/lines/x.jsonl", b"no line\n")
    store.write(".llmseg/lines/000007-000001.jsonl", b"b\nc\n")
    store.write(".llmseg/other", b"")
    lines = ObjectLines(store)
    lines.tidy()
    assert ".llmseg/other" not in store.names()
    assert lines.read() == [b"a\r\n", b"b\n", b"c\n"]
    lines.finish()
    assert (store.names(), store.read("manifest.jsonl")) == ({"manifest.jsonl"}, b"a\r\nb\nc\n")


def test_many_lines_are_few_objects(store: Dying, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_lines, "JOINED", 4)
    lines = ObjectLines(store)
    lines.read()
    said = [b"%d\n" % number for number in range(42)]
    for line in said:
        lines.append(line)
    assert len(store.names()) == 10 + 2
    assert ObjectLines(store).read() == said


def test_no_line_is_lost_or_doubled_wherever_it_ends(store: Dying, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_lines, "JOINED", 5)
    source, said, number = random.Random(0), [], 0
    for _ in range(300):
        store.left = 10**9
        lines = ObjectLines(store)
        lines.tidy()
        assert sorted(lines.read()) == sorted(said)
        store.left = source.randint(0, 25)
        try:
            for _ in range(source.randint(0, 12)):
                number += 1
                line = b"%06d\n" % number
                before = store.left
                try:
                    lines.append(line)
                finally:
                    if before:  # the first change is the line itself
                        said.append(line)
            lines.finish()
        except InputError:
            continue
        assert store.names() <= {"manifest.jsonl"}
    assert len(said) > 500
