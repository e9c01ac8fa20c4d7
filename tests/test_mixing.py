"""`mixing`: every way to attend against a loop over images, heads and tokens."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from slow_parts import softmax, unit

from llmseg import mixing
from llmseg.attention import ATTENTION
from llmseg.mixing import Projections, attend, attend_normalised, gaussian_window, projections_read

GRID = (3, 4)
TOKENS = 1 + GRID[0] * GRID[1]


def projections(batch=2, tokens=TOKENS, d=8, seed=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return Projections(*torch.randn(3, batch, 3, tokens, d, generator=generator, dtype=dtype))


def slow_attend(own, values, pairs, grid=GRID, window=0.0, scale=1.0, bias=None):
    """One query of one head of one image at a time."""
    out = torch.zeros_like(values)
    batch, heads, tokens, width = values.shape
    for image, head, names, i in itertools.product(range(batch), range(heads), pairs, range(tokens)):
        a, b = (getattr(own, name)[image, head] for name in names)
        raised = []
        for j in range(tokens):
            logit = scale * float(a[i] @ b[j]) / math.sqrt(width)
            first = tokens - grid[0] * grid[1]
            if window and i >= first and j >= first:
                (y1, x1), (y2, x2) = divmod(i - first, grid[1]), divmod(j - first, grid[1])
                logit += math.exp(-((y1 - y2) ** 2 + (x1 - x2) ** 2) / (2 * window**2))
            logit += float(bias[image, i, j]) if bias is not None else 0.0
            raised.append(math.exp(logit))
        for j, value in enumerate(raised):
            out[image, head, i] += value / sum(raised) * values[image, head, j]
    return out


@pytest.mark.parametrize(
    ("pairs", "values", "wanted"),
    [
        (("qk",), True, "qkv"),
        ((), True, "v"),
        (("vv",), True, "v"),
        (("qq",), True, "qv"),
        (("kk",), True, "kv"),
        (("kk", "qq"), True, "qkv"),
        (("qk",), False, "qk"),
        (("vv",), False, "v"),
    ],
)
def test_projections_that_pairs_need(pairs, values, wanted):
    assert projections_read(pairs, values) == wanted


# --- attend ---


@pytest.mark.parametrize("window", [0.0, 1.5])
@pytest.mark.parametrize("pairs", [("qk",), ("vv",), ("qq", "kk"), ("kq",), ()])
def test_attend_equals_a_loop_per_head(pairs, window):
    own, values = projections(), projections(seed=2).v
    got = attend(own, values, pairs, grid=GRID, window=window)
    wanted = slow_attend(own, values, pairs, window=window) if pairs else values
    torch.testing.assert_close(got, wanted, atol=1e-7, rtol=0)


@pytest.mark.parametrize("window", [0.0, 5.0])
def test_scale_is_on_products_and_bias_and_window_are_not_scaled(window):
    own, bias = projections(), torch.randn(2, TOKENS, TOKENS, generator=torch.Generator().manual_seed(3)).double()
    got = attend(own, own.v, ("kk",), grid=GRID, window=window, scale=0.54, bias=bias)
    wanted = slow_attend(own, own.v, ("kk",), window=window, scale=0.54, bias=bias)
    torch.testing.assert_close(got, wanted, atol=1e-7, rtol=0)


@pytest.mark.parametrize("largest", [1, TOKENS, 3 * TOKENS + 1, (TOKENS - 1) * TOKENS])
@pytest.mark.parametrize("biased", [False, True])
def test_bands_change_nothing(monkeypatch, largest, biased):
    own = projections()
    bias = torch.randn(2, TOKENS, TOKENS, generator=torch.Generator().manual_seed(3)).double() if biased else None
    whole = attend(own, own.v, ("kk", "qq"), grid=GRID, window=5.0, bias=bias)
    monkeypatch.setattr(mixing, "LARGEST_MASK", largest)
    bands = attend(own, own.v, ("kk", "qq"), grid=GRID, window=5.0, bias=bias)
    torch.testing.assert_close(bands, whole, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ATTENTION)
def test_rows_add_up_to_the_number_of_pairs(name):
    own, ones = projections(), torch.ones(2, 3, TOKENS, 8, dtype=torch.float64)
    entry = ATTENTION[name]
    got = attend(own, ones, entry.pairs, grid=GRID, window=entry.window)
    torch.testing.assert_close(got, ones * max(1, len(entry.pairs)))
    assert len(ATTENTION["sclip"].pairs) == 2  # SCLIP's rows sum to two


def test_vanilla_by_hand():
    q = torch.tensor([[[[0.0], [math.log(3)]]]])  # one head, one number wide
    k = torch.tensor([[[[0.0], [1.0]]]])
    v = torch.tensor([[[[0.0], [4.0]]]])
    assert attend(Projections(q, k, v), v, ("qk",)).flatten().tolist() == pytest.approx([2.0, 3.0])


def test_naclip_by_hand_ignores_queries_and_prefers_neighbours():
    zeros = torch.zeros(1, 1, 3, 1)
    v = torch.tensor([[[[0.0], [1.0], [0.0]]]])
    near, far = math.exp(1), math.exp(math.exp(-1 / 50))
    wanted = [1 / 3, near / (1 + near + far), far / (1 + near + far)]
    got = attend(Projections(zeros + 9, zeros, v), v, ("kk",), grid=(1, 2), window=5.0)
    assert got.flatten().tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("window", [0.0, 5.0])
def test_half_precision_stays_half(dtype, window):
    own = projections(dtype=torch.float32)
    bias = torch.randn(2, TOKENS, TOKENS, generator=torch.Generator().manual_seed(3))
    half = Projections(*(tensor.to(dtype) for tensor in own))
    got = attend(half, half.v, ("kk",), grid=GRID, window=window, bias=bias)
    assert got.dtype == dtype
    torch.testing.assert_close(
        got.float(), attend(own, own.v, ("kk",), grid=GRID, window=window, bias=bias), atol=0.05, rtol=0
    )


# --- GEM ---


def test_normalised_attention_equals_its_formula_head_by_head():
    own, temperature = projections(), torch.tensor([1.5, 4.0], dtype=torch.float64)
    got = attend_normalised(own, own.v, ("qq", "kk", "vv"), temperature)
    wanted = torch.zeros_like(own.v)
    for image, head, part in itertools.product(range(2), range(3), range(3)):
        tau, x = float(temperature[image]), unit(own[part][image, head])
        x = unit(softmax(tau * x @ x.T) @ x)
        wanted[image, head] += softmax(tau * x @ x.T) @ own.v[image, head]
    torch.testing.assert_close(got, wanted, atol=1e-9, rtol=0)


def test_normalised_attention_ignores_lengths():
    own = projections()
    longer = Projections(own.q * 3, own.k * 0.1, own.v * torch.rand(2, 3, TOKENS, 1, dtype=torch.float64).add(1))
    temperature = torch.ones(2, dtype=torch.float64)
    first, second = (attend_normalised(x, own.v, ("qq", "kk", "vv"), temperature) for x in (own, longer))
    torch.testing.assert_close(first, second)


# --- the window ---


@pytest.mark.parametrize(("grid", "sigma"), [((2, 5), 5.0), ((5, 2), 1.5), ((1, 1), 5.0)])
def test_gaussian_window_equals_a_loop_over_pairs(grid, sigma):
    cells = [(y, x) for y in range(grid[0]) for x in range(grid[1])]
    wanted = [[math.exp(-((a - c) ** 2 + (b - d) ** 2) / (2 * sigma**2)) for c, d in cells] for a, b in cells]
    torch.testing.assert_close(gaussian_window(grid, sigma), torch.tensor(wanted))


@pytest.mark.parametrize("rows", [1, 4, 100])
@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_tokens_before_the_patches_have_no_place_in_the_window(monkeypatch, prefix, rows):
    """None as in SigLIP, CLS alone, or CLS and registers; and in bands of queries, those among them too."""
    own = projections(tokens=prefix + GRID[0] * GRID[1])
    monkeypatch.setattr(mixing, "LARGEST_MASK", rows * own.k.shape[-2])
    got = attend(own, own.v, ("kk", "qq"), grid=GRID, window=1.5)
    torch.testing.assert_close(got, slow_attend(own, own.v, ("kk", "qq"), window=1.5), atol=1e-6, rtol=0)


def test_window_is_symmetric_and_gives_cls_no_bonus():
    own = Projections(*torch.zeros(3, 1, 1, TOKENS, TOKENS, dtype=torch.float64))
    maps = attend(own, torch.eye(TOKENS, dtype=torch.float64)[None, None], ("kk",), grid=GRID, window=5.0)[0, 0]
    torch.testing.assert_close(maps[0], torch.full((TOKENS,), 1 / TOKENS, dtype=torch.float64))
    bonus = (maps / maps[:, :1]).log()[1:, 1:]  # over what CLS gets
    torch.testing.assert_close(bonus, bonus.T)
    torch.testing.assert_close(bonus, gaussian_window(GRID).double(), atol=1e-6, rtol=0)
