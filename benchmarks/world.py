"""Shared by the benchmarks on the embedded world: held-out scenes, conditions, and one measurement.

A condition is an expansion and whether class names join their lists; a new one is one entry of `conditions`.
A setting is how the engine is asked. Every label map is counted once over all pixels and once per range of
object sizes, there without the pixels of objects of other sizes.

Not here: any benchmark.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from llmseg.assembly import assemble_classes
from llmseg.class_maps import ClassMaps, HeldMaps
from llmseg.encoder import Encoder
from llmseg.evaluation import confusion_matrix
from llmseg.expansion import expand_from_text
from llmseg.labels import label_pixels
from llmseg.patch_features import build_patch_features
from llmseg.refinement import refine_bilaterally, refine_maps
from llmseg.scores import score_image
from llmseg.text_bank import build_text_bank
from llmseg.types import ClassExpansion, ClassList, ClassName, Expansion, PatchFeatures, Phrase, TextBank
from tools.world.scenes import Rules, Scene, random_scene
from tools.world.sprites import Sprites
from tools.world.vocabulary import BACKGROUNDS, FINE, SHARES, SUPERCLASSES, class_share, members

LISTS = Path(__file__).with_name("lists")
FIRST_SEED = 7_000_000  # of the reported scenes; calibration uses others
CALIBRATION_SEED = 500_000
SIZES = ((96, 96), (128, 96), (160, 160), (256, 192), (512, 384))  # width and height, by turns
BUCKETS = {"all": (0, 10_000), "12 to 24": (12, 24), "25 to 40": (25, 40), "41 to 120": (41, 120)}  # pixels
IGNORED = -100
CEILING, REFINED_CEILING = "ceiling of the patch grid", "the same, refined"
NEUTRAL = ("photo", "picture", "image", "scene", "front")  # words that the model knows and that name nothing
NAMES = (*SUPERCLASSES, *BACKGROUNDS)
COARSE = torch.tensor([*(NAMES.index(fine.superclass) for fine in FINE), *(NAMES.index(b) for b in BACKGROUNDS)])


@dataclass(frozen=True)
class Condition:
    """What the classes are split into, and whether their names join the lists."""

    expansion: Expansion
    include_names: str = "no"


@dataclass(frozen=True)
class Setting:
    """How the engine is asked; the defaults are the model's own.

    `edges` are the colour and the distance of the bilateral refiner, for sweeps.
    """

    mode: str = "auto"
    temperature: float = -1
    name_weight: float = -1
    attention: str = "auto"
    templates: str = "auto"
    window: int = -1
    stride: int = -1
    scales: str = "auto"
    refiner: str = "auto"
    edges: tuple[float, float] | None = None


class Ask(NamedTuple):
    """One way to segment: encoded phrases and a setting."""

    bank: TextBank
    setting: Setting = Setting()


@dataclass
class Counts:
    """Confusion matrices of one condition: per range of sizes, one per image. [C,C+1] each"""

    per_image: dict[str, list[Tensor]] = field(default_factory=lambda: {bucket: [] for bucket in BUCKETS})

    def total(self, bucket: str = "all") -> Tensor:
        """Summed over the images. [C,C+1]"""
        return torch.stack(self.per_image[bucket]).sum(0)


def scenes(sprites: Sprites, count: int, first_seed: int = FIRST_SEED, rules: Rules | None = None) -> Iterator[Scene]:
    """Scenes that no training has seen: seeds, backgrounds, and one pair of drawings in ten are new."""
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        yield random_scene(first_seed + number, sprites, width, height, rules)


def make_expansion(lists: Mapping[str, Sequence[str]]) -> Expansion:
    """Lists by superclass; whoever has none, and every background, keeps the bare name."""
    things = [ClassName(name) for name in SUPERCLASSES]
    stuff = [ClassName(name, role="stuff", policy="keep") for name in BACKGROUNDS]
    phrases = {name: tuple(Phrase(text, source="benchmark") for text in lists.get(name, ())) for name in SUPERCLASSES}
    classes = [
        *(ClassExpansion(entry, phrases[entry.name]) for entry in things),
        *(ClassExpansion(e, ()) for e in stuff),
    ]
    return Expansion(tuple(classes), {"source": "benchmark"})


def full_lists() -> dict[str, tuple[str, ...]]:
    """Every trained drawing of each superclass, by its first name."""
    return {name: members(name) for name in SUPERCLASSES}


def partial_lists(share: float, seed: int) -> dict[str, list[str]]:
    """A random share of every list, rounded, at least one while the share is not zero."""
    chooser = random.Random(seed)
    kept = {}
    for name, kinds in full_lists().items():
        count = max(1, round(len(kinds) * share)) if share else 0
        kept[name] = chooser.sample(kinds, count)
    return kept


def written_lists(name: str) -> Expansion:
    """Lists as a language model writes them from the class names alone, cleaned as the product would."""
    lists = json.loads((LISTS / f"{name}.json").read_text(encoding="utf-8"))["classes"]
    return expand_from_text(
        ClassList(tuple(entry.class_name for entry in make_expansion({}).classes)), json.dumps(lists)
    )


def placebo_lists() -> dict[str, list[str]]:
    """As many phrases as the full lists have, made of the class name and words that mean nothing."""
    endings = [*NEUTRAL, *(f"{one} {other}" for one in NEUTRAL for other in NEUTRAL if one != other)]
    return {name: [f"{name} {ending}" for ending in endings[: len(kinds)]] for name, kinds in full_lists().items()}


def shuffled_lists(seed: int = 0) -> dict[str, tuple[str, ...]]:
    """Every class with the list of another."""
    lists = list(full_lists().items())
    step = random.Random(seed).randrange(1, len(lists))
    return {name: lists[(number + step) % len(lists)][1] for number, (name, _) in enumerate(lists)}


def conditions() -> dict[str, Condition]:
    """What is compared; class names alone come first."""
    full = make_expansion(full_lists())
    return {
        "class names": Condition(make_expansion({})),
        "subclasses": Condition(full),
        "subclasses and names": Condition(full, "yes"),
        "half of each list": Condition(make_expansion(partial_lists(0.5, 1))),
        "half of each list, and names": Condition(make_expansion(partial_lists(0.5, 1)), "yes"),
        "a language model's lists, drawings": Condition(written_lists("drawings")),
        "the same, and names": Condition(written_lists("drawings"), "yes"),
        "a language model's lists, photographs": Condition(written_lists("photographs")),
        "the same, photographs, and names": Condition(written_lists("photographs"), "yes"),
        "placebo: names with neutral words": Condition(make_expansion(placebo_lists()), "yes"),
        "shuffled: another class's list": Condition(make_expansion(shuffled_lists()), "yes"),
    }


def share_groups() -> dict[str, list[int]]:
    """Labels of the superclasses by how often captions said their word for a typical drawing."""
    groups: dict[str, list[int]] = {f"{share:.0%}": [] for share in SHARES}
    for label, name in enumerate(SUPERCLASSES):
        groups[f"{class_share(name):.0%}"].append(label)
    return groups


def build_banks(encoder: Encoder, asked: Mapping[str, Condition], templates: str = "auto") -> dict[str, TextBank]:
    """Encode the phrases of every condition."""
    return {
        name: build_text_bank(encoder, condition.expansion, templates, condition.include_names)
        for name, condition in asked.items()
    }


def ask(banks: Mapping[str, TextBank], setting: Setting | None = None) -> dict[str, Ask]:
    """Every bank under one setting."""
    return {name: Ask(bank, setting or Setting()) for name, bank in banks.items()}


def measure(encoder: Encoder, pictures: Iterable[Scene], asked: Mapping[str, Ask]) -> dict[str, Counts]:
    """Segment every scene in every way, and by `perfect_maps`, as they are and refined like the model's own."""
    counts = {name: Counts() for name in (*asked, CEILING, REFINED_CEILING)}
    for scene in pictures:
        image = torch.from_numpy(np.array(scene.image)).permute(2, 0, 1)[None].float() / 255
        truths = bucket_truths(scene)
        encoded: dict[tuple[str, int, int, str], PatchFeatures] = {}
        for name, (bank, setting) in asked.items():
            way = (setting.attention, setting.window, setting.stride, setting.scales)
            if way not in encoded:
                encoded[way] = build_patch_features(
                    encoder, image, attention=way[0], window=way[1], stride=way[2], scales=way[3]
                )
            maps = _refined_maps(encoded[way], image, bank, setting)
            _count(counts[name], label_pixels(maps).labels[0], truths)
        best = perfect_maps(truths["all"], encoder)
        _count(counts[CEILING], label_pixels(best).labels[0], truths)
        _count(counts[REFINED_CEILING], label_pixels(refine_maps(best, image)).labels[0], truths)
    return counts


