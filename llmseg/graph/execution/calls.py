"""One node call as the server makes it: list mapping, blockers, hidden inputs.

Everything between nodes is a list of items; a node is called once per item unless it asks for whole lists.
Not here: what a call returns (`returns`), waiting for asynchronous calls (`tasks`), the order of nodes (`executor`).

Source: the ComfyUI server (``execution.py``), restated.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ...errors import InputError
from ..definitions import NodeDefinition
from ..dynamic import live_inputs
from ..shapes import is_link
from .live import LivePrompt
from .tasks import wait_for

__all__ = [
    "Arguments",
    "call_mapped",
    "constant",
    "hidden_arguments",
    "inference_mode",
    "is_blocker",
    "start_calls",
    "static_arguments",
]

Arguments = Mapping[str, Sequence[Any]]  # every argument as the list of its items


def constant(value: Any) -> Any:
    """An input value that is no link, without the wrapper that lists travel in."""
    return value["__value__"] if isinstance(value, dict) and "__value__" in value else value


def is_blocker(value: object) -> bool:
    """Whether `value` says that what depends on it must not run; any host's class of that name counts."""
    return type(value).__name__ == "ExecutionBlocker"


def hidden_arguments(
    hidden: Mapping[str, str], node_id: str, live: LivePrompt, extra_pnginfo: Any = None
) -> dict[str, list[Any]]:
    """The hidden inputs of one node; accounts and keys, which a headless run does not have, are None.

    What the server does not know either is left out, so that the node's own default counts.

    Args:
        hidden: name of each hidden input and what it asks for.
        node_id: answers UNIQUE_ID.
        live: answers DYNPROMPT, and PROMPT with the nodes of the file.
        extra_pnginfo: answers EXTRA_PNGINFO: what a picture carries besides the prompt.
    """
    known: dict[str, Any] = {
        "UNIQUE_ID": node_id,
        "PROMPT": live.get_original_prompt(),
        "DYNPROMPT": live,
        "EXTRA_PNGINFO": extra_pnginfo,
        "AUTH_TOKEN_COMFY_ORG": None,
        "API_KEY_COMFY_ORG": None,
    }
    return {name: [known[asks]] for name, asks in hidden.items() if asks in known}


def static_arguments(definition: NodeDefinition, node_id: str, inputs: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What is known of a node's arguments while nothing runs: constants; linked inputs are None."""
    declared = {spec.name for spec in live_inputs(definition, inputs)}
    arguments: dict[str, list[Any]] = {}
    for name, value in inputs.items():
        if is_link(value):
            arguments[name] = [None]
        elif name in declared or name in definition.hidden:
            arguments[name] = [constant(value)]
    return {**arguments, **hidden_arguments(definition.hidden, node_id, LivePrompt({}))}


def argument_sets(arguments: Arguments, as_lists: bool) -> list[dict[str, Any]]:
    """The keyword arguments of every call.

    Args:
        arguments: each argument as a list of items.
        as_lists: the node takes whole lists, in one call.

    Raises:
        InputError: one argument is an empty list while another is not.
    """
    longest = max(map(len, arguments.values()), default=0)
    if as_lists:
        return [{name: list(items) for name, items in arguments.items()}]
    if longest == 0:
        return [{}]
    for name, items in arguments.items():
        if not items:
            raise InputError("an empty list; expected at least one item.", place=f"input {name!r}")
    # Shorter lists repeat their last item.
    return [
        {name: items[call] if call < len(items) else items[-1] for name, items in arguments.items()}
        for call in range(longest)
    ]


def start_calls(
    function: Callable[..., Any],
    arguments: Arguments,
    *,
    as_lists: bool = False,
    before_call: Callable[[int], object] | None = None,
) -> tuple[list[Any], list[Any]]:
    """Call `function` once per item.

    Args:
        function: the method of the node; its arguments are keywords.
        arguments: each as a list of items.
        as_lists: the node takes whole lists, in one call.
        before_call: told the number of each call that is made.

    Returns:
        What each call returned, which may be awaitable, a blocker for a call that was skipped, and the blockers
        that skipped calls.
    """
    returns: list[Any] = []
    blockers: list[Any] = []
    for number, call in enumerate(argument_sets(arguments, as_lists)):
        items = [item for value in call.values() for item in value] if as_lists else list(call.values())
        blocker = next((item for item in items if is_blocker(item)), None)
        if blocker is None:
            if before_call is not None:
                before_call(number)
            returns.append(function(**call))
        else:
            blockers.append(blocker)
            returns.append(silenced(blocker))
    return returns, blockers


def call_mapped(
    function: Callable[..., Any], arguments: Arguments, *, as_lists: bool = False
) -> tuple[list[Any], list[Any]]:
    """As `start_calls`, with asynchronous calls waited for."""
    returns, blockers = start_calls(function, arguments, as_lists=as_lists)
    waiting = [number for number, value in enumerate(returns) if inspect.isawaitable(value)]
    if waiting:
        for number, value in zip(waiting, wait_for([returns[i] for i in waiting]), strict=True):
            returns[number] = value
    return returns, blockers


def silenced(blocker: Any) -> Any:
    """The same blocker without its message, which is told once, where it first stops something."""
    return blocker if getattr(blocker, "message", None) is None else type(blocker)(None)


def inference_mode() -> AbstractContextManager[Any]:
    """Gradients off, as in the server, if somebody has imported torch; this package never does."""
    torch: Any = sys.modules.get("torch")
    return nullcontext() if torch is None or not hasattr(torch, "inference_mode") else torch.inference_mode()
