"""Every refiner on the embedded benchmark: areas, outlines, and what it costs; then scales and mirror images.

    python -m benchmarks.refinement [--scenes 50] [--threads 1]

The fifty scenes of the package, 52 classes, full lists, the embedded model with its own mode, windows, scales and
templates. No setting is chosen on these scenes: those of the refiners come from `refiner_calibration`. The class
masks that refiner `regions` is given are those of the drawings, as no model would find them: an upper bound.

Not here: attention and assembly (`dense_quality`), photographs, for which there are no weights here.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llmseg.assembly import assemble_classes
from llmseg.class_maps import ClassMaps
from llmseg.components import label_components
from llmseg.encoder import Encoder, load_encoder
from llmseg.evaluation import compare_miou, confusion_matrix, mean_iou
from llmseg.evaluation.boundaries import count_boundaries
from llmseg.examples import benchmark_scenes
from llmseg.labels import label_pixels
from llmseg.options import FLIPS, SCALES
from llmseg.patch_features import build_patch_features
from llmseg.refinement import REFINERS, refine_maps, refine_scores
from llmseg.refinement.mean_field import has_cpp
from llmseg.scores import ScoreMaps, score_image
from llmseg.types import TextBank

from .world import COARSE, NAMES, Condition, build_banks, full_lists, make_expansion

BANDS = {"boundary IoU": None, "at 2 pixels": 2}  # width in pixels; None: as published
NONE, OWN = "none", "bilateral"  # the second one is the embedded model's default
BEST = ("crf", "guided")  # on calibration scenes


@dataclass
class Tally:
    """What one way gave: a confusion matrix per scene, bands of the classes, processor seconds."""

    matrices: list[Tensor] = field(default_factory=list)
    bands: dict[str, Tensor] = field(default_factory=lambda: {name: torch.zeros(len(NAMES), 2) for name in BANDS})
    seconds: float = 0.0

    def add(self, labels: Tensor, truth: Tensor, seconds: float) -> None:
        """Count one scene."""
        self.matrices.append(confusion_matrix(labels, truth, len(NAMES)))
        for name, width in BANDS.items():
            self.bands[name] += count_boundaries(labels, truth, len(NAMES), None, width)
        self.seconds += seconds

    @property
    def miou(self) -> float:
        """In %."""
        return 100 * mean_iou(torch.stack(self.matrices).sum(0))

    def boundary(self, name: str) -> float:
        """Mean over the classes that are true somewhere, in %."""
        there = torch.stack(self.matrices).sum((0, 2)) > 0
        both, either = self.bands[name].T
        return 100 * float((both / either.clamp(min=1))[there].mean())


@dataclass(frozen=True)
class Scene:
    """A picture and what is known of it: image [1,3,H,W], coarse labels [H,W], a mask per drawing [N,H,W]."""

    image: Tensor
    truth: Tensor
    masks: Tensor


Way = Callable[[ScoreMaps, ClassMaps, Scene], ClassMaps]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=50, help="how many of the fifty, evenly spread")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    encoder = load_encoder()
    bank = build_banks(encoder, {"full": Condition(make_expansion(full_lists()), "auto")})["full"]
    pictures = list(_scenes(options.scenes))
    cpp = "in C++ (pydensecrf)" if has_cpp() else "in torch"
    print(
        f"{len(pictures)} scenes of the package, {len(NAMES)} classes, {os.cpu_count()} cores, {options.threads} of "
        f"them used; the CRF {cpp}.\nmIoU in %, processor seconds a scene.\n"
    )
    _print_refiners(_measure_refiners(encoder, bank, pictures))
    _print_looks(_measure_looks(encoder, bank, pictures))


def _scenes(count: int) -> Iterator[Scene]:
    scenes = benchmark_scenes()
    for picture, fine in scenes[:: max(1, len(scenes) // count)][:count]:
        image = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        labels = torch.from_numpy(fine.astype(np.int64))
        yield Scene(image, COARSE[labels], _drawings(fine))


def _drawings(fine: NDArray[np.uint16]) -> Tensor:
    """A mask per connected piece of one name. bool [N,H,W]"""
    piece, names = label_components(fine.astype(np.int64))
    return torch.from_numpy(piece == np.arange(len(names))[:, None, None])


def refiner_ways() -> dict[str, Way]:
    """Every refiner behind the merge, those that also work before it, and two of them in turn."""
    ways: dict[str, Way] = {}
    for name in REFINERS:
        ways[name] = _behind(name)
    ways["regions: the drawings' own masks"] = ways.pop("regions")
    ways["pamr before the merge"] = _before("pamr")
    ways["guided before the merge"] = _before("guided")
    ways["bilateral, then crf"] = _behind("bilateral", "crf")
    return ways


def _behind(*refiners: str) -> Way:
    def refine(scores: ScoreMaps, maps: ClassMaps, scene: Scene) -> ClassMaps:
        for refiner in refiners:
            maps = refine_maps(maps, scene.image, refiner, regions=scene.masks)
        return maps

    return refine


def _before(refiner: str) -> Way:
    def refine(scores: ScoreMaps, maps: ClassMaps, scene: Scene) -> ClassMaps:
        return assemble_classes(refine_scores(scores, scene.image, refiner))

    return refine


def _measure_refiners(encoder: Encoder, bank: TextBank, pictures: Sequence[Scene]) -> dict[str, Tally]:
    ways = refiner_ways()
    tallies = {name: Tally() for name in ways}
    for scene in pictures:
        scores = score_image(build_patch_features(encoder, scene.image), bank)
        maps = assemble_classes(scores)
        for name, way in ways.items():
            start = time.process_time()
            labels = label_pixels(way(scores, maps, scene)).labels[0]
            tallies[name].add(labels, scene.truth, time.process_time() - start)
    return tallies


def _measure_looks(encoder: Encoder, bank: TextBank, pictures: Sequence[Scene]) -> dict[tuple[str, str], Tally]:
    """Every choice of scales with and without mirror images, with the model's own refiner."""
    tallies = {(scales, flips): Tally() for scales in SCALES.names for flips in FLIPS.names}
    for scene in pictures:
        for (scales, flips), tally in tallies.items():
            start = time.process_time()
            features = build_patch_features(encoder, scene.image, scales=scales, flips=flips)
            maps = assemble_classes(score_image(features, bank))
            seconds = time.process_time() - start
            tally.add(label_pixels(refine_maps(maps, scene.image)).labels[0], scene.truth, seconds)
    return tallies


