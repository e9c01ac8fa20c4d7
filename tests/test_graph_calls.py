"""One node call: list mapping against a naive twin, blockers, return forms."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from llmseg.errors import InputError
from llmseg.graph.execution.calls import argument_sets, call_mapped, hidden_arguments
from llmseg.graph.execution.live import LivePrompt


class ExecutionBlocker:
    def __init__(self, message: str | None) -> None:
        self.message = message


class Two:
    RETURN_TYPES = ("A", "B")


class Spliced(Two):
    OUTPUT_IS_LIST = (True, False)


class Nothing:
    RETURN_TYPES = ()


def naive(arguments: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Pad every list with its last item to the longest length, then read off the columns."""
    longest = max(len(items) for items in arguments.values())
    padded = {name: items + [items[-1]] * (longest - len(items)) for name, items in arguments.items()}
    return [dict(zip(padded, column, strict=True)) for column in zip(*padded.values(), strict=True)]


@pytest.mark.parametrize("lengths", list(itertools.product([1, 2, 3], repeat=3)))
def test_mapping_repeats_the_last_item_of_shorter_lists(lengths: tuple[int, ...]) -> None:
    arguments = {name: [f"{name}{i}" for i in range(count)] for name, count in zip("abc", lengths, strict=True)}
    assert argument_sets(arguments, as_lists=False) == naive(arguments)


def test_mapping_at_its_edges() -> None:
    assert argument_sets({}, False) == [{}]
    assert argument_sets({"a": [], "b": []}, False) == [{}]
    assert argument_sets({"a": [1, 2], "b": [3]}, True) == [{"a": [1, 2], "b": [3]}]
    with pytest.raises(InputError) as caught:
        argument_sets({"a": [1], "b": []}, False)
    assert str(caught.value) == "input 'b': an empty list; expected at least one item."


def test_a_blocker_skips_its_call_and_tells_once() -> None:
    calls: list[int] = []

    def body(a: int) -> tuple[int]:
        calls.append(a)
        return (a,)

    returns, blockers = call_mapped(body, {"a": [1, ExecutionBlocker("stop"), 3]})
    assert calls == [1, 3]
    assert [blocker.message for blocker in blockers] == ["stop"]
    assert (returns[0], returns[1].message, returns[2]) == ((1,), None, (3,))
    returns, blockers = call_mapped(lambda a: 1 / 0, {"a": [1, ExecutionBlocker(None)]}, as_lists=True)
    assert len(returns) == len(blockers) == 1


def test_coroutines_of_one_node_run_concurrently() -> None:
    async def body(a: int) -> tuple[int]:
        arrived.append(a)
        while len(arrived) < 2:
            await asyncio.sleep(0)
        return (a,)

    arrived: list[int] = []
    assert call_mapped(body, {"a": [1, 2]})[0] == [(1,), (2,)]


def test_hidden_arguments() -> None:
    asks = {
        "a": "UNIQUE_ID",
        "b": "PROMPT",
        "c": "EXTRA_PNGINFO",
        "d": "API_KEY_COMFY_ORG",
        "e": "DYNPROMPT",
        "f": "MODEL",
    }
    prompt = {"7": {"class_type": "X"}}
    hidden = hidden_arguments(asks, "7", LivePrompt(prompt), {"workflow": 1})
    assert {name: hidden[name] for name in "abcd"} == {"a": ["7"], "b": [prompt], "c": [{"workflow": 1}], "d": [None]}
    assert "f" not in hidden  # the node's own default counts
    live = hidden["e"][0]
    assert live.get_node("7") == {"class_type": "X"}
    assert (live.has_node("8"), live.all_node_ids(), live.get_display_node_id("7")) == (False, {"7"}, "7")
