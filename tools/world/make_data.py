"""Write everything that the embedded world ships, except its model.

    python -m tools.world.make_data --font NotoColorEmoji.ttf --look TwemojiMozilla.ttf

Writes into llmseg/data (or --output): world/scenes, world/labels, world/examples, world/classes.json and
expansions/emoji.json. The same font files and the same Pillow and numpy give the same bytes.

Not here: the model (`tools.train`), the description of the data (llmseg/data/README.md).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from llmseg.errors import LLMSegError
from llmseg.store import write_atomic, write_json

from .scenes import Scene, random_scene
from .showcase import LAYOUTS, showcase_scene
from .sprites import Sprites, render_sprites
from .vocabulary import BACKGROUNDS, FINE, SUPERCLASSES, UNUSED, label_ids, members

__all__ = ["FIRST_SEED", "SCENES", "encode_image", "encode_labels", "expansion_library", "main", "make_data"]

SCENES = 50
FIRST_SEED = 20240401  # of the benchmark; scene n has seed FIRST_SEED + n
SIZES = ((96, 96), (128, 96), (160, 120), (192, 192), (256, 192))  # width and height, by turns
DATA = Path(__file__).resolve().parents[2] / "llmseg" / "data"
LICENCE = "drawings: Noto Color Emoji, SIL OFL 1.1, and Twemoji, CC-BY 4.0; everything else: Apache-2.0"


def encode_image(image: Image.Image) -> bytes:
    """An RGB picture as PNG bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def encode_labels(labels: NDArray[np.uint16]) -> bytes:
    """A label map as the bytes of a 16-bit grey PNG. [H,W]"""
    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def expansion_library() -> dict[str, object]:
    """The vocabulary as an expansion: superclasses split into fine names, backgrounds kept whole."""
    things = [_library_class(name, "thing", "expand", members(name)) for name in SUPERCLASSES]
    stuff = [_library_class(name, "stuff", "keep", ()) for name in BACKGROUNDS]
    return {
        "schema": 1,
        "name": "emoji",
        "description": f"World of the embedded model: {len(SUPERCLASSES)} groups, {len(BACKGROUNDS)} backgrounds.",
        "language": "en",
        "licence": "Apache-2.0",
        "classes": [*things, *stuff],
        "provenance": {
            "provider": "none",
            "author": "this project",
            "source": "tools/world/words.txt",
            "command": "python -m tools.world.make_data",
        },
    }


def _library_class(name: str, role: str, policy: str, kinds: tuple[str, ...]) -> dict[str, object]:
    subclasses = [{"text": kind, "status": "ok", "reason": "", "source": "library"} for kind in kinds]
    return {
        "name": name,
        "aliases": [],
        "sense": "",
        "role": role,
        "policy": policy,
        "subclasses": subclasses,
    }


def _class_table(scenes: dict[str, Scene], examples: dict[str, Scene], fonts: Sequence[Path]) -> dict[str, object]:
    """The content of classes.json."""
    return {
        "schema": 1,
        "description": "Scenes of the embedded world. A label picture holds indices of the list 'labels'.",
        "licence": LICENCE,
        "labels": list(label_ids()),
        "unused": UNUSED,
        "fine": [{"name": fine.name, "superclass": fine.superclass} for fine in FINE],
        "superclasses": list(SUPERCLASSES),
        "backgrounds": list(BACKGROUNDS),
        "scenes": {name: _contents(scene) for name, scene in scenes.items()},
        "examples": {name: _contents(scene) for name, scene in examples.items()},
        "provenance": {
            "command": "python -m tools.world.make_data",
            "first_seed": FIRST_SEED,
            "fonts": {font.name: hashlib.sha256(font.read_bytes()).hexdigest() for font in fonts},
        },
    }


def _contents(scene: Scene) -> dict[str, list[str] | list[int]]:
    """Names in a scene and the sides of its drawings in pixels, back to front."""
    return {
        "backgrounds": list(scene.backgrounds),
        "things": [placement.name for placement in scene.placements],
        "sizes": [placement.size for placement in scene.placements],
    }


def make_data(font: Path, looks: Sequence[Path], output: Path) -> None:
    """Draw every scene and write every file.

    Args:
        font: Noto Color Emoji.
        looks: further fonts, as in `sprites.render_sprites`.
        output: folder to write into.

    Raises:
        InputError: the font cannot be used, or the folder not be written.
    """
    sprites: Sprites = render_sprites(font, looks)
    scenes = {
        f"{index:02d}": random_scene(FIRST_SEED + index, sprites, *SIZES[index % len(SIZES)]) for index in range(SCENES)
    }
    examples = {name: showcase_scene(layout, sprites) for name, layout in LAYOUTS.items()}
    world = output / "world"
    for name, scene in scenes.items():
        write_atomic(world / "scenes" / f"{name}.png", encode_image(scene.image))
        write_atomic(world / "labels" / f"{name}.png", encode_labels(scene.labels))
    for name, scene in examples.items():
        write_atomic(world / "examples" / f"{name}.png", encode_image(scene.image))
        write_atomic(world / "examples" / f"{name}_labels.png", encode_labels(scene.labels))
    write_json(world / "classes.json", _class_table(scenes, examples, [font, *looks]))
    write_json(output / "expansions" / "emoji.json", expansion_library())


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 done, 1 failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.world.make_data", description="Make the data.")
    parser.add_argument("--font", type=Path, required=True, help="Noto Color Emoji font file")
    parser.add_argument("--look", type=Path, action="append", default=[], help="further font (COLR), repeatable")
    parser.add_argument("--output", type=Path, default=DATA, help="folder to write into (default: llmseg/data)")
    options = parser.parse_args(arguments)
    try:
        make_data(options.font, options.look, options.output)
    except LLMSegError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
