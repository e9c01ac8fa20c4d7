"""The packaged scenes: larger ones to look at, fifty small ones with exact labels to measure on.

Not here: how they are made (`tools/world`), measuring (`evaluation`).
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import lookup
from .files import read_image
from .options import SCENE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["WorldClasses", "benchmark_scenes", "load_example", "world_classes"]


@dataclass(frozen=True)
class WorldClasses:
    """What the numbers in the scenes' label files mean.

    Args:
        fine: fine-grained name of each label.
        coarse: the class each label belongs to; a background is its own.
    """

    fine: tuple[str, ...]
    coarse: tuple[str, ...]


def load_example(name: str) -> NDArray[np.uint8]:
    """One of the larger scenes. uint8 [H,W,3]

    Raises:
        UnknownNameError: no scene of that name.
    """
    lookup(SCENE.names, name, place="scene")
    return _read("examples", f"{name}.png")


def benchmark_scenes() -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """The fifty small scenes with their fine-grained labels. 50 of uint8 [96,96,3] and uint8 [96,96]"""
    return [(_read("scenes", f"{n:02}.png"), _read_labels(f"{n:02}.png")) for n in range(50)]


@lru_cache(maxsize=1)
def world_classes() -> WorldClasses:
    """The names behind the labels."""
    with _packaged("classes.json") as path:
        listed = json.loads(path.read_text(encoding="utf-8"))
    superclass = {entry["name"]: entry["superclass"] for entry in listed["fine"]}
    return WorldClasses(tuple(listed["labels"]), tuple(superclass.get(name, name) for name in listed["labels"]))


def _packaged(*parts: str) -> AbstractContextManager[Path]:
    file = resources.files(__package__).joinpath("data").joinpath("world")
    for part in parts:
        file = file.joinpath(part)
    return resources.as_file(file)


def _read(folder: str, name: str) -> NDArray[np.uint8]:
    with _packaged(folder, name) as path:
        return read_image(path)


def _read_labels(name: str) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    with _packaged("labels", name) as path, Image.open(path) as image:
        return np.asarray(image)
