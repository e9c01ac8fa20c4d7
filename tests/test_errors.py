"""The error tree: one message form, places added from outside, tables listed in full."""

from __future__ import annotations

import pickle

import pytest

from llmseg import errors
from llmseg.errors import (
    InputError,
    LLMSegError,
    NodeError,
    UnknownNameError,
    WorkflowError,
    located,
    lookup,
    nearest,
)


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error")])
def test_every_error_is_caught_as_one(name: str) -> None:
    assert issubclass(getattr(errors, name), LLMSegError)


def test_place_stands_before_the_problem() -> None:
    assert str(InputError("3; expected 4.", place="window")) == "window: 3; expected 4."
    assert str(InputError("3; expected 4.")) == "3; expected 4."


def test_located_adds_places_from_outside() -> None:
    with pytest.raises(InputError) as caught, located("node 7 (LLMSegScore)"), located("deep"):
        raise InputError("3; expected 4.")
    assert str(caught.value) == "node 7 (LLMSegScore), deep: 3; expected 4."
    assert caught.value.place == "node 7 (LLMSegScore), deep"


def test_located_leaves_other_errors_alone() -> None:
    with pytest.raises(KeyError) as caught, located("anywhere"):
        raise KeyError("x")
    assert str(caught.value) == "'x'"


def test_unknown_name_lists_the_table_and_suggests() -> None:
    error = UnknownNameError("pamrr", ["none", "pamr"], place="refiner")
    assert str(error) == "refiner: unknown name 'pamrr'; expected one of none, pamr. Did you mean 'pamr'?"


def test_unknown_name_far_from_all() -> None:
    error = UnknownNameError("xyz", ["none", "pamr"], place="refiner")
    assert str(error) == "refiner: unknown name 'xyz'; expected one of none, pamr."


@pytest.mark.parametrize(("count", "shown"), [(20, ", ".join(f"name{n}" for n in range(20))), (21, "21 names")])
def test_long_tables_are_counted_not_listed(count: int, shown: str) -> None:
    error = UnknownNameError(7, [f"name{n}" for n in range(count)], place="p")
    assert str(error) == f"p: unknown name 7; expected one of {shown}."


def test_lookup_reads_the_table() -> None:
    assert lookup({"a": 1}, "a", place="p") == 1


@pytest.mark.parametrize("name", ["b", ["a"], None])
def test_lookup_of_anything_else(name: object) -> None:
    with pytest.raises(UnknownNameError) as caught:
        lookup({"a": 1}, name, place="p")  # type: ignore[arg-type]
    assert str(caught.value) == f"p: unknown name {name!r}; expected one of a."
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_nearest_ignores_case_and_keeps_the_spelling() -> None:
    assert nearest("poodel", ["Poodle", "noodle", "cat"], 3) == ["Poodle", "noodle"]
    assert nearest("zzz", ["Poodle"]) == []


def test_workflow_error_is_one_line_a_problem() -> None:
    error = WorkflowError(["node 1: bad.", "node 2: worse."], place="street.json")
    assert error.problems == ("node 1: bad.", "node 2: worse.")
    assert str(error) == "street.json, node 1: bad.\nstreet.json, node 2: worse."
    assert str(WorkflowError(["node 1: bad."])) == "node 1: bad."


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (InputError("3; expected 4.", place="window"), "node 7 (Score), window: 3; expected 4."),
        (InputError("3; expected 4."), "node 7 (Score): 3; expected 4."),
        (KeyError("x"), "node 7 (Score): KeyError: 'x'"),
    ],
)
def test_node_error_names_the_node(cause: Exception, text: str) -> None:
    with pytest.raises(NodeError) as caught:
        raise NodeError("7", "Score", cause) from cause
    assert str(caught.value) == text
    assert (caught.value.node_id, caught.value.class_type) == ("7", "Score")


@pytest.mark.parametrize(
    "error",
    [
        InputError("7; expected 8.", place="x"),
        UnknownNameError("dgo", ["dog"], place="names"),
        WorkflowError(["one", "two"], place="w.json"),
        NodeError("7", "Save", ValueError("no")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_the_way_to_another_process(error: LLMSegError) -> None:
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert vars(twin) == vars(error)
