"""Slow, obvious twins of the refiners' arithmetic: one pixel at a time, in double precision."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor


def slow_guided(maps: Tensor, guide: Tensor, radius: int, evenness: float) -> Tensor:
    """A linear model of every map in every window, and the mean of all that cover a pixel. [C,H,W]"""
    maps, guide = maps.double(), guide.double()
    height, width = guide.shape[1:]
    total = torch.zeros_like(maps)
    count = torch.zeros(height, width, dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            rows, columns = slice(max(0, y - radius), y + radius + 1), slice(max(0, x - radius), x + radius + 1)
            colours = guide[:, rows, columns].flatten(1)  # [3,n]
            values = maps[:, rows, columns].flatten(1)  # [C,n]
            centre, middle = colours.mean(1, keepdim=True), values.mean(1, keepdim=True)
            spread = (colours - centre) @ (colours - centre).T / colours.shape[1]
            common = (colours - centre) @ (values - middle).T / colours.shape[1]  # [3,C]
            slopes = torch.linalg.solve(spread + evenness * torch.eye(3, dtype=torch.float64), common)
            told = slopes.T @ (colours - centre) + middle
            total[:, rows, columns] += told.view(total[:, rows, columns].shape)
            count[rows, columns] += 1
    return total / count


def slow_owner(masks: Tensor) -> Tensor:
    """The smallest mask over each pixel, of equal ones the last. [H,W]"""
    areas = [int((mask > 0.5).sum()) for mask in masks]
    owner = torch.full(masks.shape[1:], -1)
    for y in range(masks.shape[1]):
        for x in range(masks.shape[2]):
            over = [number for number, mask in enumerate(masks) if mask[y, x] > 0.5]
            if over:
                owner[y, x] = min(over, key=lambda number: (areas[number], -number))
    return owner


def slow_vote(labels: Tensor, owner: Tensor) -> tuple[Tensor, Tensor]:
    """The most frequent label of each pixel's region, of equal ones the first, and its share. [H,W], [H,W]"""
    voted, share = labels.clone(), torch.ones(labels.shape, dtype=torch.float64)
    for number in owner.unique().tolist():
        if number < 0:
            continue
        inside = owner == number
        found = Counter(labels[inside].tolist())
        best = min(found, key=lambda label: (-found[label], label))
        voted[inside], share[inside] = best, found[best] / int(inside.sum())
    return voted, share
