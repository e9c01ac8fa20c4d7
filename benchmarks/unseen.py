"""Ten drawings that no training saw, under names that no caption held: does their superclass find them?

    python -m benchmarks.unseen --font NotoColorEmoji.ttf --look TwemojiMozilla.ttf

Scenes show one held-out drawing each. Its pixels can be right only through its siblings: through what the
class name means to the model, or through the names of the other kinds.
"""

from __future__ import annotations

import torch

from llmseg.encoder import load_encoder
from tools.world.scenes import Rules
from tools.world.sprites import render_sprites
from tools.world.vocabulary import FINE, Fine

from .conditions import BASE, FULL, parse_options
from .world import NAMES, Counts, ask, build_banks, conditions, measure, scenes

FIRST_SEED = 9_000_000
SMALLEST = 24  # pixels; smaller ones are hard for trained drawings too


def main() -> None:
    """Print one line per held-out name."""
    options = parse_options(__doc__, 20)
    sprites = render_sprites(options.font, options.look)
    encoder = load_encoder(options.model)
    asked = {name: condition for name, condition in conditions().items() if name in (BASE, FULL)}
    ways = ask(build_banks(encoder, asked))
    print(f"{options.scenes} scenes a name, drawings of {SMALLEST} to 120 pixels; share of its pixels in %.\n")
    print(f"| held-out name | superclass | known words | {BASE} | {FULL} | most often taken for |")
    print("|---|---|---|---:|---:|---|")
    for number, fine in enumerate(fine for fine in FINE if fine.held_out):
        rules = Rules(names=(fine.name,), smallest=SMALLEST, most=1)
        pictures = scenes(sprites, options.scenes, FIRST_SEED + 1000 * number, rules)
        counts = measure(encoder, pictures, ways)
        known = "no" if encoder.unknown_words(fine.name) else "yes"
        shares = " | ".join(f"{100 * _recall(counts[name], fine):.0f}" for name in asked)
        print(f"| {fine.name} | {fine.superclass} | {known} | {shares} | {_taken_for(counts[FULL], fine)} |")


def _recall(counts: Counts, fine: Fine) -> float:
    row = counts.total()[NAMES.index(fine.superclass)]
    return float(row[NAMES.index(fine.superclass)] / row.sum())


def _taken_for(counts: Counts, fine: Fine) -> str:
    row = counts.total()[NAMES.index(fine.superclass)][: len(NAMES)]
    best = torch.topk(row, 3).indices.tolist()
    return ", ".join(NAMES[label] for label in best if row[label] > 0)


if __name__ == "__main__":
    main()
