"""Signatures: what changes them, what never matches, and that they are linear."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llmseg.graph.definitions import define_nodes
from llmseg.graph.execution.cache import ResultCache, Signer, StoredResult, encode
from llmseg.graph.execution.live import LivePrompt


class Plain:
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"a": ("*",), "b": ("*",)}}


class Named(Plain):
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {**super().INPUT_TYPES(), "hidden": {"me": "UNIQUE_ID"}}


class Fresh(Plain):
    NOT_IDEMPOTENT = True


class Watching(Plain):
    state: Any = 1
    seen: list[Any] = []  # noqa: RUF012

    @classmethod
    def IS_CHANGED(cls, **inputs: Any) -> Any:
        cls.seen.append(inputs)
        if isinstance(cls.state, Exception):
            raise cls.state
        return cls.state


CLASSES = {cls.__name__: cls for cls in (Plain, Named, Fresh, Watching)}
DEFINITIONS = define_nodes(CLASSES)


def sign(prompt: dict[str, tuple[str, dict[str, Any]]], node_id: str) -> str:
    nodes = {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in prompt.items()}
    return Signer(LivePrompt(nodes), DEFINITIONS, CLASSES).sign(node_id)


def one(kind: str, node_id: str = "1", **inputs: Any) -> str:
    return sign({node_id: (kind, inputs)}, node_id)


def test_equal_nodes_have_equal_signatures_whatever_their_ids_and_the_order_of_inputs() -> None:
    assert one("Plain", "1", a=1, b=2) == one("Plain", "9", b=2, a=1)
    assert one("Plain", a=1) != one("Plain", a=2)
    assert one("Plain", a=1) != one("Plain", b=1)
    assert one("Plain", a=1) != one("Fresh", a=1)
    assert one("Plain", a="1") != one("Plain", a=1)
    assert one("Plain", a={"__value__": [1]}) == one("Plain", a={"__value__": [1]})


def test_links_count_with_slot_and_all_ancestors() -> None:
    def chain(value: int, slot: int) -> str:
        return sign(
            {"1": ("Plain", {"a": value}), "2": ("Plain", {"a": ["1", slot]}), "3": ("Plain", {"a": ["2", 0]})}, "3"
        )

    assert chain(1, 0) == chain(1, 0)
    assert len({chain(1, 0), chain(2, 0), chain(1, 1)}) == 3


@pytest.mark.parametrize("kind", ["Named", "Fresh"])
def test_the_id_joins_where_the_class_sees_it_or_is_not_idempotent(kind: str) -> None:
    assert one(kind, "1", a=1) != one(kind, "2", a=1)
    assert one(kind, "1", a=1) == one(kind, "1", a=1)


@pytest.mark.parametrize("value", [math.nan, object(), {"x": math.nan}])
def test_nan_and_unknown_objects_never_match(value: Any) -> None:
    assert one("Plain", a=value) != one("Plain", a=value)


def test_is_changed_joins_and_sees_links_as_none() -> None:
    Watching.seen.clear()
    prompt: dict[str, tuple[str, dict[str, Any]]] = {"1": ("Plain", {"a": 1})}
    prompt["2"] = ("Watching", {"a": ["1", 0], "b": 5, "undeclared": 6})
    Watching.state = 1
    first, again = sign(prompt, "2"), sign(prompt, "2")
    Watching.state = 2
    assert first == again != sign(prompt, "2")
    assert Watching.seen[0] == {"a": None, "b": 5}
    Watching.state = ValueError("gone")
    assert sign(prompt, "2") != sign(prompt, "2")


def test_encoding_keeps_types_and_nesting_apart() -> None:
    values = [1, 1.0, True, "1", None, [1, 2], [[1], 2], ["1,2"], {"a": 1}, {"a": "1"}, b"1"]
    assert len({encode(value) for value in values}) == len(values)
    assert encode({"a": 1, "b": 2}) == encode({"b": 2, "a": 1})


def test_a_graph_with_exponentially_many_paths_is_signed_at_once() -> None:
    prompt: dict[str, tuple[str, dict[str, Any]]] = {"0": ("Plain", {"a": 1})}
    for number in range(1, 3000):
        prompt[str(number)] = ("Plain", {"a": [str(number - 1), 0], "b": [str(number - 1), 0]})
    assert len(sign(prompt, "2999")) == 32


def test_the_cache_keeps_only_what_is_named() -> None:
    cache = ResultCache()
    for key in "abc":
        cache.put(key, StoredResult([[key]], {}))
    cache.keep_only(["b", "z"])
    assert len(cache) == 1
    assert cache.get("b") == StoredResult([["b"]], {})
    assert cache.get("a") is None
