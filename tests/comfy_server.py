"""A small ComfyUI server on loopback, real HTTP and websocket on one port, that plays whatever a test wants.

A prompt is queued, then `play` decides in a thread of its own what happens to it; by default all goes well.
"""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from websockets.exceptions import InvalidState
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from werkzeug.formparser import parse_form_data

IMAGE: dict[str, Any] = {"image": [["server.png"], {"image_upload": True}]}
DEFINITIONS: dict[str, Any] = {
    "LoadImage": {"input": {"required": IMAGE}, "output": ["IMAGE", "MASK"]},
    "SaveImage": {
        "input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}},
        "output": [],
        "output_node": True,
    },
}
Play = Callable[["FakeComfy", str, dict[str, Any]], None]


class Link:
    """One websocket, from the server's side."""

    def __init__(self, handler: BaseHTTPRequestHandler, client_id: str, links: list[Link]) -> None:
        self.client_id = client_id
        self.messages: list[Any] = []
        self._socket = handler.connection
        self._protocol = ServerProtocol(logger=logging.Logger("silent"))
        self._lock = threading.Lock()
        lines = [f"GET {handler.path} HTTP/1.1", *(f"{name}: {value}" for name, value in handler.headers.items())]
        self._protocol.receive_data("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        (request,) = self._protocol.events_received()
        assert isinstance(request, Request)
        with self._lock:  # known before the client can go on, so that it misses nothing
            links.append(self)
            self._protocol.send_response(self._protocol.accept(request))
            self._flush()

    def send(self, kind: str, data: dict[str, Any]) -> None:
        self.send_text(json.dumps({"type": kind, "data": data}))

    def send_text(self, text: str) -> None:
        with self._lock:
            self._protocol.send_text(text.encode())
            self._flush()

    def send_bytes(self, data: bytes) -> None:
        with self._lock:
            self._protocol.send_binary(data)
            self._flush()

    def drop(self) -> None:
        """The connection breaks, without a word."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def listen(self) -> None:
        """Until the other side leaves."""
        while self._protocol.state is State.OPEN:
            data = self._socket.recv(65536)
            with self._lock:
                self._protocol.receive_data(data) if data else self._protocol.receive_eof()
                self._flush()
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and event.opcode.name == "TEXT":
                    self.messages.append(json.loads(bytes(event.data)))

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._socket.sendall(data)


@dataclass
class FakeComfy:
    """The server, what it was asked, and what it is to do."""

    url: str = ""
    play: Play = lambda server, prompt_id, body: succeed(server, prompt_id, body)
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    definitions: dict[str, Any] = field(default_factory=lambda: DEFINITIONS)
    files: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    running: list[list[Any]] = field(default_factory=list)
    pending: list[list[Any]] = field(default_factory=list)
    history: dict[str, Any] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    has_websocket: bool = True
    own_id: str = ""
    node_errors: dict[str, Any] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    credentials: list[str | None] = field(default_factory=list)
    prompts: list[dict[str, Any]] = field(default_factory=list)
    told: list[tuple[str, Any]] = field(default_factory=list)
    uploads: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    clients_before_prompt: list[str] = field(default_factory=list)

    def send(self, kind: str, **data: Any) -> None:
        for link in list(self.links):
            with suppress(OSError, InvalidState):
                link.send(kind, data)

    def drop(self) -> None:
        """All websockets break."""
        while self.links:
            self.links.pop().drop()

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait for something that the client is to do; a test that waits in vain fails elsewhere."""
        end = time.monotonic() + 10
        while not condition() and time.monotonic() < end:
            time.sleep(0.005)

    def follow_play(self, prompt_id: str, body: dict[str, Any]) -> None:
        try:
            self.play(self, prompt_id, body)
        except Exception as error:  # a mistake in a test fails that test, and does not hang it
            data = {"node_id": "?", "exception_type": "MistakeInTheTest", "exception_message": repr(error)}
            self.finish(prompt_id, messages=[["execution_error", data]], status="error")

    def finish(
        self, prompt_id: str, outputs: Any = None, *, messages: list[Any] | None = None, status: str = "success"
    ) -> None:
        """The prompt leaves the queue and enters the history."""
        self.history[prompt_id] = {
            "outputs": outputs or {},
            "status": {"status_str": status, "completed": status == "success", "messages": messages or []},
        }
        self.running.clear()
        self.send("executing", node=None, prompt_id=prompt_id)


def succeed(server: FakeComfy, prompt_id: str, body: dict[str, Any]) -> None:
    """Each node runs; each SaveImage writes the file that `files` has for it."""
    server.send("execution_start", prompt_id=prompt_id)
    server.send("execution_cached", nodes=[], prompt_id=prompt_id)
    outputs: dict[str, Any] = {}
    for node_id, node in body["prompt"].items():
        run_node(server, prompt_id, node_id)
        if node["class_type"] == "SaveImage":
            outputs[node_id] = {"images": [
                {"filename": name, "subfolder": folder, "type": kind} for kind, folder, name in server.files
            ]}  # fmt: skip
            server.send("executed", node=node_id, output=outputs[node_id], prompt_id=prompt_id)
    server.send("execution_success", prompt_id=prompt_id)
    server.finish(prompt_id, outputs)


def run_node(server: FakeComfy, prompt_id: str, node_id: str) -> None:
    for state in ("running", "finished"):
        nodes = {node_id: {"value": 1.0, "max": 1.0, "state": state}}
        server.send("progress_state", prompt_id=prompt_id, nodes=nodes)
        if state == "running":
            server.send("executing", node=node_id, display_node=node_id, prompt_id=prompt_id)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    comfy: FakeComfy

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        route, query = self.begin()
        if route in self.comfy.answers:
            self.reply(*self.comfy.answers[route])
        elif route == "/ws" and self.comfy.has_websocket:
            self.close_connection = True
            link = Link(self, query["clientId"], self.comfy.links)
            with suppress(OSError, ValueError):  # ValueError: a test removed the link when it broke it
                link.send("status", {"status": {"exec_info": {"queue_remaining": 0}}, "sid": link.client_id})
                link.listen()
                self.comfy.links.remove(link)
        elif route == "/object_info":
            self.json(self.comfy.definitions)
        elif route == "/queue":
            self.json({"queue_running": self.comfy.running, "queue_pending": self.comfy.pending})
        elif route.startswith("/history/"):
            prompt_id = unquote(route.removeprefix("/history/"))
            found = self.comfy.history.get(prompt_id)
            self.json({} if found is None else {prompt_id: found})
        elif route == "/view":
            data = self.comfy.files.get((query["type"], query.get("subfolder", ""), query["filename"]))
            self.reply(404, {}, b"") if data is None else self.reply(200, {"Content-Type": "image/png"}, data)
        else:
            self.reply(404, {}, b"")

    def do_POST(self) -> None:
        route, _ = self.begin()
        body = (
            self.rfile.read(int(self.headers.get("content-length") or 0))
            if "content-length" in self.headers
            else self.chunks()
        )
        if route in self.comfy.answers:
            self.reply(*self.comfy.answers[route])
        elif route == "/prompt":
            self.post_prompt(json.loads(body))
        elif route == "/upload/image":
            self.upload(body)
        else:
            said = json.loads(body)
            self.comfy.told.append((route, said))
            if route == "/queue":
                self.comfy.pending = [entry for entry in self.comfy.pending if entry[1] not in said["delete"]]
            self.reply(200, {}, b"")

    def post_prompt(self, body: dict[str, Any]) -> None:
        comfy = self.comfy
        comfy.prompts.append(body)
        comfy.clients_before_prompt += [link.client_id for link in comfy.links]
        prompt_id = comfy.own_id or body["prompt_id"]
        (comfy.pending if comfy.running else comfy.running).append([len(comfy.prompts), prompt_id, {}, {}, []])
        self.json({"prompt_id": prompt_id, "number": 1, "node_errors": comfy.node_errors})
        threading.Thread(target=comfy.follow_play, args=(prompt_id, body), daemon=True).start()

    def upload(self, body: bytes) -> None:
        environ = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": self.headers["content-type"], "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}  # fmt: skip
        _, form, files = parse_form_data(environ)
        image = files["image"]
        name = image.filename or ""
        self.comfy.uploads.append((name, form["subfolder"], form["overwrite"], image.read()))
        self.json({"name": f"stored_{name}", "subfolder": form["subfolder"], "type": form["type"]})

    def begin(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        self.comfy.requests.append(f"{self.command} {parts.path}")
        self.comfy.credentials.append(self.headers.get("authorization"))
        return parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()}

    def chunks(self) -> bytes:
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def json(self, value: Any, status: int = 200) -> None:
        self.reply(status, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)


class Listening(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that left is no news


@contextmanager
def serve_comfy() -> Iterator[FakeComfy]:
    """A fake ComfyUI on a free port; stopped in the end."""
    comfy = FakeComfy()
    handler = type("Handler", (Handler,), {"comfy": comfy})
    server = Listening(("127.0.0.1", 0), handler)
    comfy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield comfy
    finally:
        comfy.drop()
        server.shutdown()
        server.server_close()
        thread.join(5)


def error_answer(
    node_errors: dict[str, Any], kind: str = "prompt_outputs_failed_validation"
) -> tuple[int, dict[str, str], bytes]:
    """What a server answers to a prompt that it refuses."""
    error = {"type": kind, "message": "Prompt outputs failed validation", "details": "", "extra_info": {}}
    body = json.dumps({"error": error, "node_errors": node_errors}).encode()
    return 400, {"Content-Type": "application/json"}, body
