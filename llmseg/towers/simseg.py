"""SimSeg: a plain ViT and a BERT trained on pairs of pictures and captions, each channel of both pooled by itself.

A patch is projected into the space shared with text, as a word is; the vector of a picture holds the mean of the five
largest values of each channel over its patches (LoDA pooling), that of a text the largest. CLS is not looked at.

Not here: the parts (`plain`, `bert`), the pipeline of the paper (`painting`, `crf`). Source: Yi et al., "A Simple
Framework for Text-Supervised Semantic Segmentation" (CVPR 2023); another SimSeg, of Xu et al., is no relation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import interpolate

from ..errors import ModelError
from .bert import build_bert
from .plain import PlainTower, build_plain

if TYPE_CHECKING:
    from torch import Tensor

    from ..vit import Block

__all__ = ["SimSeg", "SimSegTower", "build_simseg"]

BEST_PATCHES = 5  # of each channel, for the vector of a picture
IMAGE, TEXT = "image_encoder.model.model.", "text_encoder.model.model."
IMAGE_PROJECTION, TEXT_PROJECTION = "image_projection.linear.weight", "text_projection.linear.weight"


class SimSegTower(nn.Module):
    """The image tower; see `tower.Tower`.

    Args:
        trunk: up to the last norm.
        projection: into the joint space, without bias.
    """

    def __init__(self, trunk: PlainTower, projection: nn.Linear) -> None:
        super().__init__()
        self.trunk = trunk
        self.projection = projection
        self.patch_size, self.prefix = trunk.patch_size, trunk.prefix

    def forward(self, images: Tensor) -> Tensor:
        """Vectors of whole pictures, not normalised. [B,3,H,W] -> [B,D]"""
        patches: Tensor = self.projection(self.trunk(images)[:, self.prefix :])
        return patches.topk(min(BEST_PATCHES, patches.shape[1]), dim=1).values.mean(1)

    @property
    def blocks(self) -> Sequence[Block]:
        """The blocks in order."""
        return self.trunk.blocks

    def on_grid(self, grid: tuple[int, int]) -> Sequence[Block]:
        """The same: positions are added before the first."""
        return self.trunk.blocks

    def embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """What the first block reads, and the patch grid. [B,3,H,W] -> [B,prefix+P,width]"""
        return self.trunk.embed(images)

    def read_out(self, x: Tensor) -> Tensor:
        """Tokens after the last block in the space shared with text. [...,width] -> [...,D]"""
        out: Tensor = self.projection(self.trunk.norm(x))
        return out


class SimSeg(nn.Module):
    """Both towers."""

    def __init__(self, visual: SimSegTower, text: nn.Module) -> None:
        super().__init__()
        self.visual = visual
        self.text = text

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Vectors of token rows padded with zeros, not normalised. int64 [N,L] -> [N,D]"""
        out: Tensor = self.text(tokens)
        return out


def build_simseg(state: Mapping[str, Tensor], image_size: int) -> SimSeg:
    """A float32 model in evaluation mode.

    Positions of another square are resized once to that of whole images, as by the authors: plainly, not as in DINO.

    Args:
        state: tensors under the names of its authors.
        image_size: pixels, a multiple of the patch size.

    Raises:
        ModelError: tensors missing or of other shapes, or no transformers.
    """
    trunk = build_plain(state, IMAGE)
    projections = [state[IMAGE_PROJECTION].float(), state[TEXT_PROJECTION].float()]
    width = trunk.norm.weight.shape[0]
    if any(each.ndim != 2 for each in projections) or len({len(each) for each in projections}) != 1:
        shapes = " and ".join(str(list(each.shape)) for each in projections)
        raise ModelError(f"projections of shape {shapes}; expected two to one number of channels.", place="model")
    if projections[0].shape[1] != width:
        raise ModelError(
            f"an image projection of shape {list(projections[0].shape)}; expected [D,{width}].", place="model"
        )
    _fit_positions(trunk, image_size // trunk.patch_size)
    with torch.device("meta"):
        linear = nn.Linear(width, len(projections[0]), bias=False)
    linear.load_state_dict({"weight": projections[0]}, assign=True)
    model = SimSeg(SimSegTower(trunk, linear), build_bert(state, TEXT, projections[1]))
    return model.requires_grad_(False).eval()


def _fit_positions(trunk: PlainTower, side: int) -> None:
    """Make the tower's own square that of `side` patches; called once, before the tower is used."""
    if trunk.side == side:
        return
    square = trunk.positions.T.reshape(1, -1, trunk.side, trunk.side)
    resized = interpolate(square, size=(side, side), mode="bicubic", align_corners=False)
    trunk.positions, trunk.side = nn.Parameter(resized.flatten(2)[0].T.contiguous(), requires_grad=False), side
