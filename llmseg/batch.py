"""One workflow over many images: which images are meant, and which node of the workflow brings the image.

Not here: running (`run`), where results go (`destinations`, `places`).
"""

from __future__ import annotations

import glob
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .addresses import Url, is_url, read_location, shown_url
from .destinations import clean_name, distinct_places
from .errors import InputError
from .graph import NodeDefinition, find_node
from .graph.shapes import is_link
from .store import read_text

__all__ = ["BatchImage", "ImageSlot", "Remote", "fetched_files", "find_image_slot", "list_images"]

EXTENSIONS = (".apng", ".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
PLACE = "--images"
LIST = "@"  # before the name of a file that lists images
COPY = "copy-"  # and a number: folder of the copy of an image behind a URL, in the work folder
LOADER, LOADER_INPUT = "LoadImage", "image"


@dataclass(frozen=True)
class Remote:
    """An image behind a URL.

    Args:
        url: that the person named; it may hold a password.
        key: of the image in that store.
        name: what it is called wherever somebody may read it.
    """

    url: Url
    key: str = field(repr=False)
    name: str


@dataclass(frozen=True)
class BatchImage:
    """One image of a batch.

    Args:
        path: of its file, in full; of an image behind a URL, where its copy is between `fetch` and `drop`.
        place: folder of its results, as seen from the output folder: its sub-folders below what the person named, and
            its name.
        remote: where it comes from, if from behind a URL.
    """

    path: Path
    place: Path
    remote: Remote | None = None

    @property
    def name(self) -> str:
        """What it is called in records, messages and saved pictures: its path, or its URL without credentials."""
        return str(self.path) if self.remote is None else self.remote.name

    def moved(self, work: Path) -> BatchImage:
        """The same image, its copy below another work folder: that of another process or computer."""
        copy = work / self.path.parent.name / self.path.name
        return self if self.remote is None else replace(self, path=copy)

    def fetch(self) -> None:
        """Have its file on this computer; nothing is to do where it is.

        Raises:
            InputError: it is not there, or cannot be read.
        """
        if self.remote is not None and not self.path.exists():
            from .stores import Store

            Store(self.remote.url, "image").fetch(self.remote.key, self.path, self.remote.name)

    def drop(self) -> None:
        """Remove the copy of what `fetch` brought, and the work folder if nothing else is in it."""
        if self.remote is not None:
            shutil.rmtree(self.path.parent, ignore_errors=True)
            with suppress(OSError):
                self.path.parents[1].rmdir()


@dataclass(frozen=True)
class ImageSlot:
    """The input of a prompt that takes the name of an image file.

    Args:
        node_id: the node that brings the image.
        input_name: its input.
        swapped: the node brings a fixed image; an image loader takes its place.
    """

    node_id: str
    input_name: str
    swapped: bool = False

    def fill(self, prompt: Mapping[str, Any], image: BatchImage, root: Path) -> dict[str, Any]:
        """A copy of `prompt` that reads `image`, named as seen from the input folder `root` if it lies there.

        Saved pictures carry the prompt: they should run on another machine, and not tell of this one's folders.
        """
        inside = image.remote is None and image.path.is_relative_to(root.resolve())
        name = image.path.relative_to(root.resolve()).as_posix() if inside else image.name
        node = prompt[self.node_id]
        inputs = {} if self.swapped else node["inputs"]
        changed = {**node, "inputs": {**inputs, self.input_name: name}}
        return {**prompt, self.node_id: {**changed, "class_type": LOADER} if self.swapped else changed}


def list_images(names: Sequence[str], work: Path = Path()) -> list[BatchImage]:
    """The images that a person means, in order, each once.

    Args:
        names: files, folders (with their sub-folders), patterns with ``*``, ``?`` or ``**``; URLs of the same; and
            ``@FILE``, a text file with one of them a line.
        work: the folder below which copies of images behind URLs will be.

    Raises:
        InputError: a name without any image behind it, or a URL that cannot be listed.
    """
    found: dict[object, tuple[Path | Remote, Path]] = {}  # each with its path as seen from what was named
    for name in (each for one in names for each in _read_list(one)):
        location = read_location(name)
        listed = _remote_images(location) if isinstance(location, Url) else _local_images(location)
        if not listed:
            raise InputError(f"no image at {shown_url(name)!r}; expected a file, a folder or a pattern.", place=PLACE)
        for source, seen in listed:
            key = source if isinstance(source, Path) else (source.name, source.key)
            found.setdefault(key, (source, seen))
    names_seen = [seen for _, seen in found.values()]
    places = distinct_places(names_seen)
    sources = _distinct_names([source for source, _ in found.values()])
    return [
        BatchImage(source, place)
        if isinstance(source, Path)
        else BatchImage(work / f"{COPY}{number}" / seen.name, place, source)  # not its key, which may hold a signature
        for number, (source, place, seen) in enumerate(zip(sources, places, names_seen, strict=True))
    ]


def fetched_files(images: Sequence[BatchImage]) -> dict[str, Path]:
    """Where the copies of images behind URLs will be, by what prompts call them."""
    return {image.name: image.path for image in images if image.remote is not None}


def _read_list(name: str) -> list[str]:
    """The names that a person means by one: its own, or the lines of a file."""
    if not name.startswith(LIST) or Path(name).exists():
        return [name]
    if is_url(name[len(LIST) :]):
        raise InputError(
            f"{shown_url(name[len(LIST) :])!r} is no list here; expected {LIST}FILE of this computer.", place=PLACE
        )
    lines = read_text(Path(name[len(LIST) :]), place=PLACE).splitlines()
    return [line.strip() for line in lines if line.strip()]


def _local_images(path: Path) -> list[tuple[Path | Remote, Path]]:
    if path.is_file():
        return [(path.resolve(), Path(path.name))]
    if path.is_dir():
        return [(one.resolve(), one.relative_to(path)) for one in sorted(_images_in(path))]
    fixed = _fixed_part(path)
    matches = sorted(one for one in map(Path, glob.glob(str(path), recursive=True)) if _is_image(one))  # noqa: PTH207
    return [(one.resolve(), one.relative_to(fixed)) for one in matches]


def _remote_images(url: Url) -> list[tuple[Path | Remote, Path]]:
    from .stores import Store

    found = Store(url, PLACE).list(lambda key: key.lower().endswith(EXTENSIONS))
    return [(Remote(url, one.key, one.shown), clean_name(one.seen)) for one in found]


def _distinct_names(sources: Sequence[Path | Remote]) -> list[Path | Remote]:
    """Numbers behind the names of images that differ only in what is not shown of their URLs."""
    names: Counter[str] = Counter()
    distinct = []
    for source in sources:
        if isinstance(source, Remote):
            names[source.name] += 1
            if names[source.name] > 1:
                source = replace(source, name=f"{source.name}#{names[source.name]}")
        distinct.append(source)
    return distinct


def _fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before the first that is one."""
    parts = pattern.parts
    fixed = next(number for number, part in enumerate([*parts, "*"]) if glob.has_magic(part))
    return Path(*parts[: min(fixed, len(parts) - 1)])


def find_image_slot(prompt: Mapping[str, Any], definitions: Mapping[str, NodeDefinition], bind: str) -> ImageSlot:
    """Where the image of each run goes.

    Args:
        prompt: the API form.
        definitions: of the classes in it.
        bind: the id, title or class of the node, empty for the only one that could be meant.

    Raises:
        InputError: no such node, or several.
    """
    if bind:
        node_id = find_node(prompt, bind, "--bind")
        slot = _slot_of(prompt, node_id, definitions)
        if slot is None:
            class_type = prompt[node_id]["class_type"]
            raise InputError(f"{bind!r} ({class_type}) loads no image; expected an image loader.", place="--bind")
        return slot
    slots = [slot for node_id in prompt if (slot := _slot_of(prompt, node_id, definitions))]
    chosen = [slot for slot in slots if not slot.swapped] or slots
    if len(chosen) != 1:
        many = f"{len(chosen)} nodes load images, " + ", ".join(slot.node_id for slot in chosen)
        problem = many if chosen else "no node loads an image"
        raise InputError(f"{problem}; expected one. Name it with --bind.", place=PLACE)
    return chosen[0]


def _slot_of(prompt: Mapping[str, Any], node_id: str, definitions: Mapping[str, NodeDefinition]) -> ImageSlot | None:
    node = prompt[node_id]
    definition = definitions.get(node["class_type"])
    if definition is None:
        return None
    upload = next((spec for spec in definition.inputs if spec.has("image_upload")), None)
    if upload is not None:
        return ImageSlot(node_id, upload.name)
    links = [value for other in prompt.values() for value in other["inputs"].values() if is_link(value)]
    read = {link[1] for link in links if link[0] == node_id}
    is_source = definition.output_types[:1] == ("IMAGE",) and not any(map(is_link, node["inputs"].values()))
    return ImageSlot(node_id, LOADER_INPUT, swapped=True) if is_source and read == {0} else None


def _images_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if _is_image(path))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and path.is_file()
