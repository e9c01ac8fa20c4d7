"""A plain ViT with the tensor names of timm and of DINO's authors: DINO, DINOv2, the image tower of SimSeg.

Layer scale is multiplied into the weights that it follows, and what stands before the patches is summed once, so that
what is left is made of the blocks of `vit`.

Not here: OpenAI's names (`vit`), what a file is (`backbone`, `simseg`). Sources: arXiv:2010.11929; DINO
(arXiv:2104.14294), DINOv2 (arXiv:2304.07193), registers (arXiv:2309.16588).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from ..clip_config import TowerConfig
from ..errors import ModelError
from ..vit import Block, resize_positions

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PlainConfig", "PlainTower", "build_plain"]

EPSILON = 1e-6  # of every layer norm in these models
HEAD_WIDTH = 64
CONVOLUTION = "patch_embed.proj.weight"
REGISTERS = ("reg_token", "register_tokens")  # timm, DINOv2
BLOCK_NAMES = {  # own name -> theirs
    "ln_1.weight": "norm1.weight",
    "ln_1.bias": "norm1.bias",
    "attn.in_proj_weight": "attn.qkv.weight",
    "attn.in_proj_bias": "attn.qkv.bias",
    "attn.out_proj.weight": "attn.proj.weight",
    "attn.out_proj.bias": "attn.proj.bias",
    "ln_2.weight": "norm2.weight",
    "ln_2.bias": "norm2.bias",
    "mlp.c_fc.weight": "mlp.fc1.weight",
    "mlp.c_fc.bias": "mlp.fc1.bias",
    "mlp.c_proj.weight": "mlp.fc2.weight",
    "mlp.c_proj.bias": "mlp.fc2.bias",
}
SCALED = {"attn.out_proj": "ls1.gamma", "mlp.c_proj": "ls2.gamma"}  # what a layer scale follows
# What such files hold besides: mask tokens and heads are for training, anything else would make another model.
IGNORED = re.compile(r"mask_token$|head\.|pre_logits\.")


@dataclass(frozen=True)
class PlainConfig:
    """Sizes of a plain ViT.

    Args:
        blocks: of the transformer.
        patch_size: pixels.
        side: patches along each side of the square it was trained on.
        prefix: tokens before the patches: CLS and registers.
    """

    blocks: TowerConfig
    patch_size: int
    side: int
    prefix: int


class PlainTower(nn.Module):
    """The tower up to its last norm; see `tower.Tower` for the parts.

    Takes normalised images; what is over whole patches on the right and below is not looked at. [B,3,H,W]
    """

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        width, self.patch_size = config.blocks.width, config.patch_size
        self.prefix, self.side = config.prefix, config.side
        self.patches = nn.Conv2d(3, width, config.patch_size, config.patch_size)
        self.first = nn.Parameter(torch.empty(config.prefix, width))
        self.positions = nn.Parameter(torch.empty(config.side**2, width))
        self.layers = nn.ModuleList(Block(config.blocks, "gelu") for _ in range(config.blocks.layers))
        self.norm = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = EPSILON

    def forward(self, images: Tensor) -> Tensor:
        """All tokens after the last norm. [B,3,H,W] -> [B,prefix+P,width]"""
        x, _ = self.embed(images)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out

    @property
    def blocks(self) -> list[Block]:
        """The blocks in order."""
        return cast("list[Block]", list(self.layers))

    def on_grid(self, grid: tuple[int, int]) -> list[Block]:
        """The same: positions are added before the first."""
        return self.blocks

    def embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """What the first block reads, and the patch grid. [B,3,H,W] -> [B,prefix+P,width]"""
        x = self.patches(images)  # [B,width,h,w]
        grid = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2) + resize_positions(self.positions, self.side, grid)
        return torch.cat([self.first.expand(len(x), -1, -1), x], 1), grid


def build_plain(state: Mapping[str, Tensor], prefix: str = "") -> PlainTower:
    """A float32 tower in evaluation mode.

    Args:
        state: tensors of a file; those that do not start with `prefix` are not looked at.
        prefix: what stands before timm's names.

    Raises:
        ModelError: tensors missing, of other shapes or of another architecture; names the first few.
    """
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    config = _infer_config(own)
    expected = _expected_names(own, config)
    extra = [name for name in own if name not in expected and IGNORED.match(name) is None]
    if extra:
        raise ModelError(
            f"{len(extra)} tensors too many, first {', '.join(extra[:3])}; expected a plain ViT as timm's or DINO's.",
            place="model",
        )
    with torch.device("meta"):  # no time spent on random weights that are replaced at once
        tower = PlainTower(config)
    converted = _convert(own, config)
    for name, tensor in tower.state_dict().items():
        if converted[name].shape != tensor.shape:
            raise ModelError(
                f"{name!r} has shape {list(converted[name].shape)}; expected {list(tensor.shape)} as in a plain ViT.",
                place="model",
            )
    tower.load_state_dict(converted, assign=True)
    return tower.requires_grad_(False).eval()


def _infer_config(state: Mapping[str, Tensor]) -> PlainConfig:
    """Sizes from the shapes alone.

    Raises:
        ModelError: they are not those of a plain ViT.
    """
    try:
        width, channels, patch, other = state[CONVOLUTION].shape
        rows = state["pos_embed"].shape[1]
        hidden = len(state["blocks.0.mlp.fc1.weight"])
        registers = [state[name].shape[1] for name in REGISTERS if name in state]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ModelError(
            f"no plain ViT ({error!r}); expected patch_embed, pos_embed and blocks as in timm or DINO. "
            "DINOv3, SwiGLU towers and transformers' own layout are not read.",
            place="model",
        ) from error
    side = math.isqrt(rows)
    layers = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    if channels != 3 or patch != other or patch < 1 or width % HEAD_WIDTH or rows - side**2 not in (0, 1) or side < 1:
        raise ModelError(
            f"patches {list(state[CONVOLUTION].shape)} and {rows} positions; expected square RGB patches, a width in "
            f"whole heads of {HEAD_WIDTH}, and a square of positions.",
            place="model",
        )
    blocks = TowerConfig(width=width, layers=layers, heads=width // HEAD_WIDTH, hidden=hidden)
    return PlainConfig(blocks, patch, side, 1 + sum(registers))


def _expected_names(state: Mapping[str, Tensor], config: PlainConfig) -> set[str]:
    """All names that are read.

    Raises:
        ModelError: some are missing.
    """
    wanted = ["cls_token", "pos_embed", CONVOLUTION, "patch_embed.proj.bias", "norm.weight", "norm.bias"]
    wanted += [f"blocks.{n}.{name}" for n in range(config.blocks.layers) for name in BLOCK_NAMES.values()]
    scales = [f"blocks.{n}.{name}" for n in range(config.blocks.layers) for name in SCALED.values()]
    wanted += scales if scales[0] in state else []
    missing = [name for name in wanted if name not in state]
    if missing:
        raise ModelError(
            f"{len(missing)} tensors missing, first {', '.join(missing[:3])}; expected a plain ViT as timm's.",
            place="model",
        )
    return {*wanted, *REGISTERS}


def _convert(state: Mapping[str, Tensor], config: PlainConfig) -> dict[str, Tensor]:
    """Tensors under the names of `PlainTower`.

    Raises:
        ModelError: shapes that cannot be put together.
    """
    tokens = {name: _rows(state, name, config.blocks.width) for name in ("cls_token", "pos_embed", *REGISTERS)}
    table, first = tokens["pos_embed"], tokens["cls_token"]
    of_cls = len(table) - config.side**2  # rows; 0 where CLS has no position
    first = first + table[:of_cls] if of_cls else first
    converted = {
        "patches.weight": state[CONVOLUTION].float(),
        "patches.bias": state["patch_embed.proj.bias"].float(),
        "first": torch.cat([first, *(tokens[name] for name in REGISTERS)]),
        "positions": table[of_cls:],
        "norm.weight": state["norm.weight"].float(),
        "norm.bias": state["norm.bias"].float(),
    }
    for number in range(config.blocks.layers):
        for name, theirs in BLOCK_NAMES.items():
            tensor = state[f"blocks.{number}.{theirs}"].float()
            scale = state.get(f"blocks.{number}.{SCALED.get(name.rpartition('.')[0])}")
            converted[f"layers.{number}.{name}"] = tensor if scale is None else _scale(tensor, scale.float())
    return converted


def _rows(state: Mapping[str, Tensor], name: str, width: int) -> Tensor:
    """Tokens of a file, none where it has none of that name. [1,n,width] -> [n,width]"""
    tokens = state.get(name, torch.empty(1, 0, width))
    if (
        tokens.ndim != 3
        or len(tokens) != 1
        or tokens.shape[2] != width
        or (name == "cls_token" and tokens.shape[1] != 1)
    ):
        raise ModelError(f"{name!r} has shape {list(tokens.shape)}; expected [1,n,{width}].", place="model")
    return tokens[0].float()


def _scale(tensor: Tensor, scale: Tensor) -> Tensor:
    if tensor.ndim not in (1, 2) or scale.shape != tensor.shape[:1]:
        raise ModelError(
            f"a layer scale of shape {list(scale.shape)} for {list(tensor.shape)}; expected a number per row.",
            place="model",
        )
    return tensor * (scale if tensor.ndim == 1 else scale[:, None])
