"""Small random models of open_clip's own classes, and the timm architectures they are made of."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from llmseg.tokenizer import END

open_clip = pytest.importorskip("open_clip")
from timm.models import eva, register_model, vision_transformer  # noqa: E402

SIZE, PATCH = 32, 8  # pixels
SHAPE = {"img_size": SIZE, "patch_size": PATCH, "embed_dim": 48, "depth": 3, "num_heads": 3}


@register_model
def tiny_siglip(pretrained=False, **options):
    """As vit_base_patch16_siglip_224: no CLS, attention pool."""
    sizes = {**SHAPE, "class_token": False, "global_pool": "map", "init_values": 0.5}
    return vision_transformer._create_vision_transformer("tiny_siglip", pretrained=pretrained, **{**sizes, **options})


@register_model
def tiny_siglip_plain(pretrained=False, **options):
    """The same without layer scale, as the real ones."""
    return tiny_siglip(pretrained, **{"init_values": None, **options})


@register_model
def tiny_pe(pretrained=False, **options):
    """As vit_pe_core_base_patch16_224: CLS, rotary positions, norm before, attention pool."""
    own = {"attn_type": "rope", "use_pre_transformer_norm": True, "use_rot_pos_emb": True, "ref_feat_shape": (4, 4)}
    own |= {"rope_grid_offset": 1.0, "rope_grid_indexing": "xy", "attn_pool_num_heads": 3, "attn_pool_mlp_ratio": 4.0}
    sizes = {**SHAPE, **own, "global_pool": "map", "init_values": 0.5}
    return eva._create_eva("tiny_pe", pretrained=pretrained, **{**sizes, **options})


@register_model
def tiny_eva(pretrained=False, **options):
    """As eva02_base_patch16_clip_224: CLS, rotary positions, separate projections, SwiGLU with norms, no pool."""
    own = {"qkv_fused": False, "mlp_ratio": 8 / 3, "swiglu_mlp": True, "scale_mlp": True, "scale_attn_inner": True}
    own |= {"use_rot_pos_emb": True, "ref_feat_shape": (4, 4)}
    return eva._create_eva("tiny_eva", pretrained=pretrained, **{**SHAPE, **own, "global_pool": "token", **options})


@register_model
def tiny_mci(pretrained=False, **options):
    """As vit_base_mci_224: patches come from three convolutions."""
    from timm.layers import HybridEmbed
    from timm.models.vision_transformer_hybrid import ConvStem

    stem = ConvStem(channels=(12, 24, 48), kernel_size=(2, 2, 2), stride=(2, 2, 2), padding=0, in_chans=3)
    embed = lambda **given: HybridEmbed(stem, proj=False, **given)  # noqa: E731
    return vision_transformer._create_vision_transformer(
        "tiny_mci", pretrained=pretrained, **{**SHAPE, "patch_size": 1, "embed_layer": embed, **options}
    )


def config(trunk: str, pool: str, proj: str | None, embed_dim: int, **text: object) -> dict:
    """A configuration as open_clip's files hold them."""
    vision = {"image_size": SIZE, "timm_model_name": trunk, "timm_model_pretrained": False}
    own = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2, **text}
    vision |= {"timm_pool": pool, "timm_proj": proj}
    return {"embed_dim": embed_dim, "custom_text": True, "vision_cfg": vision, "text_cfg": own}


SIGLIP_TEXT = {"no_causal_mask": True, "proj_bias": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-6}}
SIGLIP_TEXT |= {"hf_tokenizer_name": "example/tiny", "tokenizer_kwargs": {"clean": "canonicalize"}, "vocab_size": 300}

CONFIGS = {
    "Tiny-SigLIP": {**config("tiny_siglip", "map", "none", 48, **SIGLIP_TEXT), "init_logit_bias": -10},
    "Tiny-PE": config("tiny_pe", "map", None, 64, context_length=12),
    "Tiny-EVA": config("tiny_eva", "token", None, 40),
    "Tiny-MCI": config("tiny_mci", "token", None, 56),
}
RESNET = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": [1, 2, 1, 1], "width": 4, "head_width": 64, "patch_size": None},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
}


@cache
def register(folder: Path) -> None:
    """Tell open_clip of all of them."""
    for name, described in {**CONFIGS, "Tiny-RN": RESNET}.items():
        (folder / f"{name}.json").write_text(json.dumps(described), encoding="utf-8")
    open_clip.add_model_config(folder)


def make_network(described: dict, seed: int = 0) -> torch.nn.Module:
    """open_clip's own model with random weights, norms near one."""
    from open_clip.model import CLIP, CustomTextCLIP

    kind = CustomTextCLIP if described.get("custom_text") else CLIP
    network = kind(**{name: value for name, value in described.items() if name != "custom_text"})
    generator = torch.Generator().manual_seed(seed)
    norms = {name for name, module in network.named_modules() if "norm" in type(module).__name__.lower()}
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
            if name.endswith("weight") and name.rpartition(".")[0] in norms:
                parameter.add_(1)
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.1)
    return network.eval()


def save_network(network: torch.nn.Module, path: Path) -> str:
    """As open_clip's checkpoints lie on disk."""
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return str(path)


def token_rows(network: torch.nn.Module, rows: int = 3, seed: int = 1) -> torch.Tensor:
    """Token ids of full length, the end token last."""
    size = min(network.vocab_size, END)
    ids = torch.randint(1, size, (rows, network.context_length), generator=torch.Generator().manual_seed(seed))
    if network.vocab_size > END:
        ids[:, -1] = END
    return ids
