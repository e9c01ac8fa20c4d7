"""Slow twins of the image tower and of every method of its last block, from the papers' formulas.

One image and one head at a time, in float64, with every attention map written out. Nothing here calls the package.
Images are normalised, [3,H,W]; tokens are [1+P,width], CLS first; blocks are counted from one.
"""

from __future__ import annotations

import itertools
import math

import torch
from slow_parts import (
    alike,
    slow_affinity,
    slow_labels,
    slow_mend,
    slow_outliers,
    slow_smooth,
    slow_spread,
    softmax,
    unit,
)
from torch.nn import functional as F

# Where the block of a number in a tower of twelve is in one of three: a quarter as high, halves to even.
OF_THREE = {4: 1, 5: 1, 6: 2, 7: 2, 8: 2, 9: 2, 10: 2}


def dino_positions(table, grid):
    """DINO's `interpolate_pos_encoding`, which dense CLIP code shares. [1+P,width] -> [1+h*w,width]"""
    side, width = math.isqrt(len(table) - 1), table.shape[1]
    square = table[1:].reshape(1, side, side, width).permute(0, 3, 1, 2)
    height, length = grid[0] + 0.1, grid[1] + 0.1
    resized = F.interpolate(square, scale_factor=(height / side, length / side), mode="bicubic")
    assert resized.shape[-2:] == grid
    return torch.cat([table[:1], resized.permute(0, 2, 3, 1).reshape(-1, width)])


