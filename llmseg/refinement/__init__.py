"""Sharper maps, guided by the picture: one refiner a file, tables of them, and the way to them.

    bilateral, guided, region_vote, superpixels, mean_field, propagation     the arithmetic
    guides                                                                   what a refiner may look at
    blocks                                                                   large pictures, block by block
    class_refiners, score_refiners                                           the tables
    refining                                                                 which one is called

Not here: PAMR and the CRF, which other stages use too (`llmseg.pamr`, `llmseg.crf`), painting (`llmseg.painting`).
"""

from __future__ import annotations

from .refining import (
    EARLY_REFINERS,
    REFINERS,
    SCORE_REFINERS,
    refine,
    refine_bilaterally,
    refine_maps,
    refine_scores,
)

__all__ = [
    "EARLY_REFINERS",
    "REFINERS",
    "SCORE_REFINERS",
    "refine",
    "refine_bilaterally",
    "refine_maps",
    "refine_scores",
]
