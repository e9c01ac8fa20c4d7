"""One node call as the server makes it: list mapping, blockers, hidden inputs, the forms of a return value.

Everything between nodes is a list of items; a node is called once per item unless it asks for whole lists.
Not here: the order of nodes and what happens between them (`execution`).

Sources: the ComfyUI server (``execution.py``), restated.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..errors import InputError
from .definitions import NodeDefinition
from .places import shown
from .shapes import is_link

__all__ = [
    "Arguments",
    "call_mapped",
    "call_node",
    "constant",
    "hidden_arguments",
    "inference_mode",
    "is_blocker",
    "read_returns",
    "static_arguments",
    "wait_for",
]

Arguments = Mapping[str, Sequence[Any]]  # every argument as the list of its items


def constant(value: Any) -> Any:
    """An input value that is no link, without the wrapper that lists travel in."""
    return value["__value__"] if isinstance(value, dict) and "__value__" in value else value


def is_blocker(value: object) -> bool:
    """Whether `value` says that what depends on it must not run; any host's class of that name counts."""
    return type(value).__name__ == "ExecutionBlocker"


def hidden_arguments(
    hidden: Mapping[str, str], node_id: str, prompt: Mapping[str, Any], extra_pnginfo: Any = None
) -> dict[str, list[Any]]:
    """The hidden inputs of one node; what a headless run does not have (accounts, keys) is None.

    Args:
        hidden: name of each hidden input and what it asks for.
        node_id: answers UNIQUE_ID.
        prompt: answers PROMPT, and DYNPROMPT through the accessors of `LivePrompt`.
        extra_pnginfo: answers EXTRA_PNGINFO: what a picture carries besides the prompt.
    """
    known = {"UNIQUE_ID": node_id, "PROMPT": prompt, "EXTRA_PNGINFO": extra_pnginfo}
    return {name: [LivePrompt(prompt) if asks == "DYNPROMPT" else known.get(asks)] for name, asks in hidden.items()}


class LivePrompt:
    """What a node that asks for DYNPROMPT may call; without expansion every node is its own parent."""

    def __init__(self, prompt: Mapping[str, Any]) -> None:
        self._prompt = prompt

    def get_node(self, node_id: str) -> Any:
        return self._prompt[node_id]

    def has_node(self, node_id: str) -> bool:
        return node_id in self._prompt

    def all_node_ids(self) -> set[str]:
        return set(self._prompt)

    def get_original_prompt(self) -> Mapping[str, Any]:
        return self._prompt

    def get_parent_node_id(self, node_id: str) -> str | None:
        return None

    def get_real_node_id(self, node_id: str) -> str:
        return node_id

    def get_display_node_id(self, node_id: str) -> str:
        return node_id


