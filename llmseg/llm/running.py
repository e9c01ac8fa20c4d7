"""A coroutine from ordinary code, whether or not an event loop runs already; Ctrl-C ends it cleanly.

Not here: any coroutine.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as NotYet
from typing import Any, TypeVar

__all__ = ["run_coroutine"]

T = TypeVar("T")

LOOK = 0.2  # seconds; a wait without end could not be interrupted on Windows
CLEAN_UP = 5.0  # seconds that a cancelled coroutine has to close its connections


def run_coroutine(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread of its own, and answer its result.

    Raises:
        BaseException: what the coroutine raises; and KeyboardInterrupt, after it was cancelled.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="llmseg-ask", daemon=True)
    thread.start()
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        while True:
            try:
                return future.result(LOOK)
            except NotYet:
                if future.done():  # the coroutine itself timed out
                    raise
    finally:
        future.cancel()
        asyncio.run_coroutine_threadsafe(_finish(), loop).result(CLEAN_UP)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLEAN_UP)
        loop.close()


async def _finish() -> None:
    """Wait for whatever still runs."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
