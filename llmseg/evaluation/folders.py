"""Where the files of data sets lie: public layouts, and folders of a person's own; each image with its label file.

Not here: what the numbers in the files mean (`number_tables`), reading them (`datasets`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from ..errors import InputError
from ..store import is_file, is_folder, read_text
from .number_tables import NumberTable

__all__ = ["Layout", "Pair", "Truths", "list_pairs", "pair_folders"]

logger = logging.getLogger("llmseg")

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
LABEL_ENDINGS = (".png", "_labels.png")  # the second is how this program writes them


class Pair(NamedTuple):
    """One image: its name without suffix, "/" between folders, its file, its label file and what numbers mean there."""

    name: str
    image: Path
    truth: Path
    table: NumberTable


class Truths(NamedTuple):
    """One kind of label files: the folder, what follows an image's name, and what numbers mean."""

    folder: str
    ending: str
    table: NumberTable


@dataclass(frozen=True)
class Layout:
    """How a data set lies in its folder; `{split}` in a path is the part that is measured on.

    Args:
        homes: where, below the folder that a person names, everything else is looked for.
        images: folders of images.
        image_ending: what follows the name of an image.
        truths: kinds of label files; each image takes the first kind that it has.
        splits: parts by what people call them, the first is the default; other names are taken as they are.
        listed: a text file of the names of a part, one a line; without it, all images of the folder.
    """

    homes: tuple[str, ...]
    images: tuple[str, ...]
    image_ending: str
    truths: tuple[Truths, ...]
    splits: Mapping[str, str]
    listed: str = ""


def list_pairs(layout: Layout, root: Path, split: str = "") -> list[Pair]:
    """All images of one part of a data set, in the order of its list, else of their names.

    Args:
        layout: of the data set.
        root: the folder that holds it, at any of the layout's levels.
        split: the part; empty for the layout's own.

    Raises:
        InputError: no such folder or list, a name in the list that is none, or images without a file or labels.
    """
    part = layout.splits.get(split, split) if split else next(iter(layout.splits.values()))
    _check_name(part, "split")
    if not is_folder(root):
        raise InputError(f"no folder {str(root)!r}; expected the one that holds the data set.", place="root")
    marks = [layout.listed] if layout.listed else list(layout.images)
    home = root / _find_home(layout, root, [mark.format(split=part) for mark in marks])
    folders = [home / folder.format(split=part) for folder in layout.images]
    images = next((folder for folder in folders if is_folder(folder)), folders[0])
    listed = home / layout.listed.format(split=part)
    names = _read_list(listed) if layout.listed else _list_names(images, layout.image_ending)
    return _pair(layout, home, images, names, part)


def _find_home(layout: Layout, root: Path, marks: Sequence[str]) -> str:
    """The first place below the root where a file or folder is that only a data set's own folder holds."""
    looked = [(home, str(PurePosixPath(home, mark))) for home in layout.homes for mark in marks]
    home = next((home for home, path in looked if is_file(root / path) or is_folder(root / path)), None)
    if home is None:
        paths = ", ".join(path for _, path in looked)
        raise InputError(f"{str(root)!r} holds none of {paths}; expected the data set's folder.", place="root")
    return home


def _read_list(path: Path) -> list[str]:
    lines = read_text(path, place="root").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    for name in names:
        _check_name(name, path.name)
    if not names:
        raise InputError(f"{str(path)!r} is empty; expected a name a line.", place="root")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{twice!r} stands twice; expected every image once.", place=path.name)
    return names