def static_arguments(definition: NodeDefinition, node_id: str, inputs: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What is known of a node's arguments while nothing runs: constants; linked inputs are None."""
    declared = {spec.name for spec in definition.inputs}
    arguments: dict[str, list[Any]] = {}
    for name, value in inputs.items():
        if is_link(value):
            arguments[name] = [None]
        elif name in declared:
            arguments[name] = [constant(value)]
    return {**arguments, **hidden_arguments(definition.hidden, node_id, {})}


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


def call_mapped(
    function: Callable[..., Any], arguments: Arguments, *, as_lists: bool = False
) -> tuple[list[Any], list[Any]]:
    """Call `function` once per item.

    Returns:
        What each call returned, a blocker for a call that was skipped, and the blockers that skipped calls.
    """
    returns: list[Any] = []
    blockers: list[Any] = []
    for call in argument_sets(arguments, as_lists):
        items = [item for value in call.values() for item in value] if as_lists else list(call.values())
        blocker = next((item for item in items if is_blocker(item)), None)
        if blocker is None:
            returns.append(function(**call))
        else:
            blockers.append(blocker)
            returns.append(silenced(blocker))
    waiting = [number for number, value in enumerate(returns) if inspect.isawaitable(value)]
    if waiting:
        for number, value in zip(waiting, wait_for([returns[i] for i in waiting]), strict=True):
            returns[number] = value
    return returns, blockers


def silenced(blocker: Any) -> Any:
    """The same blocker without its message, which is told once, where it first stops something."""
    return blocker if getattr(blocker, "message", None) is None else type(blocker)(None)


def wait_for(awaitables: Sequence[Awaitable[Any]]) -> list[Any]:
    """The results of all `awaitables`, which run concurrently; also inside a running event loop."""

    results: list[Any] = []

    async def gather() -> None:
        # Not as the result of the task: Python 3.11 and later print a task, and so its result, when a loop ends.
        results.extend(await asyncio.gather(*awaitables))

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(gather())
        return results
    with ThreadPoolExecutor(1) as pool:  # a loop cannot run inside a loop of the same thread
        pool.submit(asyncio.run, gather()).result()
    return results


def call_node(node: Any, arguments: Arguments) -> tuple[list[list[Any]], dict[str, list[Any]], list[Any]]:
    """Run a node: its outputs, what it shows, and the blockers that skipped calls.

    Raises:
        InputError: the class or what it returned is of an unsupported form.
    """
    node_class = type(node)
    if hasattr(node_class, "define_schema"):
        raise InputError("a V3 node class, which is not supported yet; expected a V1 class.")
    function = getattr(node, node_class.FUNCTION)
    returns, blockers = call_mapped(function, arguments, as_lists=getattr(node, "INPUT_IS_LIST", False))
    return *read_returns(returns, node_class), blockers


def inference_mode() -> AbstractContextManager[Any]:
    """Gradients off, as in the server, if somebody has imported torch; this package never does."""
    torch: Any = sys.modules.get("torch")
    return nullcontext() if torch is None or not hasattr(torch, "inference_mode") else torch.inference_mode()


def read_returns(returns: Sequence[Any], node_class: type) -> tuple[list[list[Any]], dict[str, list[Any]]]:
    """The outputs of a node, each a list of items, and what it shows.

    Args:
        returns: what each call returned: a tuple, or ``{"ui": ..., "result": ...}``, or a blocker.
        node_class: says how many outputs there are and which are lists.

    Raises:
        InputError: a form that the protocol does not know, or that is not supported.
    """
    count = len(getattr(node_class, "RETURN_TYPES", ()))
    results: list[Sequence[Any]] = []
    shown_parts: list[Mapping[str, Any]] = []
    for value in returns:
        result = value
        if isinstance(value, Mapping):
            if "expand" in value:
                raise InputError("returned a graph to expand, which is not supported yet; expected values.")
            if "ui" in value:
                shown_parts.append(value["ui"])
            if "result" not in value:
                continue
            result = value["result"]
        results.append(_as_row(result, count))
    ui = {key: [item for part in shown_parts for item in part[key]] for key in shown_parts[0]} if shown_parts else {}
    return _merge(results, getattr(node_class, "OUTPUT_IS_LIST", ())), ui


def _as_row(result: Any, count: int) -> Sequence[Any]:
    if is_blocker(result):
        return (result,) * count
    if result is None and count == 0:
        return ()
    # A bare text or tensor would be taken apart item by item, so the server's leniency is not copied.
    if not isinstance(result, (tuple, list)) or len(result) < count:
        raise InputError(f"returned {shown(result)}; expected a tuple of {count} values.")
    return result


def _merge(results: Sequence[Sequence[Any]], is_list: Sequence[bool]) -> list[list[Any]]:
    outputs: list[list[Any]] = []
    for number in range(len(results[0]) if results else 0):
        items: list[Any] = []
        for row in results:
            spliced = number < len(is_list) and is_list[number] and not is_blocker(row[number])
            items += row[number] if spliced else [row[number]]
        outputs.append(items)
    return outputs