def _refined_maps(features: PatchFeatures, image: Tensor, bank: TextBank, setting: Setting) -> ClassMaps:
    maps = assemble_classes(
        score_image(features, bank), setting.mode, temperature=setting.temperature, name_weight=setting.name_weight
    )
    if setting.edges:
        return refine_bilaterally(maps, image, *setting.edges)
    return refine_maps(maps, image, setting.refiner)


def bucket_truths(scene: Scene) -> dict[str, Tensor]:
    """Coarse labels per range of object sizes; pixels of objects of other sizes are ignored. int64 [H,W] each"""
    coarse = COARSE[torch.from_numpy(scene.labels.astype(np.int64))]
    sizes = torch.tensor([0, *(placement.size for placement in scene.placements)])
    size = sizes[torch.from_numpy(scene.instances.astype(np.int64))]
    truths = {}
    for bucket, (smallest, largest) in BUCKETS.items():
        other = (size > 0) & ((size < smallest) | (size > largest))
        truths[bucket] = coarse.masked_fill(other, IGNORED)
    return truths


def perfect_maps(truth: Tensor, encoder: Encoder) -> ClassMaps:
    """What a perfect model would say: class shares per patch, also where the engine looks at finer scales."""
    height, width = truth.shape
    grid = (height // encoder.patch_size, width // encoder.patch_size)
    shares = F.one_hot(truth, len(NAMES)).permute(2, 0, 1)[None].float()
    return ClassMaps(
        source=HeldMaps(F.interpolate(shares, size=grid, mode="area")),
        classes=make_expansion({}).class_list,
        phrases=(),
        size=(height, width),
        logit_scale=1.0,
        mode="perfect",
        refiner=encoder.defaults.refiner,
    )


def _count(counts: Counts, predicted: Tensor, truths: Mapping[str, Tensor]) -> None:
    for bucket, truth in truths.items():
        counts.per_image[bucket].append(confusion_matrix(predicted, truth, len(NAMES), IGNORED))
