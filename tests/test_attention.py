"""`attention`: every entry against a loop over images, heads and tokens."""

from __future__ import annotations

import math

import pytest
import torch

from llmseg import options
from llmseg.attention import ATTENTION, attend_naclip, attend_vanilla, gaussian_window

GRID = (3, 4)


def slow_vanilla_logit(q, k, i, j, grid):
    return float(q[i] @ k[j]) / math.sqrt(q.shape[-1])


def slow_naclip_logit(q, k, i, j, grid):
    logit = float(k[i] @ k[j]) / math.sqrt(q.shape[-1])
    if i == 0 or j == 0:
        return logit
    (y1, x1), (y2, x2) = divmod(i - 1, grid[1]), divmod(j - 1, grid[1])
    return logit + math.exp(-((y1 - y2) ** 2 + (x1 - x2) ** 2) / (2 * 5.0**2))


SLOW_LOGITS = {"vanilla": slow_vanilla_logit, "naclip": slow_naclip_logit}


def slow_attend(name, q, k, v, grid):
    """One query of one head of one image at a time."""
    out = torch.zeros_like(v)
    for image in range(q.shape[0]):
        for head in range(q.shape[1]):
            for i in range(q.shape[2]):
                raised = [
                    math.exp(SLOW_LOGITS[name](q[image, head], k[image, head], i, j, grid)) for j in range(q.shape[2])
                ]
                for j, value in enumerate(raised):
                    out[image, head, i] += value / sum(raised) * v[image, head, j]
    return out


def test_there_is_a_twin_of_every_entry():
    assert set(SLOW_LOGITS) == set(ATTENTION) == set(options.ATTENTION.names)


@pytest.mark.parametrize("name", ATTENTION)
def test_entry_equals_a_loop_per_head(name):
    generator = torch.Generator().manual_seed(1)
    q, k, v = torch.randn(3, 2, 3, 1 + GRID[0] * GRID[1], 8, generator=generator, dtype=torch.float64)
    got = ATTENTION[name].attend(q, k, v, GRID)
    torch.testing.assert_close(got, slow_attend(name, q, k, v, GRID), atol=1e-7, rtol=0)


@pytest.mark.parametrize("name", ATTENTION)
def test_entry_cites_its_paper(name):
    assert ATTENTION[name].source.startswith("arXiv:")


def test_parts_kept_of_the_last_block():
    kept = {name: (entry.residual, entry.ffn) for name, entry in ATTENTION.items()}
    assert kept == {"vanilla": (True, True), "naclip": (False, False)}


def test_vanilla_by_hand():
    q = torch.tensor([[[[0.0], [math.log(3)]]]])  # one head, one number wide
    k = torch.tensor([[[[0.0], [1.0]]]])
    v = torch.tensor([[[[0.0], [4.0]]]])
    assert attend_vanilla(q, k, v, (1, 1)).flatten().tolist() == pytest.approx([2.0, 3.0])


def test_naclip_by_hand_ignores_queries_and_prefers_neighbours():
    zeros = torch.zeros(1, 1, 3, 1)
    v = torch.tensor([[[[0.0], [1.0], [0.0]]]])
    near, far = math.exp(1), math.exp(math.exp(-1 / 50))
    wanted = [1 / 3, near / (1 + near + far), far / (1 + near + far)]
    assert attend_naclip(zeros + 9, zeros, v, (1, 2)).flatten().tolist() == pytest.approx(wanted)


@pytest.mark.parametrize(("grid", "sigma"), [((2, 5), 5.0), ((5, 2), 1.5), ((1, 1), 5.0)])
def test_gaussian_window_equals_a_loop_over_pairs(grid, sigma):
    cells = [(y, x) for y in range(grid[0]) for x in range(grid[1])]
    wanted = [[math.exp(-((a - c) ** 2 + (b - d) ** 2) / (2 * sigma**2)) for c, d in cells] for a, b in cells]
    torch.testing.assert_close(gaussian_window(grid, sigma), torch.tensor(wanted))


def test_half_precision_stays_half():
    q = torch.randn(1, 1, 5, 4, dtype=torch.bfloat16)
    assert attend_naclip(q, q, q, (2, 2)).dtype == torch.bfloat16
