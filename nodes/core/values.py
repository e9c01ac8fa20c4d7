"""A number, a text or a yes or no by itself, and the choice between two values.

Not here: what is done with texts (`texts`).
Sources: ComfyUI 0.8 `comfy_extras/nodes_primitive.py` and `nodes_logic.py`, reimplemented as V1 classes.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

T = TypeVar("T")
LARGEST = 2**63 - 1


class _Primitive(Generic[T]):
    OUTPUT_TOOLTIPS = ("The same value.",)
    FUNCTION = "execute"
    CATEGORY = "utils/primitive"

    def execute(self, value: T) -> tuple[T]:
        """Pass the value on."""
        return (value,)


class PrimitiveString(_Primitive[str]):
    """A line of text."""

    RETURN_TYPES = ("STRING",)
    DESCRIPTION = "One line of text for any number of inputs."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The text."""
        return {"required": {"value": ("STRING", {"multiline": False, "tooltip": "The text."})}}


class PrimitiveStringMultiline(_Primitive[str]):
    """A text of several lines."""

    RETURN_TYPES = ("STRING",)
    DESCRIPTION = "A text of several lines for any number of inputs."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The text."""
        return {"required": {"value": ("STRING", {"multiline": True, "tooltip": "The text."})}}


class PrimitiveInt(_Primitive[int]):
    """A whole number."""

    RETURN_TYPES = ("INT",)
    DESCRIPTION = "One whole number for any number of inputs."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The number."""
        limits = {"min": -LARGEST, "max": LARGEST, "control_after_generate": True}
        return {"required": {"value": ("INT", {**limits, "tooltip": "The number."})}}


class PrimitiveFloat(_Primitive[float]):
    """A number."""

    RETURN_TYPES = ("FLOAT",)
    DESCRIPTION = "One number for any number of inputs."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The number."""
        limits = {"min": -LARGEST, "max": LARGEST, "step": 0.1}
        return {"required": {"value": ("FLOAT", {**limits, "tooltip": "The number."})}}


class PrimitiveBoolean(_Primitive[bool]):
    """A yes or no."""

    RETURN_TYPES = ("BOOLEAN",)
    DESCRIPTION = "One yes or no for any number of inputs."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The yes or no."""
        return {"required": {"value": ("BOOLEAN", {"tooltip": "Yes or no."})}}


class ComfySwitchNode:
    """Choose one of two values; only the nodes behind the chosen one run."""

    RETURN_TYPES = ("COMFY_MATCHTYPE_V3",)
    RETURN_NAMES = ("output",)
    OUTPUT_TOOLTIPS = ("The chosen value.",)
    FUNCTION = "execute"
    CATEGORY = "logic"
    DESCRIPTION = "Passes one of two values on; only the nodes behind it run."
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The choice and two values of one type."""
        lazy = {"lazy": True, "template": {"template_id": "switch", "allowed_types": "*"}}
        return {
            "required": {
                "switch": ("BOOLEAN", {"tooltip": "Which value is passed on."}),
                "on_false": ("COMFY_MATCHTYPE_V3", {**lazy, "tooltip": "The value while the switch is off."}),
                "on_true": ("COMFY_MATCHTYPE_V3", {**lazy, "tooltip": "The value while the switch is on."}),
            }
        }

    def check_lazy_status(self, switch: bool, on_false: object = None, on_true: object = None) -> list[str]:
        """Ask for the chosen value unless it is there; one that is there and None is not made again."""
        name, value = ("on_true", on_true) if switch else ("on_false", on_false)
        return [name] if value is None else []

    def execute(self, switch: bool, on_false: object, on_true: object) -> tuple[object]:
        """Choose."""
        return (on_true if switch else on_false,)


class CustomCombo:
    """A choice whose options the workflow itself brings."""

    RETURN_TYPES = ("STRING",)
    OUTPUT_TOOLTIPS = ("The chosen option.",)
    FUNCTION = "execute"
    CATEGORY = "utils"
    DESCRIPTION = "A choice among options of one's own."
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The choice; the options are widgets that only the editor knows."""
        options = {"multiselect": False, "options": [], "tooltip": "One of the options below."}
        return {"required": {"choice": ("COMBO", options)}}

    @classmethod
    def VALIDATE_INPUTS(cls, choice: object) -> bool:
        """Accept any choice, by asking for it: the list of options above is empty."""
        return True

    def execute(self, choice: str) -> tuple[str]:
        """Pass the choice on."""
        return (choice,)


NODES: dict[str, tuple[type, str]] = {
    "ComfySwitchNode": (ComfySwitchNode, "Switch"),
    "CustomCombo": (CustomCombo, "Custom Combo"),
    "PrimitiveBoolean": (PrimitiveBoolean, "Boolean"),
    "PrimitiveFloat": (PrimitiveFloat, "Float"),
    "PrimitiveInt": (PrimitiveInt, "Int"),
    "PrimitiveString": (PrimitiveString, "String"),
    "PrimitiveStringMultiline": (PrimitiveStringMultiline, "String (Multiline)"),
}
