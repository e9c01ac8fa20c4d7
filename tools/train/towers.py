"""The library's own CLIP, run forward for training: fast on a CPU in bfloat16, and by two ways at once.

Not here: the parameters (`llmseg.vit`), the loss (`objective`). Source of the second way: the last block without
residual and FFN, as NACLIP (arXiv:2404.08181), ClearCLIP (arXiv:2407.12442) and MaskCLIP (arXiv:2112.01071) read it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llmseg.clip_config import ClipConfig
from llmseg.mixing import gaussian_window
from llmseg.vit import Block, Clip

__all__ = ["PATHS", "Towers", "new_clip"]

PATHS = ("keys", "queries", "values")  # what the last block's attention is made of on the second way


def new_clip(config: ClipConfig, seed: int) -> Clip:
    """A CLIP with random weights, ready to be trained."""
    generator = torch.Generator().manual_seed(seed)
    clip = Clip(config)
    with torch.no_grad():
        for name, tensor in clip.named_parameters():
            _initialise(name, tensor, config, generator)
    return clip.requires_grad_(True).train()


def _initialise(name: str, tensor: Tensor, config: ClipConfig, generator: torch.Generator) -> None:
    if name.endswith("bias") or name == "logit_scale":
        tensor.zero_()
    elif ".ln_" in name or name.startswith("ln_"):
        tensor.fill_(1)
    elif "embedding" in name and "class" not in name:
        tensor.normal_(0, 0.02, generator=generator)
    else:
        fan_in = tensor[0].numel() if tensor.ndim > 1 and not name.endswith("proj") else tensor.shape[0]
        layers = config.vision.layers if name.startswith("visual") else config.text.layers
        residual = name.endswith(("out_proj.weight", "c_proj.weight"))  # summed up over the layers
        tensor.normal_(0, fan_in**-0.5 * ((2 * layers) ** -0.5 if residual else 1), generator=generator)


class Towers(nn.Module):
    """Both towers and the temperatures of the two losses.

    Args:
        clip: the model; its parameters are trained.
        first_scale: both logit scales at the start.
    """

    def __init__(self, clip: Clip, first_scale: float) -> None:
        super().__init__()
        self.clip = clip
        with torch.no_grad():
            clip.logit_scale.fill_(math.log(first_scale))
        self.local_scale = nn.Parameter(torch.tensor(math.log(first_scale)))

    def text(self, rows: Tensor) -> Tensor:
        """Embeddings of token rows, not normalised. int64 [N,L] -> [N,D]"""
        clip = self.clip
        x = clip.token_embedding(rows) + clip.positional_embedding[: rows.shape[1]]
        for block in clip.transformer.resblocks:
            x = run_block(block, x, causal=True)
        x = clip.ln_final(x)[torch.arange(len(x), device=x.device), rows.argmax(-1)]
        return x @ clip.text_projection.to(x.dtype)

    def image(self, pixels: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised pictures to the last block's output and its input. [B,3,S,S] -> two of [B,1+P,width]

        Args:
            pixels: normalised.
            positions: as from `positions`. [1+P,width]
        """
        visual = self.clip.visual
        x = _patchify(pixels, visual.patch_size) @ visual.conv1.weight.flatten(1).T.to(pixels.dtype)
        x = torch.cat([visual.class_embedding.to(x.dtype).expand(len(x), 1, -1), x], 1)
        x = visual.ln_pre(x + positions.to(x.dtype))
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            x = run_block(block, x)
        return run_block(last, x), x

    def read_out(self, x: Tensor) -> Tensor:
        """Tokens of the image tower to the joint space, not normalised. [...,width] -> [...,D]"""
        visual = self.clip.visual
        x = visual.ln_post(x)
        return x @ visual.proj.to(x.dtype)

    def second_way(self, x: Tensor, path: str) -> Tensor:
        """The last block's attention alone, no residual and no FFN. [B,1+P,width] -> [B,1+P,width]

        Args:
            x: the last block's input.
            path: one of `PATHS`; "values" attends to nothing but the patch itself.
        """
        block = self.clip.visual.transformer.resblocks[-1]
        assert isinstance(block, Block)
        q, k, v = block.attn.project(block.ln_1(x))
        if path == "values":
            return block.attn.merge(v)
        if path == "queries":
            return block.attn.merge(_attend(q, q, v))
        side = math.isqrt(x.shape[1] - 1)
        window = F.pad(gaussian_window((side, side)), (1, 0, 1, 0)).to(k)
        return block.attn.merge(_attend(k, k, v, window))

    def positions(self, side: int, corner: tuple[int, int]) -> Tensor:
        """Part of the table of positions. [1+side*side,width]

        Args:
            side: of the picture, in patches.
            corner: where it lies in the table, in patches.
        """
        table = self.clip.visual.positional_embedding
        whole = self.clip.visual.side
        if side == whole:
            return table
        top, left = corner
        square = table[1:].unflatten(0, (whole, whole))[top : top + side, left : left + side]
        return torch.cat([table[:1], square.flatten(0, 1)])


def run_block(block: nn.Module, x: Tensor, causal: bool = False) -> Tensor:
    """`Block.forward` with the attention written out: three times as fast as the fused one, here, in bfloat16."""
    assert isinstance(block, Block)
    q, k, v = block.attn.project(block.ln_1(x))
    mask = None
    if causal:
        length = x.shape[1]
        mask = torch.full((length, length), float("-inf"), device=x.device, dtype=q.dtype).triu(1)
    x = x + block.attn.merge(_attend(q, k, v, mask))
    out: Tensor = x + block.mlp(block.ln_2(x))
    return out


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if bias is not None:
        logits = logits + bias
    return logits.softmax(-1, dtype=torch.float32).to(v.dtype) @ v


def _patchify(pixels: Tensor, patch: int) -> Tensor:
    """[B,3,S,S] -> [B,P,3*patch*patch], in the order of a convolution's weights."""
    batch, _, height, width = pixels.shape
    x = pixels.view(batch, 3, height // patch, patch, width // patch, patch)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(batch, (height // patch) * (width // patch), -1)
