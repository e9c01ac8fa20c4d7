"""How long until the quickstart has written its files, from a cold process.

    python -m benchmarks.cold_start
    COMFYUI_PATH=/path/to/ComfyUI COMFYUI_PYTHON=/path/to/python python -m benchmarks.cold_start

Compared in turn, run by run: `import torch` alone, `import open_clip` alone, our runner, and a ComfyUI
server that is started, sent the same prompt over HTTP and stopped. The checkout's custom_nodes must hold
this repository. Prints medians and ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .comfyui import comfyui_server

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / "workflows" / "quickstart.json"
PROMPT = ROOT / "workflows" / "api" / "quickstart.json"


def main() -> None:
    """Time every contender in turn and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each, after one that is not (default: 5)")
    runs = parser.parse_args().runs
    contenders: dict[str, Callable[[], float]] = {
        "import torch": lambda: _time([sys.executable, "-c", "import torch"]),
        "import open_clip": lambda: _time([sys.executable, "-c", "import open_clip"]),
        "llmseg.run quickstart.json": _quickstart,
    }
    if "COMFYUI_PATH" in os.environ:
        contenders["ComfyUI server, same prompt"] = _comfyui
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for run in range(runs + 1):
        for name, contender in contenders.items():
            took = contender()
            if run:
                seconds[name].append(took)
    base = statistics.median(seconds["import torch"])
    ours = statistics.median(seconds["llmseg.run quickstart.json"])
    print(f"median of {runs} runs, seconds (min to max)\n")
    print("| | seconds | over import torch | in quickstarts |\n|---|---:|---:|---:|")
    for name, values in seconds.items():
        median = statistics.median(values)
        spread = f"{median:.2f} ({min(values):.2f} to {max(values):.2f})"
        print(f"| {name} | {spread} | {median - base:+.2f} | {median / ours:.2f} |")


def _quickstart() -> float:
    with tempfile.TemporaryDirectory() as folder:
        return _time([sys.executable, "-m", "llmseg.run", str(WORKFLOW), "--output", folder])


def _time(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def _comfyui() -> float:
    prompt = json.loads(PROMPT.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as output:
        start = time.perf_counter()
        with comfyui_server(Path(output)) as server:
            server.run(prompt)
            return time.perf_counter() - start


if __name__ == "__main__":
    main()
