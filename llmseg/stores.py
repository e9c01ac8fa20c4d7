"""Objects behind a URL, in whatever store fsspec has a package for: listed, fetched, put and removed.

Every failure is one line without credentials; the packages raise what they like, and may quote the whole request.
Credentials are theirs: they read the environment and the configuration files of the provider.

Not here: what a URL is and how it is shown (`addresses`), what the objects mean (`batch`, `places`).
Source: https://filesystem-spec.readthedocs.io
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from .addresses import PROTOCOL, WEB, Url, guard_logs, hide_secrets
from .destinations import OWN_FOLDER
from .errors import InputError, UnknownNameError

__all__ = ["OBJECT_STORES", "Found", "Store"]

# They show an object when all of it is there. Elsewhere a file is put beside its place, then renamed.
OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "tos", "tosfs", "hf", "memory")
PACKAGES = {  # of protocols whose class is fsspec's own
    "http": "aiohttp requests",
    "https": "aiohttp requests",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "smb": "smbprotocol",
    "hdfs": "pyarrow",
    "webhdfs": "requests",
    "github": "requests",
    "git": "pygit2",
}
LARGEST = 2**30  # bytes of one image; a mistake, or a server that never ends


class Found(NamedTuple):
    """An object of a listing: its key in the store, its name as seen from what was asked for, and its shown URL."""

    key: str
    seen: str
    shown: str


class Store:
    """What lies at and below one URL.

    Args:
        url: of a folder, an object or a pattern.
        place: that messages name.

    Raises:
        InputError: the protocol is unknown, its package is missing, or the store cannot be reached.
    """

    def __init__(self, url: Url, place: str) -> None:
        self.url, self.place = url, place
        if "::" in url.text:
            raise InputError(f"{str(url)!r} joins several URLs; expected one.", place=place)
        _check_protocol(url.protocol, place)
        guard_logs()  # of requests, say, which warns of an attempt to come with all of its URL
        import fsspec

        with self._answering(f"cannot open {str(url)!r}", "a store that can be reached"):
            text = PROTOCOL.sub(f"{url.protocol}://", url.text, count=1)
            self._files, root = fsspec.url_to_fs(text)
            self.root: str = root.rstrip("/")

    def list(self, wanted: Callable[[str], bool]) -> list[Found]:
        """The object at the URL, the wanted ones below it, or those that it matches as a pattern; in order.

        An object with a wanted name is believed to be there, and so is everything on the web, which has no listings.
        """
        shown = str(self.url)
        if self.url.protocol in WEB:
            return [Found(self.url.text, unquote(urlsplit(self.url.text).path).rstrip("/").rpartition("/")[2], shown)]
        is_pattern = glob.has_magic(self.root)
        alone = [Found(self.root, self.root.rpartition("/")[2], shown)]
        if wanted(self.root) and not is_pattern and not self.url.text.endswith("/"):
            return alone
        with self._answering(f"cannot list {shown!r}", "a folder that can be read"):
            self._files.invalidate_cache()
            kind = self._kind()
            if kind == "file":
                return alone
            if kind != "directory" and not is_pattern:
                return []
            folder = kind == "directory"
            keys = self._files.find(self.root) if folder else self._files.glob(self.root)
        fixed, start = (_as_folder(one) if folder else _fixed_part(one) for one in (self.root, shown))
        found = [(key, _below(fixed, key)) for key in keys if wanted(key)]
        return [Found(key, seen, start + seen) for key, seen in sorted(found, key=lambda one: one[1].split("/"))]

    def fetch(self, key: str, path: Path, shown: str) -> None:
        """Copy an object into a file, which is there when all of it is.

        Args:
            key: as it was found.
            path: its folder is made.
            shown: what messages call the object.
        """
        from fsspec.callbacks import Callback

        class Limit(Callback):  # type: ignore[misc]
            def relative_update(self, inc: int = 1) -> None:
                super().relative_update(inc)
                if self.value > LARGEST:
                    raise ValueError(f"more than {LARGEST} bytes")

        partial = path.with_name("partial")
        with self._answering(f"cannot fetch {shown!r}", "an image that can be read"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files.get_file(key, str(partial), callback=Limit())
            partial.replace(path)

    def put(self, files: Sequence[tuple[Path, str]]) -> None:
        """Put files below the URL; each appears whole or not at all.

        Args:
            files: each with its name as seen from the URL.
        """
        keys = [self._key(name) for _, name in files]
        with self._answering(f"cannot put results into {str(self.url)!r}", "a folder that can be written"):
            if self.url.protocol in OBJECT_STORES:
                self._files.put([str(path) for path, _ in files], keys)
                return
            for (path, _), key in zip(files, keys, strict=True):
                beside = self._key(f"{OWN_FOLDER}/{uuid4().hex}.tmp")
                self._files.put_file(str(path), beside)
                self._move(beside, key)

    def write(self, name: str, data: bytes) -> None:
        """Put bytes below the URL, whole or not at all."""
        with self._answering(f"cannot write into {str(self.url)!r}", "a folder that can be written"):
            if self.url.protocol in OBJECT_STORES:
                self._files.pipe_file(self._key(name), data)
                return
            beside = self._key(f"{OWN_FOLDER}/{uuid4().hex}.tmp")
            self._files.makedirs(self._key(OWN_FOLDER), exist_ok=True)
            self._files.pipe_file(beside, data)
            self._move(beside, self._key(name))

    def read(self, name: str) -> bytes:
        """What is below the URL; nothing where it is not there."""
        with self._answering(f"cannot read {str(self.url / name)!r}", "a file that can be read"):
            try:
                return bytes(self._files.cat_file(self._key(name)))
            except FileNotFoundError:
                return b""

    def remove(self, name: str) -> None:
        """Remove what is below the URL, if it is there."""
        with self._answering(f"cannot remove {str(self.url / name)!r}", "a folder that can be written"):
            try:
                self._files.rm_file(self._key(name))
            except FileNotFoundError:
                return

    def remove_folder(self, name: str) -> None:
        """Remove an empty folder below the URL, where there is such a thing; for good looks only."""
        if self.url.protocol not in OBJECT_STORES:
            with suppress(Exception):
                self._files.rmdir(self._key(name))

    def names(self, below: str = "") -> set[str]:
        """Everything below the URL, as seen from it; below one of its folders, if asked."""
        start = self._key(below) if below else self.root
        with self._answering(f"cannot list {str(self.url)!r}", "a folder that can be read"):
            self._files.invalidate_cache()
            try:
                return {_below(_as_folder(self.root), key) for key in self._files.find(start)}
            except FileNotFoundError:
                return set()

    def _key(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _kind(self) -> str:
        try:
            return str(self._files.info(self.root)["type"])
        except FileNotFoundError:
            return ""

    def _move(self, beside: str, key: str) -> None:
        self._files.makedirs(key.rpartition("/")[0], exist_ok=True)
        try:
            self._files.mv(beside, key)
        except Exception:  # some servers rename onto nothing only; which error they tell it with is theirs
            if not self._files.exists(key):
                raise
            self._files.rm_file(key)
            self._files.mv(beside, key)

    @contextmanager
    def _answering(self, problem: str, expected: str) -> Iterator[None]:
        """Whatever a package raises as one clear error. Its own traceback is left out: it may quote a key."""
        try:
            yield
        except Exception as error:  # each package has its own, related to nothing
            reason = _reason(error, self.url)
            raise InputError(f"{problem}: {reason}; expected {expected}.", place=self.place) from None


def _fixed_part(pattern: str) -> str:
    """The folders of a pattern before the first that is one."""
    return re.split(r"[^/]*[*?\[]", pattern, maxsplit=1)[0]


def _as_folder(name: str) -> str:
    return name if not name or name.endswith("/") else f"{name}/"


def _below(folder: str, key: str) -> str:
    """A key as seen from a folder; its last part where it does not lie in it."""
    if not folder:  # the store itself; some keys begin with a slash, some do not
        return key.lstrip("/")
    return key[len(folder) :] if key.startswith(folder) else key.rpartition("/")[2]


def _check_protocol(protocol: str, place: str) -> None:
    """Refuse what fsspec has no class for, and say which package has it."""
    import fsspec
    from fsspec.registry import known_implementations

    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError:
        module = known_implementations.get(protocol, {}).get("class", "").partition(".")[0]
        package = PACKAGES.get(protocol, module.replace("_", "-"))
        # Not chained: what is wrong with an installed package would be hidden among imports anyway.
        raise InputError(f"{protocol!r} needs the package {package}; pip install {package}", place=place) from None
    except ValueError:
        raise UnknownNameError(protocol, fsspec.available_protocols(), place=place) from None


def _reason(error: Exception, url: Url) -> str:
    said = hide_secrets(str(error), url)
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    if isinstance(error, PermissionError):
        return f"access is refused ({said})" if said else "access is refused"
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:  # asyncio's own before Python 3.11
        return "no answer in time"
    return said.rstrip(".") or type(error).__name__
