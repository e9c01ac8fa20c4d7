"""Calls that wait: side by side, in any loop, cancelled at the end."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from llmseg.graph.execution.tasks import Tasks, wait_for


async def value(number: int, turns: int = 0) -> int:
    for _ in range(turns):
        await asyncio.sleep(0)
    return number


async def fail(text: str) -> None:
    raise ValueError(text)


def test_waiting_works_inside_a_running_loop() -> None:
    async def outer() -> list[int]:
        return wait_for([value(4)])

    assert asyncio.run(outer()) == [4]


def test_nodes_end_when_all_their_calls_have_and_keep_the_order_of_calls() -> None:
    tasks = Tasks()
    tasks.start("slow", [value(1, turns=20), "plain", value(2)])
    tasks.start("quick", [value(3)])
    assert tasks.ended() == ["quick"]
    assert tasks.take("quick") == [3]
    assert "slow" in tasks
    assert tasks.ended(wait=True) == ["slow"]
    assert tasks.take("slow") == [1, "plain", 2]
    assert not tasks
    tasks.close()


def test_the_first_exception_of_a_node_is_raised_after_all_its_calls_ended() -> None:
    tasks = Tasks()
    tasks.start("x", [value(1, turns=5), fail("one"), fail("two")])
    assert tasks.ended() == []
    assert tasks.ended(wait=True) == ["x"]
    with pytest.raises(ValueError, match="one"):
        tasks.take("x")
    tasks.close()


def test_closing_cancels_what_waits() -> None:
    seen: list[Any] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    tasks = Tasks()
    tasks.start("x", [forever()])
    tasks.close()
    assert seen == ["cancelled"]
    tasks.close()


@pytest.mark.parametrize("turns", [0, 1, 5])
def test_an_interrupt_ends_the_wait_for_good(turns: int, caplog: pytest.LogCaptureFixture) -> None:
    async def press() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise KeyboardInterrupt

    def work() -> None:
        tasks.start("x", [value(1, turns=10**6), press()])
        tasks.ended(wait=True)

    tasks = Tasks()
    with pytest.raises(KeyboardInterrupt):
        work()
    tasks.close()
    gc.collect()
    assert caplog.records == []  # asyncio complains there of what nobody looked at
