"""Small random models in the layouts of timm, DINO's authors and SimSeg, and a backbone made of one."""

from __future__ import annotations

import torch

from llmseg.backbone import Backbone
from llmseg.towers.plain import build_plain

IMAGE, TEXT = "image_encoder.model.model.", "text_encoder.model.model."


def plain_state(width=64, layers=2, patch=4, side=4, registers=0, scaled=False, classed=True, seed=0):
    """A plain ViT as timm has it; `classed`: CLS has a position."""
    drawn = torch.Generator().manual_seed(seed)

    def draw(*shape, spread=0.1):
        return torch.randn(*shape, generator=drawn) * spread

    state = {
        "cls_token": draw(1, 1, width),
        "pos_embed": draw(1, side**2 + classed, width, spread=0.5),
        "patch_embed.proj.weight": draw(width, 3, patch, patch, spread=0.3),
        "patch_embed.proj.bias": draw(width),
        "norm.weight": 1 + draw(width),
        "norm.bias": draw(width),
    }
    if registers:
        state["reg_token"] = draw(1, registers, width)
    for number in range(layers):
        block = {
            "norm1.weight": 1 + draw(width),
            "norm1.bias": draw(width),
            "attn.qkv.weight": draw(3 * width, width, spread=0.2),
            "attn.qkv.bias": draw(3 * width),
            "attn.proj.weight": draw(width, width, spread=0.2),
            "attn.proj.bias": draw(width),
            "norm2.weight": 1 + draw(width),
            "norm2.bias": draw(width),
            "mlp.fc1.weight": draw(2 * width, width, spread=0.2),
            "mlp.fc1.bias": draw(2 * width),
            "mlp.fc2.weight": draw(width, 2 * width, spread=0.2),
            "mlp.fc2.bias": draw(width),
        }
        if scaled:
            block |= {"ls1.gamma": 1 + draw(width), "ls2.gamma": 1 + draw(width)}
        state |= {f"blocks.{number}.{name}": tensor for name, tensor in block.items()}
    return state


def make_backbone(name="tiny", **sizes):
    return Backbone(build_plain(plain_state(**sizes)), name, f"{name}@{sizes}")


def bert_state(width=64, layers=2, words=40, places=32, seed=1):
    """A BERT without pooler as transformers has it."""
    drawn = torch.Generator().manual_seed(seed)

    def draw(*shape, spread=0.1):
        return torch.randn(*shape, generator=drawn) * spread

    state = {
        "embeddings.word_embeddings.weight": draw(words, width, spread=0.5),
        "embeddings.position_embeddings.weight": draw(places, width),
        "embeddings.token_type_embeddings.weight": draw(2, width),
        "embeddings.LayerNorm.weight": 1 + draw(width),
        "embeddings.LayerNorm.bias": draw(width),
    }
    for number in range(layers):
        layer = f"encoder.layer.{number}."
        shapes = {
            "attention.self.query": (width, width),
            "attention.self.key": (width, width),
            "attention.self.value": (width, width),
            "attention.output.dense": (width, width),
            "intermediate.dense": (2 * width, width),
            "output.dense": (width, 2 * width),
        }
        for name, shape in shapes.items():
            state[f"{layer}{name}.weight"] = draw(*shape, spread=0.2)
            state[f"{layer}{name}.bias"] = draw(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            state[f"{layer}{name}.weight"] = 1 + draw(width)
            state[f"{layer}{name}.bias"] = draw(width)
    return state


def simseg_state(dim=32, side=18, patch=16, words=40, seed=2, **sizes):
    """What SimSeg's authors keep as `state_dict`."""
    drawn = torch.Generator().manual_seed(seed)
    image, text = plain_state(patch=patch, side=side, **sizes), bert_state(words=words, **sizes)
    state = {f"{IMAGE}{name}": tensor for name, tensor in image.items()}
    state |= {f"{TEXT}{name}": tensor for name, tensor in text.items()}
    width = image["norm.weight"].shape[0]
    state["image_projection.linear.weight"] = torch.randn(dim, width, generator=drawn) * 0.2
    state["text_projection.linear.weight"] = torch.randn(dim, width, generator=drawn) * 0.2
    state["loss.temperature"] = torch.tensor(0.02)
    return state
