"""Unit embeddings of patches: the image tower up to its end, and the end as a method of `attention.ATTENTION` has it.

Any tower of `tower.Tower` will do. One without blocks, a ResNet, leaves a method nothing to change: every place keeps
its own value, as in MaskCLIP.

Not here: the methods (`attention`), towers (`vit`, `towers`), windows (`patch_features`). Sources: the methods' own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize, scaled_dot_product_attention

from .attention import Borrowed, Calibration, Feedback, LastBlock, Proxy
from .calibration import cosines, find_outliers, mend_outliers, smooth, spread
from .feedback import label_affinity, patch_labels
from .mixing import attend, attend_normalised, projections_read
from .proxy import enlarge_values, proxy_attend
from .tower import Block, Tower

__all__ = ["embed_patches", "finish_tokens", "run_to_last"]

NUMBERED = 12  # blocks of the towers in which methods count theirs


def embed_patches(
    tower: Tower,
    images: Tensor,
    method: LastBlock,
    phrases: Tensor | None = None,
    alike: Tensor | None = None,
) -> Tensor:
    """Unit embedding of every patch.

    Args:
        tower: the image tower.
        images: normalised. [B,3,H,W]
        method: an entry of `ATTENTION`; a stitched one is given whole images.
        phrases: unit vectors, for a method with feedback; without them it makes its first pass alone. [K,D]
        alike: unit vectors of a backbone's patches, for a method with a proxy; without them every patch keeps its own
            value. [B,h',w',E]

    Returns:
        In float32; with `alike`, on its grid. [B,h,w,D]
    """
    x, grid = tower.embed(images)
    blocks = tower.on_grid(grid)
    if not blocks:
        out = x
    elif method.depth > 1:
        out = _sum_beside(blocks, x, method)
    elif method.calibration is not None:
        out = _calibrated(blocks, x, grid, method, method.calibration)
    elif method.proxy is not None and alike is not None:
        out = _by_proxy(blocks, x, grid, alike, method.proxy)
        grid = (alike.shape[1], alike.shape[2])
    else:
        inputs = _run(blocks, x, _borrowed_blocks(blocks, method.borrowed))
        out = _last(blocks, inputs, grid, method)
        if method.feedback is not None and phrases is not None:
            first = _finish(tower, out, grid)
            bias = _feedback_bias(first, images, phrases, method.feedback, tower.prefix)
            out = _last(blocks, inputs, grid, method, bias)
    return _finish(tower, out, grid)


def run_to_last(tower: Tower, images: Tensor) -> Tensor:
    """What the last block reads. [B,3,H,W] -> [B,N,width]"""
    x, grid = tower.embed(images)
    blocks = tower.on_grid(grid)
    return _run(blocks, x, ())[len(blocks) - 1]


def finish_tokens(tower: Tower, tokens: Tensor, grid: tuple[int, int], method: LastBlock) -> Tensor:
    """The last block under a method without borrowed maps, and the read-out. [B,N,width] -> [B,h,w,D]"""
    blocks = tower.on_grid(grid)
    return _finish(tower, _last(blocks, {len(blocks) - 1: tokens}, grid, method), grid)


def _finish(tower: Tower, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    patches = tower.read_out(tokens[:, -grid[0] * grid[1] :]).float()  # lengths need more digits than halves have
    out: Tensor = normalize(patches, dim=-1).unflatten(1, grid)
    return out


def _run(blocks: Sequence[Block], x: Tensor, kept: Iterable[int]) -> dict[int, Tensor]:
    """Inputs of the last block and of those to be kept, by position from 0. [B,N,width] each"""
    kept, inputs = set(kept), {}
    last = len(blocks) - 1
    for position, block in enumerate(blocks):
        if position in kept or position == last:
            inputs[position] = x
        if position < last:
            x = block(x)
    return inputs


def _position(blocks: Sequence[Block], number: int) -> int:
    """Position from 0 of a block by its number in a tower of twelve; never the last."""
    layers = len(blocks)
    return max(0, min(layers - 1, round(number * layers / NUMBERED)) - 1)


def _borrowed_blocks(blocks: Sequence[Block], borrowed: Borrowed | None) -> list[int]:
    return [_position(blocks, number) for number in borrowed.blocks] if borrowed is not None else []


def _last(
    blocks: Sequence[Block],
    inputs: dict[int, Tensor],
    grid: tuple[int, int],
    method: LastBlock,
    bias: Tensor | None = None,
) -> Tensor:
    """Output of the last block. [B,N,width]

    Args:
        blocks: of the image tower.
        inputs: of the last block and of those whose maps are borrowed.
        grid: patches, height first.
        method: how.
        bias: what feedback adds to the logits. [B,N,N]
    """
    last, x = blocks[-1], inputs[len(blocks) - 1]
    own = last.attn.project(last.ln_1(x), projections_read(method.pairs))
    scale = 1.0
    if bias is not None and method.feedback is not None:
        scale = method.feedback.gain * (1 - method.feedback.share)
    mixed = attend(own, own.v, method.pairs, grid=grid, window=method.window, scale=scale, bias=bias)
    mixed = mixed * method.weight if method.weight != 1 else mixed
    if method.borrowed is not None:
        mixed = _mix_borrowed(blocks, inputs, mixed, own.v, method.borrowed)
    return _leave(last, x, last.attn.merge(mixed), method)


def _leave(block: Block, x: Tensor, out: Tensor, method: LastBlock) -> Tensor:
    """The rest of a block after its attention."""
    if method.residual:
        out = out + x
    return out + block.mlp(block.ln_2(out)) if method.ffn else out


def _mix_borrowed(
    blocks: Sequence[Block], inputs: dict[int, Tensor], mixed: Tensor, values: Tensor, borrowed: Borrowed
) -> Tensor:
    total = torch.zeros_like(mixed)
    positions = _borrowed_blocks(blocks, borrowed)
    for position in positions:
        block = blocks[position]
        theirs = block.attn.project(block.ln_1(inputs[position]), projections_read(borrowed.pairs, values=False))
        total = total + attend(theirs, values, borrowed.pairs)
    own, foreign = 1 - borrowed.share, borrowed.share / len(positions)
    return borrowed.gain * (own * mixed + foreign * total)


def _sum_beside(blocks: Sequence[Block], x: Tensor, method: LastBlock) -> Tensor:
    """Attention outputs of the last blocks, added up beside the unchanged path that they read. [B,N,width]"""
    # Published for towers of twelve and more; a flat one keeps half of its blocks to see with.
    start = max(len(blocks) // 2, len(blocks) - method.depth)
    for block in blocks[:start]:
        x = block(x)
    total = x if method.residual else torch.zeros_like(x)
    for block in blocks[start:]:
        normed = block.ln_1(x)
        own = block.attn.project(normed)
        if method.normalised:
            temperature = normed.norm(dim=-1).mean(-1) * own.v.shape[-1] ** -0.5
            mixed = attend_normalised(own, own.v, method.pairs, temperature)
        else:
            mixed = attend(own, own.v, method.pairs)
        total = total + block.attn.merge(mixed * method.weight)
        if block is not blocks[-1]:
            x = x + block.attn.merge(scaled_dot_product_attention(own.q, own.k, own.v))
            x = x + block.mlp(block.ln_2(x))
    return total


def _calibrated(
    blocks: Sequence[Block], x: Tensor, grid: tuple[int, int], method: LastBlock, settings: Calibration
) -> Tensor:
    """SC-CLIP's end of the tower; CLS takes no part in the last attention. [B,P,width]

    A tower without CLS, or with registers beside it, has the first of the tokens before the patches in its place, or
    nothing.
    """
    # The output of a block is the input of the next; a tower of one block has none before its last.
    after = {n: min(_position(blocks, n) + 1, len(blocks) - 1) for n in range(1, NUMBERED + 1)}
    summed = sorted({after[n] for n in range(settings.summed[0], settings.summed[1] + 1)})
    inputs = _run(blocks, x, {after[settings.middle], after[settings.early], *summed})
    x, prefix = inputs[len(blocks) - 1], x.shape[1] - grid[0] * grid[1]
    outliers = find_outliers(x[:, prefix:])
    middle = cosines(mend_outliers(inputs[after[settings.middle]][:, prefix:], outliers, grid))
    early = cosines(inputs[after[settings.early]][:, prefix:])
    patches = smooth(mend_outliers(x[:, prefix:], outliers, grid), middle, settings.least)
    out = _calibrated_block(blocks[-1], patches, x[:, : min(prefix, 1)], middle, method, settings)
    several = torch.stack([inputs[position] for position in summed]).sum(0)
    more = _calibrated_block(blocks[-1], several[:, prefix:], several[:, : min(prefix, 1)], middle, method, settings)
    return smooth(out + more, early, settings.least)


def _calibrated_block(
    block: Block, patches: Tensor, cls: Tensor, middle: Tensor, method: LastBlock, settings: Calibration
) -> Tensor:
    own = block.attn.project(block.ln_1(patches), projections_read(method.pairs))
    mixed = method.weight * (attend(own, own.v, method.pairs) + spread(middle, own.v, settings.sharpness))
    return block.attn.merge(mixed) + settings.cls_share * cls.sum(1, keepdim=True)  # zero where there is no CLS


def _by_proxy(blocks: Sequence[Block], x: Tensor, grid: tuple[int, int], alike: Tensor, settings: Proxy) -> Tensor:
    """Attention of the last block by a backbone's eyes, on its grid; only patches take part. [B,P',width]"""
    x = _run(blocks, x, ())[len(blocks) - 1]
    values = blocks[-1].attn.project(blocks[-1].ln_1(x), "v").v[:, :, -grid[0] * grid[1] :]
    values = enlarge_values(values, grid, (alike.shape[1], alike.shape[2]))
    return blocks[-1].attn.merge(proxy_attend(alike.flatten(1, 2), values, settings.cutoff, settings.sharpness))


def _feedback_bias(features: Tensor, images: Tensor, phrases: Tensor, feedback: Feedback, prefix: int) -> Tensor:
    """What a first pass adds to the logits of the second, none for tokens before the patches. [B,h,w,D] -> [B,N,N]"""
    from torch.nn.functional import pad

    affinities = []
    for seen, image in zip(features, images, strict=True):
        labels = patch_labels(seen.float(), phrases.float(), image.float(), feedback)
        affinities.append(label_affinity(labels))
    return pad(feedback.gain * feedback.share * torch.stack(affinities), (prefix, 0, prefix, 0))
