"""The packaged scenes: larger ones to look at, fifty random ones with exact labels to measure on.

A model that was made for such scenes says so, once, when it meets another picture.

Not here: how they are made (`tools/world`), measuring (`evaluation`).
"""

from __future__ import annotations

import json
import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from .encoder import Encoder
from .errors import lookup
from .files import read_image
from .label_files import label_map
from .options import SCENE
from .types import UNKNOWN, LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["WorldClasses", "benchmark_scenes", "load_example", "load_truth", "tell_limits", "world_classes"]

logger = logging.getLogger("llmseg")
_told: set[str] = set()  # identities of models whose limits this process has read


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


def load_truth(name: str) -> LabelMap:
    """What is where in one of the larger scenes: the classes it holds, in the order of their numbers. [1,H,W]

    Raises:
        UnknownNameError: no scene of that name.
    """
    import numpy as np

    lookup(SCENE.names, name, place="scene")
    with _packaged("examples", f"{name}_labels.png") as path:
        fine = _read_numbers(path)
    coarse = world_classes().coarse
    names = tuple(dict.fromkeys(coarse[label] for label in np.unique(fine).tolist()))
    table = [names.index(each) if each in names else UNKNOWN for each in coarse]
    return label_map(np.asarray(table, np.int64)[fine], names)


def benchmark_scenes() -> list[tuple[NDArray[np.uint8], NDArray[np.uint16]]]:
    """The fifty scenes of the benchmark with their fine-grained labels. 50 of uint8 [H,W,3] and uint16 [H,W]"""
    return [(_read("scenes", f"{n:02}.png"), _read_labels(f"{n:02}.png")) for n in range(50)]


@lru_cache(maxsize=1)
def world_classes() -> WorldClasses:
    """The names behind the labels."""
    with _packaged("classes.json") as path:
        listed = json.loads(path.read_text(encoding="utf-8"))
    superclass = {entry["name"]: entry["superclass"] for entry in listed["fine"]}
    return WorldClasses(tuple(listed["labels"]), tuple(superclass.get(name, name) for name in listed["labels"]))


def tell_limits(encoder: Encoder, images: Tensor) -> None:
    """Say what a model does not know, once per process, unless the pictures are packaged scenes.

    Args:
        encoder: the CLIP about to look.
        images: RGB in 0..1. [B,3,H,W]
    """
    if encoder.limits and encoder.identity not in _told and not all(map(_is_example, images)):
        _told.add(encoder.identity)
        logger.warning("%s: %s", encoder.name, encoder.limits)


def _is_example(image: Tensor) -> bool:
    """Whether a picture is a packaged scene, pixel by pixel. [3,H,W]"""
    import numpy as np

    pixels = (image.movedim(0, -1) * 255).round().cpu().numpy()
    return any(np.array_equal(pixels, load_example(name)) for name in SCENE.names)


def _packaged(*parts: str) -> AbstractContextManager[Path]:
    file = resources.files(__package__).joinpath("data").joinpath("world")
    for part in parts:
        file = file.joinpath(part)
    return resources.as_file(file)


def _read(folder: str, name: str) -> NDArray[np.uint8]:
    with _packaged(folder, name) as path:
        return read_image(path)


def _read_labels(name: str) -> NDArray[np.uint16]:
    with _packaged("labels", name) as path:
        return _read_numbers(path)


def _read_numbers(path: Path) -> NDArray[np.uint16]:
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image, np.uint16)
