"""Names of a CLIP's tensors: the layouts that files come in, and one layout out of all of them, OpenAI's.

    visual.*, transformer.* ...                 OpenAI and open_clip, also below `text.`
    vision_model.*, text_model.*, *_projection  Hugging Face transformers, and what ComfyUI's loaders hold
    either of them below one of `PREFIXES`      a part of a larger checkpoint
    one tower alone                             CLIP-vision files and text encoders

Not here: reading files (`checkpoint`), which files make one model (`clip_files`), sizes (`clip_config`), models of
another kind.
Sources: state dicts of open_clip 3.3, transformers 5 (CLIPModel) and ComfyUI 0.8.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from ..errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["IMAGE", "TEXT", "from_transformers", "is_clip", "list_towers", "to_native"]

IMAGE, TEXT = "image", "text"

# Where a CLIP stands in a larger checkpoint; among text towers, the one that was kept with its projection comes first.
PREFIXES = (
    "",
    "module.",
    "model.",
    "clip.",
    "clip_model.",
    "conditioner.embedders.1.model.",
    "cond_stage_model.model.",
    "cond_stage_model.transformer.",
    "conditioner.embedders.0.transformer.",
    "text_encoders.clip_g.transformer.",
    "text_encoders.clip_l.transformer.",
)
# One tensor that tells each tower in each layout, and that no other kind of model has.
NATIVE_IMAGE = "visual.transformer.resblocks.0.attn.in_proj_weight"
NATIVE_TEXT = "transformer.resblocks.0.attn.in_proj_weight"
FOREIGN_IMAGE = "vision_model.pre_layrnorm.weight"  # a slip of the pen that is in every file
FOREIGN_TEXT = "text_model.encoder.layers.0.self_attn.q_proj.weight"
TOKENS = "text_model.embeddings.token_embedding.weight"
SIGLIP = ("vision_model.head.probe", "text_model.head.weight")  # whose text tower has the same names

NATIVE_TEXT_PARTS = ("token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection")
# What is computed, not learnt, or a plain attribute that TorchScript keeps among the tensors.
COMPUTED = ("position_ids", "attn_mask", "input_resolution", "context_length", "vocab_size")

FOREIGN_NAMES = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.": "visual.ln_pre.",
    "vision_model.post_layernorm.": "visual.ln_post.",
    "vision_model.encoder.layers.": "visual.transformer.resblocks.",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.": "ln_final.",
    "text_model.encoder.layers.": "transformer.resblocks.",
}
FOREIGN_BLOCK = {
    "layer_norm1.": "ln_1.",
    "layer_norm2.": "ln_2.",
    "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.",
    "self_attn.out_proj.": "attn.out_proj.",
}
PROJECTIONS = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}
PACKED = ("self_attn.q_proj.", "self_attn.k_proj.", "self_attn.v_proj.")  # in the order in which they are packed


def list_towers(names: Collection[str]) -> frozenset[str]:
    """Which towers of a CLIP the tensors of these names make: `IMAGE`, `TEXT`, both or none."""
    names = names if isinstance(names, (Mapping, frozenset, set)) else frozenset(names)
    image = _find_prefix(names, NATIVE_IMAGE) is not None or _find_prefix(names, FOREIGN_IMAGE) is not None
    text = _find_text(names) is not None
    return frozenset([IMAGE] * image + [TEXT] * text)


def is_clip(names: Collection[str]) -> bool:
    """Whether tensors of these names are both towers of a CLIP."""
    return list_towers(names) == {IMAGE, TEXT}


def from_transformers(names: Collection[str]) -> bool:
    """Whether a tower has the names of Hugging Face's transformers."""
    return any(_find_prefix(names, anchor) is not None for anchor in (FOREIGN_IMAGE, TOKENS))


