"""Runs the nodes of validated prompts and reports what happens.

Not here: one run (`running`), checks (`validation`), order (`schedule`), a single call (`calls`), signatures (`cache`).

Source: the ComfyUI server (``execution.py``), restated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from .cache import ResultCache, ResultStore, StoredResult
from .events import Event, RunResult
from .running import CURRENT_NODE, Run
from .setup import Setup

__all__ = ["Executor"]


class Executor:
    """Runs prompts over one registry; keeps one instance per node id and class between runs.

    Args:
        node_classes: the registry.
        cache: results to reuse; None runs every node, equal ones too.
        store: results on disk, for nodes that declare theirs storable.
        on_event: called for every event, in order.
        before_call: called with the id of a node and the number of the call, before every call of its function.
        keep_going: after a failure run what does not depend on the failed node, instead of stopping.
        repeat_outputs: output nodes run again in every run, for their files are to be found with each.
        known: results by node id that were computed elsewhere; these nodes never run, nor is anything asked of them.
    """

    def __init__(
        self,
        node_classes: Mapping[str, type],
        *,
        cache: ResultCache | None = None,
        store: ResultStore | None = None,
        on_event: Callable[[Event], None] | None = None,
        before_call: Callable[[str, int], object] | None = None,
        keep_going: bool = False,
        repeat_outputs: bool = False,
        known: Mapping[str, StoredResult] | None = None,
    ) -> None:
        self.setup = Setup(
            node_classes, cache, store, on_event, before_call, keep_going, repeat_outputs, dict(known or {})
        )
        self._run: Run | None = None

    def run(self, prompt: Mapping[str, Any], outputs: Collection[str], *, extra_pnginfo: Any = None) -> RunResult:
        """Run what `outputs` need.

        Args:
            prompt: the prompt of a `Validation`.
            outputs: ids of the nodes whose running is the purpose.
            extra_pnginfo: given to nodes that ask for it, usually ``{"workflow": ...}`` or None.

        Returns:
            The outcome; failing nodes are in its `errors`, not raised.
        """
        self._run = Run(self.setup, prompt, outputs, extra_pnginfo)
        try:
            return self._run.complete()
        finally:
            self._run.close()
            self._run = None
            self.setup.forget_instances(prompt)

    def compute(
        self, prompt: Mapping[str, Any], node_ids: Collection[str]
    ) -> tuple[RunResult, dict[str, StoredResult]]:
        """Run what `node_ids` need; gives the outcome and the results of those that have one."""
        self._run = Run(self.setup, prompt, node_ids, None, kept=node_ids)
        try:
            return self._run.complete(), self._run.results_of(node_ids)
        finally:
            self._run.close()
            self._run = None

    def progress(self, value: float, total: float) -> None:
        """Report how far the node that runs now has come; called from inside the node."""
        node_id = CURRENT_NODE.get()
        if self._run is not None and node_id is not None:
            self._run.account.progress(node_id, value, total)
