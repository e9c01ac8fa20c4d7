"""Choose the settings of the refiners, on scenes that no other benchmark reports.

    python -m benchmarks.refiner_calibration --font NotoColorEmoji.ttf --look TwemojiMozilla.ttf

Each refiner is given the embedded model's probabilities at the pixels, from patches enlarged as they are and from
those made finer bilaterally. The scenes are made on the spot from the seeds of `calibration`.

Not here: what is reported (`refinement`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from llmseg.assembly import assemble_classes
from llmseg.class_maps import ClassMaps
from llmseg.crf import CRF_PRESETS
from llmseg.encoder import load_encoder
from llmseg.patch_features import build_patch_features
from llmseg.refinement import refine_bilaterally
from llmseg.refinement.blocks import read_pixels
from llmseg.refinement.guided import filter_guided
from llmseg.refinement.mean_field import sharpen_by_crf
from llmseg.refinement.region_vote import count_pixels, count_regions, share_regions, sum_regions
from llmseg.refinement.superpixels import cut_superpixels
from llmseg.sampling import Box
from llmseg.scores import score_image
from tools.world.sprites import render_sprites

from .conditions import parse_options
from .refinement import BANDS, Tally
from .world import CALIBRATION_SEED, Condition, bucket_truths, build_banks, full_lists, make_expansion, scenes

RADII, EVENNESSES = (4, 8, 12), (1e-3, 1e-4, 1e-5)
SIDES, COMPACTNESSES = (6, 8, 10), (10, 20, 30, 50)


class Pixels(NamedTuple):
    """Probabilities of the classes that win something [c,H,W], these classes [c], the picture [3,H,W]."""

    values: Tensor
    chosen: Tensor
    picture: Tensor


def main() -> None:
    """Print one table, best first."""
    options = parse_options(__doc__, 30)
    torch.set_num_threads(1)
    sprites = render_sprites(options.font, options.look)
    encoder = load_encoder(options.model)
    bank = build_banks(encoder, {"full": Condition(make_expansion(full_lists()), "auto")})["full"]
    tallies: dict[str, Tally] = {}
    for scene in scenes(sprites, options.scenes, CALIBRATION_SEED):
        image = torch.from_numpy(np.array(scene.image)).permute(2, 0, 1)[None].float() / 255
        truth = bucket_truths(scene)["all"]
        coarse = assemble_classes(score_image(build_patch_features(encoder, image), bank))
        for start, maps in (("patches", coarse), ("bilateral", refine_bilaterally(coarse, image))):
            pixels = _read(maps, image)
            for name, values in _all_ways(pixels):
                labels = pixels.chosen[values.argmax(0)]
                tallies.setdefault(f"{name} | {start}", Tally()).add(labels, truth, 0.0)
    print(f"{options.scenes} scenes, seeds from {CALIBRATION_SEED}; in %\n")
    print("| refiner | starts from | mIoU | boundary IoU | at 2 pixels |\n|---|---|---:|---:|---:|")
    for name, tally in sorted(tallies.items(), key=lambda item: -item[1].miou):
        bands = " | ".join(f"{tally.boundary(band):.1f}" for band in BANDS)
        print(f"| {name} | {tally.miou:.1f} | {bands} |")


def _read(maps: ClassMaps, image: Tensor) -> Pixels:
    pixels = read_pixels(maps)
    whole = Box(slice(0, maps.size[0]), slice(0, maps.size[1]))
    return Pixels(pixels.read(0, whole), pixels.chosen[0], image[0])


def _all_ways(pixels: Pixels) -> Iterator[tuple[str, Tensor]]:
    values, _, picture = pixels
    yield "none", values
    for radius, evenness in itertools.product(RADII, EVENNESSES):
        yield f"guided {radius} {evenness:g}", filter_guided(values, picture, radius, evenness)
    for name, preset in CRF_PRESETS.items():
        yield f"crf {name}", sharpen_by_crf(values, picture, preset)
    votes = one_hot(values.argmax(0), len(values)).movedim(-1, 0).float()
    for side, compactness in itertools.product(SIDES, COMPACTNESSES):
        pieces = cut_superpixels(picture, side, compactness)
        for name, each in (("mean probability", values), ("mode", votes)):
            count = count_regions(pieces)
            means = sum_regions(each, pieces, count) / count_pixels(pieces, count).clamp(min=1)[:, None]
            yield f"superpixels {side} {compactness}, {name}", share_regions(each, pieces, means)


if __name__ == "__main__":
    main()
