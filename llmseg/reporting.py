"""What a person or a program sees while a workflow runs.

People: progress on standard error, written files and texts on standard output. Programs (`--json`):
one event a line on standard output.

Not here: the events themselves (`graph.execution`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .graph import Event, NodeDefinition, RunResult, printable

__all__ = ["JsonReporter", "Reporter", "TextReporter", "listed_files", "listed_texts"]


class TextReporter:
    """For people."""

    def __init__(self) -> None:
        self._bar = ""

    def event(self, event: Event) -> None:
        """One line per finished node, with its time."""
        name = event.title or event.class_type
        if event.kind == "finished":
            self._line(f"{event.seconds or 0:7.2f} s  {name}")
        elif event.kind in ("cached", "blocked"):
            self._line(f"{event.kind:>9}  {name}")

    def progress(self, done: int, total: int) -> None:
        """A line that is written over, on a terminal only."""
        if sys.stderr.isatty() and total > 1:
            self._bar = f"{done:>6}/{total}"
            print(f"\r{self._bar}", end="", file=sys.stderr, flush=True)

    def warning(self, message: str) -> None:
        """Something worth knowing that stops nothing."""
        self._line(f"warning: {message}")

    def problems(self, messages: Sequence[str], source: str) -> None:
        """Outputs that were left out because they are invalid."""
        for message in messages:
            self._line(f"error: {source}, {message}")

    def failure(self, message: str) -> None:
        """Why it ended."""
        for line in message.splitlines():
            self._line(f"error: {line}")

    def checked(self, source: str, nodes: int, outputs: int) -> None:
        """A workflow without problems."""
        self._line(f"{source}: valid, {nodes} nodes, {outputs} outputs")

    def finished(self, result: RunResult, roots: Mapping[str, Path]) -> None:
        """What was written and what nodes had to say, on standard output."""
        for text in listed_texts(result.ui):
            print(text)
        for name in listed_files(result.ui, roots):
            print(f"wrote {name}")
        count, total = len(result.executed), sum(result.seconds.values())
        self._line(f"{total:7.2f} s  {count} nodes executed, {len(result.cached)} cached")

    def nodes(self, definitions: Mapping[str, NodeDefinition]) -> None:
        """Class and title, one a line."""
        for class_type, definition in sorted(definitions.items()):
            print(f"{class_type:24} {definition.display_name}")

    def _line(self, text: str) -> None:
        clear = "\r" + " " * len(self._bar) + "\r" if self._bar else ""
        self._bar = ""
        print(clear + printable(text), file=sys.stderr, flush=True)


class JsonReporter:
    """For programs: `{"event": ...}` one a line."""

    def __init__(self) -> None:
        self._node: str | None = None

    def event(self, event: Event) -> None:
        """A node started, finished, failed, was cached or blocked."""
        if event.kind == "started":
            self._node = event.node_id
        self._write(
            event.kind, node=event.node_id, class_type=event.class_type, seconds=event.seconds, message=event.message
        )

    def progress(self, done: int, total: int) -> None:
        """Steps of the running node."""
        self._write("progress", node=self._node, value=done, max=total)

    def warning(self, message: str) -> None:
        """Something worth knowing that stops nothing."""
        self._write("warning", message=message)

    def problems(self, messages: Sequence[str], source: str) -> None:
        """Outputs that were left out because they are invalid."""
        for message in messages:
            self._write("problem", message=message, source=source)

    def failure(self, message: str) -> None:
        """Why it ended; also one line for people."""
        self._write("error", message=message)
        print(f"error: {message}", file=sys.stderr)

    def checked(self, source: str, nodes: int, outputs: int) -> None:
        """A workflow without problems."""
        self._write("valid", source=source, nodes=nodes, outputs=outputs)

    def finished(self, result: RunResult, roots: Mapping[str, Path]) -> None:
        """The whole run."""
        self._write(
            "done",
            executed=list(result.executed),
            cached=list(result.cached),
            seconds=round(sum(result.seconds.values()), 4),
            files=listed_files(result.ui, roots),
            texts=listed_texts(result.ui),
            success=result.error is None,
        )

    def nodes(self, definitions: Mapping[str, NodeDefinition]) -> None:
        """Every class."""
        for class_type, definition in sorted(definitions.items()):
            self._write("node", class_type=class_type, title=definition.display_name)

    def _write(self, kind: str, **fields: object) -> None:
        present = {name: value for name, value in fields.items() if value is not None and value != ""}
        print(json.dumps({"event": kind, **present}), flush=True)


Reporter = TextReporter | JsonReporter


def listed_files(ui: Mapping[str, Mapping[str, Any]], roots: Mapping[str, Path]) -> list[str]:
    """Paths of the files that nodes say they wrote.

    Args:
        ui: what each node showed.
        roots: folder behind each kind of file: input, output, temp.
    """
    entries = [entry for shown in ui.values() for values in shown.values() for entry in values]
    return [
        str(roots[entry.get("type", "output")] / entry.get("subfolder", "") / entry["filename"])
        for entry in entries
        if isinstance(entry, dict) and "filename" in entry and entry.get("type", "output") in roots
    ]


def listed_texts(ui: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Texts that nodes show."""
    return [str(text) for shown in ui.values() for text in shown.get("text", ())]
