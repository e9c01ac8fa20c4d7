"""What expanding 171 classes costs: requests, tokens and seconds, against a loop that asks class by class.

    python -m benchmarks.expansion

The model is a server of this program on loopback that answers every request after 300 ms, so the figures are
those of the asking, not of any language model. Tokens are counted as 3.7 characters each.

Not here: what subclasses are worth (`conditions`).
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from llmseg.interview import AskOptions
from llmseg.library import library_classes
from llmseg.llm import AnswerStore, Context, LanguageModel, Profile, Question
from llmseg.llm.prompts import CHARACTERS_PER_TOKEN, response_format, write_messages
from llmseg.llm_expansion import expand_by_llm
from llmseg.types import ClassList

REPLY_SECONDS = 0.3
COUNT = 10
LOOKS = ("red", "small", "tall", "old", "wooden", "striped", "round", "wet", "dusty", "painted", "broken")
TARGET = re.compile(r"^(\d+): (.*?) \| SENSE: ", re.MULTILINE)
# All 171 names, the residual ones too, so that the count is the published one.
CLASSES = ClassList(
    tuple(replace(entry, role="thing", policy="expand") for entry in library_classes("cocostuff171").classes)
)


class _Model(BaseHTTPRequestHandler):
    """Answers every target with `LOOKS`, after a pause."""

    protocol_version = "HTTP/1.1"
    sizes: list[tuple[int, int]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][1]["content"]
        items = [
            {"id": number, "sense": "", "policy": "expand", "subclasses": [f"{look} {name}" for look in LOOKS]}
            for number, name in TARGET.findall(prompt)
        ]
        text = json.dumps({"items": items}, separators=(",", ":"))
        tokens = [round(len(part) / CHARACTERS_PER_TOKEN) for part in (body["messages"][0]["content"] + prompt, text)]
        self.server.sizes.append((tokens[0], tokens[1]))  # type: ignore[attr-defined]
        time.sleep(REPLY_SECONDS)
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
        reply = {"id": "1", "object": "chat.completion", "created": 1, "model": "bench", "usage": usage,
                 "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}  # fmt: skip
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self._headers_buffer.append(b"\r\n" + data)  # in one piece: two would wait 40 ms for each other
        self.flush_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def serve() -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """The address of the model, and (tokens read, tokens written) of every request."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    server.sizes = sizes = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", sizes
    finally:
        server.shutdown()
        server.server_close()


def ask_one_by_one(address: str) -> int:
    """What a loop around the client does: a request a class, one after the other, nothing stored."""
    import openai

    client = openai.OpenAI(base_url=address, api_key="none")
    names = CLASSES.names
    for name in names:
        questions = [Question("subclasses", name, count=COUNT)]
        messages = write_messages(questions, Context(names))
        reply = client.chat.completions.create(
            model="bench", messages=messages, response_format=response_format(questions)  # type: ignore[arg-type]
        )  # fmt: skip
        json.loads(reply.choices[0].message.content or "")
    return len(names)


def expand(address: str, root: Path, concurrency: int) -> float:
    """Seconds that the expansion takes."""
    model = LanguageModel(Profile("bench", address, "bench", concurrency=concurrency), "bench")
    begin = time.perf_counter()
    asked = expand_by_llm(CLASSES, model, AskOptions(count=COUNT), store=AnswerStore(model, root))
    seconds = time.perf_counter() - begin
    kept = sum(len(entry.kept) for entry in asked.expansion.classes)
    assert kept == len(CLASSES.classes) * COUNT, kept
    return seconds


def expand_in_a_new_process(address: str, root: Path) -> str:
    """What a new process says of a run on stored answers: seconds after the imports, and whether openai is loaded."""
    code = (
        "import sys, time, threading\nfrom pathlib import Path\nfrom benchmarks.expansion import expand\n"
        f"seconds = expand({address!r}, Path({str(root)!r}), 8)\n"
        "print(f'{seconds * 1000:.0f} ms, openai imported: ' + ('yes' if 'openai' in sys.modules else 'no'))"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Print the table."""
    rows = []
    with serve() as (address, sizes), tempfile.TemporaryDirectory() as folder:
        asyncio.run(_warm_up(address))
        for concurrency in (1, 8):
            sizes.clear()
            seconds = expand(address, Path(folder, str(concurrency)), concurrency)
            rows.append((f"llmseg, {concurrency} at once", len(sizes), *map(sum, zip(*sizes, strict=True)), seconds))
        sizes.clear()
        again = [expand(address, Path(folder, "8"), 8) for _ in range(7)]
        rows.append(("llmseg, second run", len(sizes), 0, 0, sorted(again)[3]))
        other = expand_in_a_new_process(address, Path(folder, "8"))
        sizes.clear()
        begin = time.perf_counter()
        ask_one_by_one(address)
        loop = ("a loop, class by class", len(sizes), *map(sum, zip(*sizes, strict=True)), time.perf_counter() - begin)
    print(f"{len(CLASSES.classes)} classes x {COUNT} subclasses, each reply after {REPLY_SECONDS * 1000:.0f} ms\n")
    print("| | requests | tokens read | tokens written | seconds | loop / this |\n|---|---:|---:|---:|---:|---:|")
    for name, requests, read, written, seconds in [*rows, loop]:
        print(f"| {name} | {requests} | {read:,} | {written:,} | {seconds:.3f} | {loop[4] / seconds:.1f} |")
    print(f"\n8 at once is {rows[0][4] / rows[1][4]:.1f} times as fast as 1. Second run in a new process: {other}.")


async def _warm_up(address: str) -> None:
    """Import the client before anything is timed."""
    import openai

    await openai.AsyncOpenAI(base_url=address, api_key="none").close()


if __name__ == "__main__":
    main()
