"""The config.json of Hugging Face's transformers that lies beside a model file, where it describes that very CLIP.

A folder may hold many models and one such file, so nothing in it counts unless its sizes are those of the tensors.

Not here: the sizes themselves (`clip_config`), what is done without such a file (`clip_files`).
Source: CLIPConfig of transformers 5; what is left out there has the value of its first model, ViT-B/32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..clip_config import ClipConfig, TowerConfig
from ..errors import ModelError

__all__ = ["HubConfig", "read_hub_config"]

FILE = "config.json"
LARGEST = 2**20  # bytes; such a file has a few thousand
ACTIVATIONS = {"quick_gelu": "quickgelu", "gelu": "gelu"}
USUAL: Mapping[str, Mapping[str, Any]] = {
    "vision": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "patch_size": 32,
        "image_size": 224,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
        "eos_token_id": 2,
    },
    "text": {
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "max_position_embeddings": 77,
        "vocab_size": 49408,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
        "eos_token_id": 2,
    },
}
# What our towers compute. A text ends at its largest token, which is what 2 stands for there and what 49407 is.
COMPUTED: Mapping[str, tuple[object, ...]] = {
    "hidden_act": tuple(ACTIVATIONS),
    "layer_norm_eps": (1e-5,),
    "eos_token_id": (2, 49407),
}


@dataclass(frozen=True)
class HubConfig:
    """What tensors do not tell.

    Args:
        activation: a name in `options.ACTIVATION`.
        heads: by tower, `vision` or `text`; of those that the file tells of.
    """

    activation: str
    heads: Mapping[str, int]


def read_hub_config(folder: Path, config: ClipConfig) -> HubConfig | None:
    """The description of a CLIP of these sizes; None for none, or one of another model.

    Raises:
        ModelError: it is this model's, and says that it computes what no CLIP here does.
    """
    described = _read(folder / FILE)
    kind = described.get("model_type")
    sizes = {
        "vision": (config.vision, {"patch_size": config.patch_size, "image_size": config.image_size}),
        "text": (config.text, {"max_position_embeddings": config.context_length, "vocab_size": config.vocab_size}),
    }
    towers = {}
    for name, (tower, more) in sizes.items():
        if kind in ("clip", f"clip_{name}_model"):
            part = described.get(f"{name}_config") if kind == "clip" else described
            if not isinstance(part, dict) or not _fits({**USUAL[name], **part}, tower, more):
                return None
            towers[name] = {**USUAL[name], **part}
    if not towers:
        return None
    _check(towers)
    heads = {name: tower["num_attention_heads"] for name, tower in towers.items()}
    return HubConfig(ACTIVATIONS[next(iter(towers.values()))["hidden_act"]], heads)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        described = json.loads(data) if len(data) <= LARGEST else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return described if isinstance(described, dict) else {}


def _fits(described: Mapping[str, Any], tower: TowerConfig, more: Mapping[str, int]) -> bool:
    """Whether it describes a tower of these sizes."""
    sizes = {"hidden_size": tower.width, "num_hidden_layers": tower.layers, "intermediate_size": tower.hidden, **more}
    heads = described["num_attention_heads"]
    return type(heads) is int and heads > 0 and all(described[key] == size for key, size in sizes.items())


def _check(towers: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse what our towers do not compute."""
    for name, tower in towers.items():
        for key, allowed in COMPUTED.items():
            if (value := tower[key]) not in allowed:
                raise ModelError(
                    f"the {FILE} beside the model says {key} {str(value)[:40]!r} of the {name} tower; "
                    f"expected {' or '.join(map(str, allowed))}.",
                    place="model",
                )
    if len({tower["hidden_act"] for tower in towers.values()}) > 1:
        raise ModelError(
            f"the {FILE} beside the model says another hidden_act for each tower; expected one for both.", place="model"
        )
