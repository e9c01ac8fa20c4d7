"""What a person would write below a scene: names of what is in it, and sentences around them.

Not here: scenes (`tools.world.scenes`), tokens (`batches`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from llmseg.templates import TEMPLATES, fill_templates
from tools.world.scenes import Placement
from tools.world.vocabulary import FINE, OTHER_SHARE, Fine, class_share, plural

__all__ = ["Caption", "Narrator", "frame_phrase"]

PLURAL = 0.1  # of the names
ARTICLE = 0.8
BACKGROUND = 0.85  # how often a caption says where the things are
OPENINGS = ("", "", "a photo of ", "a picture of ", "an image of ", "a scene with ")
LINKS = (" on ", " with ", " in front of ")
_FINE = {fine.name: fine for fine in FINE}


class Caption(NamedTuple):
    """A sentence and the phrases in it: one per drawing, and the background's where the sentence says it."""

    text: str
    things: tuple[str, ...]
    background: str  # empty where the caption leaves it out


class Narrator:
    """One person's way of speaking: the same word for the same drawing as long as this object lives.

    A batch has one narrator. Two narrators would call one drawing by two names, and a contrastive loss would
    learn that a picture with a poodle holds no french poodle.

    Args:
        random: source of every choice.
        canonical: how often a drawing is called by the first of its names.
    """

    def __init__(self, random: np.random.Generator, canonical: float = 0.5) -> None:
        self._random = random
        self._canonical = canonical
        self._words: dict[str, str] = {}

    def word(self, name: str) -> str:
        """What this narrator calls a drawing."""
        if name not in self._words:
            self._words[name] = self._choose(_FINE[name])
        return self._words[name]

    def describe(self, placements: Sequence[Placement], background: str) -> Caption:
        """A caption of a scene."""
        random = self._random
        things = tuple(self.word(placement.name) for placement in placements)
        with_article = random.random() < ARTICLE
        shown = [fill_templates(thing, ["{a}"])[0] if with_article else thing for thing in things]
        random.shuffle(shown)
        text = OPENINGS[random.integers(len(OPENINGS))] + _enumerate(shown)
        if things and random.random() >= BACKGROUND:
            return Caption(text, things, "")
        return Caption(text + LINKS[random.integers(len(LINKS))] + background, things, background)

    def _choose(self, fine: Fine) -> str:
        random = self._random
        if random.random() < (class_share(fine.superclass) if fine.typical else OTHER_SHARE):
            return fine.superclass
        other = random.random() >= self._canonical
        word = fine.wordings[random.integers(1, len(fine.wordings))] if other else fine.wordings[0]
        return plural(word) if random.random() < PLURAL else word


def frame_phrase(phrase: str, random: np.random.Generator) -> str:
    """A phrase in one of the sentences that it will be compared in."""
    frames = TEMPLATES["captions6"]
    return fill_templates(phrase, [frames[random.integers(len(frames))]])[0]


def _enumerate(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
