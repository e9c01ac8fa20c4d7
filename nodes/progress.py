"""While a node runs: its steps are told to the host, and the host's wish to stop is noticed.

Not here: which host it is (`host`).
Sources: ComfyUI 0.8 `comfy.utils.ProgressBar`, `comfy.model_management`, `execution.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from llmseg.errors import LLMError

from . import host

LOOK_FOR_STOP = 0.1  # seconds between two looks

T = TypeVar("T")


class ProgressBar:
    """Counts the steps of one node and tells the host."""

    def __init__(self, total: int, report: Callable[[int, int], object] | None) -> None:
        self.total = total
        self.done = 0
        self._report = report

    def update(self, n: int = 1) -> None:
        """Add `n` steps; raises where the host was told to stop."""
        self.done = min(self.total, self.done + n)
        if self._report is not None:
            self._report(self.done, self.total)


def progress(total: int) -> ProgressBar:
    """A bar for `total` steps; updating it is also where a stopped run ends."""
    if host.in_comfyui():
        return ProgressBar(total, host.comfy_module("comfy.utils").ProgressBar(total).update_absolute)
    return ProgressBar(total, host.headless().on_progress)


def report_steps() -> Callable[[int, int], None]:
    """A callback (done, total) that drives a progress bar; it raises where the host was told to stop."""
    bar: ProgressBar | None = None

    def report(done: int, total: int) -> None:
        nonlocal bar
        if bar is None or bar.total != total or done < bar.done:  # a node may do one thing after another
            bar = progress(total)
        bar.update(done - bar.done)

    return report


async def until_interrupted(work: Coroutine[Any, Any, T]) -> T:
    """Do asynchronous work; where the user presses stop meanwhile, it is cancelled and the host's exception raised.

    Raises:
        LLMError: the work was cancelled by nobody that the host knows; a bare cancellation would end ComfyUI's queue.
    """
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_FOR_STOP))[0]:
            check_interrupted()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    if task.cancelled():
        raise LLMError("asking was cancelled.", place="llm")
    return task.result()


def check_interrupted() -> None:
    """Raise where ComfyUI's user pressed stop; in a shell Ctrl-C arrives by itself."""
    if host.in_comfyui():
        management = host.comfy_module("comfy.model_management")
        # Read, not consumed: the items of a list run side by side, and all of them shall stop.
        if management.processing_interrupted():
            raise management.InterruptProcessingException
