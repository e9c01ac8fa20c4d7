"""CLIP's two towers in plain torch, with the parameter names of OpenAI and open_clip checkpoints.

Not here: sizes (`clip_config`), files (`models`), embeddings of patches (`dense`). Sources: arXiv:2103.00020;
position embeddings of other grids as in DINO (arXiv:2104.14294).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .clip_config import ClipConfig, TowerConfig
from .errors import ModelError
from .mixing import Projections

__all__ = ["Block", "Clip", "TextSide", "VisionTower", "build_clip", "resize_positions"]


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid_(1.702 * x)  # in place: memory traffic is what it costs


ACTIVATIONS: Mapping[str, type[nn.Module]] = {"gelu": nn.GELU, "quickgelu": QuickGELU}


class Attention(nn.Module):
    """Multi-head attention with one packed input projection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def project(self, x: Tensor, which: str = "qkv") -> Projections:
        """Some of the queries, keys and values of tokens. [B,N,width] -> [B,heads,N,d] each

        Args:
            x: the tokens.
            which: letters of "qkv"; what stands before the first and after the last is not computed.
        """
        width = x.shape[-1]
        first, last = "qkv".index(which[0]), "qkv".index(which[-1])
        rows = slice(first * width, (last + 1) * width)
        packed = F.linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows])
        parts = packed.unflatten(-1, (-1, self.heads, width // self.heads)).permute(2, 0, 3, 1, 4)
        return Projections(*(parts[n - first] if first <= n <= last else packed[:0] for n in range(3)))

    def merge(self, attended: Tensor) -> Tensor:
        """Heads [B,heads,N,d] back to tokens. [B,N,width]"""
        out: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, hidden)
        self.gelu = ACTIVATIONS[activation]()
        self.c_proj = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c_proj(self.gelu(self.c_fc(x)))
        return out


class Block(nn.Module):
    def __init__(self, config: TowerConfig, activation: str) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.width)
        self.attn = Attention(config.width, config.heads)
        self.ln_2 = nn.LayerNorm(config.width)
        self.mlp = Mlp(config.width, config.hidden, activation)

    def forward(self, x: Tensor, causal: bool = False) -> Tensor:
        q, k, v = self.attn.project(self.ln_1(x))
        x = x + self.attn.merge(F.scaled_dot_product_attention(q, k, v, is_causal=causal))
        out: Tensor = self.mlp(self.ln_2(x)).add_(x)
        return out


class Transformer(nn.Module):
    def __init__(self, config: TowerConfig, activation: str) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(config, activation) for _ in range(config.layers))


class VisionTower(nn.Module):
    """The image tower.

    Takes normalised images; what is over whole patches on the right and below is not looked at. [B,3,H,W]
    """

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width, patch = config.vision.width, config.patch_size
        self.patch_size = patch
        self.prefix = 1  # CLS
        self.side = config.image_size // patch
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(self.side**2 + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(config.vision, config.activation)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, config.embed_dim))

    def forward(self, images: Tensor) -> Tensor:
        """Embedding of whole images, not normalised. [B,D]"""
        x, _ = self.embed(images)
        for block in self.transformer.resblocks:
            x = block(x)
        return self.read_out(x[:, 0])

    @property
    def blocks(self) -> list[Block]:
        """The blocks in order."""
        return cast("list[Block]", list(self.transformer.resblocks))

    def on_grid(self, grid: tuple[int, int]) -> list[Block]:
        """The same: positions are added before the first."""
        return self.blocks

    def read_out(self, x: Tensor) -> Tensor:
        """Tokens of the last block in the space shared with text. [...,width] -> [...,D]"""
        out: Tensor = self.ln_post(x) @ self.proj
        return out

    def embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """What the first block reads, CLS first, and the patch grid. [B,3,H,W] -> [B,1+P,width]"""
        x = self.conv1(images)  # [B,width,h,w]
        grid = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)  # [B,P,width]
        cls = self.class_embedding.expand(len(x), 1, -1)
        return self.ln_pre(torch.cat([cls, x], 1) + self._positions(grid)), grid

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        if grid == (self.side, self.side):
            return self.positional_embedding
        cls, table = self.positional_embedding[:1], self.positional_embedding[1:]
        return torch.cat([cls, resize_positions(table, self.side, grid)])


def resize_positions(table: Tensor, side: int, grid: tuple[int, int]) -> Tensor:
    """Positions of a square grid for another grid. [side*side,width] -> [h*w,width]"""
    if grid == (side, side):
        return table
    square = table.float().T.reshape(1, -1, side, side)
    # Asking for a tenth of a patch too much makes the sampling grid DINO's, which dense CLIP code shares.
    scale = tuple((length + 0.1) / side for length in grid)
    resized = F.interpolate(square, scale_factor=scale, mode="bicubic", align_corners=False)
    return resized.flatten(2)[0].T.to(table)


class TextSide(nn.Module):
    """Any image tower, with CLIP's text tower beside it.

    Args:
        config: sizes of the text tower.
        visual: the image tower.
    """

    def __init__(self, config: ClipConfig, visual: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.visual = visual
        # Unlike the constructor, from_pretrained draws no random numbers: on "meta" that costs a second of imports.
        self.token_embedding = nn.Embedding.from_pretrained(torch.empty(config.vocab_size, config.text.width))
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, config.text.width))
        self.transformer = Transformer(config.text, config.activation)
        self.ln_final = nn.LayerNorm(config.text.width)
        self.text_projection = nn.Parameter(torch.empty(config.text.width, config.embed_dim))
        self.logit_scale = nn.Parameter(torch.empty(()))

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Embedding of token rows, not normalised. int64 [N,L] -> [N,D]"""
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        for block in self.transformer.resblocks:
            x = block(x, causal=True)
        x = self.ln_final(x)
        end = tokens.argmax(-1)  # the end token has the largest id
        out: Tensor = x[torch.arange(len(x), device=x.device), end] @ self.text_projection
        return out


class Clip(TextSide):
    """Both towers; `state_dict` keys equal open_clip's."""

    visual: VisionTower

    def __init__(self, config: ClipConfig) -> None:
        super().__init__(config, VisionTower(config))


def build_clip(state: Mapping[str, Tensor], config: ClipConfig) -> Clip:
    """A float32 model in evaluation mode that holds the tensors of `state`.

    Raises:
        ModelError: tensors missing, of other shapes or of another architecture; names the first few.
    """
    for tower in (config.vision, config.text):
        if tower.width % tower.heads:
            raise ModelError(f"{tower.heads} heads; expected a divisor of the width {tower.width}.", place="model")
    with torch.device("meta"):  # no time spent on random weights that are replaced at once
        model = Clip(config)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    wrong = [name for name, shape in wanted.items() if name not in state or tuple(state[name].shape) != shape]
    if wrong:
        raise ModelError(
            f"{len(wrong)} tensors missing or of another shape, first {', '.join(wrong[:3])}; "
            f"expected {len(wanted)} as in OpenAI's layout.",
            place="model",
        )
    # Layer scale or a pooling head, left out in silence, would make another model of it.
    extra = [name for name in state if name.startswith(("visual.", "transformer.")) and name not in wanted]
    if extra:
        raise ModelError(
            f"{len(extra)} tensors too many, first {', '.join(extra[:3])}; expected a plain ViT as OpenAI's.",
            place="model",
        )
    model.load_state_dict({name: state[name].float() for name in wanted}, assign=True)
    return model.requires_grad_(False).eval()
