"""Does expansion help? Class names only, subclasses only, and both, on the fifty packaged scenes.

    python -m benchmarks.conditions

44 classes: 34 groups of drawings and 10 backgrounds. Nothing is chosen on these scenes; the engine's
defaults come from `calibration.py`.
"""

from __future__ import annotations

from torch import Tensor

from llmseg.encoder import Encoder, load_encoder
from llmseg.examples import benchmark_scenes
from llmseg.patch_features import build_patch_features
from llmseg.text_bank import build_text_bank
from llmseg.types import Expansion, PatchFeatures

from .world import coarse_labels, full_expansion, half_expansion, measure, to_batch

MODES = ("auto", "lme", "max", "blend", "paper")
HALVES = 5


def main() -> None:
    """Print mIoU per condition and mode."""
    scenes = benchmark_scenes()
    images, truth = to_batch([image for image, _ in scenes]), coarse_labels([labels for _, labels in scenes])
    encoder = load_encoder()
    features = build_patch_features(encoder, images)
    defaults = encoder.defaults
    print(f"{len(scenes)} scenes of 96 x 96, {len(full_expansion().classes)} classes, model {encoder.name}; mIoU in %.")
    print(f"auto is {defaults.mode} with temperature {defaults.temperature}; half lists: mean of {HALVES} draws.\n")
    print("| condition | " + " | ".join(MODES) + " |\n|---" * 1 + "|---:" * len(MODES) + "|")
    off = measure(features, build_text_bank(encoder, full_expansion()), truth, "off")
    print("| class names only |" + f" {off:.1f} |" * len(MODES))
    halves = [half_expansion(seed) for seed in range(HALVES)]
    for label, expansions, include in (
        ("subclasses", [full_expansion()], "no"),
        ("both", [full_expansion()], "yes"),
        ("half of the subclasses", halves, "no"),
        ("half of the subclasses, and names", halves, "yes"),
    ):
        values = [_mean(encoder, features, truth, expansions, include, mode) for mode in MODES]
        print(f"| {label} | " + " | ".join(f"{value:.1f}" for value in values) + " |")


def _mean(
    encoder: Encoder, features: PatchFeatures, truth: Tensor, expansions: list[Expansion], include: str, mode: str
) -> float:
    banks = [build_text_bank(encoder, expansion, "auto", include) for expansion in expansions]
    return sum(measure(features, bank, truth, mode) for bank in banks) / len(banks)


if __name__ == "__main__":
    main()
