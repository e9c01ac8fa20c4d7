"""A coroutine from ordinary code: its result or its error, no thread left, and Ctrl-C ends it cleanly."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import llmseg
from llmseg.llm.running import run_coroutine

ROOT = Path(llmseg.__file__).parents[1]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


async def answer(value: object, seconds: float = 0.0) -> object:
    await asyncio.sleep(seconds)
    return value


async def fail(error: BaseException, seconds: float = 0.0) -> None:
    await asyncio.sleep(seconds)
    raise error


@pytest.mark.parametrize("value", [7, None, [1], ValueError("a value as well")])
def test_result(value: object) -> None:
    assert run_coroutine(answer(value)) is value


def test_result_that_takes_longer_than_a_look() -> None:
    assert run_coroutine(answer("late", 0.5)) == "late"


@pytest.mark.parametrize("seconds", [0.0, 0.3])
@pytest.mark.parametrize("kind", [ValueError, KeyError, asyncio.TimeoutError, TimeoutError, OSError])
def test_an_error_passes_as_it_is(kind: type[Exception], seconds: float) -> None:
    error = kind("of the coroutine")
    with pytest.raises(kind) as caught:
        run_coroutine(fail(error, seconds))
    assert (type(caught.value), caught.value.args) == (type(error), error.args)


def test_a_time_limit_inside() -> None:
    with pytest.raises(asyncio.TimeoutError):
        run_coroutine(asyncio.wait_for(answer("never", 30.0), 0.01))


def test_within_a_running_loop() -> None:
    async def node() -> object:
        return run_coroutine(answer("inner", 0.01))

    assert asyncio.run(node()) == "inner"
    assert run_coroutine(node()) == "inner"


def test_in_a_thread_without_a_loop() -> None:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(run_coroutine(answer("there"))))
    thread.start()
    thread.join()
    assert found == ["there"]


def test_several_at_once() -> None:
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda number=number: found.append(run_coroutine(answer(number, 0.02))))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=str) == list(range(8))


def test_the_callers_context_is_seen() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")
    variable.set("set by the caller")

    async def look() -> str:
        return variable.get()

    assert run_coroutine(look()) == "set by the caller"


def test_what_was_started_on_the_side_is_waited_for() -> None:
    log: list[str] = []

    async def side() -> None:
        await asyncio.sleep(0.05)
        log.append("side")

    tasks = []

    async def start() -> str:
        tasks.append(asyncio.ensure_future(side()))
        return "main"

    assert run_coroutine(start()) == "main"
    assert log == ["side"]


def test_generators_are_closed() -> None:
    log: list[str] = []

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            log.append("closed")

    kept = []

    async def take_one() -> int:
        generator = numbers()
        kept.append(generator)
        return await generator.__anext__()

    assert run_coroutine(take_one()) == 1
    assert log == ["closed"]


INTERRUPTED = """
import asyncio, sys, threading
from llmseg.llm.running import run_coroutine

async def work(seconds):
    try:
        print("started", flush=True)
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.3)  # as a connection that is closed
        print("cleaned up", flush=True)

async def all_of_it():
    await asyncio.gather(work(60), asyncio.sleep(60))

async def node():
    run_coroutine(all_of_it())

try:
    if sys.argv[1] == "plain":
        run_coroutine(all_of_it())
    else:
        asyncio.new_event_loop().run_until_complete(node())  # asyncio.run would keep the first Ctrl-C to itself
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(sorted(thread.name for thread in threading.enumerate()), flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal for one process")
@pytest.mark.parametrize("where", ["plain", "in a loop"])
def test_ctrl_c_cancels_and_waits_for_the_clean_up(where: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, where], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=20)
    assert said.splitlines() == ["cleaned up", "interrupted", "['MainThread']"]
    assert complaints == ""
    assert process.returncode == 0
