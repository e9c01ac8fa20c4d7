"""Slow twins of what surrounds the tower: SC-CLIP's tokens, ResCLIP's second look and PAMR, from their formulas.

One pixel, one pair of patches at a time, in float64. Nothing here calls the package.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import torch


def softmax(rows):
    raised = (rows - rows.max(-1, keepdim=True).values).exp()
    return raised / raised.sum(-1, keepdim=True)


def unit(rows):
    return rows / rows.norm(dim=-1, keepdim=True)


def alike(x):
    """softmax(x x^T / sqrt(d))"""
    return softmax(x @ x.T / math.sqrt(x.shape[-1]))


# --- SC-CLIP ---


def slow_outliers(tokens):
    """Local outlier factors above their 95th percentile. [P,width] -> bool [P]"""
    tokens = tokens.double()
    count = min(30, len(tokens) - 1)
    if not count:
        return torch.zeros(1, dtype=torch.bool)
    near, reach = [], []
    for own in tokens:
        distances = [float((own - other).square().sum()) for other in tokens]
        order = sorted(range(len(tokens)), key=distances.__getitem__)
        near.append(order[1 : count + 1])  # the nearest is the token itself
        reach.append(distances[order[count]])
    factors = [reach[i] * sum(1 / reach[j] for j in near[i]) / count for i in range(len(tokens))]
    # Up to 31 tokens, the two farthest apart tie, whatever rounding says.
    return torch.tensor(np.array(factors) > (1 + 1e-6) * np.quantile(factors, 0.95))


def slow_mend(tokens, outliers, grid):
    """Outliers become the mean of their neighbours that are none. [P,width]"""
    mended = tokens.clone()
    for y, x in itertools.product(*map(range, grid)):
        if outliers[y * grid[1] + x]:
            around = [
                tokens[b * grid[1] + a]
                for b, a in itertools.product((y - 1, y, y + 1), (x - 1, x, x + 1))
                if 0 <= b < grid[0] and 0 <= a < grid[1] and not outliers[b * grid[1] + a]
            ]
            if around:
                mended[y * grid[1] + x] = torch.stack(around).mean(0)
    return mended


def slow_smooth(tokens, similarity, least):
    """Means weighted by cosines that reach `least`. [P,width]"""
    rows = []
    for cosines in similarity:
        counted = [(float(cosine), token) for cosine, token in zip(cosines, tokens, strict=True) if cosine >= least]
        rows.append(sum(cosine * token for cosine, token in counted) / sum(cosine for cosine, _ in counted))
    return torch.stack(rows)


def slow_spread(similarity, sharpness):
    """softmax over the cosines above the mean of all. [P,P]"""
    mean = float(similarity.mean())
    weights = torch.zeros_like(similarity)
    for i, cosines in enumerate(similarity):
        raised = [math.exp(sharpness * (float(c) - mean)) if c >= mean else 0.0 for c in cosines]
        weights[i] = torch.tensor(raised) / sum(raised)
    return weights


# --- ResCLIP ---


def slow_enlarge(maps, size):
    """Bilinear, corners not aligned. [h,w,C] -> [C,H,W]"""
    grid, out = maps.shape[:2], torch.zeros(maps.shape[2], *size, dtype=torch.float64)
    for y, x in itertools.product(*map(range, size)):
        (a, s), (b, t) = (
            math.modf(min(max((place + 0.5) * n / m - 0.5, 0), n - 1))[::-1]
            for place, n, m in zip((y, x), grid, size, strict=True)
        )
        a, b, c, d = int(a), int(b), min(int(a) + 1, grid[0] - 1), min(int(b) + 1, grid[1] - 1)
        above, below = (1 - t) * maps[a, b] + t * maps[a, d], (1 - t) * maps[c, b] + t * maps[c, d]
        out[:, y, x] = (1 - s) * above + s * below
    return out


def slow_labels(features, phrases, guide, threshold, logit_scale=40.0):
    """The phrase of each patch's most pixels, the smaller number where two have as many. [h,w,D] -> [h,w]"""
    grid, size = features.shape[:2], guide.shape[1:]
    scores = slow_pamr(slow_enlarge(features.double() @ phrases.double().T, size), guide)
    rows, columns = size[0] // grid[0], size[1] // grid[1]
    likely = softmax(logit_scale * scores.movedim(0, -1)).tolist()
    labels = torch.zeros(grid, dtype=torch.long)
    for y, x in itertools.product(*map(range, grid)):
        votes = Counter()
        for b, a in itertools.product(range(y * rows, (y + 1) * rows), range(x * columns, (x + 1) * columns)):
            best = max(range(len(phrases)), key=likely[b][a].__getitem__)
            votes[best if likely[b][a][best] >= threshold else 0] += 1
        labels[y, x] = min(votes, key=lambda label: (-votes[label], label))
    return labels


