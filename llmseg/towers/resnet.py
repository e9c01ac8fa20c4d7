"""CLIP's ResNets: open_clip's ModifiedResNet as an image tower without blocks.

Patches are the places of its last feature map, 32 pixels apart; each is read as MaskCLIP (arXiv:2112.01071) does, by
the value and output layers of the attention pool as 1x1 convolutions, without positions. No other method has a block
to change.

Not here: building (`library`), the text tower (`llmseg.vit`). Source: open_clip 3 `modified_resnet`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["STRIDE", "ResNetTower"]

PARTS = (
    *("conv1", "bn1", "act1", "conv2", "bn2", "act2", "conv3", "bn3", "act3", "avgpool"),
    *("layer1", "layer2", "layer3", "layer4"),
)
STRIDE = 32  # pixels between places of the last feature map


class ResNetTower(nn.Module):
    """A ModifiedResNet as a `llmseg.tower.Tower`; parameters keep OpenAI's names.

    Args:
        model: the ModifiedResNet, whose parts are taken over.
    """

    patch_size = STRIDE
    prefix = 0

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        for name, part in model.named_children():
            self.add_module(name, part)

    def forward(self, images: Tensor) -> Tensor:
        """Embedding of whole images by the attention pool, not normalised. [B,D]"""
        pool: Any = self.attnpool
        maps = self._maps(images)  # [B,width,h,w]
        if len(pool.positional_embedding) == maps.shape[2] * maps.shape[3] + 1 and maps.shape[2] == maps.shape[3]:
            out: Tensor = pool(maps)
            return out
        return self._pool(maps)

    @property
    def blocks(self) -> tuple[()]:
        """None."""
        return ()

    def embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """The last feature map, and its grid. [B,3,H,W] -> [B,P,width]"""
        maps = self._maps(images)
        return maps.flatten(2).transpose(1, 2), (maps.shape[2], maps.shape[3])

    def on_grid(self, grid: tuple[int, int]) -> tuple[()]:
        """No blocks on any grid."""
        return ()

    def read_out(self, x: Tensor) -> Tensor:
        """Values of places, as the pool would hand them on. [...,width] -> [...,D]"""
        pool: Any = self.attnpool
        out: Tensor = pool.c_proj(pool.v_proj(x))
        return out

    def _maps(self, images: Tensor) -> Tensor:
        height, width = (length // STRIDE * STRIDE for length in images.shape[-2:])
        x = images[..., :height, :width]
        for name in PARTS:
            x = getattr(self, name)(x)
        return x

    def _pool(self, maps: Tensor) -> Tensor:
        """The pool on another grid than the one it was trained on; its table stays as it is."""
        pool: Any = self.attnpool
        table = pool.positional_embedding
        side = int((len(table) - 1) ** 0.5)
        square = table[1:].float().T.reshape(1, -1, side, side)
        resized = F.interpolate(square, size=maps.shape[-2:], mode="bicubic", align_corners=False, antialias=True)
        positions = torch.cat([table[:1], resized.flatten(2)[0].T.to(table)])
        x = maps.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], 1) + positions
        heads = (pool.num_heads, -1)
        q, k, v = (
            layer(tokens).unflatten(-1, heads).transpose(1, 2)
            for layer, tokens in ((pool.q_proj, x[:, :1]), (pool.k_proj, x), (pool.v_proj, x))
        )
        out: Tensor = pool.c_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)[:, 0])
        return out
