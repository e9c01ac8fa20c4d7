"""What a worker has to say of one image, as text: it is written in one process and told in another.

Not here: what a person sees of it (`reporting`), the records of a batch (`manifest`).
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..batch_runs import Outcome
from ..errors import LLMSegError, NodeError
from ..graph import Event, Problem, RunResult
from ..manifest import Record
from ..reporting import Reporter

__all__ = ["Recorder", "Report"]


class Recorder:
    """A listener that remembers, where nobody can be told yet."""

    def __init__(self) -> None:
        self._heard: list[tuple[str, list[Any]]] = []

    def event(self, event: Event) -> None:
        """A node came a step further; single steps are told to nobody, for the images of several workers would mix."""
        if event.kind != "progress":
            self._heard.append(("event", [asdict(event)]))

    def warning(self, message: str) -> None:
        """Something worth knowing that stops nothing."""
        self._heard.append(("warning", [message]))

    def problems(self, problems: Sequence[Problem], source: str) -> None:
        """What validation found."""
        self._heard.append(("problems", [[asdict(problem) for problem in problems], source]))

    def take(self) -> list[tuple[str, list[Any]]]:
        """All that was heard since the last time."""
        heard, self._heard = self._heard, []
        return heard


@dataclass(frozen=True)
class Report:
    """What became of one image.

    Args:
        outcome: as in this process, but that what led to errors is text; None where the image was done before.
        record: the line of the manifest; None where the image was done before.
        heard: what the listener was told.
        printed: by nodes.
        refused: why no image can run here at all; empty where they can.
    """

    outcome: Outcome | None = None
    record: Record | None = None
    heard: list[tuple[str, list[Any]]] = field(default_factory=list)
    printed: str = ""
    refused: str = ""

    def pack(self) -> str:
        """The report as ASCII."""
        value: dict[str, Any] = {"heard": self.heard, "printed": self.printed, "refused": self.refused}
        if self.outcome is not None and self.record is not None:
            result = self.outcome.result
            value["record"] = asdict(self.record)
            value["outcome"] = [self.outcome.code, None if result is None else _pack_result(result), self.outcome.error]
        return json.dumps(value, default=str)

    @classmethod
    def unpack(cls, text: str) -> Report:
        """The report that was packed."""
        value = json.loads(text)
        outcome, record = None, None
        if "outcome" in value:
            code, result, error = value["outcome"]
            outcome = Outcome(code, None if result is None else _unpack_result(result), error)
            record = Record(**{**value["record"], "files": tuple(value["record"]["files"])})
        return cls(outcome, record, value["heard"], value["printed"], value["refused"])

    def tell(self, reporter: Reporter) -> None:
        """Tell what was heard, as if it happened now."""
        if self.printed:
            print(self.printed, end="" if self.printed.endswith("\n") else "\n", file=sys.stderr)
        for kind, values in self.heard:
            if kind == "event":
                reporter.event(Event(**values[0]))
            elif kind == "warning":
                reporter.warning(values[0])
            else:
                problems = [
                    Problem(**{**one, "dependent_outputs": tuple(one["dependent_outputs"])}) for one in values[0]
                ]
                reporter.problems(problems, values[1])


class _Elsewhere(Exception):
    """What led to an error in another process, as it was printed there."""


def _pack_result(result: RunResult) -> dict[str, Any]:
    errors = []
    for error in result.errors:
        led = "".join(traceback.format_exception(error.__cause__)) if error.__cause__ is not None else ""
        place, problem = error.place, error.problem
        errors.append([error.node_id, error.class_type, place, problem, led])
    counted = {"cached": result.cached, "blocked": result.blocked, "seconds": result.seconds}
    return {"ui": _plain_ui(result.ui), "executed": result.executed, **counted, "errors": errors}


def _unpack_result(value: dict[str, Any]) -> RunResult:
    errors = []
    for node_id, class_type, place, problem, led in value["errors"]:
        error = NodeError(node_id, class_type, LLMSegError(problem))
        error.place = place
        error.__cause__ = _Elsewhere(led) if led else None
        errors.append(error)
    return RunResult(**{**value, "errors": errors})


def _plain_ui(ui: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What nodes show, as far as it can be told to another process; those of other people may show anything."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(ui, default=str, skipkeys=True))
    except (ValueError, RecursionError):  # a value that holds itself
        return {}
    return plain
