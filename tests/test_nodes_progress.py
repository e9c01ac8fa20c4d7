"""Steps are told to either host, and a stop is noticed in either."""

from __future__ import annotations

import asyncio
import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Interrupted, import_nodes

from llmseg.errors import InputError, LLMError

PROGRESS = import_nodes("progress")


def listen(host: Any) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    host.use_headless(dataclasses.replace(host.headless(), on_progress=lambda done, total: seen.append((done, total))))
    return seen


def test_progress_reports_and_stops_at_the_total(host: Any) -> None:
    PROGRESS.progress(3).update()  # no listener
    seen = listen(host)
    bar = PROGRESS.progress(3)
    bar.update()
    bar.update(5)
    assert seen == [(1, 3), (3, 3)]


def test_one_thing_after_another_is_a_new_bar(host: Any) -> None:
    seen = listen(host)
    report = PROGRESS.report_steps()
    for done, total in ((1, 2), (2, 2), (1, 4), (4, 4), (1, 4)):
        report(done, total)
    assert seen == [(1, 2), (2, 2), (1, 4), (4, 4), (1, 4)]


def test_comfyui_is_told_and_listened_to(host: Any, comfyui: SimpleNamespace) -> None:
    bar = PROGRESS.progress(2)
    bar.update()
    bar.update()
    assert comfyui.bars == [(0, 2), (1, 2), (2, 2)]
    PROGRESS.check_interrupted()
    comfyui.interrupted = True
    with pytest.raises(Interrupted):
        PROGRESS.check_interrupted()


async def work(log: list[str], seconds: float = 30.0) -> str:
    try:
        await asyncio.sleep(seconds)
        return "done"
    except asyncio.CancelledError:
        log.append("cancelled")
        raise


def test_work_is_done_while_nobody_stops_it(host: Any, comfyui: SimpleNamespace) -> None:
    assert asyncio.run(PROGRESS.until_interrupted(work([], 0.2))) == "done"


def test_a_stop_cancels_the_work_and_is_the_hosts_own_exception(host: Any, comfyui: SimpleNamespace) -> None:
    log: list[str] = []

    async def stopped() -> None:
        asyncio.get_running_loop().call_later(0.05, setattr, comfyui, "interrupted", True)
        await PROGRESS.until_interrupted(work(log))

    with pytest.raises(Interrupted):
        asyncio.run(stopped())
    assert log == ["cancelled"]


def test_items_of_a_list_stop_together(host: Any, comfyui: SimpleNamespace) -> None:
    log: list[str] = []

    async def stopped() -> list[Any]:
        asyncio.get_running_loop().call_later(0.05, setattr, comfyui, "interrupted", True)
        items = [PROGRESS.until_interrupted(work(log)) for _ in range(3)]
        return await asyncio.gather(*items, return_exceptions=True)

    assert [type(item) for item in asyncio.run(stopped())] == [Interrupted] * 3
    assert log == ["cancelled"] * 3


def test_a_cancellation_from_outside_reaches_the_work(host: Any) -> None:
    log: list[str] = []

    async def cancelled() -> None:
        task = asyncio.ensure_future(PROGRESS.until_interrupted(work(log)))
        await asyncio.sleep(0.05)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert log == ["cancelled"]


def test_work_that_cancels_itself_is_an_ordinary_error(host: Any) -> None:
    # A bare cancellation that leaves a node ends the queue of ComfyUI 0.8 for good.
    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    with pytest.raises(LLMError, match=r"^llm: asking was cancelled\.$"):
        asyncio.run(PROGRESS.until_interrupted(cancels_itself()))


def test_an_error_of_the_work_passes(host: Any) -> None:
    async def fails() -> None:
        raise InputError("wrong.", place="here")

    with pytest.raises(InputError, match=r"^here: wrong\.$"):
        asyncio.run(PROGRESS.until_interrupted(fails()))