def slow_affinity(labels):
    """M of ResCLIP's second look, before it is made half a float wide. [h,w] -> [P,P]"""
    labels = labels.numpy()
    cells = list(itertools.product(*map(range, labels.shape)))
    count = len(cells)
    apart = [[max(abs(a - c), abs(b - d)) for c, d in cells] for a, b in cells]
    longest = max(map(max, apart))
    times = torch.linspace(0, 1, longest + 1).numpy()[:, None]  # k / longest; float32, as halves are rounded
    affinity = np.zeros((count, count))
    for (i, start), (j, end) in itertools.product(enumerate(cells), repeat=2):
        if labels[start] != labels[end]:
            continue
        (first, last), shares = np.array((start, end), np.float32), times[: apart[i][j] + 1]
        path = np.rint(first * (1 - shares) + last * shares).astype(int)
        stays = all(labels[y, x] == labels[start] for y, x in path)
        affinity[i, j] = 1 if stays else math.exp(-apart[i][j] / longest)
    taps = min(count, 31)
    half = (taps if taps % 2 else taps + 1) // 2
    kernel = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * 5.0**2))
    kernel /= kernel.sum()
    blurred = np.zeros_like(affinity)
    for i, j, offset in itertools.product(range(count), range(count), range(-half, half + 1)):
        if 0 <= j + offset < count:
            blurred[i, j] += kernel[half + offset] * affinity[i, j + offset]
    rows = blurred / (blurred.sum(1, keepdims=True) + 1e-8)
    return torch.from_numpy(rows / rows.max())


# --- PAMR ---


def slow_pamr_step(guide, dilations=(8, 16)):
    """One step of PAMR as a matrix between pixels. [3,H,W] -> [HW,HW]"""
    guide = guide.double().numpy()
    height, width = guide.shape[1:]
    matrix = np.zeros((height * width, height * width))
    for y, x in itertools.product(range(height), range(width)):
        places = [
            (min(max(y + down, 0), height - 1), min(max(x + right, 0), width - 1))
            for distance in dilations
            for down, right in itertools.product((-distance, 0, distance), repeat=2)
            if (down, right) != (0, 0)
        ]
        own = guide[:, y, x]
        neighbours = np.array([guide[:, b, a] for b, a in places])
        deviation = np.concatenate([neighbours, np.tile(own, (len(dilations), 1))]).std(0, ddof=1)
        logits = (-np.abs(neighbours - own) / (1e-8 + 0.1 * deviation)).mean(1)
        weights = np.exp(logits - logits.max())
        for (b, a), weight in zip(places, weights / weights.sum(), strict=True):
            matrix[y * width + x, b * width + a] += weight
    return torch.from_numpy(matrix)


def slow_pamr(maps, guide, steps=10, dilations=(8, 16)):
    """[C,H,W]"""
    matrix, flat = slow_pamr_step(guide, dilations), maps.double().flatten(1)
    for _ in range(steps):
        flat = flat @ matrix.T
    return flat.view(maps.shape)
