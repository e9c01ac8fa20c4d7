"""Asynchronous nodes: their calls wait side by side while other nodes run.

The event loop is made for the first of them and runs only while somebody looks at it, so that ordinary nodes
run outside of any loop and may start one of their own.
Not here: which node runs when (`schedule`).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

__all__ = ["Tasks", "wait_for"]

T = TypeVar("T")


class Tasks:
    """The calls that have begun and not ended, by node."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: dict[str, list[Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._calls

    def start(self, node_id: str, returns: Sequence[Any]) -> None:
        """Begin the calls of a node; values among the awaitables are results already."""
        self._loop = self._loop or asyncio.new_event_loop()

        async def begin() -> None:
            self._calls[node_id] = [
                asyncio.ensure_future(value) if inspect.isawaitable(value) else value for value in returns
            ]
            await asyncio.sleep(0)  # what has nothing to wait for ends here

        drive(self._loop, begin())

    def ended(self, *, wait: bool = False) -> list[str]:
        """The nodes all of whose calls have ended; with `wait`, at least one of them, however long it takes."""
        if self._loop is None or not self._calls:
            return []

        async def look() -> list[str]:
            await asyncio.sleep(0)
            while not (done := [node_id for node_id, calls in self._calls.items() if not any(map(_is_open, calls))]):
                if not wait:
                    break
                pending = [call for calls in self._calls.values() for call in calls if _is_open(call)]
                await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            return done

        return drive(self._loop, look())

    def take(self, node_id: str) -> list[Any]:
        """The results of a node that has ended; the first exception of its calls is raised."""
        calls = self._calls.pop(node_id)
        _look_at(calls)
        return [call.result() if isinstance(call, asyncio.Future) else call for call in calls]

    def close(self) -> None:
        """Cancel what is still open and end the loop."""
        if self._loop is None:
            return
        calls = [call for calls in self._calls.values() for call in calls if isinstance(call, asyncio.Future)]
        pending = [call for call in calls if _is_open(call)]
        self._calls.clear()
        _look_at(calls)

        async def cancel() -> None:
            for call in pending:
                call.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            await asyncio.get_running_loop().shutdown_asyncgens()

        drive(self._loop, cancel())
        self._loop.close()
        self._loop = None


def wait_for(awaitables: Sequence[Awaitable[Any]]) -> list[Any]:
    """The results of all `awaitables`, which run concurrently; also inside a running event loop."""
    tasks = Tasks()
    try:
        tasks.start("", awaitables)
        tasks.ended(wait=True)
        return tasks.take("")
    finally:
        tasks.close()


def drive(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Run `loop` until `work` is done.

    Not by `asyncio.run`, which answers the first Ctrl-C only once the loop has control again.
    """
    # Not as the result of the task: Python 3.11 and later print a task, and so its result, when a loop ends.
    results: list[T] = []

    async def keep() -> None:
        results.append(await work)

    def run() -> None:
        task = loop.create_task(keep())
        try:
            loop.run_until_complete(task)
        except BaseException:  # Ctrl-C, above all: nothing of this may go on when the loop runs again
            task.cancel()
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
            raise

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        run()
    else:
        with ThreadPoolExecutor(1) as pool:  # a loop cannot run inside a loop of the same thread
            pool.submit(copy_context().run, run).result()
    return results[0]


def _look_at(calls: Sequence[Any]) -> None:
    """Ask every failed call for its exception, or asyncio complains of those that nobody asked."""
    for call in calls:
        if isinstance(call, asyncio.Future) and call.done() and not call.cancelled():
            call.exception()


def _is_open(call: Any) -> bool:
    return isinstance(call, asyncio.Future) and not call.done()
