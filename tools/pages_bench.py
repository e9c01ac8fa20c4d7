"""The quickstart, run again and again with one thing changed; what did not change is not computed again.

Not here: what is made of the results (`pages_pictures`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from llmseg.graph import Executor, ResultCache, validate_prompt
from llmseg.run import load_nodes

QUICKSTART = Path(__file__).parent.parent / "workflows" / "api" / "quickstart.json"
OUR = "LLMSeg"
Prompt = dict[str, dict[str, Any]]


class Bench:
    """Gives any output of any node."""

    def __init__(self) -> None:
        pack = load_nodes()
        self.classes: dict[str, Any] = {**pack.core.CORE_NODES, **pack.NODE_CLASS_MAPPINGS, "Probe": _Probe}
        self.executor = Executor(self.classes, cache=ResultCache())
        self.prompt = _by_name(json.loads(QUICKSTART.read_text(encoding="utf-8")))

    def value(self, node: str, output: int = 0, more: Mapping[str, Any] | None = None, **changes: Any) -> Any:
        """What an output of a node gives.

        Args:
            node: class of the node, without LLMSeg.
            more: all inputs of a node that the quickstart does not have; links are [class, output].
            changes: CLASS__INPUT=VALUE.
        """
        prompt = {name: {**record, "inputs": dict(record["inputs"])} for name, record in self.prompt.items()}
        if more is not None:
            prompt[node] = {"class_type": f"{OUR}{node}", "inputs": dict(more)}
        for place, given in changes.items():
            name, _, key = place.partition("__")
            prompt[name]["inputs"][key] = given
        prompt["probe"] = {"class_type": "Probe", "inputs": {"value": [node, output]}}
        checked = validate_prompt(prompt, self.classes)
        result = self.executor.run(checked.prompt, ["probe"])
        if checked.problems or result.error:
            raise RuntimeError(f"{node}: {checked.problems or result.error}")
        return _Probe.seen

    def scene(self, **changes: Any) -> Image.Image:
        """The picture that is labelled."""
        return image_of(self.value("ExampleImage", **changes))

    def overlay(self, **changes: Any) -> Image.Image:
        """The picture coloured by class, without a legend."""
        return image_of(self.value("Overlay", **{"Overlay__legend": False, **changes}))


def image_of(images: Any) -> Image.Image:
    """The first of a batch. [B,H,W,3]"""
    return Image.fromarray((images[0].numpy() * 255).round().astype(np.uint8))


class _Probe:
    """Keeps what it is given."""

    RETURN_TYPES = ()
    FUNCTION = "look"
    OUTPUT_NODE = True
    seen: Any = None

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """A link of any type."""
        return {"required": {"value": ("*", {})}}

    @classmethod
    def IS_CHANGED(cls, value: object = None) -> float:
        """Always: it has to look again."""
        return float("nan")

    def look(self, value: object) -> tuple[()]:
        """Keep it."""
        type(self).seen = value
        return ()


def _by_name(prompt: Prompt) -> Prompt:
    """The prompt with class names for ids, without what writes files."""
    names = {number: record["class_type"].removeprefix(OUR) for number, record in prompt.items()}
    kept: Prompt = {}
    for number, record in prompt.items():
        inputs = {
            key: [names[given[0]], given[1]] if isinstance(given, list) else given
            for key, given in record["inputs"].items()
        }
        if not names[number].startswith("Save"):
            kept[names[number]] = {**record, "inputs": inputs}
    return kept
