"""The call that runs now, as packs may ask about it, and the wish of a node to stop the run.

Not here: what progress is told to (`steps`).
Source: ComfyUI 0.8 `comfy_execution/utils.py` and `comfy.model_management`, restated.
"""

from __future__ import annotations

import uuid
from contextvars import ContextVar
from typing import NamedTuple

from .. import progress
from .subgraphs import GraphBuilder


class ExecutionContext(NamedTuple):
    """Which call of which node runs."""

    prompt_id: str
    node_id: str
    list_index: int | None


class InterruptProcessingException(Exception):
    """A node asked for the run to end."""

    def __init__(self, message: str = "a node asked for the run to end") -> None:
        super().__init__(message)


class _Run:
    """What changes while one run goes on."""

    stop = False
    prompt_id = ""


_context: ContextVar[ExecutionContext | None] = ContextVar("context", default=None)


def reset() -> None:
    """A new run begins."""
    _Run.stop, _Run.prompt_id = False, str(uuid.uuid4())
    _context.set(None)
    GraphBuilder.set_default_prefix("", 0)


def before_call(node_id: str, call_index: int = 0) -> None:
    """What the executor calls before each call of a node, while nothing else of that call has run.

    Args:
        node_id: graphs that the call builds are named after it.
        call_index: number of the call, where a node is called once per item.

    Raises:
        InterruptProcessingException: a node asked for the run to end.
    """
    throw_exception_if_processing_interrupted()
    GraphBuilder.set_default_prefix(node_id, call_index)
    _context.set(ExecutionContext(_Run.prompt_id, node_id, call_index))


def get_executing_context() -> ExecutionContext | None:
    """The call that runs now; None outside of calls."""
    return _context.get()


def interrupt_current_processing(value: bool = True) -> None:
    """Ask for the run to end, or take that back."""
    _Run.stop = bool(value)


def processing_interrupted() -> bool:
    """Whether somebody asked for the run to end."""
    return _Run.stop


def throw_exception_if_processing_interrupted() -> None:
    """End the run if somebody asked for that; asking counts once."""
    progress.check_interrupted()
    if _Run.stop:
        _Run.stop = False
        raise InterruptProcessingException


MEMBERS = {"ExecutionContext": ExecutionContext, "get_executing_context": get_executing_context}
