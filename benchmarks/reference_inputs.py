"""What both sides of `fidelity.py` are given: seeded ViT-B/16 weights, structured pictures, cases in files.

Not here: running anything (`reference`, `fidelity`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

__all__ = ["GRID", "PATCH", "Case", "draw_picture", "find_centres", "random_weights", "read_case", "write_case"]

WIDTH, LAYERS, PATCH, GRID, EMBED = 768, 12, 16, 14, 512  # of ViT-B/16
TEXT_WIDTH, TEXT_LAYERS = 64, 2  # small: every query is given as a vector, so the text tower is only loaded
CONTEXT, VOCABULARY = 77, 49408
KMEANS_STEPS = 20


@dataclass(frozen=True)
class Case:
    """One picture with its queries, as both sides get it.

    Args:
        picture: RGB after the resize of the protocol, uint8. [3,h,w]
        size: pixels of the "original" picture, to which the maps are brought. (H, W)
        queries: unit vectors. [K,D]
        class_index: class of each query, ascending. [K]
        window, stride: pixels; a window of 0 is the whole picture.
        pamr: steps of PAMR; 0 is none.
    """

    picture: Tensor
    size: tuple[int, int]
    queries: Tensor
    class_index: Tensor
    window: int = 224
    stride: int = 112
    pamr: int = 0


def write_case(case: Case, path: Path) -> None:
    """Save a case as safetensors, its numbers in the header."""
    numbers = {"size": case.size, "window": case.window, "stride": case.stride, "pamr": case.pamr}
    tensors = {"picture": case.picture, "queries": case.queries, "class_index": case.class_index}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, {"case": json.dumps(numbers)})


def read_case(path: Path) -> Case:
    """Load what `write_case` saved."""
    with safe_open(path, "pt") as file:
        numbers = json.loads(file.metadata()["case"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    return Case(**tensors, **(numbers | {"size": tuple(numbers["size"])}))


def random_weights(seed: int = 0) -> dict[str, Tensor]:
    """A random ViT-B/16 CLIP in OpenAI's layout whose patch features differ over a picture.

    Deviations are OpenAI's initialisation with two exceptions. Queries and keys are larger: as drawn there, attention
    is nearly uniform, and every rule of attention gives nearly the same. So is what the last attention puts out, which
    SC-CLIP adds to a share of the CLS token. All numbers are exact in float16, to which OpenAI's loader rounds.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, std: float, mean: float = 0.0) -> Tensor:
        return (torch.randn(shape, generator=generator) * std + mean).half().float()

    state = {
        "visual.class_embedding": normal(WIDTH, std=WIDTH**-0.5),
        "visual.conv1.weight": normal(WIDTH, 3, PATCH, PATCH, std=0.03),
        "visual.positional_embedding": normal(GRID**2 + 1, WIDTH, std=0.1),
        "visual.proj": normal(WIDTH, EMBED, std=WIDTH**-0.5),
        "token_embedding.weight": normal(VOCABULARY, TEXT_WIDTH, std=0.02),
        "positional_embedding": normal(CONTEXT, TEXT_WIDTH, std=0.01),
        "text_projection": normal(TEXT_WIDTH, EMBED, std=TEXT_WIDTH**-0.5),
        "logit_scale": torch.tensor(100.0).log().half().float(),
    }
    norms = {"visual.ln_pre": WIDTH, "visual.ln_post": WIDTH, "ln_final": TEXT_WIDTH}
    towers = (("visual.transformer", WIDTH, LAYERS), ("transformer", TEXT_WIDTH, TEXT_LAYERS))
    for prefix, width, layers in towers:
        inner, outer = width**-0.5, (2 * layers * width) ** -0.5
        for layer in range(layers):
            block, spoken = f"{prefix}.resblocks.{layer}", inner if layer == layers - 1 else outer
            norms |= {f"{block}.ln_1": width, f"{block}.ln_2": width}
            values = normal(width, width, std=inner)
            state |= {
                f"{block}.attn.in_proj_weight": torch.cat([normal(2 * width, width, std=1.5 * inner), values]),
                f"{block}.attn.in_proj_bias": normal(3 * width, std=0.02),
                f"{block}.attn.out_proj.weight": normal(width, width, std=spoken),
                f"{block}.attn.out_proj.bias": normal(width, std=0.02),
                f"{block}.mlp.c_fc.weight": normal(4 * width, width, std=(2 * width) ** -0.5),
                f"{block}.mlp.c_fc.bias": normal(4 * width, std=0.02),
                f"{block}.mlp.c_proj.weight": normal(width, 4 * width, std=outer),
                f"{block}.mlp.c_proj.bias": normal(width, std=0.02),
            }
    for name, width in norms.items():
        state |= {f"{name}.weight": normal(width, std=0.1, mean=1.0), f"{name}.bias": normal(width, std=0.02)}
    return state


def draw_picture(height: int, width: int, seed: int = 0) -> Tensor:
    """A picture with gradients, stripes, discs and grain, so that its patches differ. uint8 [3,height,width]"""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    smooth = np.stack([y / height, x / width, 1 - (x + y) / (height + width)])
    image = 0.15 + 0.7 * smooth
    image += 0.15 * np.sin(x / 9) * (y > 0.55 * height)  # stripes below
    image += 0.15 * np.sin((x + 2 * y) / 5) * (x > 0.7 * width) * (y < 0.5 * height)
    for _ in range(24):
        centre_y, centre_x = generator.uniform(0, height), generator.uniform(0, width)
        radius = generator.uniform(12, 60)
        disc = np.hypot(y - centre_y, x - centre_x) < radius
        colour = generator.uniform(0, 1, 3)[:, None, None]
        image = np.where(disc, 0.25 * image + 0.75 * colour, image)
    coarse = generator.normal(0, 1, (3, height // 8 + 1, width // 8 + 1)).repeat(8, 1).repeat(8, 2)
    image += 0.05 * coarse[:, :height, :width] * (y < 0.3 * height)
    image += 0.04 * generator.normal(0, 1, image.shape) * (x < 0.4 * width)
    return torch.from_numpy((image.clip(0, 1) * 255).round().astype(np.uint8))


def find_centres(features: Tensor, count: int) -> Tensor:
    """Spherical k-means by Lloyd's steps. [N,D] -> unit vectors [count,D]"""
    generator = torch.Generator().manual_seed(0)
    centres = features[torch.randperm(len(features), generator=generator)[:count]]
    for _ in range(KMEANS_STEPS):
        nearest = (features @ centres.T).argmax(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, features)
        empty = nearest.bincount(minlength=count) == 0
        centres = normalize(torch.where(empty[:, None], centres, sums), dim=-1)
    return centres
