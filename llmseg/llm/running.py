"""Coroutines side by side, and from ordinary code, whether or not a loop runs already; Ctrl-C ends them cleanly.

Not here: any coroutine.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Coroutine, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any, TypeVar

__all__ = ["run_all", "run_coroutine"]

T = TypeVar("T")

LOOK = 0.2  # seconds; a wait without end could not be interrupted on Windows
CLEAN_UP = 5.0  # seconds that a cancelled coroutine has to close its connections
LEFT_OVER = 1.0  # seconds for tasks that it did not wait for


def run_coroutine(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread of its own, and answer its result.

    What it left running has a second, then it is cancelled.

    Raises:
        BaseException: what the coroutine raises; and KeyboardInterrupt, after it was cancelled.
    """
    loop = asyncio.new_event_loop()
    task: asyncio.Task[tuple[Any, BaseException | None]] = loop.create_task(_outcome(coroutine))
    thread = threading.Thread(target=loop.run_forever, name="llmseg-ask", daemon=True)
    try:  # from the start: Ctrl-C may come at any moment
        thread.start()
        outcome = _wait(asyncio.run_coroutine_threadsafe(_join(task), loop))
    finally:
        try:
            loop.call_soon_threadsafe(task.cancel)
            _wait(asyncio.run_coroutine_threadsafe(_close(task), loop), CLEAN_UP)
        except NotYet:  # a clean-up that takes too long; the thread dies with the program
            pass
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(LOOK)
            if not thread.is_alive():
                loop.close()
    result, error = outcome
    if error is not None:
        raise error
    answer: T = result
    return answer


async def run_all(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run side by side; the first failure, and a cancellation, stops the others."""
    tasks: list[Awaitable[None]] = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()  # type: ignore[attr-defined]
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _outcome(coroutine: Coroutine[Any, Any, T]) -> tuple[Any, BaseException | None]:
    """The result, or what was raised as a value: SystemExit as an exception would end the loop, not the wait."""
    try:
        return await coroutine, None
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return None, error


def _wait(future: Future[T], most: float = float("inf")) -> T:
    waited = 0.0
    while True:
        try:
            return future.result(LOOK)
        except NotYet:
            waited += LOOK
            if future.done():
                return future.result()
            if waited >= most:
                raise


async def _join(task: asyncio.Task[T]) -> T:
    return await task


async def _close(task: asyncio.Task[Any]) -> None:
    """Wait for the coroutine, which may be cleaning up; what it left running has a moment, then it is cancelled."""
    await asyncio.gather(task, return_exceptions=True)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, late = await asyncio.wait(others, timeout=LEFT_OVER)
        for other in late:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
