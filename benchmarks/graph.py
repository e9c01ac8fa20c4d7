"""What the runner adds to the nodes: time per node to convert, validate and execute chains of trivial nodes.

    python benchmarks/graph.py

Prints a table; asserts nothing. Not here: the time of real nodes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from llmseg.graph import Executor, ResultCache, Validation, define_nodes, to_prompt, validate_prompt

LENGTHS = (100, 1_000, 10_000)
REPEATS = 3


class Increment:
    """Adds one."""

    RETURN_TYPES: tuple[str, ...] = ("INT",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """One number."""
        return {"required": {"value": ("INT", {"default": 0, "min": 0, "max": 1_000_000})}}

    def execute(self, value: int) -> tuple[int]:
        """Add one."""
        return (value + 1,)


class Show(Increment):
    """Ends a chain."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def execute(self, value: int) -> dict[str, Any]:  # type: ignore[override]
        """Show the number."""
        return {"ui": {"value": (value,)}}


CLASSES: dict[str, type] = {"Increment": Increment, "Show": Show}


def draw_chain(length: int) -> dict[str, Any]:
    """A chain of `length` nodes as the editor would save it."""
    nodes, links = [], []
    for number in range(length):
        socket = {"name": "value", "type": "INT", "link": number or None, "widget": {"name": "value"}}
        outputs = [{"name": "INT", "type": "INT", "links": [number + 1]}]
        class_type = "Show" if number == length - 1 else "Increment"
        nodes.append({"id": number, "type": class_type, "inputs": [socket], "outputs": outputs, "widgets_values": [0]})
        if number:
            links.append([number, number - 1, 0, number, 0, "INT"])
    return {"nodes": nodes, "links": links, "version": 0.4}


def best_time(work: Callable[[], Any]) -> float:
    """Seconds of the fastest of a few runs."""
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def execute(verdict: Validation, cache: ResultCache | None) -> None:
    """Run a chain with a fresh executor."""
    Executor(CLASSES, cache=cache).run(verdict.prompt, verdict.outputs)


def main() -> None:
    """Print milliseconds per node."""
    definitions = define_nodes(CLASSES)
    print("milliseconds per node")
    print(f"{'nodes':>6} {'convert':>8} {'validate':>9} {'execute':>8} {'+ cache':>8} {'cached':>8}")
    for length in LENGTHS:
        editor = draw_chain(length)
        prompt = to_prompt(editor, definitions).prompt
        verdict = validate_prompt(prompt, CLASSES)
        warm = Executor(CLASSES, cache=ResultCache())
        warm.run(verdict.prompt, verdict.outputs)
        times = [
            best_time(partial(to_prompt, editor, definitions)),
            best_time(partial(validate_prompt, prompt, CLASSES)),
            best_time(partial(execute, verdict, None)),
            best_time(lambda: execute(verdict, ResultCache())),  # noqa: B023
            best_time(partial(warm.run, verdict.prompt, verdict.outputs)),
        ]
        widths = (8, 9, 8, 8, 8)
        cells = " ".join(f"{1000 * t / length:{width}.4f}" for t, width in zip(times, widths, strict=True))
        print(f"{length:>6} {cells}")


if __name__ == "__main__":
    main()
