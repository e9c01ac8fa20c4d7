"""Results of nodes on disk, for the runner: what one run computed, the next one reads.

    results/<key>.safetensors    what one node gave and showed; below the user's data folder

A node class takes part by a class method `STORE_KEY(**arguments) -> str | None`, given the values of one call without
the hidden ones: a text that determines what the call gives, or None. Two more, both or none, translate what is not
plain values and tensors: `STORE_PACK(*outputs) -> kept` and `STORE_UNPACK(kept, **arguments) -> outputs`.

The store adds the package and its sources, the class, torch and the device. It never fails a run: a file that is
damaged or foreign is computed and written again, and without a writable folder nothing is kept. The folder may be
deleted at any time.

Not here: when the executor asks (`llmseg.graph.execution.running`), the files' content (`llmseg.stored_values`).
"""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import llmseg
from llmseg.errors import InputError
from llmseg.graph import StoredResult
from llmseg.graph.execution.calls import Arguments, argument_sets, is_blocker
from llmseg.store import content_hash, trim_folder, user_folder, write_atomic
from llmseg.stored_values import dump_value, load_value

from . import host

logger = logging.getLogger("llmseg")

SCHEMA = 1
MOST_BYTES = 2 * 2**30  # of all results together
MOST_RESULTS = 8  # of the largest kind that fit
TRIMMED = 32  # as often as one part of so many has been written, the folder is looked at


class _Key(str):
    """A key that remembers the call it is of, for as long as somebody remembers the key."""

    node_class: Any
    calls: list[dict[str, Any]]


class StoredResults:
    """The store that an `Executor` takes.

    Args:
        folder: where the files are; None for the user's own.
        most_bytes: of all files together; the ones used longest ago go first.

    Attributes:
        later: who does work beside the nodes that come next; None where a result is kept before its node is done.
    """

    def __init__(self, folder: Path | None = None, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder or user_folder("data") / "results"
        self.most_bytes = most_bytes
        self.later: Callable[[Callable[[], None]], object] | None = None
        self._written: int | None = None  # since the folder was looked at; None before that
        self._told: set[str] = set()

    def key(self, node: Any, arguments: Arguments) -> str | None:
        """What the result of all calls of a node is found by; None if it is not stored."""
        node_class = type(node)
        if not hasattr(node_class, "STORE_KEY") or any(map(is_blocker, _items(arguments))):
            return None
        try:
            hidden = node_class.INPUT_TYPES().get("hidden", {})
            shown = {name: items for name, items in arguments.items() if name not in hidden}
            calls = argument_sets(shown, getattr(node_class, "INPUT_IS_LIST", False))
            texts = [node_class.STORE_KEY(**call) for call in calls]
            if not all(isinstance(text, str) for text in texts):
                return None
            key = _Key(content_hash(SCHEMA, _surroundings(node_class), texts))
        except Exception as error:  # the node itself will say what is wrong with its inputs
            logger.debug("no key for %s: %r", node_class.__name__, error)
            return None
        key.node_class, key.calls = node_class, calls
        return key

    def get(self, key: str) -> StoredResult | None:
        """The result, None if there is none or none that can be read."""
        if not isinstance(key, _Key):
            return None
        path = self._path(key)
        try:
            result = _unpack(load_value(_read(path, self._most_each)), key)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._tell("cannot read %s: %s. Its node runs again.", path, error.strerror or error)
            return None
        except Exception as error:  # whatever lies there, nothing of it may stop the run
            self._tell("%s is damaged (%s). Its node runs again.", path, error)
            return None
        with suppress(OSError):
            os.utime(path)  # so that it is not among the oldest
        return result

    def put(self, key: str, result: StoredResult) -> None:
        """Keep a result, if it is of a kind and size that can be kept."""
        if isinstance(key, _Key):
            keep = partial(self._keep, key, result)
            keep() if self.later is None else self.later(keep)

    def _keep(self, key: _Key, result: StoredResult) -> None:
        path = self._path(key)
        try:
            data = dump_value(_pack(result, key), self._most_each)
        except Exception as error:  # it was computed, and the run goes on with it
            logger.debug("%s: result not stored: %r", key.node_class.__name__, error)
            return
        try:
            write_atomic(path, data)
        except InputError as error:
            with suppress(OSError):
                if path.is_file():  # another process keeps the same one, or reads it right now
                    return
            reason = getattr(error.__cause__, "strerror", None) or error.problem
            message = "cannot keep results of nodes in %s: %s. The next run computes them again."
            self._tell(message, self.folder, reason)
            return
        self._trim(len(data))

    @property
    def _most_each(self) -> int:
        return self.most_bytes // MOST_RESULTS

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _trim(self, written: int) -> None:
        """Keep the folder below its limit without looking at every file at every turn."""
        share = self.most_bytes // TRIMMED
        if self._written is None or self._written + written > share:
            trim_folder(self.folder, self.most_bytes - share)
            self._written = 0
        else:
            self._written += written

    def _tell(self, message: str, *details: object) -> None:
        """Warn, once for each kind of trouble."""
        if message not in self._told:
            self._told.add(message)
            logger.warning(message, *details)


def _items(arguments: Arguments) -> Iterator[Any]:
    return (item for items in arguments.values() for item in items)


def _pack(result: StoredResult, key: _Key) -> dict[str, Any]:
    """What goes to the file."""
    outputs: list[Any] = result.outputs
    if hasattr(key.node_class, "STORE_PACK"):
        if any(len(items) != len(key.calls) for items in outputs):
            raise InputError("outputs that are lists; expected one item a call.", place="STORE_PACK")
        outputs = [key.node_class.STORE_PACK(*row) for row in zip(*outputs, strict=True)]
    return {"key": str(key), "outputs": outputs, "ui": result.ui}


def _unpack(kept: Any, key: _Key) -> StoredResult:
    """The result that `kept` was made of."""
    if kept["key"] != key:
        raise InputError("the result of another node; expected its own.", place="key")
    outputs = kept["outputs"]
    if hasattr(key.node_class, "STORE_PACK"):
        rows = [key.node_class.STORE_UNPACK(row, **call) for row, call in zip(outputs, key.calls, strict=True)]
        outputs = [list(items) for items in zip(*rows, strict=True)]
    return StoredResult(outputs, kept["ui"])


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(2 * limit + 1)  # tensors and the rest may have `limit` each
    if len(data) > 2 * limit:
        raise InputError(f"more than {2 * limit} bytes; expected fewer.", place="size")
    return data


def _surroundings(node_class: type) -> list[str]:
    """Whatever changes results without changing an argument."""
    import torch

    return [
        llmseg.__version__,
        _sources(Path(llmseg.__file__).parent),  # a checkout changes without its version
        node_class.__module__,
        node_class.__qualname__,
        _sources(Path(inspect.getfile(node_class)).parent),
        torch.__version__,
        host.torch_device().type,
    ]


@lru_cache(maxsize=64)
def _sources(folder: Path) -> str:
    """Changes with every letter of the sources in a folder."""
    files = sorted(folder.glob("*.py"))
    return content_hash([path.name for path in files], *(path.read_bytes() for path in files))
