"""Label files -> `LabelMap`: what `files` wrote, COCO's JSON, and label pictures of any data set.

    NAME_labels.png     with NAME_classes.json beside it, which says what the numbers mean
    anything.png        numbers or palette positions, with class names typed by a person
    NAME_coco.json      run-length encoded masks of one image

A label picture keeps its numbers and its palette: 0 is the first class, 255 (65535 in 16 bits) is unknown.

Not here: writing (`files`), COCO's run lengths (`coco`).
"""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .coco import labels_from_coco
from .errors import InputError
from .files import CLASSES_SUFFIX, LABELS_SUFFIX
from .names import parse_names
from .palette import Colour, make_palette
from .store import read_text
from .types import UNKNOWN, LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["label_map", "names_file", "read_class_names", "read_labels", "read_numbers"]

MOST_NUMBER = 65535
NUMBERED = re.compile(r"\s*(\d{1,5})\s*:\s*(\S.*)")  # 12: dog
NUMBER_MODES = ("P", "L", "1", "I", "I;16", "I;16B", "I;16L")


def read_labels(path: Path, class_names: str = "") -> LabelMap:
    """Read the labels of one image.

    Args:
        path: a label picture, or COCO's JSON.
        class_names: what the numbers of a picture mean: names in the order of the numbers from 0, or one `12: dog` a
            line, and numbers that are not listed are unknown. Empty where a file beside the picture says it.

    Returns:
        One image; its confidence is 1 wherever the class is known. [1,H,W]

    Raises:
        InputError: missing or unreadable, no class names, or a number without a name.
    """
    if path.suffix.lower() == ".json":
        labels, names = labels_from_coco(_read_json(path), path.name)
        return label_map(labels, names)
    numbers, palette, unknown = read_numbers(path)
    named = _parse_numbered(class_names) if class_names.strip() else _names_beside(path)
    return _name_numbers(numbers, named, palette, unknown, path.name)


def label_map(labels: NDArray[np.int64], names: tuple[str, ...], palette: tuple[Colour, ...] | None = None) -> LabelMap:
    """Labels that nobody had to guess: as sure as can be, without phrases. [H,W] -> [1,H,W]"""
    import torch

    known = torch.tensor(labels)[None]
    return LabelMap(
        labels=known,
        names=names,
        palette=make_palette(len(names)) if palette is None else palette,
        confidence=(known != UNKNOWN).float(),
        winning_phrase=torch.full_like(known, -1),
    )


def read_numbers(path: Path) -> tuple[NDArray[np.int64], list[int], int]:
    """Numbers of a label picture, its palette (empty without one), and the number that means unknown. [H,W]

    Raises:
        InputError: missing, damaged, of absurd size, in colours, or a number below 0 or above 65535.
    """
    import numpy as np
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.mode not in NUMBER_MODES:
                    problem = f"{path.name!r} holds colours ({image.mode}); expected one number a pixel, in a PNG."
                    raise InputError(problem, place="labels")
                numbers = np.asarray(image).astype(np.int64)
                palette = (image.getpalette("RGB") or []) if image.mode == "P" else []
                unknown = 65535 if image.mode.startswith("I") else 255
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        problem = f"{str(path)!r} is too large ({error}); expected at most {Image.MAX_IMAGE_PIXELS} pixels."
        raise InputError(problem, place="labels") from error
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises each of them for damaged files
        detail = getattr(error, "strerror", None) or "not a readable picture"
        raise InputError(f"cannot read {str(path)!r}: {detail}; expected a label PNG.", place="labels") from error
    if not 0 <= numbers.min() <= numbers.max() <= MOST_NUMBER:
        problem = f"numbers from {numbers.min()} to {numbers.max()} in {path.name!r}; expected 0 to {MOST_NUMBER}."
        raise InputError(problem, place="labels")
    return numbers, palette, unknown


