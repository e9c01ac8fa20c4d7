"""Every error this project raises on purpose, and how a place is added to it.

    LLMSegError
      InputError            a value from the user or from a workflow is wrong
        UnknownNameError    not in a table; lists the table and suggests the nearest name
      ModelError            weights are missing or unusable
      LLMError              a language model cannot be asked, or its replies cannot be used
        MissingKeyError     no API key, or one that the endpoint refuses
        QuotaError          the account has nothing left
        ReplyError          replies that cannot be read
        UnreachableError    no answer, or none in time
      WorkflowError         one or many problems of a graph, nothing was executed
      NodeError             a node failed while running; names its id and class

A message reads ``{place}: {what is wrong, with the value}; expected {what}. {remedy}``.
Deep code states the problem; whoever knows the place adds it with `located`.

Not here: validation rules, exit codes (`run`).
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

__all__ = [
    "InputError",
    "LLMError",
    "LLMSegError",
    "MissingKeyError",
    "ModelError",
    "NodeError",
    "QuotaError",
    "ReplyError",
    "UnknownNameError",
    "UnreachableError",
    "WorkflowError",
    "located",
    "lookup",
    "nearest",
]

T = TypeVar("T")

LISTED_CHOICES = 20  # beyond this a message names the count and the nearest, not the whole table


class LLMSegError(Exception):
    """Base class: a problem, and the place where it was found.

    Args:
        problem: what is wrong, with the value and what was expected; lower case start.
        place: the argument, file or node concerned; may be added later by `located`.
    """

    def __init__(self, problem: str, *, place: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}" if self.place else self.problem

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders; the constructors of subclasses do not take `args` back.
        return _revive, (type(self), self.args, self.__dict__)


class InputError(LLMSegError):
    """A value from the user or from a workflow is wrong."""


class UnknownNameError(InputError):
    """A name that is not in a table."""

    def __init__(self, name: object, choices: Iterable[str], *, place: str) -> None:
        choices = list(choices)
        listed = ", ".join(choices) if len(choices) <= LISTED_CHOICES else f"{len(choices)} names"
        close = nearest(str(name), choices)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"unknown name {reprlib.repr(name)}; expected one of {listed}.{hint}", place=place)


class ModelError(LLMSegError):
    """Weights are missing or unusable."""


class LLMError(LLMSegError):
    """A language model cannot be asked, or its replies cannot be used."""


class MissingKeyError(LLMError):
    """No API key for a profile, or one that its endpoint refuses."""


class QuotaError(LLMError):
    """The account behind an API key has nothing left."""


class ReplyError(LLMError):
    """Replies that cannot be read, or that hold no answer."""


class UnreachableError(LLMError):
    """An endpoint does not answer, or not in time."""


class WorkflowError(LLMSegError):
    """One or many problems of a workflow; nothing of it was executed.

    Args:
        problems: one complete line each, in the order in which they are reported.
    """

    def __init__(self, problems: Sequence[str], *, place: str = "") -> None:
        super().__init__("\n".join(problems), place=place)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        prefix = f"{self.place}, " if self.place else ""
        return "\n".join(prefix + problem for problem in self.problems)


class NodeError(LLMSegError):
    """A node failed while running; the original exception is its cause."""

    def __init__(self, node_id: str, class_type: str, cause: BaseException) -> None:
        place = f"node {node_id} ({class_type})"
        if isinstance(cause, LLMSegError):
            problem = cause.problem
            place = f"{place}, {cause.place}" if cause.place else place
        else:
            problem = f"{type(cause).__name__}: {cause}"
        super().__init__(problem, place=place)
        self.node_id = node_id
        self.class_type = class_type


def _revive(kind: type[LLMSegError], args: tuple[object, ...], state: dict[str, object]) -> LLMSegError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


@contextmanager
def located(place: str) -> Iterator[None]:
    """Add `place` in front of the place of any `LLMSegError` raised inside."""
    try:
        yield
    except LLMSegError as error:
        error.place = f"{place}, {error.place}" if error.place else place
        raise


def nearest(name: str, choices: Iterable[str], count: int = 1) -> list[str]:
    """The `count` choices that look most like `name`, best first; empty when none is close."""
    folded = {choice.casefold(): choice for choice in choices}
    matches = difflib.get_close_matches(name.casefold(), folded, n=count, cutoff=0.6)
    return [folded[match] for match in matches]


def lookup(table: Mapping[str, T], name: str, *, place: str) -> T:
    """Read `table[name]`; an unknown name is an error that lists the table.

    Raises:
        UnknownNameError: `name` is not a key.
    """
    try:
        return table[name]
    except (KeyError, TypeError):
        raise UnknownNameError(name, table, place=place) from None
