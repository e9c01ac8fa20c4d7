"""Attention x assembly x PAMR on the embedded benchmark, with full and with half lists; and fast against exact.

    python -m benchmarks.dense_quality [--scenes 50]

The fifty scenes of the package, 52 classes, the embedded model with its own windows, scales and templates. PAMR
refines the maps of phrases before they are merged, as published; nothing else refines here. No setting is chosen on
these scenes: the model's defaults come from `calibration`.

Not here: what expansion is worth (`conditions`), photographs, for which there are no weights here.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from llmseg.assembly import assemble_classes
from llmseg.encoder import Encoder, load_encoder
from llmseg.evaluation import confusion_matrix, mean_iou
from llmseg.examples import benchmark_scenes
from llmseg.labels import label_pixels
from llmseg.options import ATTENTION, MODE
from llmseg.patch_features import build_patch_features
from llmseg.refinement import refine_maps, refine_scores
from llmseg.scores import score_image
from llmseg.types import PatchFeatures, TextBank

from .world import COARSE, NAMES, Condition, build_banks, full_lists, make_expansion, partial_lists

HALF_SEED = 1
METHODS = [name for name in ATTENTION.names if name != "proxyclip"]  # that one needs a backbone
SCORINGS = ("fast", "exact")


class Key(NamedTuple):
    """One cell of the tables."""

    lists: str
    pamr: bool
    attention: str
    mode: str


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=50, help="how many of the fifty, evenly spread")
    count = parser.parse_args().scenes
    torch.set_num_threads(2)
    encoder = load_encoder()
    banks = build_banks(
        encoder,
        {
            "full": Condition(make_expansion(full_lists()), "auto"),
            "half": Condition(make_expansion(partial_lists(0.5, HALF_SEED)), "auto"),
        },
    )
    totals: dict[Key, Tensor] = defaultdict(lambda: torch.zeros(len(NAMES), len(NAMES) + 1, dtype=torch.int64))
    agreements: dict[str, list[Tensor]] = defaultdict(list)
    scenes = benchmark_scenes()
    for picture, fine in scenes[:: max(1, len(scenes) // count)][:count]:
        image = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        truth = COARSE[torch.from_numpy(fine.astype(np.int64))]
        for key, labels in _all_ways(encoder, image, banks):
            totals[key] += confusion_matrix(labels, truth, len(NAMES))
        _compare_scorings(encoder, image, banks["full"], truth, agreements)
    _print_tables(totals, count)
    _print_agreements(agreements)


def _all_ways(encoder: Encoder, image: Tensor, banks: dict[str, TextBank]) -> Iterator[tuple[Key, Tensor]]:
    for attention in METHODS:
        features: PatchFeatures | None = None
        for lists, bank in banks.items():
            if features is None or attention == "resclip":  # which looks at the phrases
                features = build_patch_features(encoder, image, attention=attention, text_bank=bank)
            scores = score_image(features, bank)
            for pamr in (False, True):
                refined = refine_scores(scores, image, "pamr" if pamr else "none")
                for mode in MODE.names:
                    labels = label_pixels(assemble_classes(refined, mode)).labels[0]
                    yield Key(lists, pamr, attention, mode), labels


def _compare_scorings(
    encoder: Encoder, image: Tensor, bank: TextBank, truth: Tensor, agreements: dict[str, list[Tensor]]
) -> None:
    """Labels of both scorings with the model's own mode, with and without its own refiner, and with SCLIP's merge."""
    features = build_patch_features(encoder, image)
    for mode in (encoder.defaults.mode, "softmax_max"):
        fast, exact = (label_pixels(assemble_classes(score_image(features, bank, s), mode)).labels[0] for s in SCORINGS)
        agreements[f"{mode}: equal labels"].append((fast == exact).float().mean())
        for scoring, labels in zip(SCORINGS, (fast, exact), strict=True):
            agreements[f"{mode}: confusion, {scoring}"].append(confusion_matrix(labels, truth, len(NAMES)))
    refined = refine_maps(assemble_classes(score_image(features, bank)), image)
    agreements["own refiner: confusion, fast"].append(
        confusion_matrix(label_pixels(refined).labels[0], truth, len(NAMES))
    )


def _print_tables(totals: dict[Key, Tensor], count: int) -> None:
    print(f"{count} scenes of the package, {len(NAMES)} classes; mIoU in %, rows attention, columns assembly.")
    for lists in ("full", "half"):
        for pamr in (False, True):
            print(f"\n{lists.capitalize()} lists, {'PAMR before the merge' if pamr else 'not refined'}:\n")
            print("| attention |" + "".join(f" {mode} |" for mode in MODE.names))
            print("|---|" + "---:|" * len(MODE.names))
            for attention in METHODS:
                scores = [100 * mean_iou(totals[Key(lists, pamr, attention, mode)]) for mode in MODE.names]
                print(f"| {attention} |" + "".join(f" {score:.1f} |" for score in scores))


def _print_agreements(agreements: dict[str, list[Tensor]]) -> None:
    print("\nFast against exact scoring, full lists, the model's own attention, not refined:\n")
    print("| what | value |\n|---|---:|")
    for name, values in agreements.items():
        if "confusion" in name:
            print(f"| {name.replace('confusion', 'mIoU, %')} | {100 * mean_iou(torch.stack(values).sum(0)):.1f} |")
        else:
            print(f"| {name}, % of pixels | {100 * float(torch.stack(values).mean()):.2f} |")


if __name__ == "__main__":
    main()