def to_native(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The towers of a CLIP with OpenAI's names; what belongs to neither is left out.

    Args:
        state: tensors in one of the layouts above.

    Returns:
        Tensors of the image tower (`visual.*`), of the text tower (all others) or of both; empty for no CLIP.

    Raises:
        ModelError: a tensor of a tower that no CLIP has, or a part of an attention missing.
    """
    native: dict[str, Tensor] = {}
    if (prefix := _find_prefix(state, NATIVE_IMAGE)) is not None:
        native |= {name: tensor for name, tensor in _below(state, prefix) if name.startswith("visual.")}
    elif (prefix := _find_prefix(state, FOREIGN_IMAGE)) is not None:
        native |= _convert(state, prefix, "vision_model.", "visual_projection")
    found = _find_text(state)
    if found is not None:
        prefix, foreign = found
        if foreign:
            native |= _convert(state, prefix, "text_model.", "text_projection")
        else:
            native |= _native_text(state, prefix)
    scales = [name for name in state if name.rpartition(".")[2] == "logit_scale"]
    if native and scales:
        native["logit_scale"] = state[min(scales, key=len)]
    return native


def _find_prefix(names: Collection[str], anchor: str) -> str | None:
    return next((prefix for prefix in PREFIXES if prefix + anchor in names), None)


def _find_text(names: Collection[str]) -> tuple[str, bool] | None:
    """The prefix of the text tower, and whether its names are those of transformers."""
    for prefix in PREFIXES:
        for below in (prefix, f"{prefix}text."):
            if below + NATIVE_TEXT in names and f"{below}token_embedding.weight" in names:
                return below, False
        if prefix + FOREIGN_TEXT in names and not any(prefix + name in names for name in SIGLIP):
            return prefix, True
    return None


def _below(state: Mapping[str, Tensor], prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Tensors below a prefix, without it; none of those that are computed."""
    for name, tensor in state.items():
        if name.startswith(prefix) and name.rpartition(".")[2] not in COMPUTED:
            yield name[len(prefix) :], tensor


def _native_text(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    tensors = {}
    for name, tensor in _below(state, prefix):
        if name.startswith(NATIVE_TEXT_PARTS):
            turned = name == "text_projection.weight"  # a linear layer keeps the transpose of what multiplies
            tensors["text_projection" if turned else name] = _turn(tensor) if turned else tensor
        elif prefix.endswith("text.") and name != "logit_scale":  # below `text.` nothing belongs to anybody else
            raise _no_place(f"{prefix}{name}")
    return tensors


def _convert(state: Mapping[str, Tensor], prefix: str, tower: str, projection: str) -> dict[str, Tensor]:
    """A tower of transformers."""
    tensors: dict[str, Tensor] = {}
    packed: dict[str, dict[str, Tensor]] = {}
    for name, tensor in _below(state, prefix):
        if name in PROJECTIONS and name.startswith(projection):
            tensors[PROJECTIONS[name]] = _turn(tensor)
        elif name == projection == "text_projection":  # as older ComfyUI saves it
            tensors[name] = tensor
        elif name.startswith(tower):
            renamed, part = _rename(name)
            if part:
                packed.setdefault(renamed, {})[part] = tensor
            else:
                tensors[renamed] = tensor
    for name, parts in packed.items():
        tensors[name] = _pack(name, parts)
    return tensors


def _rename(name: str) -> tuple[str, str]:
    """OpenAI's name, and which third of a packed tensor it is; empty for a tensor of its own."""
    start = next(
        (start for start in FOREIGN_NAMES if name == start or (start[-1] == "." and name.startswith(start))), ""
    )
    renamed, rest = FOREIGN_NAMES.get(start, ""), name[len(start) :]
    if not renamed.endswith("resblocks."):
        if not start or (rest not in ("weight", "bias") and start[-1] == "."):
            raise _no_place(name)
        return renamed + rest, ""
    layer, _, inner = rest.partition(".")
    for part in PACKED:
        if inner in (f"{part}weight", f"{part}bias"):
            return f"{renamed}{layer}.attn.in_proj_{inner[len(part) :]}", part
    for old, new in FOREIGN_BLOCK.items():
        if inner in (f"{old}weight", f"{old}bias"):
            return f"{renamed}{layer}.{new}{inner[len(old) :]}", ""
    raise _no_place(name)


def _pack(name: str, parts: Mapping[str, Tensor]) -> Tensor:
    import torch

    shapes = {tuple(tensor.shape) for tensor in parts.values()}
    if len(parts) != len(PACKED) or len(shapes) != 1 or () in shapes:
        raise ModelError(
            f"{name!r} would be {len(parts)} parts of shapes {sorted(shapes)[:3]}; expected query, key, value of one.",
            place="model",
        )
    return torch.cat([parts[part] for part in PACKED])


def _turn(tensor: Tensor) -> Tensor:
    if tensor.ndim != 2:
        raise ModelError(f"a projection of shape {list(tensor.shape)}; expected rows and columns.", place="model")
    return tensor.T.contiguous()


def _no_place(name: str) -> ModelError:
    return ModelError(f"tensor {name[:200]!r} has no place in a CLIP; expected a plain ViT as OpenAI's.", place="model")
