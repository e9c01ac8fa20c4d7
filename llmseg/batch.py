"""One workflow over many images: which files are meant, and which node of the workflow brings the image.

Not here: running (`run`).
"""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError
from .graph import NodeDefinition, find_node
from .graph.shapes import is_link

__all__ = ["BatchImage", "ImageSlot", "find_image_slot", "list_images"]

EXTENSIONS = (".apng", ".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
PLACE = "--images"
OWN_FOLDER, MANIFEST = ".llmseg", "manifest.jsonl"  # of a batch itself, in the output folder
LOADER, LOADER_INPUT = "LoadImage", "image"


@dataclass(frozen=True)
class BatchImage:
    """One image of a batch.

    Args:
        path: in full.
        place: folder of its results, as seen from the output folder: its sub-folders below what the person named, and
            its name.
    """

    path: Path
    place: Path


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

    def fill(self, prompt: Mapping[str, Any], path: Path, root: Path) -> dict[str, Any]:
        """A copy of `prompt` that reads `path`, named as seen from the input folder `root` if it lies there.

        Saved pictures carry the prompt: they should run on another machine, and not tell of this one's folders.
        """
        inside = path.is_relative_to(root.resolve())
        name = path.relative_to(root.resolve()).as_posix() if inside else str(path)
        node = prompt[self.node_id]
        inputs = {} if self.swapped else node["inputs"]
        changed = {**node, "inputs": {**inputs, self.input_name: name}}
        return {**prompt, self.node_id: {**changed, "class_type": LOADER} if self.swapped else changed}


def list_images(names: Sequence[str]) -> list[BatchImage]:
    """The image files that a person means, in order, each once.

    Args:
        names: files, folders (with their sub-folders) and patterns with ``*``, ``?`` or ``**``.

    Raises:
        InputError: a name without any image behind it.
    """
    found: dict[Path, Path] = {}  # path in full -> as seen from what was named
    for name in names:
        path = Path(name)
        if path.is_file():
            listed = {path: Path(path.name)}
        elif path.is_dir():
            listed = {one: one.relative_to(path) for one in sorted(_images_in(path))}
        else:
            fixed = _fixed_part(name)
            matches = sorted(Path(one) for one in glob.glob(name, recursive=True) if _is_image(Path(one)))  # noqa: PTH207
            listed = {one: one.relative_to(fixed) for one in matches}
        if not listed:
            raise InputError(f"no image at {name!r}; expected a file, a folder or a pattern.", place=PLACE)
        for one, seen in listed.items():
            found.setdefault(one.resolve(), seen)
    return [BatchImage(*each) for each in zip(found, _distinct_places(list(found.values())), strict=True)]


def _fixed_part(pattern: str) -> Path:
    """The folders of a pattern before the first that is one."""
    parts = Path(pattern).parts
    fixed = next(number for number, part in enumerate([*parts, "*"]) if glob.has_magic(part))
    return Path(*parts[: min(fixed, len(parts) - 1)])


def _distinct_places(seen: Sequence[Path]) -> list[Path]:
    """A folder for each image: its name without the suffix, with it where two would share one."""

    def folded(path: Path) -> str:
        return path.as_posix().casefold()  # "Dog" and "dog" are one folder on Windows

    stems = Counter(folded(path.with_suffix("")) for path in seen)
    whole = Counter(folded(path) for path in seen)
    taken: Counter[str] = Counter()
    places = []
    for path in seen:
        place = path.with_suffix("") if stems[folded(path.with_suffix(""))] == 1 else path
        if whole[folded(path)] > 1:  # the same name below two folders that the person named
            taken[folded(path)] += 1
            place = path.with_name(f"{path.name}_{taken[folded(path)]}")
        taken_by_us = place.parts[0].casefold() in (OWN_FOLDER, MANIFEST)
        places.append(Path(f"_{place.parts[0]}", *place.parts[1:]) if taken_by_us else place)
    return places


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