def _check_name(name: str, place: str) -> None:
    """Refuse what leads out of the data set's folder."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/") or any(character in name for character in "\\:\0{}"):
        raise InputError(f"{name!r:.80}; expected a name below the data set's folder.", place=place)


def _list_names(folder: Path, ending: str) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob(f"*{ending}") if is_file(path))
    names = sorted(name.removesuffix(ending) for name in found)
    if not names:
        raise InputError(f"no *{ending} in {str(folder)!r}; expected the images of a data set.", place="root")
    return names


def _pair(layout: Layout, home: Path, images: Path, names: Sequence[str], part: str) -> list[Pair]:
    pairs, no_image, no_truth = [], [], []
    kinds = [(home / kind.folder.format(split=part), kind) for kind in layout.truths]
    for name in names:
        image = images / f"{name}{layout.image_ending}"
        files = ((folder / f"{name}{kind.ending}", kind.table) for folder, kind in kinds)
        truth, table = next((each for each in files if is_file(each[0])), (None, None))
        if truth is None or table is None:
            no_truth.append(name)
        elif not is_file(image):
            no_image.append(name)
        else:
            pairs.append(Pair(name, image, truth, table))
    if no_truth:
        looked = ", ".join(f"{kind.folder.format(split=part)}/*{kind.ending}" for _, kind in kinds)
        raise _missing(no_truth, len(names), "label file", looked)
    if no_image:
        raise _missing(no_image, len(names), "file", f"{images.relative_to(home).as_posix()}/*{layout.image_ending}")
    return pairs


def _missing(names: Sequence[str], count: int, what: str, looked: str) -> InputError:
    problem = f"{len(names)} of {count} images have no {what}, the first is {names[0]!r}; expected {looked}."
    return InputError(problem, place="root")


def pair_folders(images: Path, labels: Path, table: NumberTable) -> list[Pair]:
    """Images and label pictures of the same name, in folders of the same name, in the order of their names.

    Images without labels are left out, which is said.

    Args:
        images: folder of images; sub-folders are looked into.
        labels: folder of label PNGs, NAME.png or NAME_labels.png; may be the same folder.
        table: what their numbers mean.

    Raises:
        InputError: no such folder, two images of one name, or no image with labels.
    """
    for folder, place in ((images, "root"), (labels, "labels")):
        if not is_folder(folder):
            raise InputError(f"no folder {str(folder)!r}; expected one.", place=place)
    found: dict[str, Path] = {}
    for path in _list_images(images, labels):
        name = path.relative_to(images).with_suffix("").as_posix()
        if name in found:
            problem = f"{found[name].name!r} and {path.name!r} share the labels of {name!r}; expected one image a name."
            raise InputError(problem, place="root")
        found[name] = path
    truths = {name: _find_labels(labels, name) for name in found}
    pairs = [Pair(name, found[name], truth, table) for name, truth in truths.items() if truth is not None]
    if not pairs:
        endings = " or ".join(f"NAME{ending}" for ending in LABEL_ENDINGS)
        problem = f"none of {len(found)} images in {str(images)!r} has labels in {str(labels)!r}; expected {endings}."
        raise InputError(problem, place="labels")
    if len(pairs) < len(found):
        first = next(name for name, truth in truths.items() if truth is None)
        logger.warning("%d of %d images have no labels and are left out, the first is %r.", len(found) - len(pairs),
                       len(found), first)  # fmt: skip
    return pairs


def _list_images(images: Path, labels: Path) -> list[Path]:
    paths = [path for path in images.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and is_file(path)]
    if labels == images or images in labels.parents:  # then label pictures are among the images
        inside = labels != images
        paths = [path for path in paths if not (labels in path.parents if inside else _is_label(path))]
    return sorted(paths, key=lambda path: PurePath(path).as_posix())


def _is_label(path: Path) -> bool:
    """Whether a picture in a folder of both is one of labels: an image of the same name stands beside it."""
    if path.name.endswith(LABEL_ENDINGS[1]):
        return True
    others = (path.with_suffix(suffix) for suffix in IMAGE_SUFFIXES if suffix != path.suffix)
    return path.suffix == ".png" and any(is_file(other) for other in others)


def _find_labels(labels: Path, name: str) -> Path | None:
    files = (labels / f"{name}{ending}" for ending in reversed(LABEL_ENDINGS))
    return next((path for path in files if is_file(path)), None)
