"""Pictures squeezed to a square as Pillow does it: bilinear, antialiased, in whole numbers.

SimSeg was trained on such squares, and its masks are told apart along their colours; in floats a sixth of the numbers
would be others.

Not here: sizes (`windows`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["squash"]


def squash(images: Tensor, side: int) -> Tensor:
    """Squares of pictures; a picture that is one already is only rounded.

    Args:
        images: RGB in 0..1. [B,3,H,W]
        side: pixels.

    Returns:
        In 0..1, multiples of 1/255; same dtype and device. [B,3,side,side]
    """
    import numpy as np
    import torch
    from PIL import Image

    pixels = (images.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    squares = [
        np.asarray(Image.fromarray(np.ascontiguousarray(each)).resize((side, side), Image.Resampling.BILINEAR))
        for each in pixels
    ]
    stacked = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)
    return (stacked.to(images.device, torch.float32) / 255).to(images)
