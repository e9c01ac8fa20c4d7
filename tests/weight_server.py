"""A hub and an author's own address on this machine: files in ranges, and transfers that break off."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class WeightServer:
    """What is served, and what was asked.

    Args:
        address: http://127.0.0.1:port
        files: content by path; those of the hub below /owner/name/resolve/REVISION/.
        break_after: bytes after which one answer ends; 0 for never.
        hold_after: bytes after which one answer waits until the server ends; 0 for never.
        lie: whether the hub gives another hash than the content has.
        ranges: whether a part of a file can be asked for.
        asked: (method, path, Range) of every request.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    break_after: int = 0
    hold_after: int = 0
    lie: bool = False
    ranges: bool = True
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def put(self, repository: str, name: str, content: bytes) -> None:
        """Put a file into a repository of the hub."""
        for revision in ("main", REVISION):
            self.files[f"/{repository}/resolve/{revision}/{name}"] = content


@contextmanager
def serve_weights() -> Iterator[WeightServer]:
    """A server until the end of the block."""
    state = WeightServer()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            wanted = self.headers.get("Range", "")
            state.asked.append((self.command, path, wanted))
            content = state.files.get(path)
            if content is None:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted and state.ranges else 0
            if start and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            self.send_header("X-Repo-Commit", REVISION)
            self.send_header("ETag", f'"{hashlib.sha256(b"?" if state.lie else content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            if not body:
                return
            if state.break_after:
                content, state.break_after = content[: start + state.break_after], 0
                self.close_connection = True
            if state.hold_after:
                end, state.hold_after = start + state.hold_after, 0
                self.wfile.write(content[start:end])
                over.wait(60)
                self.close_connection = True
                return
            self.wfile.write(content[start:])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()
