"""Cheap nodes that return, expand to and ask for whatever the workflow says, for the mutated workflows of the fuzz test.

Not here: the workflows (`fuzz_seeds`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from llmseg.errors import InputError
from llmseg.graph.inputs import AUTOGROW, DYNAMIC_COMBO

__all__ = ["FUZZ_NODES", "stand_in"]


class ExecutionBlocker:
    def __init__(self, message: Any) -> None:
        self.message = message


class Anything:
    """Two optional inputs of any type; the first comes back."""

    RETURN_TYPES: tuple[str, ...] = ("*",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {},
            "optional": {"a": ("*",), "b": ("*",)},
            "hidden": {"me": "UNIQUE_ID", "live": "DYNPROMPT"},
        }

    def execute(self, me: str, live: Any, a: Any = None, b: Any = None) -> Any:
        return (a,)


class FuzzShow(Anything):
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def execute(self, me: str, live: Any, a: Any = None, b: Any = None) -> Any:
        return {"ui": {"text": (str(a)[:1000],)}}


class FuzzReturn(Anything):
    """Returns whatever the workflow says, as its whole return value."""

    RETURN_TYPES = ("*", "IMAGE")
    OUTPUT_IS_LIST = (False, True)
    OUTPUT_NODE = True

    def execute(self, me: str, live: Any, a: Any = None, b: Any = None) -> Any:
        return a


class FuzzExpand(Anything):
    """Expands to the graph `a`, with `b` as its results."""

    def execute(self, me: str, live: Any, a: Any = None, b: Any = None) -> Any:
        live.get_parent_node_id(me), live.get_display_node_id(me), live.all_node_ids()
        return {"result": (b,), "expand": a}


class FuzzCount(Anything):
    """A loop of `a` rounds; without an end if `a` never becomes 0."""

    def execute(self, me: str, live: Any, a: Any = 0, b: Any = 0) -> Any:
        if a == 0:
            return (b,)
        inner = {"class_type": "FuzzCount", "inputs": {"a": a - 1, "b": b}}
        return {"result": ([f"{me}.n", 0],), "expand": {f"{me}.n": inner}}


class FuzzList(Anything):
    OUTPUT_IS_LIST = (True,)


class FuzzWhole(Anything):
    INPUT_IS_LIST = True


class FuzzLazy(Anything):
    """Asks for whatever inputs the workflow says."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        lazy = ("*", {"lazy": True})
        return {"required": {"names": ("*",)}, "optional": {"a": lazy, "b": lazy}}

    def check_lazy_status(self, names: Any, a: Any = None, b: Any = None) -> Any:
        return names

    def execute(self, names: Any, a: Any = None, b: Any = None) -> Any:  # type: ignore[override]
        return (a if b is None else b,)


class FuzzBlock(Anything):
    def execute(self, me: str, live: Any, a: Any = None, b: Any = None) -> Any:
        return (ExecutionBlocker(a),)


class FuzzLater(Anything):
    async def execute(self, me: str, live: Any, a: Any = None, b: Any = None) -> Any:
        await asyncio.sleep(0)
        if isinstance(b, str):
            raise ValueError(b)
        return {"result": (a,), "expand": b} if isinstance(b, dict) else (a,)


class FuzzChanged(Anything):
    """Says of itself whatever the workflow says."""

    @classmethod
    def VALIDATE_INPUTS(cls, b: Any = True) -> Any:
        if b == "raise":
            raise ValueError(b)
        return b

    @classmethod
    def IS_CHANGED(cls, a: Any = None, b: Any = None, **hidden: Any) -> Any:
        if a == "raise":
            raise InputError("never the same")
        return a


class FuzzRows(Anything):
    """All kinds of dynamic inputs."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        inner = (DYNAMIC_COMBO, {"options": [{"key": "deep", "inputs": {"required": {"n": ["INT", {"max": 9}]}}}]})
        kind = (
            DYNAMIC_COMBO,
            {"options": [{"key": "by size", "inputs": {"required": {"width": ["INT", {"default": 3}]}}},
                         {"key": "inner", "inputs": {"required": {"sort": inner}}}]},
        )  # fmt: skip
        growing = (
            AUTOGROW,
            {"template": {"input": {"required": {"x": ["INT", {}]}}, "prefix": "x", "min": 1, "max": 4}},
        )
        named = (AUTOGROW, {"template": {"input": {"optional": {"x": ("*",)}}, "names": ["left", "right"], "min": 0}})
        rows = (
            "COMFY_DYNAMICGROUP_V3",
            {"template": {"required": {"name": ["STRING", {}]}, "optional": {"n": ["INT", {}]}}},
        )
        return {"required": {"kind": kind, "xs": growing}, "optional": {"sides": named, "rows": rows}}

    def execute(self, **arguments: Any) -> Any:  # type: ignore[override]
        return {"ui": {"got": [repr(arguments)[:1000]]}}


FUZZ_NODES: dict[str, type] = {
    node.__name__: node
    for node in (
        *(FuzzShow, FuzzReturn, FuzzExpand, FuzzCount, FuzzList, FuzzWhole, FuzzLazy, FuzzBlock, FuzzLater),
        *(FuzzChanged, FuzzRows),
    )
}


def stand_in(record: Mapping[str, Any]) -> type:
    """A class that declares what a server's `record` says and gives small results."""
    outputs = tuple(record.get("output") or ())

    def execute(self: Any, **_: Any) -> Any:
        import torch

        small = {
            "IMAGE": torch.zeros(1, 6, 8, 3),
            "MASK": torch.zeros(1, 6, 8),
            "INT": 3,
            "FLOAT": 0.5,
            "STRING": "text",
        }
        return tuple(small.get(str(kind)) for kind in outputs)

    members = {
        "INPUT_TYPES": classmethod(lambda cls: record["input"]),
        "RETURN_TYPES": outputs,
        "FUNCTION": "execute",
        "OUTPUT_NODE": True,  # so that workflows run in which nothing is saved
        "execute": execute,
    }
    return type("StandIn", (), members)
