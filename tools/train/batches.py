"""Batches of pictures, captions and phrases: batch n is a function of the seed and n alone.

So a resumed training sees what an uninterrupted one would have seen, in any number of processes.

Not here: what is in a scene (`tools.world`), what is said of it (`captions`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from llmseg.tokenizer import END, START, ClipTokenizer
from tools.world.scenes import BackdropPool, Rules, paste_drawing, random_contents, relight
from tools.world.sprites import Sprites
from tools.world.vocabulary import BACKGROUNDS, TEMPLATE_WORDS, known_names

from .captions import Narrator, frame_phrase
from .recipe import Stage

__all__ = ["Batch", "Batches", "token_ids", "tokenize"]

FORGOTTEN = 0.02  # share of tokens replaced by "any other token", so that an unknown word does little harm


class Batch(NamedTuple):
    """One step's food.

    Args:
        images: uint8 [B,S,S,3]
        captions: token rows. int64 [B,L]
        phrases: token rows of every phrase that some caption holds, framed. int64 [K,M]
        holds: which caption holds which phrase. bool [B,K]
        stuff: whether a phrase is a background. bool [K]
        told: whether a caption names everything that its picture shows. bool [B]
        same: pairs of pictures with the same caption. bool [B,B]
    """

    images: Tensor
    captions: Tensor
    phrases: Tensor
    holds: Tensor
    stuff: Tensor
    told: Tensor
    same: Tensor


@lru_cache(maxsize=1)
def token_ids() -> list[int]:
    """The CLIP tokens in use, sorted; the ends of a sentence are the last two."""
    encode = ClipTokenizer(32).encode
    used = {token for text in (*known_names(), *TEMPLATE_WORDS, ",") for token in encode(text)}
    return [*sorted(used), START, END]


@lru_cache(maxsize=1)
def _rows() -> dict[int, int]:
    return {token: row for row, token in enumerate(token_ids(), start=1)}


@lru_cache(maxsize=65_536)
def _encode(text: str) -> tuple[int, ...]:
    rows = _rows()
    tokens = (START, *_tokenizer().encode(text), END)
    return tuple(rows.get(token, 0) for token in tokens)


@lru_cache(maxsize=1)
def _tokenizer() -> ClipTokenizer:
    return ClipTokenizer(32)


def tokenize(texts: list[str], random: np.random.Generator | None = None) -> Tensor:
    """Rows of the compact token table, padded with zeros. int64 [N,L]

    Args:
        texts: sentences.
        random: forgets a few tokens where given.
    """
    rows = [_encode(text) for text in texts]
    table = np.zeros((len(rows), -(-max(map(len, rows)) // 4) * 4), np.int64)  # few different lengths
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    if random is not None:
        forgotten = (random.random(table.shape) < FORGOTTEN) & (table < len(_rows()) - 1)
        table[forgotten] = 0
    return torch.from_numpy(table)


class Batches:
    """Makes batches.

    Args:
        sprites: the drawings.
        seed: of everything.
    """

    def __init__(self, sprites: Sprites, seed: int) -> None:
        self.sprites = sprites
        self.seed = seed
        self.pool = BackdropPool()

    def make(self, number: int, stage: Stage) -> Batch:
        """The batch of that number."""
        random = np.random.default_rng((self.seed, number))
        narrator = Narrator(random, stage.canonical)
        rules = Rules(smallest=stage.smallest, largest=stage.largest, most=stage.most, new_pairs=False)
        images = np.empty((stage.batch, stage.side, stage.side, 3), np.uint8)
        captions = []
        for row in range(stage.batch):
            name, placements = random_contents(random, stage.side, stage.side, rules)
            picture = self.pool(name, random, stage.side, stage.side)
            for placement in placements:
                paste_drawing(picture, placement, self.sprites)
            images[row] = np.asarray(relight(picture, random))
            captions.append(narrator.describe(placements, name))
        phrases = sorted({phrase for caption in captions for phrase in (*caption.things, caption.background) if phrase})
        columns = {phrase: column for column, phrase in enumerate(phrases)}
        holds = torch.zeros(len(captions), len(phrases), dtype=torch.bool)
        for row, caption in enumerate(captions):
            for phrase in (*caption.things, caption.background):
                if phrase:
                    holds[row, columns[phrase]] = True
        told = torch.tensor([bool(caption.background) for caption in captions])
        return Batch(
            images=torch.from_numpy(images),
            captions=tokenize([caption.text for caption in captions], random),
            phrases=tokenize([frame_phrase(phrase, random) for phrase in phrases], random),
            holds=holds,
            stuff=torch.tensor([phrase in BACKGROUNDS for phrase in phrases]),
            told=told,
            same=(holds[:, None] == holds[None]).all(-1) & (told[:, None] == told[None]),
        )
