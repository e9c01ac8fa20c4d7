"""Results that were computed elsewhere take the place of nodes; output nodes of a batch run for every prompt."""

from __future__ import annotations

from typing import Any

import pytest

from llmseg.graph import Executor, ResultCache, StoredResult, validate_prompt


class Node:
    RETURN_TYPES: tuple[str, ...] = ("INT",)
    FUNCTION = "run"
    ran: list[Any] = []  # noqa: RUF012

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"a": ("INT",)}, "optional": {"b": ("INT",)}, "hidden": {"prompt": "PROMPT"}}


class Add(Node):
    def run(self, a: int, b: int = 0, prompt: Any = None) -> tuple[int]:
        self.ran.append(("Add", a, b))
        return (a + b,)


class Asks(Node):
    """What must not be asked again where its result is known."""

    @classmethod
    def IS_CHANGED(cls, **inputs: Any) -> Any:
        cls.ran.append("asked whether it changed")
        return float("nan")

    @classmethod
    def VALIDATE_INPUTS(cls, a: int | None) -> bool | str:
        cls.ran.append("asked whether it is valid")
        return "its file is on another machine"

    def run(self, **inputs: Any) -> tuple[int]:
        raise RuntimeError("it ran")


class Saves(Node):
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def run(self, a: int, b: int = 0, prompt: Any = None) -> dict[str, Any]:
        self.ran.append(("Saves", a))
        return {"ui": {"text": [str(a)]}}


CLASSES: dict[str, type] = {cls.__name__: cls for cls in (Add, Asks, Saves)}


@pytest.fixture(autouse=True)
def fresh() -> None:
    Node.ran.clear()


def call(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


# 1 -> 2 (known) -> 3 -> 4 (saves); 1 is read by 3 too.
PROMPT = {
    "1": call("Add", a=1),
    "2": call("Asks", a=["1", 0]),
    "3": call("Add", a=["2", 0], b=["1", 0]),
    "4": call("Saves", a=["3", 0]),
}
KNOWN = {"2": StoredResult([[40]], {})}


@pytest.mark.parametrize("cache", [None, ResultCache()])
def test_a_known_result_takes_the_place_of_a_node_of_which_nothing_is_asked(cache: ResultCache | None) -> None:
    executor = Executor(CLASSES, cache=cache, known=KNOWN)
    for _ in range(2):
        Node.ran.clear()
        result = executor.run(PROMPT, ["4"])
        assert result.ui == {"4": {"text": ["41"]}}
        assert "2" in result.cached or cache is not None
        assert not [one for one in Node.ran if isinstance(one, str)]


def test_nodes_behind_known_ones_alone_do_not_run() -> None:
    prompt = {**PROMPT, "3": call("Add", a=["2", 0])}
    result = Executor(CLASSES, known=KNOWN).run(prompt, ["4"])
    assert Node.ran == [("Add", 40, 0), ("Saves", 40)]
    assert result.executed == ["3", "4"]


def test_what_follows_a_known_result_is_cached_as_ever() -> None:
    executor = Executor(CLASSES, cache=ResultCache(), known=KNOWN)
    executor.run(PROMPT, ["4"])
    result = executor.run(PROMPT, ["4"])
    assert result.executed == []


def test_validation_asks_nothing_of_known_nodes_and_does_not_look_behind_them() -> None:
    faults = validate_prompt(PROMPT, CLASSES).problems
    assert [(one.node_id, one.type) for one in faults] == [("2", "custom_validation_failed")]
    Node.ran.clear()
    prompt = {**PROMPT, "1": call("Add", a=1), "0": call("Nowhere"), "2": call("Asks", a=["0", 0])}
    checked = validate_prompt(prompt, CLASSES, known={"2"})
    assert (checked.problems, checked.outputs, Node.ran) == ((), ("4",), [])
    assert validate_prompt({**prompt, "3": call("Add", b=["2", 0])}, CLASSES, known={"2"}).outputs == ()


def test_compute_gives_the_results_of_single_nodes() -> None:
    prompt = {**PROMPT, "2": call("Add", a=["1", 0], b=5)}
    executor = Executor(CLASSES)
    result, found = executor.compute(prompt, ["2", "1"])
    assert {node_id: stored.outputs for node_id, stored in found.items()} == {"2": [[6]], "1": [[1]]}
    assert sorted(result.executed) == ["1", "2"]
    result, found = executor.compute(PROMPT, ["1", "2"])
    assert [error.node_id for error in result.errors] == ["2"]
    assert {node_id: stored.outputs for node_id, stored in found.items()} == {"1": [[1]]}


@pytest.mark.parametrize(("repeat", "times"), [(False, 1), (True, 3)])
def test_output_nodes_run_for_every_prompt_where_each_is_to_have_its_files(repeat: bool, times: int) -> None:
    executor = Executor(CLASSES, cache=ResultCache(), repeat_outputs=repeat, known=KNOWN)
    for _ in range(3):
        executor.run(PROMPT, ["4"])
    assert Node.ran.count(("Saves", 41)) == times
    assert Node.ran.count(("Add", 40, 1)) == 1
