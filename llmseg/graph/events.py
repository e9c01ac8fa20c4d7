"""What a run reports: events while it goes on, one record at the end. Not here: the run (`execution`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import NodeError

__all__ = ["Event", "EventKind", "RunResult"]

EventKind = Literal["started", "finished", "cached", "failed", "blocked", "progress"]


@dataclass(frozen=True)
class Event:
    """Something that happened to one node.

    Args:
        seconds: how long the node ran (finished, failed).
        value: steps done (progress), out of `total`.
        message: why (failed, blocked).
    """

    kind: EventKind
    node_id: str
    class_type: str
    title: str
    seconds: float = 0.0
    value: float = 0.0
    total: float = 0.0
    message: str = ""


@dataclass
class RunResult:
    """What a run did.

    Args:
        ui: what each node shows, by node id.
        executed: ids in the order in which they ran.
        cached: ids whose result was taken from the cache or from an equal node.
        blocked: ids of which at least one call was skipped by an `ExecutionBlocker`.
        seconds: by node id.
        error: why the run stopped early, None if it did not.
    """

    ui: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    error: NodeError | None = None
