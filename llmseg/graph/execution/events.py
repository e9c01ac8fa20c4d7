"""What a run reports: events while it goes on, one record at the end. Not here: the run (`executor`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ...errors import NodeError

__all__ = ["Event", "EventKind", "RunResult"]

EventKind = Literal["started", "finished", "cached", "failed", "blocked", "progress"]


@dataclass(frozen=True)
class Event:
    """Something that happened to one node.

    Args:
        node_id: its id; that of a node from an expansion starts with the id of the node that expanded.
        seconds: how long the node ran (finished, failed).
        value: steps done (progress), out of `total`.
        message: why (failed, blocked).
        display_id: the node that a person sees for it, the same for a node of the file.
    """

    kind: EventKind
    node_id: str
    class_type: str
    title: str
    seconds: float = 0.0
    value: float = 0.0
    total: float = 0.0
    message: str = ""
    display_id: str = ""


@dataclass
class RunResult:
    """What a run did.

    Args:
        ui: what each node shows, by node id.
        executed: ids in the order in which they ran.
        cached: ids whose result was taken from the cache or from an equal node.
        blocked: ids of which at least one call was skipped by an `ExecutionBlocker`.
        seconds: by node id.
        errors: why nodes failed; more than one only in a run that goes on after a failure.
    """

    ui: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    errors: list[NodeError] = field(default_factory=list)

    @property
    def error(self) -> NodeError | None:
        """The first failure, None if there was none."""
        return self.errors[0] if self.errors else None
