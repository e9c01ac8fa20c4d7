"""The forms of a return value."""

from __future__ import annotations

from typing import Any

import pytest

from llmseg.errors import InputError
from llmseg.graph.execution.returns import Row, merge_rows, read_returns


class ExecutionBlocker:
    def __init__(self, message: str | None) -> None:
        self.message = message


class Two:
    RETURN_TYPES = ("*", "*")


class Spliced(Two):
    OUTPUT_IS_LIST = (True, False)


class Nothing:
    RETURN_TYPES = ()


def nobody(node_id: str, output: int) -> list[Any]:
    raise AssertionError(f"nobody was to be asked for {node_id}, {output}")


def merged(returns: list[Any], node_class: type) -> list[list[Any]]:
    rows, _ = read_returns(returns, node_class)
    return merge_rows(rows, getattr(node_class, "OUTPUT_IS_LIST", ()), nobody)


def test_results_of_calls_are_joined_per_output() -> None:
    assert merged([(1, 2), (3, 4)], Two) == [[1, 3], [2, 4]]
    assert merged([([1, 9], [2]), ([], [4])], Spliced) == [[1, 9], [[2], [4]]]
    assert merged([None], Nothing) == []


def test_ui_values_are_joined_under_the_keys_of_the_first_call() -> None:
    returns = [{"ui": {"text": ("a",)}, "result": (1, 2)}, {"ui": {"text": ["b", "c"], "more": [1]}, "result": (3, 4)}]
    assert read_returns(returns, Two) == ([Row((1, 2)), Row((3, 4))], {"text": ["a", "b", "c"]})
    assert read_returns([{"ui": {"text": ("a",)}}], Two) == ([], {"text": ["a"]})
    with pytest.raises(InputError, match="expected the same keys in every call"):
        read_returns(returns[::-1], Two)
    with pytest.raises(InputError, match="expected the same keys in every call, with lists"):
        read_returns([{"ui": {"text": 7}}], Two)


def test_a_returned_blocker_stands_on_every_output() -> None:
    blocker = ExecutionBlocker(None)
    assert merged([blocker], Spliced) == [[blocker], [blocker]]
    assert merged([{"result": blocker}], Two) == [[blocker], [blocker]]


def test_links_of_an_expansion_stand_for_all_items_of_what_they_lead_to() -> None:
    rows, _ = read_returns([{"expand": {"x": {}}, "result": (["x", 1], 5)}, ([7], ["x", 0])], Two)
    assert [row.links() for row in rows] == [[["x", 1]], []]
    assert merge_rows(rows, (), lambda node, output: [node, output]) == [["x", 1, [7]], [5, ["x", 0]]]
    assert merge_rows(rows, (True,), lambda node, output: [node, output]) == [["x", 1, 7], [5, ["x", 0]]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("text", "returned 'text'; expected a tuple of 2 values."),
        (None, "returned None; expected a tuple of 2 values."),
        ((1,), "returned (1,); expected a tuple of 2 values."),
        ({"expand": {}}, "returned None; expected a tuple of 2 values."),
        ({"expand": [1], "result": (1, 2)}, "expands to [1]; expected a dictionary of nodes."),
    ],
)
def test_other_returns_are_refused(value: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_returns([value], Two)
    assert str(caught.value) == message
