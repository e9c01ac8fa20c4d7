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
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / "workflows" / "quickstart.json"
PROMPT = ROOT / "workflows" / "api" / "quickstart.json"
DEADLINE = 120.0


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
    folder, python = os.environ["COMFYUI_PATH"], os.environ.get("COMFYUI_PYTHON", sys.executable)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as output:
        command = [python, "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(port)]
        command += ["--output-directory", output, "--database-url", "sqlite:///:memory:", "--disable-api-nodes"]
        start = time.perf_counter()
        server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait(lambda: _fetch(port, "/system_stats"), server)
            body = {"prompt": json.loads(PROMPT.read_text(encoding="utf-8"))}
            prompt_id = _fetch(port, "/prompt", body)["prompt_id"]
            record = _wait(lambda: _fetch(port, f"/history/{prompt_id}").get(prompt_id), server)
            took = time.perf_counter() - start
        finally:
            server.terminate()
            server.wait(30)
    if record["status"]["status_str"] != "success":
        raise SystemExit(f"ComfyUI failed: {record['status']}")
    return took


def _fetch(port: int, route: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{route}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.loads(reply.read())


def _wait(ask: Callable[[], Any], server: subprocess.Popen[bytes]) -> Any:
    end = time.perf_counter() + DEADLINE
    while time.perf_counter() < end and server.poll() is None:
        try:
            if answer := ask():
                return answer
        except OSError:
            pass  # not up yet
        time.sleep(0.05)
    raise SystemExit("the ComfyUI server did not answer.")


if __name__ == "__main__":
    main()
