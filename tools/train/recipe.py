"""Every number of the training, in one place.

Not here: what the numbers do. Sources: sizes as in the experiment that preceded this model; warm up, stay, cool
down from MiniCPM (arXiv:2404.06395), so that one long run can be cut at any budget and compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from llmseg.clip_config import ClipConfig, TowerConfig

__all__ = ["Recipe", "Stage", "model_config"]


@dataclass(frozen=True)
class Stage:
    """A kind of batch, and when it joins the training; each step draws one of those that have joined.

    Args:
        side: of the square scenes, in pixels.
        batch: scenes a step.
        first: scenes after which it joins.
        most: drawings in a scene, at most.
        smallest, largest: side of a drawing in pixels.
        canonical: how often a drawing is called by the first of its names.
    """

    side: int
    batch: int
    first: int
    most: int
    smallest: int
    largest: int
    canonical: float = 0.5


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how.

    Args:
        stages: kinds of batches, in the order in which they join.
        seed: of weights, scenes and captions.
        matrix_rate, rate: learning rates of Muon (matrices of the blocks) and AdamW (the rest).
        decay: weight decay.
        warm_up: steps in which the rates rise from zero.
        cool_down: last share of the budget, in which they fall to zero.
        averaging: weight of the past in the moving average of the weights, per step.
        global_weight, local_weight, hard_weight, path_weight: of the parts of the loss, see `objective`.
        thing_share, stuff_share: part of the patches that a phrase is expected to cover at least.
        thing_prior: how much sooner a patch is explained by a drawing of its caption than by the background.
        first_scale: of both losses' logits, before they are learned.
    """

    stages: tuple[Stage, ...] = (
        Stage(side=48, batch=192, first=0, most=1, smallest=20, largest=48, canonical=0.8),
        Stage(side=64, batch=144, first=150_000, most=2, smallest=16, largest=64, canonical=0.7),
        Stage(side=96, batch=96, first=250_000, most=4, smallest=12, largest=110, canonical=0.6),
    )
    seed: int = 0
    matrix_rate: float = 0.02
    rate: float = 1e-3
    decay: float = 0.02
    warm_up: int = 100
    cool_down: float = 0.35
    averaging: float = 0.99
    global_weight: float = 1.0
    local_weight: float = 0.5
    hard_weight: float = 0.7
    path_weight: float = 0.5
    thing_share: float = 0.025
    thing_prior: float = 4.0
    stuff_share: float = 0.40
    first_scale: float = 14.0
    most_scale: float = 50.0
    mean: tuple[float, float, float] = field(default=(0.5, 0.5, 0.5))
    std: tuple[float, float, float] = field(default=(0.27, 0.27, 0.27))

    def stage(self, scenes: int, draw: float) -> Stage:
        """The stage of the step after so many scenes.

        Small scenes teach what a drawing looks like, four times as many a second; large ones teach where it is.
        Both go on to the end, since the large ones alone forget the rare names.

        Args:
            scenes: seen before.
            draw: 0..1, evenly distributed.
        """
        joined = [stage for stage in self.stages if stage.first <= scenes]
        return joined[int(draw * len(joined))]

    def rate_factor(self, step: int, progress: float) -> float:
        """Factor on both learning rates.

        Args:
            step: from 0.
            progress: spent share of the budget, 0..1.
        """
        rising = min(1.0, (step + 1) / self.warm_up)
        return rising * min(1.0, max(0.0, 1 - progress) / self.cool_down)


def model_config(vocab_size: int) -> ClipConfig:
    """The sizes of both towers: 3.5 million parameters, patches of 8 pixels, windows of 96."""
    return ClipConfig(
        vision=TowerConfig(width=192, layers=6, heads=3, hidden=768),
        text=TowerConfig(width=128, layers=2, heads=2, hidden=512),
        image_size=96,
        patch_size=8,
        context_length=32,
        vocab_size=vocab_size,
        embed_dim=128,
    )
