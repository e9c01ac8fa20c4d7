"""A store's objects, whole, with every failure of a package as one line without secrets."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from folder_store import register
from fsspec.implementations.memory import MemoryFileSystem

from llmseg import stores
from llmseg.addresses import Url
from llmseg.errors import InputError
from llmseg.stores import Store

SECRET = "s3cr3t"


class Failing(MemoryFileSystem):  # type: ignore[misc]
    """Raises what it is told to, for everything that is asked of it."""

    protocol = "failing"
    error: Exception = OSError()

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return MemoryFileSystem._strip_protocol(str(path).rpartition("@")[2])  # type: ignore[no-any-return]

    def _fail(self, *values: Any, **more: Any) -> Any:
        raise self.error

    info = find = glob = get_file = put_file = pipe_file = cat_file = rm_file = _fail


@pytest.fixture(params=["memory", "share", "oss"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty folder of each kind of store."""
    register()
    folder = "store/out" if request.param == "memory" else str(tmp_path / "store" / "out")
    yield Store(Url(f"{request.param}://{folder}"), "output")
    fsspec.filesystem("memory").store.clear()


def test_what_is_put_is_there_whole_and_nothing_else(store: Store, tmp_path: Path) -> None:
    assert (store.names(), store.read("a"), store.names("sub")) == (set(), b"", set())
    files = []
    for name, content in (("a.txt", b"one"), ("sub/deep/b.txt", b"x" * 100_000), ("empty", b"")):
        path = tmp_path / "staging" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files.append((path, name))
    for _ in range(2):  # over what is there, too
        store.put(files)
        store.write("sub/c", b"three")
    assert store.names() - {".llmseg"} == {"a.txt", "sub/deep/b.txt", "empty", "sub/c"}
    assert store.names("sub") == {"sub/deep/b.txt", "sub/c"}
    assert [store.read(name) for name in ("a.txt", "sub/c", "empty")] == [b"one", b"three", b""]
    assert store.read("sub/deep/b.txt") == b"x" * 100_000
    for _ in range(2):
        store.remove("a.txt")
    assert "a.txt" not in store.names()
    store.remove_folder(".llmseg")
    store.remove_folder("sub")  # not empty
    assert store.read("sub/c") == b"three"


def test_fetching_leaves_a_whole_file_or_none(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write("a.png", b"0123456789")
    target = tmp_path / "copies" / "0" / "a.png"
    store.fetch(f"{store.root}/a.png", target, "a")
    assert target.read_bytes() == b"0123456789"
    assert list(target.parent.iterdir()) == [target]
    monkeypatch.setattr(stores, "LARGEST", 5)
    if store.url.protocol != "memory":  # its class must tell how far it is
        return
    with pytest.raises(InputError, match="output: cannot fetch 'a': more than 5 bytes; expected an image that can be"):
        store.fetch(f"{store.root}/a.png", tmp_path / "b" / "b.png", "a")
    assert not (tmp_path / "b" / "b.png").exists()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError(f"bucket/{SECRET}"), "it is not there"),
        (PermissionError("Forbidden"), "access is refused (Forbidden)"),
        (PermissionError(), "access is refused"),
        (TimeoutError(), "no answer in time"),
        (type("FSTimeoutError", (Exception,), {})(), "no answer in time"),
        (ConnectionError(f"no route to https://key:{SECRET}@host/b?sig={SECRET}."), "no route to https://host/b"),
        (ValueError(f"first\nsecond token={SECRET}"), "first second token=***"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_failures_are_one_line_without_secrets(error: Exception, reason: str, tmp_path: Path) -> None:
    fsspec.register_implementation("failing", Failing, clobber=True)
    Failing.error = error
    path = tmp_path / "x"
    path.write_bytes(b"")
    store = Store(Url(f"failing://key:{SECRET}@host/out"), "output")
    calls = {
        "cannot fetch 'b/x.png'": lambda: store.fetch("x.png", tmp_path / "y" / "y.png", "b/x.png"),
        "cannot put results into 'failing://host/out'": lambda: store.put([(path, "x")]),
        "cannot write into 'failing://host/out'": lambda: store.write("x", b""),
    }
    if not isinstance(error, FileNotFoundError):
        calls |= {
            "cannot list 'failing://host/out'": lambda: store.names(),
            "cannot read 'failing://host/out/x'": lambda: store.read("x"),
            "cannot remove 'failing://host/out/x'": lambda: store.remove("x"),
        }
        with pytest.raises(InputError, match="cannot list"):
            store.list(lambda key: False)
    for problem, call in calls.items():
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value).startswith(f"output: {problem}: {reason}; expected ")
        shown = "".join(traceback.format_exception(caught.value))
        assert SECRET not in shown, "not in the traceback that --debug prints, either"


def test_web_addresses_are_never_listed() -> None:
    store = Store(Url("https://user:pw@host/a/b%20c.png?token=1"), "--images")
    (found,) = store.list(lambda key: False)
    assert (found.seen, found.shown) == ("b c.png", "https://host/a/b%20c.png")
    assert found.key == "https://user:pw@host/a/b%20c.png?token=1"


@pytest.mark.parametrize("protocol", sorted(set(stores.PACKAGES)))
def test_a_missing_package_is_named(protocol: str) -> None:
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError:
        with pytest.raises(InputError) as caught:
            Store(Url(f"{protocol}://user:{SECRET}@host/x"), "output")
        package = stores.PACKAGES[protocol]
        assert str(caught.value) == f"output: {protocol!r} needs the package {package}; pip install {package}"


def test_a_rename_onto_something_may_be_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register()
    store = Store(Url(f"share://{tmp_path / 'out'}"), "output")

    def rename(before: str, after: str) -> None:
        if Path(after).exists():
            raise OSError("the server says: failure")
        Path(before).rename(after)

    monkeypatch.setattr(store._files, "mv", rename)
    for content in (b"1", b"2"):
        store.write("x", content)
        assert store.read("x") == content
    monkeypatch.setattr(store._files, "mv", lambda before, after: Path("/none/x").rename(after))
    with pytest.raises(InputError, match="cannot write into"):
        store.write("y", b"")
