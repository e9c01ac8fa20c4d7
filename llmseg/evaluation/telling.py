"""What the command says while it runs: to people on standard error, to programs an event a line on standard output.

Not here: the table (`summary`), the report.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta

from ..graph import printable
from .experiments import Step

__all__ = ["Teller"]


class Teller:
    """Says it in both ways.

    Args:
        as_json: whether a program listens.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._out = sys.stdout

    def event(self, kind: str, **fields: object) -> None:
        """Something for programs."""
        if self.as_json:
            print(json.dumps({"event": kind, **fields}), file=self._out, flush=True)

    def result(self, text: str) -> None:
        """Something that was asked for; programs have had it as events."""
        if not self.as_json:
            print("\n".join(map(printable, text.split("\n"))), file=self._out)

    def step(self, step: Step) -> None:
        """One image is through."""
        self.event("image", **vars(step))
        if step.error:
            self._say(f"left out: {step.error}")
        elif step.computed:
            left = timedelta(seconds=round((step.seconds or 0) * (step.total - step.number)))
            pace = f"{1 / max(step.seconds or 0, 1e-6):.1f} images/s, {left} left"
            columns = "1 column" if step.computed == 1 else f"{step.computed} columns"
            self._say(f"{step.number}/{step.total}  {step.sample}  {columns}  ({pace})")

    def remark(self, message: str) -> None:
        """Something worth knowing."""
        self.event("remark", message=message)
        self._say(message)

    def warning(self, message: str) -> None:
        """Something worth knowing that stops nothing."""
        self.event("warning", message=message)
        self._say(f"warning: {message}")

    def failure(self, message: str) -> None:
        """Why it ended."""
        self.event("error", message=message)
        for line in message.splitlines():
            self._say(f"error: {line}")

    def _say(self, line: str) -> None:
        print(printable(line), file=sys.stderr, flush=True)