def read_class_names(path: Path) -> dict[int, str] | tuple[str, ...]:
    """Read what numbers mean: the JSON written with a label picture, or text as in `read_labels`.

    Returns:
        Names by number, or names whose position is the number.

    Raises:
        InputError: missing, not UTF-8, or not in one of these forms.
    """
    if path.suffix.lower() == ".json":
        return _names_in(path)
    return _parse_numbered(read_text(path, place="classes"))


def _parse_numbered(text: str) -> dict[int, str] | tuple[str, ...]:
    """Names by number, or names whose position is the number."""
    lines = [line for line in text.splitlines() if line.strip()]
    matches = [NUMBERED.fullmatch(line) for line in lines]
    if not all(matches):
        return parse_names(text).names
    numbers = [int(match[1]) for match in matches if match]
    if max(numbers, default=0) > MOST_NUMBER:
        raise InputError(f"number {max(numbers)}; expected 0 to {MOST_NUMBER}.", place="class_names")
    if len(set(numbers)) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise InputError(f"number {twice} stands twice; expected every number once.", place="class_names")
    names = [match[2].strip() for match in matches if match]
    parse_names("\n".join(names))  # says what is wrong with a name
    return dict(zip(numbers, names, strict=True))


def names_file(path: Path) -> Path:
    """The file that says what the numbers of a label picture mean, as it is written with one."""
    return path.with_name(path.name.removesuffix(LABELS_SUFFIX).removesuffix(path.suffix) + CLASSES_SUFFIX)


def _names_beside(path: Path) -> tuple[str, ...]:
    beside = names_file(path)
    if not beside.is_file():
        problem = f"nothing says what the numbers of {path.name!r} mean; expected class names or {beside.name!r}"
        raise InputError(f"{problem} beside it.", place="class_names")
    return _names_in(beside)


def _names_in(path: Path) -> tuple[str, ...]:
    """Class names of the JSON that is written with a label picture, in the order of the numbers."""
    listed = _read_json(path).get("classes")
    if not isinstance(listed, list) or not listed:
        raise InputError("no classes; expected a list under 'classes'.", place=path.name)
    named: dict[int, str] = {}
    for entry in listed:
        label, name = (entry.get("label"), entry.get("name")) if isinstance(entry, dict) else (None, None)
        if type(label) is not int or not isinstance(name, str) or not name.strip():
            raise InputError(f"class {entry!r:.80}; expected a label and a name.", place=path.name)
        named[label] = name
    if sorted(named) != list(range(len(listed))):
        raise InputError(f"labels {sorted(named)!r:.80}; expected each from 0 once.", place=path.name)
    return tuple(named[label] for label in range(len(listed)))


def _name_numbers(
    numbers: NDArray[np.int64],
    named: dict[int, str] | tuple[str, ...],
    palette: list[int],
    unknown: int,
    place: str,
) -> LabelMap:
    import numpy as np

    if isinstance(named, tuple):
        named = dict(enumerate(named))
        strangers = [number for number in np.unique(numbers).tolist() if number not in named and number != unknown]
        if strangers:
            problem = f"number {strangers[0]} has no name; expected 0 to {len(named) - 1}, or {unknown} for unknown."
            raise InputError(problem, place=place)
    table = np.full(max(int(numbers.max()), *named) + 1, UNKNOWN, dtype=np.int64)
    table[list(named)] = range(len(named))
    has_colours = len(palette) >= 3 * (max(named) + 1)
    colours = tuple((palette[3 * n], palette[3 * n + 1], palette[3 * n + 2]) for n in named) if has_colours else None
    return label_map(table[numbers], tuple(named.values()), colours)


def _read_json(path: Path) -> dict[str, Any]:
    text = read_text(path, place="labels")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid JSON ({error}); expected an object.", place=path.name) from error
    if not isinstance(value, dict):
        raise InputError(f"a {type(value).__name__}; expected an object.", place=path.name)
    return value
