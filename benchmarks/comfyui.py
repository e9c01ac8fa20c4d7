"""A real ComfyUI server to compare with: started, sent prompts over HTTP, stopped.

COMFYUI_PATH names a checkout whose custom_nodes hold this repository, COMFYUI_PYTHON the Python that
runs it (default: this one). Used by `cold_start.py` and by the tests marked `comfyui`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEADLINE = 120.0  # seconds for a server to come up, and for a prompt to finish
STEP = 0.05


class ComfyServer:
    """A running server.

    Args:
        process: the server.
        port: where it listens, on loopback.
        log: everything it printed.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def fetch(self, route: str, body: object = None) -> Any:
        """The JSON that a route answers; a body makes it a POST."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{route}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read())

    def run(self, prompt: dict[str, Any]) -> dict[str, Any]:
        """Queue a prompt, wait until it is done, and give its record; raises where it failed."""
        prompt_id = self.fetch("/prompt", {"prompt": prompt})["prompt_id"]
        record: dict[str, Any] = self.wait(lambda: self.fetch(f"/history/{prompt_id}").get(prompt_id))
        if record["status"]["status_str"] != "success":
            raise RuntimeError(f"ComfyUI failed: {record['status']}")
        return record

    def wait(self, ask: Callable[[], Any]) -> Any:
        """Ask until there is an answer; raises with the log's end where the server dies or is silent."""
        end = time.perf_counter() + DEADLINE
        while time.perf_counter() < end and self.process.poll() is None:
            try:
                if answer := ask():
                    return answer
            except OSError:
                pass  # not up yet
            time.sleep(STEP)
        raise RuntimeError(self.log.read_text(encoding="utf-8", errors="replace")[-2000:])


@contextmanager
def comfyui_server(output: Path, *arguments: str) -> Iterator[ComfyServer]:
    """Run a server that writes to `output`, with more arguments of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [os.environ.get("COMFYUI_PYTHON", sys.executable), "main.py", "--cpu", "--disable-api-nodes"]
    command += ["--listen", "127.0.0.1", "--port", str(port), "--output-directory", str(output)]
    command += ["--database-url", "sqlite:///:memory:", *arguments]
    log = output / "server.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=os.environ["COMFYUI_PATH"], stdout=stream, stderr=stream)
    server = ComfyServer(process, port, log)
    try:
        server.wait(lambda: server.fetch("/system_stats"))
        yield server
    finally:
        process.terminate()
        process.wait(30)