class SlowTower:
    """The image tower of a state dict in OpenAI's layout, two heads, exact GELU."""

    heads = 2

    def __init__(self, state):
        self.state = {
            name.removeprefix("visual."): tensor.double() for name, tensor in state.items() if name.startswith("visual")
        }
        self.layers = len({name.split(".")[2] for name in self.state if name.startswith("transformer.")})

    def of_twelve(self, number):
        """The block of a number in a tower of twelve."""
        return OF_THREE[number] if self.layers == 3 else number * (self.layers // 12)

    def norm(self, x, name):
        centred = x - x.mean(-1, keepdim=True)
        deviation = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return centred / deviation * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def linear(self, x, name):
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def embed(self, image):
        kernel, image = self.state["conv1.weight"], image.double()
        patch = kernel.shape[-1]
        grid = (image.shape[1] // patch, image.shape[2] // patch)
        rows = [self.state["class_embedding"]]
        for y, x in itertools.product(*map(range, grid)):
            pixels = image[:, y * patch : (y + 1) * patch, x * patch : (x + 1) * patch]
            rows.append((kernel * pixels).sum((1, 2, 3)))
        table = self.state["positional_embedding"]
        positions = table if grid[0] == grid[1] == math.isqrt(len(table) - 1) else dino_positions(table, grid)
        return self.norm(torch.stack(rows) + positions, "ln_pre"), grid

    def project(self, x, block):
        """Queries, keys and values, head by head, of what a block reads. [(q, k, v)] of [N,d]"""
        name = f"transformer.resblocks.{block - 1}"
        weight, bias = self.state[f"{name}.attn.in_proj_weight"], self.state[f"{name}.attn.in_proj_bias"]
        packed = self.norm(x, f"{name}.ln_1") @ weight.T + bias
        width = x.shape[-1]
        d = width // self.heads
        return [
            tuple(packed[:, part * width + head * d : part * width + (head + 1) * d] for part in range(3))
            for head in range(self.heads)
        ]

    def merge(self, attended, block):
        """O of the heads."""
        return self.linear(torch.cat(attended, -1), f"transformer.resblocks.{block - 1}.attn.out_proj")

    def ffn(self, x, block):
        name = f"transformer.resblocks.{block - 1}"
        hidden = self.linear(self.norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc")
        return self.linear(hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2, f"{name}.mlp.c_proj")

    def block(self, x, block):
        attended = [softmax(q @ k.T / math.sqrt(q.shape[-1])) @ v for q, k, v in self.project(x, block)]
        x = x + self.merge(attended, block)
        return x + self.ffn(x, block)

    def outputs(self, image):
        """What the first block reads, then the output of each block; and the grid."""
        x, grid = self.embed(image)
        after = [x]
        for block in range(1, self.layers + 1):
            after.append(self.block(after[-1], block))
        return after, grid

    def read(self, x, grid):
        """Unit vectors of the patches. [h,w,D]"""
        embedded = self.norm(x[-grid[0] * grid[1] :], "ln_post") @ self.state["proj"]
        return unit(embedded).view(*grid, -1)


# --- methods: (tower, image, phrases) -> unit vectors [h,w,D] ---


def slow_vanilla(tower, image, phrases=None):
    after, grid = tower.outputs(image)
    return tower.read(after[tower.layers], grid)


def slow_maskclip(tower, image, phrases=None):
    after, grid = tower.outputs(image)
    x, last = after[tower.layers - 1], tower.layers
    x = x + tower.merge([v for _, _, v in tower.project(x, last)], last)
    return tower.read(x + tower.ffn(x, last), grid)


def slow_surgery(tower, image, phrases=None):
    after, grid = tower.outputs(image)
    first = max(tower.layers // 2, tower.layers - 6) + 1  # the last six blocks, or half of the tower
    total = after[first - 1]
    for block in range(first, tower.layers + 1):
        total = total + tower.merge([alike(v) @ v for _, _, v in tower.project(after[block - 1], block)], block)
    return tower.read(total, grid)


def slow_gem(tower, image, phrases=None):
    after, grid = tower.outputs(image)
    first = max(tower.layers // 2, tower.layers - 6) + 1
    total = after[first - 1]
    for block in range(first, tower.layers + 1):
        normed = tower.norm(after[block - 1], f"transformer.resblocks.{block - 1}.ln_1")
        heads = []
        for qkv in tower.project(after[block - 1], block):
            tau = normed.norm(dim=-1).mean() / math.sqrt(qkv[0].shape[-1])
            maps = []
            for x in map(unit, qkv):
                moved = unit(softmax(tau * x @ x.T) @ x)
                maps.append(softmax(tau * moved @ moved.T))
            heads.append((maps[0] + maps[1] + maps[2]) / 3 @ qkv[2])
        total = total + tower.merge(heads, block)
    return tower.read(total, grid)


def slow_sclip(tower, image, phrases=None):
    after, grid = tower.outputs(image)
    x, last = after[tower.layers - 1], tower.layers
    x = x + tower.merge([(alike(q) + alike(k)) @ v for q, k, v in tower.project(x, last)], last)
    return tower.read(x + tower.ffn(x, last), grid)


def slow_clearclip(tower, image, phrases=None):
    after, grid = tower.outputs(image)
    heads = tower.project(after[tower.layers - 1], tower.layers)
    return tower.read(tower.merge([alike(q) @ v for q, _, v in heads], tower.layers), grid)


def slow_window(grid, sigma=5.0):
    """exp(-distance^2 / 2 sigma^2) between patches, nothing for CLS. [1+P,1+P]"""
    cells = list(itertools.product(*map(range, grid)))
    window = torch.zeros(1 + len(cells), 1 + len(cells), dtype=torch.float64)
    for (i, (a, b)), (j, (c, d)) in itertools.product(enumerate(cells), repeat=2):
        window[1 + i, 1 + j] = math.exp(-((a - c) ** 2 + (b - d) ** 2) / (2 * sigma**2))
    return window


def slow_naclip_end(tower, x, grid):
    """NACLIP from what the last block reads."""
    heads = tower.project(x, tower.layers)
    window = slow_window(grid)
    attended = [softmax(k @ k.T / math.sqrt(k.shape[-1]) + window) @ v for _, k, v in heads]
    return tower.read(tower.merge(attended, tower.layers), grid)


def slow_naclip(tower, image, phrases=None):
    after, grid = tower.outputs(image)
    return slow_naclip_end(tower, after[tower.layers - 1], grid)


def slow_itaclip(tower, image, phrases=None):
    after, grid = tower.outputs(image)
    x, last = after[tower.layers - 1], tower.layers
    blocks = [tower.of_twelve(number) for number in (7, 8, 10)]
    attended = []
    for head, (q, k, v) in enumerate(tower.project(x, last)):
        borrowed = torch.zeros(len(x), len(x), dtype=torch.float64)
        for block in blocks:
            theirs_q, theirs_k, _ = tower.project(after[block - 1], block)[head]
            borrowed += (alike(theirs_q) + alike(theirs_k)) / 3
        attended.append((0.5 * (alike(q) + alike(k)) + 0.5 * borrowed) @ v)
    return tower.read(x + tower.merge(attended, last), grid)


def slow_scclip(tower, image, phrases=None):
    after, grid = tower.outputs(image)
    x, last = after[tower.layers - 1], tower.layers
    outliers = slow_outliers(x[1:])
    middle = unit(slow_mend(after[tower.of_twelve(9)][1:], outliers, grid))
    middle = middle @ middle.T
    early = unit(after[tower.of_twelve(4)][1:])
    early = early @ early.T
    spread = slow_spread(middle, 3.0)

    def through(patches, cls):
        heads = tower.project(patches, last)
        return tower.merge([(0.5 * spread + 0.5 * alike(k)) @ v for _, k, v in heads], last) + 0.3 * cls

    out = slow_smooth(through(slow_smooth(slow_mend(x[1:], outliers, grid), middle, 0.4), x[0]), early, 0.4)
    several = sum(after[block] for block in {tower.of_twelve(number) for number in range(4, 11)})
    return tower.read(out + slow_smooth(through(several[1:], several[0]), early, 0.4), grid)


def slow_resclip(tower, image, phrases=None):
    after, grid = tower.outputs(image)
    x, last = after[tower.layers - 1], tower.layers
    blocks = [tower.of_twelve(number) for number in (6, 7, 8, 9)]

    def look(affinity):
        attended = []
        for head, (_, k, v) in enumerate(tower.project(x, last)):
            logits = k @ k.T / math.sqrt(k.shape[-1])
            if affinity is not None:
                logits = 1.8 * (0.3 * logits + 0.7 * affinity)
            own = softmax(logits + slow_window(grid))
            mean = torch.zeros_like(own)
            for block in blocks:
                theirs_q, theirs_k, _ = tower.project(after[block - 1], block)[head]
                mean += softmax(theirs_q @ theirs_k.T / math.sqrt(k.shape[-1])) / 4
            attended.append(2 * (0.6 * own + 0.4 * mean) @ v)
        return tower.read(tower.merge(attended, last), grid)

    first = look(None)
    if phrases is None:
        return first
    affinity = torch.zeros(len(x), len(x), dtype=torch.float64)  # none for CLS
    affinity[1:, 1:] = slow_affinity(slow_labels(first, phrases.double(), image, threshold=0.11)).half()
    return look(affinity)


def slow_proxyclip(tower, image, phrases=None, alike=None, cutoff=1.2, sharpness=3.0):
    """`alike` are unit vectors of a backbone's patches on the tower's grid or a finer one [h,w,E]; None: each its own."""
    after, grid = tower.outputs(image)
    last = tower.layers
    heads = [v[1:] for _, _, v in tower.project(after[last - 1], last)]
    if alike is None:
        return tower.read(tower.merge(heads, last), grid)
    wanted = tuple(alike.shape[:2])
    flat = alike.double().reshape(-1, alike.shape[-1])
    cosines = flat @ flat.T
    logits = sharpness * (cosines - cutoff * cosines.mean())
    attended = []
    for v in heads:
        maps = v.T.reshape(1, -1, *grid)
        values = F.interpolate(maps, size=wanted, mode="bilinear")[0].flatten(1).T
        rows = []
        for patch, row in enumerate(logits):
            weights = row.clamp(min=0).exp() * (row >= 0)
            rows.append((weights / weights.sum()) @ values if weights.any() else values[patch])
        attended.append(torch.stack(rows))
    return tower.read(tower.merge(attended, last), wanted)


TWINS = {
    "vanilla": slow_vanilla,
    "maskclip": slow_maskclip,
    "surgery": slow_surgery,
    "gem": slow_gem,
    "sclip": slow_sclip,
    "clearclip": slow_clearclip,
    "naclip": slow_naclip,
    "itaclip": slow_itaclip,
    "scclip": slow_scclip,
    "resclip": slow_resclip,
    "stitched": slow_naclip,  # one window
    "proxyclip": slow_proxyclip,
}
