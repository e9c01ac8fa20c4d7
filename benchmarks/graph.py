"""What the runner adds to the nodes: time and memory to convert, validate and execute trivial nodes.

    python -m benchmarks.graph
    LLMSEG_CONFORMANCE=/path/to/conformance COMFYUI_PATH=/path/to/ComfyUI COMFYUI_PYTHON=/path/to/python \\
        python -m benchmarks.graph

Chains and a wide graph of nodes that do nothing; chains of InvertMask beside a real ComfyUI server on the same
machine; the largest official template; `--check` as a whole process. What is not there is left out. Prints tables
and ratios; asserts nothing. Not here: the time of real nodes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from llmseg.graph import (
    Executor,
    NodeDefinition,
    ResultCache,
    Validation,
    define_nodes,
    read_object_info,
    to_prompt,
    validate_prompt,
)
from llmseg.run import load_nodes

from .comfyui import ComfyServer, comfyui_server

LENGTHS = (10, 100, 1_000, 10_000)
WIDE = (100, 100)  # chains side by side, nodes of each
SERVER_LENGTHS = (100, 200, 300, 600, 1_000)
REPEATS = 3
CHECKS = 7
QUICKSTART = Path(__file__).parent.parent / "workflows" / "quickstart.json"


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


def draw_chains(count: int, length: int) -> dict[str, Any]:
    """Chains side by side, as the editor would save them."""
    nodes, links = [], []
    for number in range(count * length):
        first, last = number % length == 0, number % length == length - 1
        socket = {"name": "value", "type": "INT", "link": None if first else number, "widget": {"name": "value"}}
        outputs = [{"name": "INT", "type": "INT", "links": [] if last else [number + 1]}]
        class_type = "Show" if last else "Increment"
        # Every chain starts with a number of its own, or the cache would run one for all.
        start = [number]
        nodes.append(
            {"id": number, "type": class_type, "inputs": [socket], "outputs": outputs, "widgets_values": start}
        )
        if not first:
            links.append([number, number - 1, 0, number, 0, "INT"])
    return {"nodes": nodes, "links": links, "version": 0.4}


def invert_chain(length: int, value: float) -> dict[str, Any]:
    """A chain of InvertMask on one small mask, in API form; the value keeps a server's cache out."""
    nodes: dict[str, Any] = {"0": {"class_type": "SolidMask", "inputs": {"value": value, "width": 8, "height": 8}}}
    for number in range(1, length + 1):
        nodes[str(number)] = {"class_type": "InvertMask", "inputs": {"mask": [str(number - 1), 0]}}
    nodes[str(length + 1)] = {"class_type": "MaskPreview", "inputs": {"mask": [str(length), 0]}}
    return nodes


def best_time(work: Callable[[], Any]) -> float:
    """Seconds of the fastest of a few runs."""
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def peak_memory(work: Callable[[], Any]) -> float:
    """Most bytes of Python objects that `work` holds at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def execute(verdict: Validation, cache: ResultCache | None) -> None:
    """Run a prompt with a fresh executor."""
    Executor(CLASSES, cache=cache).run(verdict.prompt, verdict.outputs)


def print_overhead() -> None:
    """Milliseconds and kilobytes per node, for chains of growing length and for many side by side."""
    definitions = define_nodes(CLASSES)
    print("milliseconds per node; last column: kilobytes per node at the peak of execute + cache")
    print(f"{'nodes':>14} {'convert':>8} {'validate':>9} {'execute':>8} {'+ cache':>8} {'cached':>8} {'kB':>6}")
    for count, length in [*((1, length) for length in LENGTHS), WIDE]:
        editor = draw_chains(count, length)
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
        kilobytes = peak_memory(lambda: execute(verdict, ResultCache())) / 1000 / (count * length)  # noqa: B023
        cells = " ".join(
            f"{1000 * t / count / length:{width}.4f}" for t, width in zip(times, (8, 9, 8, 8, 8), strict=True)
        )
        name = f"{count} x {length}" if count > 1 else str(length)
        print(f"{name:>14} {cells} {kilobytes:6.2f}")


def print_server(server: ComfyServer) -> None:
    """Milliseconds per node of the same chains of InvertMask here and on a real server."""
    classes = load_nodes().core.CORE_NODES
    print("\nchains of InvertMask, milliseconds per node, validation included")
    print(f"{'nodes':>7} {'server':>8} {'here':>8} {'ratio':>7}")
    for number, length in enumerate(SERVER_LENGTHS):
        prompt = invert_chain(length, 0.25 + number / 100)
        try:
            record = server.run(prompt)
        except Exception as error:
            told, theirs = f"refused ({type(error).__name__})", 0.0
        else:
            stamps = [data["timestamp"] for _, data in record["status"]["messages"] if "timestamp" in data]
            theirs = (max(stamps) - min(stamps)) / length  # the validation that the server does before is left out
            told = f"{theirs:8.3f}"

        def here() -> None:
            verdict = validate_prompt(prompt, classes)  # noqa: B023
            Executor(classes, cache=ResultCache()).run(verdict.prompt, verdict.outputs)

        ours = 1000 * best_time(here) / length
        ratio = f"{theirs / ours:7.1f}" if theirs else ""
        print(f"{length:>7} {told:>8} {ours:8.3f} {ratio}")


def print_template(folder: Path) -> None:
    """The official template with the most nodes in its prompt."""
    records = read_object_info(folder / "object_info.json.gz")
    definitions = {name: NodeDefinition.from_object_info(name, record) for name, record in records.items()}
    paths = sorted(folder.glob("ui2api_*/*.json"))
    cases = {path.stem: json.loads(path.read_text(encoding="utf-8"))["workflow"] for path in paths}
    prompts = {name: to_prompt(editor, definitions).prompt for name, editor in cases.items()}
    name = max(prompts, key=lambda key: len(prompts[key]))
    convert = best_time(partial(to_prompt, cases[name], definitions))
    every = best_time(lambda: [to_prompt(editor, definitions) for editor in cases.values()])
    validate = best_time(lambda: validate_prompt(prompts[name], {}))
    print(f"\nlargest template, {name}: {len(prompts[name])} nodes in the prompt")
    print(f"convert {1000 * convert:.1f} ms, validate (classes unknown) {1000 * validate:.1f} ms")
    print(f"all {len(cases)} templates: {1000 * every:.0f} ms")


def print_check() -> None:
    """`--check` of the quickstart, a whole process."""
    command = [sys.executable, "-m", "llmseg.run", str(QUICKSTART), "--check"]
    times = []
    for _ in range(CHECKS):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - begin)
    print(f"\n--check of the quickstart, a whole process: median {statistics.median(times):.2f} s, "
          f"{min(times):.2f} to {max(times):.2f} in {CHECKS} runs")  # fmt: skip


def main() -> None:
    """Print everything that can be measured here."""
    print_overhead()
    if "COMFYUI_PATH" in os.environ:
        with tempfile.TemporaryDirectory() as folder, comfyui_server(Path(folder)) as server:
            print_server(server)
    if "LLMSEG_CONFORMANCE" in os.environ:
        print_template(Path(os.environ["LLMSEG_CONFORMANCE"]))
    print_check()


if __name__ == "__main__":
    main()
