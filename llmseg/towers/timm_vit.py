"""Image towers of timm as open_clip has them: SigLIP and SigLIP 2, Perception Encoder, EVA-02, MobileCLIP-B.

The trunk's own modules are used, so that the whole image gets exactly timm's vector. timm attends in one fused call:
queries, keys and values are therefore taken from its weights here. Positions follow the grid of each batch and are
never written back.

Not here: text towers and building (`library`), pooling heads (`pooling`), methods (`llmseg.dense`).
Sources: timm 1.0 `vision_transformer`, `eva`; open_clip 3 `timm_model`; SigLIP (arXiv:2303.15343), SigLIP 2
(arXiv:2502.14786), Perception Encoder (arXiv:2504.13181), EVA-02 (arXiv:2303.11331).
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ModelError
from ..mixing import Projections
from .pooling import check_latent_pool, read_latent_pool

__all__ = ["TimmTower", "check_timm"]

BLOCKS = ("Block", "EvaBlock")  # pre-norm; classes of timm whose parts are known here
ATTENTIONS = ("Attention", "AttentionRope", "EvaAttention")
POOLS = ("token", "avg", "map")
KEPT_GRIDS = 16


class TimmAttention:
    """A timm attention in parts; see `llmseg.tower.Attention`.

    Args:
        module: the attention.
        rope: sines and cosines of the patches; None for none. [P,2d]
        scale: the block's layer scale of the attention's output.
    """

    def __init__(self, module: Any, rope: Tensor | None, scale: Any) -> None:
        self.module, self.rope, self.scale = module, rope, scale

    def project(self, x: Tensor, which: str = "qkv") -> Projections:
        """Queries, keys and values. [B,N,width] -> [B,heads,N,d] each"""
        # Letter by letter: where one is not asked for, its third of the weights is not read.
        parts = {name: self._project(x, name) if name in which else x[:0] for name in "qkv"}
        return Projections(**parts)

    def merge(self, attended: Tensor) -> Tensor:
        """Heads [B,heads,N,d] back to tokens. [B,N,width]"""
        tokens = self.module.norm(attended.transpose(1, 2).flatten(2))
        out: Tensor = self.scale(self.module.proj(tokens))
        return out

    def _project(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._linear(name)
        heads: Tensor = F.linear(x, weight, bias).unflatten(-1, (self.module.num_heads, -1)).transpose(1, 2)
        if name == "v":
            return heads
        normed: Tensor = (self.module.q_norm if name == "q" else self.module.k_norm)(heads)
        return normed if self.rope is None else self._rotate(normed, self.rope)

    def _linear(self, name: str) -> tuple[Tensor, Tensor | None]:
        module = self.module
        if module.qkv is None:
            layer = getattr(module, f"{name}_proj")
            return layer.weight, layer.bias
        width = module.qkv.out_features // 3
        rows = slice("qkv".index(name) * width, ("qkv".index(name) + 1) * width)
        if getattr(module, "q_bias", None) is not None:  # EVA's keys have none
            return module.qkv.weight[rows], {"q": module.q_bias, "k": None, "v": module.v_bias}[name]
        return module.qkv.weight[rows], None if module.qkv.bias is None else module.qkv.bias[rows]

    def _rotate(self, heads: Tensor, rope: Tensor) -> Tensor:
        from timm.layers.pos_embed_sincos import apply_rot_embed_cat

        first = heads.shape[2] - len(rope)  # tokens before the patches are not rotated
        half = getattr(self.module, "rotate_half", False)
        patches = apply_rot_embed_cat(heads[:, :, first:], rope, half=half).to(heads)
        return torch.cat([heads[:, :, :first], patches], 2)


class TimmBlock:
    """A block of a timm trunk on one grid; see `llmseg.tower.Block`.

    Args:
        module: timm's block.
        rope: of its grid; None for a trunk without. [P,2d]
    """

    def __init__(self, module: Any, rope: Tensor | None) -> None:
        self.module, self.rope = module, rope
        self.ln_1, self.ln_2 = module.norm1, module.norm2
        self.attn = TimmAttention(module.attn, rope, self._scale(1))

    def mlp(self, x: Tensor) -> Tensor:
        """The MLP with its layer scale. [B,N,width]"""
        out: Tensor = self._scale(2)(self.module.mlp(x))
        return out

    def __call__(self, x: Tensor) -> Tensor:
        """The block as trained. [B,N,width]"""
        out: Tensor = self.module(x) if self.rope is None else self.module(x, rope=self.rope)
        return out

    def _scale(self, part: int) -> Any:
        """Layer scale after the attention (1) or the MLP (2)."""
        if hasattr(self.module, f"ls{part}"):
            return getattr(self.module, f"ls{part}")
        gamma = getattr(self.module, f"gamma_{part}")
        return (lambda x: x) if gamma is None else gamma.mul


class TimmTower(nn.Module):
    """open_clip's TimmModel as a `llmseg.tower.Tower`; parameters keep open_clip's names.

    Args:
        model: the TimmModel; it is taken over and changed.

    Raises:
        ModelError: a trunk that is no plain transformer.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        trunk = model.trunk
        check_timm(model)
        embed = trunk.patch_embed
        # As timm's own option dynamic_img_size, which open_clip does not hand through.
        trunk.dynamic_img_size = True
        embed.strict_img_size = embed.flatten = False
        embed.output_fmt = type(embed.output_fmt)("NHWC")
        # Kept out of the modules: halves are too coarse for its frequencies.
        self._rope: list[Any] = []
        if getattr(trunk, "rope", None) is not None:
            self._rope, trunk.rope = [trunk.rope], None
        self._tables: dict[tuple[int, int], Tensor] = {}
        self.trunk = trunk
        self.head = model.head
        self.patch_size: int = embed.feat_ratio()
        self.prefix: int = trunk.num_prefix_tokens

    def forward(self, images: Tensor) -> Tensor:
        """Embedding of whole images, as timm and open_clip compute it, not normalised. [B,D]"""
        x, grid = self.embed(images)
        for block in self.on_grid(grid):
            x = block(x)
        out: Tensor = self.head(self.trunk.forward_head(self.trunk.norm(x)))
        return out

    @property
    def blocks(self) -> list[nn.Module]:
        """timm's blocks in order."""
        return list(self.trunk.blocks)

    def embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """What the first block reads, and the patch grid. [B,3,H,W] -> [B,prefix+P,width]"""
        height, width = (length // self.patch_size * self.patch_size for length in images.shape[-2:])
        x = self.trunk.patch_embed(images[..., :height, :width])  # [B,h,w,width]
        grid = (x.shape[1], x.shape[2])
        x = self.trunk._pos_embed(x)
        if isinstance(x, tuple):  # a trunk that can rotate; it has nothing to rotate by any more
            x = x[0]
        return self.trunk.norm_pre(x), grid

    def on_grid(self, grid: tuple[int, int]) -> list[TimmBlock]:
        """The blocks in order, with the rotary positions of a grid."""
        rope = self._rope_table(grid) if self._rope else None
        return [TimmBlock(block, rope) for block in self.trunk.blocks]

    def read_out(self, x: Tensor) -> Tensor:
        """Each token as if the pooling head saw it alone. [...,width] -> [...,D]"""
        trunk = self.trunk
        x = trunk.norm(x)
        if trunk.attn_pool is not None:
            x = read_latent_pool(trunk.attn_pool, x)
        out: Tensor = self.head(trunk.head(trunk.fc_norm(x)))
        return out

    def _rope_table(self, grid: tuple[int, int]) -> Tensor:
        """Sines and cosines of all patches, in float32. [P,2d]"""
        device = next(self.trunk.parameters()).device
        if grid not in self._tables or self._tables[grid].device != device:
            if len(self._tables) >= KEPT_GRIDS:
                self._tables.clear()
            rope = deepcopy(self._rope[0])
            rope.update_feat_shape(list(grid))
            self._tables[grid] = rope.get_embed(list(grid)).float().to(device)
        return self._tables[grid]


def check_timm(model: Any) -> None:
    """Refuse in one line what `TimmTower` does not know; nothing is left out in silence.

    Raises:
        ModelError: a trunk that is no plain transformer.
    """
    trunk = model.trunk
    problem = _find_problem(trunk, model.head)
    if problem:
        raise ModelError(
            f"an image tower {type(trunk).__name__!r} with {problem}; expected a plain transformer, as SigLIP's, "
            "PE-Core's, EVA02's or MobileCLIP-B's.",
            place="model",
        )
    if getattr(trunk, "attn_pool", None) is not None:
        check_latent_pool(trunk.attn_pool)


def _find_problem(trunk: Any, head: Any) -> str:
    if type(trunk).__name__ not in ("VisionTransformer", "Eva"):
        return "other blocks"
    for block in trunk.blocks:
        if type(block).__name__ not in BLOCKS:
            return f"blocks {type(block).__name__!r}"
        if type(block.attn).__name__ not in ATTENTIONS:
            return f"attention {type(block.attn).__name__!r}"
        if getattr(block.attn, "gate", None) is not None or getattr(block.attn, "num_kv_groups", 1) > 1:
            return "gated or grouped attention"
    if trunk.pos_embed is None:
        return "no table of positions"
    rope = getattr(trunk, "rope", None)
    if getattr(trunk, "rope_mixed", False) or (rope is not None and not hasattr(rope, "update_feat_shape")):
        return "rotary positions of another kind"
    if any(isinstance(module, nn.Conv2d) for module in cast("nn.Module", head).modules()):
        return "a pooling head outside the trunk"
    if trunk.attn_pool is None and trunk.global_pool not in POOLS:
        return f"pooling {trunk.global_pool!r}"
    return ""
