"""A prompt on its way: the server's messages as events, its history record as the verdict.

Not here: the websocket (`channel`), when to look into the history (`client`), files (`results`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from ..errors import InputError, NodeError
from ..graph import Event, RunResult
from ..graph.execution.events import EventKind
from .limits import ServerError
from .untrusted import as_mapping, clean_text, one_line

__all__ = ["Follower", "Listener"]

BLOCKED = "ExecutionBlocked"  # a notice in the shape of an error, after which the prompt goes on
LONGEST_TRACEBACK = 20_000  # characters
OWN_PACKAGE = "llmseg."  # whose errors explain themselves


class Listener(Protocol):
    """Whoever wants to know; the reporters are such."""

    def event(self, event: Event) -> None:
        """Something happened to a node."""

    def progress(self, done: int, total: int) -> None:
        """Steps of the running node."""

    def warning(self, message: str) -> None:
        """Something worth knowing that stops nothing."""


class Follower:
    """Turns messages about one prompt into events, and keeps the account of the run in `result`.

    Args:
        prompt: what was sent; nodes that the server adds while it runs are not reported.
        listener: gets the events.
    """

    def __init__(self, prompt: Mapping[str, Any], listener: Listener) -> None:
        self.result = RunResult()
        self._prompt = prompt
        self._listener = listener
        self._began: dict[str, float] = {}
        self._has_states = False
        self._progress: tuple[str, int, int] | None = None

    def take(self, kind: str, data: Mapping[str, Any]) -> bool:
        """Use a message; answers whether the server says with it that the prompt is finished."""
        node_id = data.get("node")
        if kind == "execution_cached":
            self._cache(data.get("nodes"))
        elif kind == "executing" and node_id is None:
            return True
        elif kind == "executing":
            self._start(node_id)
        elif kind == "progress" and not self._has_states:
            self._advance(node_id, data)
        elif kind == "progress_state":
            self._read_states(as_mapping(data.get("nodes")))
        elif kind == "executed":
            self._finish(node_id)
        elif kind == "execution_error":
            self._read_error(data)
        return False

    def settle(self, record: Mapping[str, Any]) -> None:
        """Take the verdict of a history record, and what the websocket may have missed."""
        status = as_mapping(record.get("status"))
        messages = status.get("messages")
        listed = messages if isinstance(messages, list) else []
        pairs = [pair for pair in listed if isinstance(pair, list) and len(pair) == 2]
        said = {str(kind): as_mapping(data) for kind, data in pairs}
        self._cache(said.get("execution_cached", {}).get("nodes"))
        if status.get("status_str") != "error":
            self.result.errors.clear()
            for node_id in list(self._began):
                self._finish(node_id)
            for node_id in as_mapping(record.get("outputs")):
                if node_id not in self.result.cached and node_id in self._prompt and not self._is_known(node_id):
                    self.result.executed.append(node_id)  # nobody was listening when it ran
            return
        if "execution_interrupted" in said:
            data = said["execution_interrupted"]
            self.result.errors = [self._error(data, "interrupted on the server; files already written stay.")]
        elif "execution_error" in said:
            self._read_error(said["execution_error"])
        if not self.result.errors:
            self.result.errors.append(self._error({}, "failed on the server, which gave no reason."))

    def _is_known(self, node_id: str) -> bool:
        return node_id in self.result.executed or node_id in self.result.blocked

    def _cache(self, nodes: object) -> None:
        for node_id in map(str, nodes) if isinstance(nodes, list) else ():
            if node_id in self._prompt and node_id not in self.result.cached and node_id not in self.result.executed:
                self.result.cached.append(node_id)
                self._report("cached", node_id)

    def _start(self, node: object) -> None:
        node_id = str(node)
        if not self._has_states:  # an older server, one node at a time: the next begins when the last is done
            for other in [other for other in self._began if other != node_id]:
                self._finish(other)
        if node_id in self._prompt and node_id not in self._began and node_id not in self.result.executed:
            self._began[node_id] = time.monotonic()
            self._report("started", node_id)

    def _finish(self, node: object) -> None:
        node_id = str(node)
        if node_id in self._began:
            seconds = time.monotonic() - self._began.pop(node_id)
            self.result.seconds[node_id] = seconds
            self.result.executed.append(node_id)
            self._report("finished", node_id, seconds=seconds)

    def _read_states(self, nodes: Mapping[str, Any]) -> None:
        self._has_states = True
        for node_id, state in nodes.items():
            word = as_mapping(state).get("state")
            if word == "running":
                self._start(node_id)
                self._advance(node_id, state)
            elif word == "finished":
                self._finish(node_id)

    def _advance(self, node: object, data: Mapping[str, Any]) -> None:
        value, total = data.get("value"), data.get("max")
        if (
            isinstance(value, (int, float))
            and isinstance(total, (int, float))
            and 1 < total < 1e12
            and 0 <= value <= total
        ):
            step = (str(node), int(value), int(total))
            if step != self._progress:
                self._progress = step
                self._listener.progress(*step[1:])

    def _read_error(self, data: Mapping[str, Any]) -> None:
        node_id = str(data.get("node_id", ""))
        kind, text = one_line(data.get("exception_type") or "", 100), one_line(data.get("exception_message") or "")
        if kind == BLOCKED:
            if node_id in self._prompt and node_id not in self.result.blocked:
                self.result.blocked.append(node_id)
                self._report("blocked", node_id, message=text)
            return
        if self.result.errors:
            return
        own = kind.startswith(OWN_PACKAGE) and text
        error = self._error(data, text if own else f"{kind or 'Exception'}: {text or 'no message'}")
        self.result.errors.append(error)
        seconds = time.monotonic() - self._began.pop(node_id, time.monotonic())
        if node_id in self._prompt:
            self._report("failed", node_id, seconds=seconds, message=str(error))

    def _error(self, data: Mapping[str, Any], problem: str) -> NodeError:
        node_id = one_line(data.get("node_id") or "?", 100)
        error = NodeError(node_id, one_line(data.get("node_type") or self._class(node_id), 100), InputError(problem))
        lines = data.get("traceback")
        if isinstance(lines, list) and lines:  # what --debug shows as the cause
            error.__cause__ = ServerError(
                clean_text("".join(map(str, lines)))[-LONGEST_TRACEBACK:], place="on the server"
            )
        return error

    def _class(self, node_id: str) -> str:
        return str(as_mapping(self._prompt.get(node_id)).get("class_type", "unknown"))

    def _report(self, kind: EventKind, node_id: str, *, seconds: float = 0.0, message: str = "") -> None:
        meta = as_mapping(as_mapping(self._prompt.get(node_id)).get("_meta"))
        title = str(meta.get("title", ""))
        self._listener.event(
            Event(kind, node_id, self._class(node_id), title, seconds=seconds, message=message, display_id=node_id)
        )
