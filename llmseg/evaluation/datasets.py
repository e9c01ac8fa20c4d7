"""Data sets by name: images with their true labels, read when asked for.

    voc21, voc20 ..    public ones, as their authors or mmsegmentation lay them out
    folder             a person's own images, label pictures and class names
    embedded           the packaged scenes

Class names are those of the shipped libraries, so that lists of phrases fit; labels are in the order of the numbers
in the data set's own files.

Not here: where files lie (`layouts`, `folders`), what their numbers mean (`number_tables`), measuring (`counting`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import InputError, lookup
from ..examples import benchmark_scenes, world_classes
from ..files import read_image
from ..label_files import read_class_names, read_numbers
from ..library import library_classes
from ..names import check_classes, parse_names
from ..store import content_hash, file_hash, is_file
from ..types import ClassList, ClassName
from .folders import Pair, list_pairs, pair_folders
from .layouts import PUBLIC
from .number_tables import NumberTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DATASETS", "Dataset", "Sample", "open_dataset"]


@dataclass(frozen=True)
class Sample:
    """One image with its truth; files are read at every call.

    Args:
        name: another one for every image of a data set, "/" between folders.
        read_image: RGB. uint8 [H,W,3]
        read_truth: labels 0..C-1, or `UNKNOWN` (-1) where nothing is counted. int64 [H,W]
        identity: another one for every other content of image or truth.
    """

    name: str
    read_image: Callable[[], NDArray[np.uint8]]
    read_truth: Callable[[], NDArray[np.int64]]
    identity: Callable[[], str]


@dataclass(frozen=True)
class Dataset:
    """Images to measure on.

    Args:
        name: in `options.DATASET`.
        classes: what labels 0..C-1 mean.
        samples: in the order of the data set's list, else of their names.
    """

    name: str
    classes: ClassList
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Source:
    """What a person says of where a data set lies.

    Args:
        root: its folder.
        split: the part that is measured on; empty for the usual one.
        labels, classes: folder of label pictures, and file of class names, of data set "folder".
    """

    root: Path | None = None
    split: str = ""
    labels: Path | None = None
    classes: Path | None = None


def open_dataset(
    name: str,
    root: Path | None = None,
    *,
    split: str = "",
    labels: Path | None = None,
    classes: Path | None = None,
) -> Dataset:
    """Find the images and label files of a data set; none is read yet.

    Args:
        name: in `options.DATASET`.
        root: its folder, at any usual level; of "folder" that of the images, or one that holds folders `images` and
            `labels`. None for "embedded".
        split: the part that is measured on; empty for the one that figures are published of.
        labels: of "folder", where the label pictures are.
        classes: of "folder", a file that says what their numbers mean, as in `label_files.read_class_names`; by default
            `classes.txt` or `classes.json` in the root.

    Raises:
        UnknownNameError: no data set of that name.
        InputError: something is not where it is looked for.
    """
    opener = lookup(DATASETS, name, place="dataset")
    found, samples = opener(Source(root, split, labels, classes))
    return Dataset(name, found, samples)


def _make_sample(pair: Pair) -> Sample:
    return Sample(
        name=pair.name,
        read_image=partial(read_image, pair.image),
        read_truth=partial(_read_truth, pair),
        identity=partial(_identify, pair),
    )


def _read_truth(pair: Pair) -> NDArray[np.int64]:
    numbers, _, _ = read_numbers(pair.truth)
    return pair.table.translate(numbers, place=pair.truth.name)


def _identify(pair: Pair) -> str:
    try:
        return content_hash(file_hash(pair.image), file_hash(pair.truth), pair.table.identity)
    except OSError as error:
        raise InputError(
            f"cannot read {error.filename!r}: {error.strerror}; expected a file.", place="image"
        ) from error


Opened = tuple[ClassList, tuple[Sample, ...]]


def _open_public(name: str, source: Source) -> Opened:
    if source.root is None:
        raise InputError(f"none; expected the folder that holds {name!r}.", place="root")
    public = PUBLIC[name]
    return public.classes(), tuple(map(_make_sample, list_pairs(public.layout(), source.root, source.split)))


def _open_folder(source: Source) -> Opened:
    """A person's own images; what numbers mean stands in a file."""
    root = source.root
    if root is None:
        raise InputError("none; expected a folder of images.", place="root")
    images, labels = (root, source.labels) if source.labels else (root / "images", root / "labels")
    beside = [root / name for name in ("classes.txt", "classes.json")]
    file = source.classes or next((path for path in beside if is_file(path)), None)
    if file is None:
        problem = f"nothing says what the numbers mean; expected {beside[0].name} or {beside[1].name} in {str(root)!r}"
        raise InputError(f"{problem}, or another file.", place="classes")
    named = read_class_names(file)
    names, numbers = (tuple(named.values()), tuple(named)) if isinstance(named, dict) else (named, range(len(named)))
    table = NumberTable(MappingProxyType({number: label for label, number in enumerate(numbers)}))
    return _read_classes(names), tuple(map(_make_sample, pair_folders(images, labels, table)))


def _read_classes(names: Sequence[str]) -> ClassList:
    """A class of each name, which may have aliases and a sense as in `names.parse_names`."""
    classes: list[ClassName] = []
    for name in names:
        parsed = parse_names(name).classes
        if len(parsed) != 1:
            raise InputError(f"{name!r:.80} names {len(parsed)} classes; expected one a number.", place="classes")
        classes += parsed
    check_classes(classes, place="classes")
    return ClassList(tuple(classes))


def _open_embedded(source: Source) -> Opened:
    """The packaged scenes, with the classes that their drawings belong to."""
    names = tuple(dict.fromkeys(world_classes().coarse))
    own = {entry.name: entry for entry in library_classes("emoji").classes}
    samples = tuple(
        Sample(
            name=f"{number:02}",
            read_image=partial(_read_scene, number),
            read_truth=partial(_read_coarse, number),
            identity=partial(_identify_scene, number),
        )
        for number in range(len(_scenes()))
    )
    return ClassList(tuple(own[name] for name in names)), samples


@cache
def _scenes() -> list[tuple[NDArray[np.uint8], NDArray[np.uint16]]]:
    return benchmark_scenes()


def _read_scene(number: int) -> NDArray[np.uint8]:
    return _scenes()[number][0].copy()


def _read_coarse(number: int) -> NDArray[np.int64]:
    import numpy as np

    coarse = world_classes().coarse
    places = {name: label for label, name in enumerate(dict.fromkeys(coarse))}
    return np.asarray([places[name] for name in coarse], np.int64)[_scenes()[number][1]]


def _identify_scene(number: int) -> str:
    image, labels = _scenes()[number]
    return content_hash(list(image.shape), image.tobytes(), labels.tobytes(), list(world_classes().coarse))


DATASETS: Mapping[str, Callable[[Source], Opened]] = MappingProxyType(
    {"embedded": _open_embedded, "folder": _open_folder} | {name: partial(_open_public, name) for name in PUBLIC}
)
