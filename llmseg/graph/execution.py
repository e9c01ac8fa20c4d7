"""Runs the nodes of a validated prompt and reports what happens.

The first exception ends the run; what had finished is kept.
Not here: checks (`validation`), order (`schedule`), a single call (`calls`), signatures (`cache`).

Sources: the ComfyUI server (``execution.py``), restated.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ..errors import NodeError
from .cache import ResultCache, Signer, StoredResult
from .calls import call_mapped, call_node, constant, hidden_arguments, inference_mode
from .definitions import NodeDefinition
from .events import Event, EventKind, RunResult
from .schedule import Schedule, links_of
from .shapes import is_link

__all__ = ["Executor"]


class Executor:
    """Runs prompts over one registry; keeps one instance per node id and class between runs.

    Args:
        node_classes: the registry.
        cache: results to reuse; None runs every node, equal ones too.
        on_event: called for every event, in order.
    """

    def __init__(
        self,
        node_classes: Mapping[str, type],
        *,
        cache: ResultCache | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self.node_classes = node_classes
        self.cache = cache
        self.on_event = on_event
        self.current_node: str | None = None
        self._instances: dict[tuple[str, str], Any] = {}
        self._prompt: Mapping[str, Any] = {}

    def run(self, prompt: Mapping[str, Any], outputs: Collection[str], *, extra_pnginfo: Any = None) -> RunResult:
        """Run what `outputs` need.

        Args:
            prompt: the prompt of a `Validation`; one that was never checked, with a cycle say, may not end.
            outputs: ids of the nodes whose running is the purpose.
            extra_pnginfo: given to nodes that ask for it, usually ``{"workflow": ...}`` or None.

        Returns:
            The outcome; a failing node is in its `error`, not raised.
        """
        self._prompt = prompt
        run = _Run(self, prompt, outputs, extra_pnginfo)
        try:
            return run.complete()
        finally:
            self.current_node = None
            run.forget_unused()

    def progress(self, value: float, total: float) -> None:
        """Report how far the node that runs now has come."""
        if self.current_node is not None:
            self.emit("progress", self.current_node, steps=(value, total))

    def emit(
        self,
        kind: EventKind,
        node_id: str,
        *,
        seconds: float = 0.0,
        steps: tuple[float, float] = (0.0, 0.0),
        message: str = "",
    ) -> None:
        """Send an event about a node of the current prompt; `steps` are those done and those in all."""
        if self.on_event is not None:
            node = self._prompt[node_id]
            title = str((node.get("_meta") or {}).get("title") or node["class_type"])
            self.on_event(Event(kind, node_id, node["class_type"], title, seconds, *steps, message))

    def instance(self, node_id: str, class_type: str) -> Any:
        """The object of a node, made on first use."""
        key = (node_id, class_type)
        if key not in self._instances:
            self._instances[key] = self.node_classes[class_type]()
        return self._instances[key]


class _Run:
    """The state of one run."""

    def __init__(
        self, executor: Executor, prompt: Mapping[str, Any], outputs: Collection[str], extra_pnginfo: Any
    ) -> None:
        self.executor = executor
        self.prompt = prompt
        self.outputs = outputs
        self.extra_pnginfo = extra_pnginfo
        self.result = RunResult()
        self.done: set[str] = set()
        self.values: dict[str, list[list[Any]]] = {}
        self.readers: Counter[str] = Counter()
        self.definitions: dict[str, NodeDefinition] = {}
        self._look_ahead()
        self.signer = Signer(prompt, self.definitions, executor.node_classes)
        self.schedule = Schedule(prompt, self.definitions, executor.node_classes, self._is_done)

    def complete(self) -> RunResult:
        for node_id in self.outputs:
            if not self._is_done(node_id):
                self.schedule.add(node_id)
        while (ready := self.schedule.pop()) is not None:
            # An equal node may have run since this one was scheduled.
            if not self._is_done(ready) and not self._run_node(ready):
                if self.result.error is not None:
                    break
                self.schedule.retry(ready)
                continue
            self.schedule.finish(ready)
            self._release_sources(ready)
        return self.result

    def forget_unused(self) -> None:
        """Drop cached results of nodes that are not in this prompt."""
        if self.executor.cache is not None:
            self.executor.cache.keep_only(self.signer.signatures.values())

    def _look_ahead(self) -> None:
        """Over all ancestors, lazy ones too: how many links read each node, and the classes."""
        seen: set[str] = set()
        pending = list(self.outputs)
        while pending:
            node_id = pending.pop()
            if node_id in seen:
                continue
            seen.add(node_id)
            node = self.prompt[node_id]
            class_type = node["class_type"]
            if class_type not in self.definitions:
                node_class = self.executor.node_classes[class_type]
                self.definitions[class_type] = NodeDefinition.from_class(class_type, node_class)
            for _, source, _ in links_of(node["inputs"]):
                self.readers[source] += 1
                pending.append(source)

    def _is_done(self, node_id: str) -> bool:
        """Whether the result is at hand, in this run or in the cache."""
        if node_id in self.done:
            return True
        cache = self.executor.cache
        stored = cache.get(self.signer.sign(node_id)) if cache is not None else None
        if stored is None:
            return False
        self._keep(node_id, stored)
        self.result.cached.append(node_id)
        self.executor.emit("cached", node_id)
        return True

    def _run_node(self, node_id: str) -> bool:
        """Run one node; False if it failed or waits for lazy inputs."""
        executor, class_type = self.executor, self.prompt[node_id]["class_type"]
        executor.current_node = node_id
        begin = time.perf_counter()
        try:
            with inference_mode():
                arguments, missing = self._arguments(node_id)
                node = executor.instance(node_id, class_type)
                if self._asks_for_more(node_id, node, arguments, missing):
                    return False
                executor.emit("started", node_id)
                outputs, ui, blockers = call_node(node, arguments)
        except Exception as error:
            seconds = self.result.seconds[node_id] = time.perf_counter() - begin
            self.result.error = NodeError(node_id, class_type, error)
            self.result.error.__cause__ = error
            executor.emit("failed", node_id, seconds=seconds, message=str(self.result.error))
            return False
        finally:
            executor.current_node = None
        self._record(node_id, StoredResult(outputs, ui), blockers, time.perf_counter() - begin)
        return True

    def _record(self, node_id: str, stored: StoredResult, blockers: list[Any], seconds: float) -> None:
        self._keep(node_id, stored)
        if self.executor.cache is not None:
            self.executor.cache.put(self.signer.sign(node_id), stored)
        self.result.seconds[node_id] = seconds
        self.result.executed.append(node_id)
        if blockers:
            self.result.blocked.append(node_id)
            messages = [blocker.message for blocker in blockers if getattr(blocker, "message", None) is not None]
            self.executor.emit("blocked", node_id, message="; ".join(dict.fromkeys(map(str, messages))))
        self.executor.emit("finished", node_id, seconds=seconds)

    def _arguments(self, node_id: str) -> tuple[dict[str, list[Any]], set[str]]:
        """Every argument as a list of items, and the linked inputs that have no value yet.

        Links are passed on even if the class does not declare them, constants only if it does.
        """
        node = self.prompt[node_id]
        definition = self.definitions[node["class_type"]]
        specs = {spec.name: spec for spec in definition.inputs}
        arguments: dict[str, list[Any]] = {}
        missing: set[str] = set()
        for name, value in node["inputs"].items():
            if is_link(value) and not (name in specs and specs[name].options.get("rawLink")):
                outputs = self.values.get(value[0], [])
                arguments[name] = outputs[value[1]] if value[1] < len(outputs) else [None]
                if value[0] not in self.done:
                    missing.add(name)
            elif name in specs:
                arguments[name] = [constant(value)]
        arguments.update(hidden_arguments(definition.hidden, node_id, self.prompt, self.extra_pnginfo))
        return arguments, missing

    def _asks_for_more(self, node_id: str, node: Any, arguments: dict[str, list[Any]], missing: set[str]) -> bool:
        """Whether the node wants lazy inputs that are not there; they are scheduled."""
        if not hasattr(node, "check_lazy_status"):
            return False
        as_lists = getattr(type(node), "INPUT_IS_LIST", False)
        answers, _ = call_mapped(node.check_lazy_status, arguments, as_lists=as_lists)
        names = {name for answer in answers if isinstance(answer, list) for name in answer}
        wanted = sorted(name for name in names if isinstance(name, str) and (name in missing or name not in arguments))
        for name in wanted:
            self.schedule.require(node_id, name)
        return bool(wanted)

    def _keep(self, node_id: str, stored: StoredResult) -> None:
        self.done.add(node_id)
        if self.readers[node_id]:
            self.values[node_id] = stored.outputs
        if stored.ui:
            self.result.ui[node_id] = stored.ui

    def _release_sources(self, node_id: str) -> None:
        """Let go of results that nobody will read any more."""
        for _, source, _ in links_of(self.prompt[node_id]["inputs"]):
            self.readers[source] -= 1
            if not self.readers[source]:
                self.values.pop(source, None)
