"""Choose the engine's defaults for the embedded model, on scenes that no other benchmark reports.

    python -m benchmarks.calibration --font NotoColorEmoji.ttf

Settings are ranked by the mean of full and half lists, so that a mode that only works with complete
lists does not win. The scenes are made on the spot from seeds of their own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from torch import Tensor

from llmseg.encoder import load_encoder
from llmseg.options import INCLUDE_NAMES, TEMPLATES
from llmseg.patch_features import build_patch_features
from llmseg.text_bank import build_text_bank
from llmseg.types import Expansion, PatchFeatures
from tools.world.scenes import random_scene
from tools.world.sprites import render_sprites

from .world import coarse_labels, full_expansion, half_expansion, measure, surprise, to_batch

FIRST_SEED = 500_000  # far from the packaged scenes' seeds
HALVES = 3
SETTINGS: list[tuple[str, float, float]] = [
    ("off", -1, -1),
    ("paper", 1.0, -1),
    ("paper", 0.05, -1),
    *(("blend", t, w) for t in (0.05, 0.02) for w in (0.25, 0.5)),
    *(("lme", t, -1) for t in (0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03)),
    ("max", -1, -1),
]


def main() -> None:
    """Print one table per question, best first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--font", type=Path, required=True, help="Noto Color Emoji font file")
    parser.add_argument("--scenes", type=int, default=100, help="scenes of 96 x 96 (default: 100)")
    options = parser.parse_args()
    sprites = render_sprites(options.font)
    scenes = [random_scene(FIRST_SEED + n, sprites) for n in range(options.scenes)]
    images, truth = to_batch([np.asarray(s.image) for s in scenes]), coarse_labels([s.labels for s in scenes])
    print(f"{options.scenes} scenes of 96 x 96, seeds from {FIRST_SEED}; mIoU in %, half = mean of {HALVES} draws\n")
    _attention(images, truth)
    _modes(images, truth)
    large = [random_scene(2 * FIRST_SEED + n, sprites, 192, 144) for n in range(options.scenes // 4)]
    _windows(to_batch([np.asarray(s.image) for s in large]), coarse_labels([s.labels for s in large]))


def _attention(images: Tensor, truth: Tensor) -> None:
    encoder = load_encoder()
    print("| attention | templates | full |\n|---|---|---:|")
    for attention in ("vanilla", "naclip"):
        features = build_patch_features(encoder, images, attention=attention)
        for templates in TEMPLATES.names:
            bank = build_text_bank(encoder, full_expansion(), templates, "no")
            print(f"| {attention} | {templates} | {measure(features, bank, truth, 'lme', 0.1):.1f} |")
    print()


def _modes(images: Tensor, truth: Tensor) -> None:
    encoder = load_encoder()
    features = build_patch_features(encoder, images)
    rows = []
    for include in INCLUDE_NAMES.names:
        banks = [build_text_bank(encoder, e, "auto", include) for e in _expansions()]
        for mode, temperature, weight in SETTINGS:
            full, *halves = (measure(features, bank, truth, mode, temperature, weight) for bank in banks)
            half = sum(halves) / len(halves)
            rows.append(((full + half) / 2, full, half, mode, temperature, weight, include))
    print(
        "| mode | temperature | name_weight | include_names | full | half | mean |\n|---|---:|---:|---|---:|---:|---:|"
    )
    for mean, full, half, mode, temperature, weight, include in sorted(rows, reverse=True):
        shown = ["-" if number < 0 else f"{number:g}" for number in (temperature, weight)]
        print(f"| {mode} | {shown[0]} | {shown[1]} | {include} | {full:.1f} | {half:.1f} | {mean:.1f} |")
    _scales(features, truth, rows)


def _scales(
    features: PatchFeatures, truth: Tensor, rows: list[tuple[float, float, float, str, float, float, str]]
) -> None:
    encoder = load_encoder()
    _, _, _, mode, temperature, _, include = max(rows)
    bank = build_text_bank(encoder, full_expansion(), "auto", include)
    print("\n| logit scale | negative log-likelihood |\n|---:|---:|")
    for scale in (5, 7, 10, 14, 20, 28, 40):
        print(f"| {scale} | {surprise(features, bank, truth, mode, temperature, scale):.3f} |")


def _windows(images: Tensor, truth: Tensor) -> None:
    encoder = load_encoder()
    bank = build_text_bank(encoder, full_expansion())
    print(f"\n{len(images)} scenes of 192 x 144\n\n| window | stride | mIoU |\n|---:|---:|---:|")
    for window, stride in ((0, 0), (96, 96), (96, 48), (96, 24), (64, 32)):
        features = build_patch_features(encoder, images, window=window, stride=stride)
        print(f"| {window or 'whole'} | {stride} | {measure(features, bank, truth, 'auto'):.1f} |")


def _expansions() -> list[Expansion]:
    return [full_expansion(), *(half_expansion(seed) for seed in range(HALVES))]


if __name__ == "__main__":
    main()
