"""Training of the embedded model: captions and pictures in, one open_clip-layout file out; never a mask.

    python -m tools.train --font NotoColorEmoji.ttf --look TwemojiMozilla.ttf --output FOLDER

Scripts, run from a checkout; not part of the wheel. Reading order: `recipe`, `captions`, `batches`, `towers`,
`objective`, `trainer`, `export`.

Not here: the world that is trained on (`tools.world`), measuring (`benchmarks`).
"""
