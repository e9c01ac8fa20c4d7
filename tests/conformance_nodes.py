"""A pack of small nodes for the conformance cases; `--nodes` with this file loads it.

Every node that shows writes its arguments as JSON, so that a test reads from the output of the command
what the node really received.
Not here: workflows and the command (`conformance_workflows`).
"""

from __future__ import annotations

import json
from typing import Any


def described(value: Any) -> Any:
    """A value as JSON can hold it; a tensor is its shape, its smallest and its largest value."""
    if hasattr(value, "shape"):
        return {"shape": list(value.shape), "range": [round(value.min().item(), 4), round(value.max().item(), 4)]}
    return [described(item) for item in value] if isinstance(value, (list, tuple)) else value


class Shows:
    """Shows what it is called with."""

    RETURN_TYPES: tuple[str, ...] = ()
    FUNCTION = "run"
    OUTPUT_NODE = True
    SPECS: dict[str, tuple[Any, ...]] = {}  # noqa: RUF012
    OPTIONAL: dict[str, tuple[Any, ...]] = {}  # noqa: RUF012

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": cls.SPECS, "optional": cls.OPTIONAL, "hidden": {"me": "UNIQUE_ID"}}

    def run(self, me: Any, **values: Any) -> dict[str, Any]:
        node_id = me[0] if isinstance(me, list) else me
        return {"ui": {"text": (json.dumps([node_id, {name: described(value) for name, value in values.items()}]),)}}


def shows(name: str, **specs: tuple[Any, ...]) -> type[Shows]:
    """A class that shows its inputs; those named `optional_...` are optional, without that start."""
    optional = {key.removeprefix("optional_"): spec for key, spec in specs.items() if key.startswith("optional_")}
    required = {key: spec for key, spec in specs.items() if not key.startswith("optional_")}
    return type(name, (Shows,), {"SPECS": required, "OPTIONAL": optional})


class ShowsLists(Shows):
    """Shows whole lists, in one call."""

    INPUT_IS_LIST = True
    SPECS = {"value": ("*",), "number": ("INT", {"default": 4})}  # noqa: RUF012


class ChecksNumber(Shows):
    """Judges its number itself, so that the limits do not count."""

    SPECS = {"number": ("INT", {"min": 0, "max": 9}), "other": ("INT", {"min": 0, "max": 9})}  # noqa: RUF012

    @classmethod
    def VALIDATE_INPUTS(cls, number: int) -> bool | str:
        return number != 13 or "13 brings bad luck"


class Makes:
    """Makes a value of one type, or hands on what it is given."""

    RETURN_TYPES: tuple[str, ...] = ("MODEL",)
    FUNCTION = "run"
    OPTIONAL: dict[str, tuple[Any, ...]] = {"value": ("STRING", {"default": "the model"})}  # noqa: RUF012

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}, "optional": cls.OPTIONAL}

    def run(self, value: Any = None, **others: Any) -> tuple[Any, ...]:
        return (value,)


class MakesList(Makes):
    """As many items as `count` says, each with `word` before its number."""

    RETURN_TYPES = ("STRING",)
    OUTPUT_IS_LIST = (True,)
    OPTIONAL = {"word": ("STRING", {"default": "a"}), "count": ("INT", {"default": 3})}  # noqa: RUF012

    def run(self, word: str = "a", count: int = 3) -> tuple[list[str]]:  # type: ignore[override]
        return ([f"{word}{number}" for number in range(count)],)


class HandsOn(Makes):
    """Three inputs of other types than its two outputs: what bypassing has to choose from."""

    RETURN_TYPES = ("IMAGE", "MASK")
    OPTIONAL = {"model": ("MODEL",), "image": ("IMAGE",), "mask": ("MASK",)}  # noqa: RUF012

    def run(self, **values: Any) -> tuple[Any, ...]:  # type: ignore[override]
        raise RuntimeError("a bypassed node ran")


class TwoImages(Makes):
    """Two inputs of one type: the first that fits is taken when bypassed, linked or not."""

    RETURN_TYPES = ("IMAGE",)
    OPTIONAL = {"first": ("IMAGE",), "second": ("IMAGE",)}  # noqa: RUF012


class Fails(Makes):
    """Takes anything and fails."""

    RETURN_TYPES = ("*",)
    OPTIONAL = {"value": ("*",)}  # noqa: RUF012

    def run(self, **values: Any) -> tuple[Any, ...]:  # type: ignore[override]
        raise ValueError("this node fails")


class Expands(Makes):
    """Becomes a node that makes its text and one that shows it; what it returns is the inner node's."""

    RETURN_TYPES = ("STRING",)

    def run(self, value: Any = None) -> dict[str, Any]:  # type: ignore[override]
        from comfy_execution.graph_utils import GraphBuilder

        graph = GraphBuilder()
        inner = graph.node("StringConcatenate", string_a=value, string_b="inner", delimiter="-")
        graph.node("ShowsAny", value=inner.out(0))
        return {"result": (inner.out(0),), "expand": graph.finalize()}


class Steps(Shows):
    """Counts to three, so that a bar moves."""

    def run(self, me: Any, **values: Any) -> dict[str, Any]:
        from comfy.utils import ProgressBar

        bar = ProgressBar(3)
        for _ in range(3):
            bar.update(1)
        return super().run(me)


class Prints(Makes):
    """Prints its text and hands it on."""

    RETURN_TYPES = ("STRING",)
    OPTIONAL = {"text": ("STRING", {})}  # noqa: RUF012

    def run(self, text: str) -> tuple[str]:  # type: ignore[override]
        print("printed", text)
        return (text,)


SEED = ("INT", {"default": 0, "min": 0})
FLAGGED = {"control_after_generate": True}
CHOICES = {"options": ["a", "b", 0], "multi_select": True}

NODE_CLASS_MAPPINGS = {
    "ChecksNumber": ChecksNumber,
    "Expands": Expands,
    "Fails": Fails,
    "HandsOn": HandsOn,
    "Makes": Makes,
    "MakesList": MakesList,
    "Prints": Prints,
    "Steps": Steps,
    "TwoImages": TwoImages,
    "ShowsAny": shows("ShowsAny", optional_value=("*",), optional_other=("*",)),
    "ShowsChoices": shows("ShowsChoices", choices=("COMBO", CHOICES)),
    "ShowsControlled": shows("ShowsControlled", pick=(["a", "b"], FLAGGED), size=("INT", {"default": 1})),
    "ShowsEither": shows("ShowsEither", value=("IMAGE,MASK",)),
    "ShowsImage": shows("ShowsImage", image=("IMAGE",), optional_mask=("MASK",)),
    "ShowsLists": ShowsLists,
    "ShowsMine": shows("ShowsMine", my_seed=SEED, steps=("INT", {"default": 1})),
    "ShowsNumber": shows("ShowsNumber", number=("INT", {"min": 0, "max": 9})),
    "ShowsPrompt": shows("ShowsPrompt", text=("STRING", {"dynamicPrompts": True})),
    "ShowsSeed": shows("ShowsSeed", seed=SEED, steps=("INT", {"default": 1})),
    "ShowsTexts": shows("ShowsTexts", text=("STRING", {"default": ""}), seed=("INT", {"default": 0})),
    "ShowsUncontrolled": shows(
        "ShowsUncontrolled", seed=("INT", {"control_after_generate": False}), steps=("INT", {"default": 1})
    ),
}
NODE_DISPLAY_NAME_MAPPINGS = {"Steps": "Counts to Three"}
