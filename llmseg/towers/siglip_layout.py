"""SigLIP as `transformers` stores it, renamed to open_clip's layout. Tensors are renamed and joined, never changed.

Not here: which configuration it has (`configs`), building (`library`). Sources: the parameter names of transformers'
`SiglipModel` and of open_clip's SigLIP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["from_transformers", "is_transformers_siglip"]

MARK = "vision_model.head.probe"

WHOLE = {
    "vision_model.embeddings.patch_embedding.weight": "visual.trunk.patch_embed.proj.weight",
    "vision_model.embeddings.patch_embedding.bias": "visual.trunk.patch_embed.proj.bias",
    "text_model.embeddings.token_embedding.weight": "text.token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "text.positional_embedding",
}
MODULES = {
    "vision_model.post_layernorm": "visual.trunk.norm",
    "vision_model.head.attention.out_proj": "visual.trunk.attn_pool.proj",
    "vision_model.head.layernorm": "visual.trunk.attn_pool.norm",
    "vision_model.head.mlp.fc1": "visual.trunk.attn_pool.mlp.fc1",
    "vision_model.head.mlp.fc2": "visual.trunk.attn_pool.mlp.fc2",
    "text_model.final_layer_norm": "text.ln_final",
    "text_model.head": "text.text_projection",
}
TOWERS = {
    "vision_model.encoder.layers": (
        "visual.trunk.blocks",
        "attn.qkv.",
        {"layer_norm1": "norm1", "layer_norm2": "norm2", "self_attn.out_proj": "attn.proj"}
        | {"mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"},
    ),
    "text_model.encoder.layers": (
        "text.transformer.resblocks",
        "attn.in_proj_",
        {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj"}
        | {"mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"},
    ),
}
KINDS = ("weight", "bias")
MOST_LAYERS = 256


def is_transformers_siglip(names: Mapping[str, object]) -> bool:
    """Whether a checkpoint is transformers' SigLIP, by its names."""
    return MARK in names


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors by open_clip's names.

    Raises:
        ModelError: a tensor is missing, or one that the layout does not have.
    """
    import torch

    left = dict(state)
    try:
        renamed = {new: left.pop(old) for old, new in WHOLE.items()}
        for old, new in MODULES.items():
            renamed |= {f"{new}.{kind}": left.pop(f"{old}.{kind}") for kind in KINDS}
        for old, (new, packed, parts) in TOWERS.items():
            for layer in range(_count(state, old)):
                renamed |= _rename_block(left, f"{old}.{layer}.", f"{new}.{layer}.", packed, parts)
        renamed["visual.trunk.attn_pool.latent"] = left.pop(MARK)
        for kind in KINDS:  # one packed projection becomes the query's, and those of keys and values
            rows = left.pop(f"vision_model.head.attention.in_proj_{kind}")
            width = len(rows) // 3
            renamed[f"visual.trunk.attn_pool.q.{kind}"] = rows[:width]
            renamed[f"visual.trunk.attn_pool.kv.{kind}"] = rows[width:]
    except KeyError as error:
        raise ModelError(
            f"no tensor {error.args[0]!r}; expected all of a SiglipModel with both towers, as transformers stores it.",
            place="model",
        ) from error
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        raise ModelError(
            f"tensors of other shapes ({' '.join(str(error).split())[:200]}); expected those of a SiglipModel.",
            place="model",
        ) from error
    positions = left.pop("vision_model.embeddings.position_embedding.weight", None)
    if positions is None or renamed["visual.trunk.patch_embed.proj.weight"].ndim != 4:
        raise ModelError(
            "a SigLIP without a grid of positions; expected one of a fixed size, not NaFlex.", place="model"
        )
    renamed["visual.trunk.pos_embed"] = positions[None]
    extra = [name for name in left if name not in ("logit_scale", "logit_bias") and not name.endswith("position_ids")]
    if extra:
        raise ModelError(
            f"{len(extra)} tensors too many, first {', '.join(extra[:3])}; expected a SiglipModel.", place="model"
        )
    return {name: torch.Tensor.contiguous(tensor) for name, tensor in renamed.items()}


def _rename_block(
    left: dict[str, Tensor], old: str, new: str, packed: str, parts: Mapping[str, str]
) -> dict[str, Tensor]:
    import torch

    renamed = {
        f"{new}{own}.{kind}": left.pop(f"{old}{theirs}.{kind}") for theirs, own in parts.items() for kind in KINDS
    }
    for kind in KINDS:
        rows = [left.pop(f"{old}self_attn.{letter}_proj.{kind}") for letter in "qkv"]
        renamed[f"{new}{packed}{kind}"] = torch.cat(rows)
    return renamed


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    layers = len({name[len(prefix) + 1 :].split(".")[0] for name in state if name.startswith(f"{prefix}.")})
    if layers > MOST_LAYERS:
        raise ModelError(f"{layers} layers; expected at most {MOST_LAYERS}.", place="model")
    return layers
