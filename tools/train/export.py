"""A training's averaged weights -> the file that ships: half precision, the tokens in use, and a description.

Not here: reading that file (`llmseg.encoder`).
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save

from llmseg.store import write_atomic
from tools.world.vocabulary import known_names, known_words

from .batches import token_ids
from .recipe import Recipe, model_config

__all__ = ["NAME", "export_model", "model_card"]

NAME = "emoji-world"
LIMITS = (
    "This model knows drawings of the emoji world and nothing of photographs; for those choose real CLIP weights, "
    "such as ViT-B-16-quickgelu/openai."
)


def model_card(recipe: Recipe, logit_scale: float, training: dict[str, object]) -> dict[str, object]:
    """What the library must know beside the tensors; the metadata entry ``llmseg`` of the file."""
    ids = token_ids()
    config = model_config(49408)
    vision, text = config.vision, config.text
    return {
        "schema": 1,
        "name": NAME,
        "description": (
            "A small CLIP trained by this project on composed scenes of emoji drawings on procedural backgrounds, "
            "from captions alone. It knows these words and drawings only, and nothing of photographs."
        ),
        "limits": LIMITS,
        "licence": "Apache-2.0",
        "vision": {
            "image_size": config.image_size, "patch_size": config.patch_size,
            "width": vision.width, "layers": vision.layers, "heads": vision.heads,
        },
        "text": {
            "context_length": config.context_length, "vocab_size": config.vocab_size,
            "width": text.width, "layers": text.layers, "heads": text.heads,
        },
        "embed_dim": config.embed_dim,
        "activation": config.activation,
        "mean": list(recipe.mean),
        "std": list(recipe.std),
        "token_ids": ids,
        "words": known_words(),
        "names": known_names(),
        "library": "emoji",
        "logit_scale": logit_scale,
        "training": training,
    }  # fmt: skip


def export_model(checkpoint: Path, target: Path, recipe: Recipe) -> None:
    """Write the averaged weights of a checkpoint as the file that ships."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    average = {name: tensor.float() for name, tensor in state["average"].items()}
    scale = math.exp(float(average.pop("local_scale")))
    tensors = {name.removeprefix("clip."): tensor.to(torch.float16).contiguous() for name, tensor in average.items()}
    progress = state["progress"]
    training = {
        "seed": recipe.seed, "steps": progress["step"], "scenes": progress["scenes"],
        "minutes": round(progress["seconds"] / 60, 1), "supervision": "captions only",
    }  # fmt: skip
    card = json.dumps(model_card(recipe, scale, training), ensure_ascii=False)
    write_atomic(target, _sort_header(save(tensors, metadata={"format": "pt", "llmseg": card})))


def _sort_header(data: bytes) -> bytes:
    """The same safetensors file with its header sorted: its writer puts metadata in random order."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors start at a multiple of 8
    return len(header).to_bytes(8, "little") + header + data[8 + length :]
