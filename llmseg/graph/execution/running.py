"""One run: nodes are taken from the schedule and called until nothing is left to do.

A node may end at once, wait for lazy inputs, wait for asynchronous calls, or expand into further nodes.
Not here: what outlives a run (`executor`), results between nodes (`results`), what is told (`account`).

Source: the ComfyUI server (``execution.py``), restated.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from contextvars import ContextVar
from typing import Any

from ...errors import InputError
from ..definitions import NodeDefinition
from ..dynamic import nested
from .account import Account
from .cache import StoredResult
from .calls import Arguments, call_mapped, hidden_arguments, inference_mode, start_calls
from .events import RunResult
from .expansion import take_in
from .live import LivePrompt
from .results import Results
from .returns import Row, merge_rows, read_returns
from .schedule import Schedule, links_of
from .setup import Setup
from .tasks import Tasks

__all__ = ["CURRENT_NODE", "Run"]

CURRENT_NODE: ContextVar[str | None] = ContextVar("current_node", default=None)


class Run:
    """The state of one run.

    Args:
        setup: the registry, the caches, and who listens.
        prompt: a validated prompt.
        outputs: ids of the nodes whose running is the purpose.
        extra_pnginfo: given to nodes that ask for it.
        kept: nodes whose results somebody will ask for in the end.
    """

    def __init__(
        self,
        setup: Setup,
        prompt: Mapping[str, Any],
        outputs: Collection[str],
        extra_pnginfo: Any,
        *,
        kept: Iterable[str] = (),
    ) -> None:
        self.setup = setup
        self.outputs = outputs
        self.extra_pnginfo = extra_pnginfo
        self.live = LivePrompt(prompt)
        self.account = Account(self.live, setup.on_event)
        self.tasks = Tasks()
        self._classes = setup.node_classes
        self._definitions: dict[str, NodeDefinition] = {}
        self._known: set[str] = set()
        self._expanded: dict[str, tuple[list[Row], dict[str, list[Any]]]] = {}
        self._blockers: dict[str, list[Any]] = {}
        self._store_keys: dict[str, str] = {}
        self._failed: list[str] = []
        self._results = Results(self.live, self._definitions, setup)
        self._results.expect_readers(kept)
        self._schedule = Schedule(self.live, self._definitions, self._classes, self._at_hand)

    def complete(self) -> RunResult:
        """Run until nothing is left to do, or to the first failure."""
        self._want(self.outputs)
        while not self._failed or self.setup.keep_going:
            ready = self._schedule.pop()
            if ready is not None:
                self._step(ready)
            elif not self.tasks:
                break
            for node_id in self._ended(wait=ready is None):
                self._attempt(node_id, self._end_tasks)
        self._report_cycle()
        return self.account.result

    def results_of(self, node_ids: Iterable[str]) -> dict[str, StoredResult]:
        """The results of those of the wanted nodes that have one."""
        return {node_id: found for node_id in node_ids if (found := self._results.result_of(node_id)) is not None}

    def close(self) -> None:
        """Cancel what still waits, and forget cached results of nodes that this prompt does not have."""
        self.tasks.close()
        self._results.forget_unused()

    def _want(self, outputs: Iterable[str]) -> None:
        """Schedule `outputs`, and count over all their ancestors, lazy ones too, the links that read each node."""
        outputs = list(outputs)
        pending = list(outputs)
        while pending:
            node_id = pending.pop()
            if node_id in self._known:
                continue
            self._known.add(node_id)
            node = self.live[node_id]
            class_type = node["class_type"]
            if class_type not in self._definitions:
                self._definitions[class_type] = NodeDefinition.from_class(class_type, self._classes[class_type])
            sources = [] if node_id in self.setup.known else [source for _, source, _ in links_of(node["inputs"])]
            self._results.expect_readers(sources)
            pending += sources
        for node_id in outputs:
            if not self._at_hand(node_id):
                self._schedule.add(node_id)

    def _at_hand(self, node_id: str) -> bool:
        """Whether nobody needs to run the node, in this run or because an equal one has run."""
        if self._results.is_at_hand(node_id):
            return True
        known = self._results.is_done(node_id)
        stored = self._results.find_cached(node_id)
        if stored is not None and not known:
            self.account.cached(node_id, stored.ui)
        return stored is not None

    def _ended(self, *, wait: bool) -> list[str]:
        if not self.tasks:
            return []
        with inference_mode():
            return self.tasks.ended(wait=wait)

    def _step(self, node_id: str) -> None:
        if node_id in self._expanded:
            self._attempt(node_id, self._end_expansion)
        elif self._at_hand(node_id):  # an equal node has run since it was scheduled
            self._finish(node_id)
        else:
            self._attempt(node_id, self._begin)

    def _attempt(self, node_id: str, work: Callable[[str], object]) -> None:
        """Do one piece of the work of a node; an exception is its failure."""
        token = CURRENT_NODE.set(node_id)
        try:
            with inference_mode():
                work(node_id)
        except Exception as error:
            self._failed.append(node_id)
            self.account.fail(node_id, error)
        finally:
            CURRENT_NODE.reset(token)

    def _begin(self, node_id: str) -> None:
        """Call the node, unless it first asks for lazy inputs or its result lies on disk."""
        class_type = self.live[node_id]["class_type"]
        definition = self._definitions[class_type]
        arguments, missing = self._results.arguments(node_id)
        arguments.update(hidden_arguments(definition.hidden, node_id, self.live, self.extra_pnginfo))
        node = self.setup.instance(node_id, class_type)
        if self._asks_for_more(node_id, node, arguments, missing) or self._take_stored(node_id, node, arguments):
            return
        self.account.start(node_id)
        if hasattr(type(node), "define_schema"):
            raise InputError("a V3 node class, which is not supported; expected a V1 class.")
        before = self.setup.before_call
        returns, self._blockers[node_id] = start_calls(
            nested(getattr(node, type(node).FUNCTION), definition),
            arguments,
            as_lists=getattr(node, "INPUT_IS_LIST", False),
            before_call=None if before is None else lambda number: before(node_id, number),
        )
        if any(map(inspect.isawaitable, returns)):
            self.tasks.start(node_id, returns)  # looked at before the next node; it may have ended already
        else:
            self._take_returns(node_id, returns)

    def _end_tasks(self, node_id: str) -> None:
        self._take_returns(node_id, self.tasks.take(node_id))

    def _take_returns(self, node_id: str, returns: list[Any]) -> None:
        """Keep what the calls returned, or take their graphs into the prompt and wait for them."""
        node_class = self._classes[self.live[node_id]["class_type"]]
        rows, ui = read_returns(returns, node_class)
        if all(row.graph is None for row in rows):
            self._record(node_id, self._merge(node_class, rows), ui)
            return
        new = take_in(self.live, node_id, rows, self._classes)
        self.account.pause(node_id)
        self._expanded[node_id] = rows, ui
        linked = [link[0] for row in rows for link in row.links()]
        self._results.expect_readers(linked)
        outputs = [one for one in new if getattr(self._classes[self.live[one]["class_type"]], "OUTPUT_NODE", False)]
        self._want([*outputs, *linked])
        for source in dict.fromkeys(linked):
            self._schedule.wait_for(node_id, source)
        self._schedule.retry(node_id)

    def _end_expansion(self, node_id: str) -> None:
        rows, ui = self._expanded.pop(node_id)
        self.account.resume(node_id)
        outputs = self._merge(self._classes[self.live[node_id]["class_type"]], rows)
        self._results.release([link[0] for row in rows for link in row.links()])
        self._record(node_id, outputs, ui)

    def _merge(self, node_class: type, rows: list[Row]) -> list[list[Any]]:
        return merge_rows(rows, getattr(node_class, "OUTPUT_IS_LIST", ()), self._results.items_of)

    def _record(self, node_id: str, outputs: list[list[Any]], ui: dict[str, list[Any]]) -> None:
        """The node is done."""
        stored = StoredResult(outputs, ui)
        self._results.keep(node_id, stored)
        if self.setup.store is not None and node_id in self._store_keys:
            self.setup.store.put(self._store_keys.pop(node_id), stored)
        self.account.finish(node_id, ui, self._blockers.pop(node_id))
        self._finish(node_id)

    def _asks_for_more(self, node_id: str, node: Any, arguments: Arguments, missing: set[str]) -> bool:
        """Whether the node wants lazy inputs that are not there; they are scheduled."""
        if not hasattr(node, "check_lazy_status"):
            return False
        function = nested(node.check_lazy_status, self._definitions[self.live[node_id]["class_type"]])
        answers, _ = call_mapped(function, arguments, as_lists=getattr(node, "INPUT_IS_LIST", False))
        names = {name for answer in answers if isinstance(answer, list) for name in answer}
        wanted = sorted(name for name in names if isinstance(name, str) and (name in missing or name not in arguments))
        for name in wanted:
            self._schedule.require(node_id, name)
        if wanted:
            self._schedule.retry(node_id)
        return bool(wanted)

    def _take_stored(self, node_id: str, node: Any, arguments: Arguments) -> bool:
        """Whether the result of the node was found on disk."""
        store = self.setup.store
        key = store.key(node, arguments) if store is not None else None
        if store is None or key is None:
            return False
        stored = store.get(key)
        if stored is None:
            self._store_keys[node_id] = key
            return False
        self._results.keep(node_id, stored)
        self.account.cached(node_id, stored.ui)
        self._finish(node_id)
        return True

    def _finish(self, node_id: str) -> None:
        """Nobody needs to wait for the node any more, and it reads nothing any more."""
        self._schedule.finish(node_id)
        self._results.release_sources(node_id)

    def _report_cycle(self) -> None:
        """Expansions can close a circle; nodes of the file cannot, they were checked."""
        if self._failed and not self.setup.keep_going:
            return
        cycle = self._schedule.find_cycle(self._failed)
        if cycle:
            blamed = next((one for one in cycle if self.live.get_real_node_id(one) != one), cycle[0])
            text = f"the links form a cycle of {len(cycle)} nodes; expected links in one direction."
            self.account.fail(blamed, InputError(text))
