"""What a person or a program sees while a workflow runs.

People: progress on standard error, written files and texts on standard output. Programs (`--json`):
one event a line on standard output.

Not here: the events themselves (`graph.execution`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from .addresses import Location
from .errors import WorkflowError
from .graph import Event, NodeDefinition, Problem, RunResult, printable

__all__ = ["JsonReporter", "Reporter", "TextReporter", "listed_files", "listed_texts"]


class TextReporter:
    """For people."""

    def __init__(self) -> None:
        self._out = sys.stdout  # what nodes print goes elsewhere
        self._bar: Any = None
        self._name = ""

    def event(self, event: Event) -> None:
        """One line per finished node, with its time; a bar while it runs, on a terminal."""
        name = event.title or event.class_type
        if event.kind == "started":
            self._name = name
        elif event.kind == "progress":
            self.progress(int(event.value), int(event.total))
        elif event.kind == "finished":
            self._line(f"{event.seconds or 0:7.2f} s  {name}")
        elif event.kind in ("cached", "blocked"):
            self._line(f"{event.kind:>9}  {name}" + (f": {event.message}" if event.message else ""))

    def progress(self, done: int, total: int) -> None:
        """Move the bar of the running node."""
        if not sys.stderr.isatty() or total <= 1:
            return
        if self._bar is None or self._bar.total != total or done < self._bar.n:
            from tqdm import tqdm

            self._close_bar()
            tqdm.monitor_interval = 0  # no thread of its own for a bar that somebody moves anyway
            self._bar = tqdm(total=total, desc=printable(self._name), file=sys.stderr, leave=False, dynamic_ncols=True)
        self._bar.update(done - self._bar.n)

    def image(self, path: str, number: int, total: int, seconds: float | None = None) -> None:
        """The next image of many, and how long one took so far."""
        pace = ""
        if seconds is not None:
            left = timedelta(seconds=round(seconds * (total - number + 1)))
            pace = f"  ({1 / max(seconds, 1e-6):.1f} images/s, {left} left)"
        self._line(f"{number}/{total}  {path}{pace}")

    def skipped(self, count: int, total: int) -> None:
        """Images that were done already."""
        self._line(f"{count} of {total} images were done already")

    def warning(self, message: str) -> None:
        """Something worth knowing that stops nothing."""
        self._line(f"warning: {message}")

    def problems(self, problems: Sequence[Problem], source: str) -> None:
        """What validation found."""
        for problem in problems:
            self._line(f"error: {source}, {problem.message}")

    def refused(self, error: WorkflowError) -> None:
        """A workflow of which nothing can run."""
        self.failure(str(error))

    def failure(self, message: str) -> None:
        """Why it ended."""
        for line in message.splitlines():
            self._line(f"error: {line}")

    def checked(self, source: str, nodes: int, outputs: int) -> None:
        """A workflow without problems."""
        self._line(f"{source}: valid, {nodes} nodes, {outputs} outputs")

    def finished(self, result: RunResult, roots: Mapping[str, Location], image: str = "") -> None:
        """What was written and what nodes had to say, on standard output; of an image of many."""
        for text in listed_texts(result.ui):
            print(text, file=self._out)
        for name in listed_files(result.ui, roots):
            print(f"wrote {name}", file=self._out)
        count, total = len(result.executed), sum(result.seconds.values())
        of_image = f"  {image}" if image else ""  # whose files are in place while the next one runs
        self._line(f"{total:7.2f} s  {count} nodes executed, {len(result.cached)} cached{of_image}")

    def nodes(self, definitions: Mapping[str, NodeDefinition]) -> None:
        """Class and title, one a line."""
        for class_type, definition in sorted(definitions.items()):
            print(f"{class_type:24} {definition.display_name}", file=self._out)

    def _line(self, text: str) -> None:
        self._close_bar()
        print(printable(text), file=sys.stderr, flush=True)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class JsonReporter:
    """For programs: `{"event": ...}` one a line."""

    def __init__(self) -> None:
        self._out = sys.stdout  # what nodes print goes elsewhere
        self._node: str | None = None

    def event(self, event: Event) -> None:
        """A node started, finished, failed, was cached or blocked, or came a step further."""
        if event.kind == "started":
            self._node = event.node_id
        steps = {"value": event.value, "max": event.total} if event.kind == "progress" else {}
        display = event.display_id if event.display_id != event.node_id else None
        self._write(
            event.kind,
            node=event.node_id,
            display_node=display,
            class_type=event.class_type,
            seconds=event.seconds,
            message=event.message,
            **steps,
        )

    def progress(self, done: int, total: int) -> None:
        """Steps of the running node."""
        self._write("progress", node=self._node, value=done, max=total)

    def image(self, path: str, number: int, total: int, seconds: float | None = None) -> None:
        """The next image of many, and how long one took so far."""
        pace = None if seconds is None else round(seconds, 4)
        self._write("image", path=path, number=number, total=total, seconds_per_image=pace)

    def skipped(self, count: int, total: int) -> None:
        """Images that were done already."""
        self._write("skipped", count=count, total=total)

    def warning(self, message: str) -> None:
        """Something worth knowing that stops nothing."""
        self._write("warning", message=message)

    def problems(self, problems: Sequence[Problem], source: str) -> None:
        """What validation found, under the server's names for it; also one line each for people."""
        for problem in problems:
            self._write(
                "problem",
                source=source,
                node=problem.node_id,
                class_type=problem.class_type,
                title=problem.title,
                input=problem.input_name,
                type=problem.type,
                message=problem.message,
                dependent_outputs=list(problem.dependent_outputs),
            )
            print(f"error: {source}, {printable(problem.message)}", file=sys.stderr)

    def refused(self, error: WorkflowError) -> None:
        """A workflow of which nothing can run."""
        for line in error.problems:
            self._write("problem", source=error.place, type="invalid_workflow", message=line)
        for line in str(error).splitlines():
            print(f"error: {printable(line)}", file=sys.stderr)

    def failure(self, message: str) -> None:
        """Why it ended; also one line for people."""
        self._write("error", message=message)
        for line in message.splitlines():
            print(f"error: {printable(line)}", file=sys.stderr)

    def checked(self, source: str, nodes: int, outputs: int) -> None:
        """A workflow without problems."""
        self._write("valid", source=source, nodes=nodes, outputs=outputs)

    def finished(self, result: RunResult, roots: Mapping[str, Location], image: str = "") -> None:
        """The whole run; of an image of many."""
        self._write(
            "done",
            image=image,
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
        print(json.dumps({"event": kind, **present}), file=self._out, flush=True)


Reporter = TextReporter | JsonReporter


def listed_files(ui: Mapping[str, Mapping[str, Any]], roots: Mapping[str, Location]) -> list[str]:
    """Paths of the files that nodes say they wrote.

    Args:
        ui: what each node showed.
        roots: folder behind each kind of file: input, output, temp.
    """
    found = []
    for entry in (entry for shown in ui.values() for values in shown.values() for entry in values):
        if not isinstance(entry, dict):
            continue
        # What nodes of other people say of their files may be anything.
        kind, folder, name = entry.get("type", "output"), entry.get("subfolder", ""), entry.get("filename")
        if isinstance(kind, str) and kind in roots and isinstance(folder, str) and isinstance(name, str):
            found.append(str(roots[kind] / folder / name))
    return found


def listed_texts(ui: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Texts that nodes show."""
    return [str(text) for shown in ui.values() for text in shown.get("text", ())]
