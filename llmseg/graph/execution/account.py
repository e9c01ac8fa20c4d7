"""The account of a run: what happened to each node, told as it happens and kept for the end.

Not here: what events look like (`events`), the run (`running`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from ...errors import InputError, LLMSegError, NodeError
from ..places import node_place
from .events import Event, EventKind, RunResult
from .live import LivePrompt

__all__ = ["Account"]


class Account:
    """Events and the record of one run.

    Args:
        live: the running prompt.
        on_event: called for every event, in order.
    """

    def __init__(self, live: LivePrompt, on_event: Callable[[Event], None] | None) -> None:
        self.live = live
        self.result = RunResult()
        self._on_event = on_event
        self._began: dict[str, float] = {}
        self._spent: dict[str, float] = {}

    def start(self, node_id: str) -> None:
        """The function of a node is about to be called."""
        self._began[node_id] = time.perf_counter()
        self._emit("started", node_id)

    def pause(self, node_id: str) -> None:
        """A node has expanded; what its inner nodes take is theirs."""
        self._spent[node_id] = self._stop(node_id)

    def resume(self, node_id: str) -> None:
        """The inner nodes of a node are done."""
        self._began[node_id] = time.perf_counter()

    def progress(self, node_id: str, value: float, total: float) -> None:
        """A node has come so far."""
        self._emit("progress", node_id, steps=(value, total))

    def cached(self, node_id: str, ui: dict[str, list[Any]]) -> None:
        """The result of a node was at hand."""
        self._show(node_id, ui)
        self.result.cached.append(node_id)
        self._emit("cached", node_id)

    def finish(self, node_id: str, ui: dict[str, list[Any]], blockers: Sequence[Any]) -> None:
        """A node is done; `blockers` skipped calls of it."""
        self._show(node_id, ui)
        seconds = self.result.seconds[node_id] = self._stop(node_id)
        self.result.executed.append(node_id)
        if blockers:
            self.result.blocked.append(node_id)
            messages = [blocker.message for blocker in blockers if getattr(blocker, "message", None) is not None]
            self._emit("blocked", node_id, message="; ".join(dict.fromkeys(map(str, messages))))
        self._emit("finished", node_id, seconds=seconds)

    def fail(self, node_id: str, error: Exception) -> None:
        """A node has failed; one that came from an expansion is told with the node that expanded."""
        real, cause = self.live.get_real_node_id(node_id), error
        if real != node_id:
            cause = self._as_inner(node_id, error)
        failure = NodeError(real, self.live[real]["class_type"], cause)
        failure.__cause__ = error
        seconds = self.result.seconds[node_id] = self._stop(node_id)
        self.result.errors.append(failure)
        self._emit("failed", node_id, seconds=seconds, message=str(failure))

    def _as_inner(self, node_id: str, error: Exception) -> InputError:
        place = f"inner {node_place(node_id, self.live[node_id]['class_type'])}"
        if not isinstance(error, LLMSegError):
            return InputError(f"{type(error).__name__}: {error}", place=place)
        return InputError(error.problem, place=f"{place}, {error.place}" if error.place else place)

    def _stop(self, node_id: str) -> float:
        now = time.perf_counter()
        return self._spent.pop(node_id, 0.0) + now - self._began.pop(node_id, now)

    def _show(self, node_id: str, ui: dict[str, list[Any]]) -> None:
        if ui:
            self.result.ui[node_id] = ui

    def _emit(
        self,
        kind: EventKind,
        node_id: str,
        *,
        seconds: float = 0.0,
        steps: tuple[float, float] = (0.0, 0.0),
        message: str = "",
    ) -> None:
        if self._on_event is not None:
            node = self.live[node_id]
            title = str((node.get("_meta") or {}).get("title") or node["class_type"])
            display_id = self.live.get_display_node_id(node_id)
            self._on_event(Event(kind, node_id, node["class_type"], title, seconds, *steps, message, display_id))
