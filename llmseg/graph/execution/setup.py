"""What outlives a run: the registry, the caches, the objects of nodes, and who listens. Not here: a run (`running`)."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from .cache import ResultCache, ResultStore, StoredResult
from .events import Event

__all__ = ["Setup"]


@dataclass
class Setup:
    """What outlives a run; the arguments of `Executor` tell what each is for."""

    node_classes: Mapping[str, type]
    cache: ResultCache | None = None
    store: ResultStore | None = None
    on_event: Callable[[Event], None] | None = None
    before_call: Callable[[str, int], object] | None = None
    keep_going: bool = False
    repeat_outputs: bool = False
    known: Mapping[str, StoredResult] = field(default_factory=dict)
    instances: dict[tuple[str, str], Any] = field(default_factory=dict)

    def instance(self, node_id: str, class_type: str) -> Any:
        """The object of a node, made on first use."""
        key = (node_id, class_type)
        if key not in self.instances:
            self.instances[key] = self.node_classes[class_type]()
        return self.instances[key]

    def forget_instances(self, kept: Container[str]) -> None:
        """Drop the objects of nodes that are not among `kept`."""
        self.instances = {key: node for key, node in self.instances.items() if key[0] in kept}
