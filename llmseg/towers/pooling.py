"""Pooling heads, opened: what each patch by itself would add to the vector of a whole image.

An attention pool mixes values of all tokens and sends the mixture through its layers. For a single token the mixture
is its own value, whatever the query asks: that is MaskCLIP's form (arXiv:2112.01071) of any attention pool.

Not here: the towers around the pools (`timm_vit`, `resnet`). Source: the attention pools of timm and open_clip.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import linear

from ..errors import ModelError

__all__ = ["check_latent_pool", "read_latent_pool"]


def check_latent_pool(pool: Any) -> None:
    """Refuse what `read_latent_pool` would leave out.

    Raises:
        ModelError: a pool with positions of its own, or of another make.
    """
    parts = all(hasattr(pool, name) for name in ("kv", "proj", "norm", "mlp"))
    if not parts or getattr(pool, "pos_embed", None) is not None:
        raise ModelError(
            f"an attention pool {type(pool).__name__!r} that cannot be read patch by patch; "
            "expected timm's AttentionPoolLatent without positions.",
            place="model",
        )


def read_latent_pool(pool: Any, tokens: Tensor) -> Tensor:
    """timm's AttentionPoolLatent for each token as if it were the only one. [...,width] -> [...,width]

    y = proj(value(token)), then y + mlp(norm(y)).
    """
    width = pool.kv.out_features // 2  # keys come first
    bias = None if pool.kv.bias is None else pool.kv.bias[width:]
    out: Tensor = pool.proj(linear(tokens, pool.kv.weight[width:], bias))
    return out if pool.mlp is None else out + pool.mlp(pool.norm(out))