def _print_refiners(tallies: dict[str, Tally]) -> None:
    print(f"| refiner | mIoU | more than none, 95 % | {' | '.join(BANDS)} | seconds |")
    print("|---|---:|---:|" + "---:|" * (len(BANDS) + 1))
    for name, tally in tallies.items():
        more = compare_miou(tally.matrices, tallies[NONE].matrices)
        interval = "" if name == NONE else f"{100 * more.value:+.1f} ({100 * more.low:+.1f} to {100 * more.high:+.1f})"
        bands = " | ".join(f"{tally.boundary(band):.1f}" for band in BANDS)
        print(f"| {name} | {tally.miou:.1f} | {interval} | {bands} | {tally.seconds / len(tally.matrices):.3f} |")
    for name in BEST:
        more = compare_miou(tallies[name].matrices, tallies[OWN].matrices)
        print(f"\n{name} over {OWN}: {100 * more.value:+.1f} ({100 * more.low:+.1f} to {100 * more.high:+.1f})")


def _print_looks(tallies: dict[tuple[str, str], Tally]) -> None:
    print("\nScales and mirror images, with the model's own refiner; seconds up to class maps.\n")
    print(f"| scales | flips | mIoU | mirror images, 95 % | {' | '.join(BANDS)} | seconds |")
    print("|---|---|---:|---:|" + "---:|" * (len(BANDS) + 1))
    for (scales, flips), tally in tallies.items():
        more = compare_miou(tally.matrices, tallies[scales, "none"].matrices)
        interval = (
            "" if flips == "none" else f"{100 * more.value:+.1f} ({100 * more.low:+.1f} to {100 * more.high:+.1f})"
        )
        bands = " | ".join(f"{tally.boundary(band):.1f}" for band in BANDS)
        seconds = tally.seconds / len(tally.matrices)
        print(f"| {scales} | {flips} | {tally.miou:.1f} | {interval} | {bands} | {seconds:.3f} |")


if __name__ == "__main__":
    main()
