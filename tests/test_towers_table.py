"""Every kind of encoder with every attention: it runs on a landscape and a portrait picture, or refuses in one line.

The table that comes of it is kept in benchmarks/results/encoders.md; `python -m benchmarks.encoders` prints it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from conftest import random_checkpoint
from plain_models import make_backbone, simseg_state
from safetensors.torch import save_file
from tiny_towers import CONFIGS, RESNET, make_network, register, save_network
from torch.nn.functional import normalize

from llmseg.attention import ATTENTION
from llmseg.encoder import Encoder, load_encoder
from llmseg.errors import InputError
from llmseg.names import parse_names
from llmseg.patch_features import build_patch_features
from llmseg.types import TextBank

TABLE = Path(__file__).parent.parent / "benchmarks" / "results" / "encoders.md"
LANDSCAPE, PORTRAIT = (3, 5), (5, 3)  # patches
NAMES = ("cat", "dog", "grass", "sky")


def save_tensors(state: dict[str, torch.Tensor], path: Path) -> str:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return str(path)


def saved(described: dict) -> Callable[[Path], str]:
    return lambda path: save_network(make_network(described), path)


KINDS: dict[str, Callable[[Path], str]] = {
    "CLIP ViT": lambda path: save_tensors(random_checkpoint(), path),
    "SigLIP": saved(CONFIGS["Tiny-SigLIP"]),
    "PE-Core": saved(CONFIGS["Tiny-PE"]),
    "EVA-02": saved(CONFIGS["Tiny-EVA"]),
    "MobileCLIP-B": saved(CONFIGS["Tiny-MCI"]),
    "CLIP ResNet": saved(RESNET),
    "SimSeg": lambda path: save_tensors(simseg_state(), path),
}


@cache
def encoder_of(kind: str) -> Encoder:
    if kind == "SimSeg":
        pytest.importorskip("transformers")
    with tempfile.TemporaryDirectory() as folder:
        register(Path(folder))
        return load_encoder(KINDS[kind](Path(folder) / "tiny.safetensors"))


@cache
def backbone():
    return make_backbone()


def bank_of(encoder: Encoder) -> TextBank:
    vectors = torch.randn(len(NAMES), encoder.embed_dim, generator=torch.Generator().manual_seed(3))
    vectors = normalize(vectors, dim=-1)
    classes = parse_names(", ".join(NAMES))
    return TextBank(vectors, torch.arange(len(NAMES)), vectors, classes, NAMES, "bare", encoder.identity)


def look(encoder: Encoder, method: str, grid: tuple[int, int]) -> torch.Tensor:
    """Features of two pictures of so many patches, in windows of three by three. [B,ny,nx,h,w,D]"""
    patch = encoder.patch_size
    images = torch.rand(2, 3, grid[0] * patch, grid[1] * patch, generator=torch.Generator().manual_seed(4))
    features = build_patch_features(
        encoder,
        images,
        attention=method,
        window=3 * patch,
        stride=2 * patch,
        resize=0,
        layout="grid",
        scales="one",
        text_bank=bank_of(encoder) if ATTENTION[method].feedback else None,
        backbone=backbone() if ATTENTION[method].proxy else None,
    )
    return features.levels[0].windows


def runs(kind: str, method: str) -> bool:
    """Whether a combination runs; one that does not has to say so, of both pictures alike."""
    refusals = set()
    for grid in (LANDSCAPE, PORTRAIT):
        try:
            look(encoder_of(kind), method, grid)
        except InputError as error:
            refusals.add(str(error))
    assert len(refusals) < 2
    return not refusals


def draw_table() -> str:
    """The table as Markdown."""
    cells = {(kind, method): runs(kind, method) for method in ATTENTION for kind in KINDS}
    lines = [
        "# Encoders and attention methods",
        "",
        "`python -m benchmarks.encoders`",
        "",
        f"{sum(cells.values())} of {len(cells)} combinations run; the others refuse in one line that names the methods",
        "that the model can run. SigLIP stands for SigLIP 2 too. proxyclip is given a backbone, resclip a text bank.",
        "",
        f"| attention | {' | '.join(KINDS)} |",
        f"|---|{':-:|' * len(KINDS)}",
    ]
    for method in ATTENTION:
        row = " | ".join("runs" if cells[kind, method] else "refuses" for kind in KINDS)
        lines.append(f"| {method} | {row} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("method", ATTENTION)
@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_or_refuses_in_one_line(kind: str, method: str) -> None:
    encoder = encoder_of(kind)
    if method not in encoder.methods:
        with pytest.raises(InputError) as caught:
            look(encoder, method, LANDSCAPE)
        assert str(caught.value) == (
            f"attention: {method!r} needs a tower that 'tiny' does not have; expected {', '.join(encoder.methods)}, "
            "or auto."
        )
        return
    for grid in (LANDSCAPE, PORTRAIT):
        windows = look(encoder, method, grid)
        whole = ATTENTION[method].stitched
        count = (1, 1) if whole else tuple(1 + (length - 3) // 2 for length in grid)
        assert windows.shape[:3] == (2, *count)
        cells = grid if whole else (3, 3)
        assert windows.shape[3] / windows.shape[4] == cells[0] / cells[1]
        assert windows.shape[3:5] == cells or ATTENTION[method].proxy, "only a backbone has a finer grid"
        assert windows.shape[-1] == encoder.embed_dim
        assert windows.isfinite().all()
        torch.testing.assert_close(windows.norm(dim=-1), torch.ones(windows.shape[:-1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_auto_is_a_method_that_the_kind_can_run(kind: str) -> None:
    encoder = encoder_of(kind)
    assert encoder.defaults.attention in encoder.methods
    assert encoder.method() is encoder.methods[encoder.defaults.attention]


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_is_the_one_that_is_kept(kind: str) -> None:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    head, _, *body = rows
    assert head == ["attention", *KINDS]
    kept = {row[0]: row[head.index(kind)] == "runs" for row in body}
    assert kept == {method: runs(kind, method) for method in ATTENTION}
    cells = [cell for row in body for cell in row[1:]]
    assert f"{cells.count('runs')} of {len(cells)} combinations run" in "\n".join(lines)
