"""Which models a workflow may name, and how nodes open them.

Not here: where model folders are (`host`), weights that open_clip knows by name (`downloads`), who moves a
model (`memory`), reading weights (`llmseg.models.weights`).
"""

from __future__ import annotations

import json
import os
import re
import reprlib
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from llmseg.encoder import Encoder, load_encoder
from llmseg.errors import InputError
from llmseg.models.weights import EMBEDDED, FILE_SUFFIXES, SEPARATOR, holds_model, split_files
from llmseg.options import AUTO, MODEL

from . import downloads, host, memory
from .sockets import Input

if TYPE_CHECKING:
    import torch

LONGEST_NAME = 1024  # characters; longer ones make the file system fail in its own ways
OPEN_CLIP_NAME = re.compile(r"[\w.-]+(/[\w-]+)?")
DEEPEST = 4  # folders in folders; a link may lead back to where it lies
LONGEST_HEADER = 2**24  # bytes of the list of tensors in a safetensors file


def model_input() -> Input:
    """The combo of models: the embedded one, files in the model folders, then names that have to be fetched once."""
    others = [name for name in MODEL.names if name != EMBEDDED]
    return [EMBEDDED, *list_model_files(), *others], {"default": MODEL.default, "tooltip": MODEL.help}


def check_model(model: str | None) -> bool | str:
    """What VALIDATE_INPUTS answers. Naming `model` there lifts the host's own check of the list."""
    try:
        return model is None or bool(resolve_model(model))  # None: the name comes over a link
    except InputError as error:
        return error.problem


def model_stamp(model: str | None) -> int:
    """Changes when a model file is replaced, either of two; 0 for what is no file."""
    if model is None or check_model(model) is not True or not model.endswith(FILE_SUFFIXES):
        return 0
    resolved = resolve_model(model)
    paths = [resolved] if os.path.isfile(resolved) else split_files(resolved)  # noqa: PTH113
    return sum(Path(path).stat().st_mtime_ns for path in paths)


def open_encoder(
    model: str,
    activation: str = AUTO,
    dtype: str = AUTO,
    *,
    download: bool = False,
    results: torch.device | None = None,
) -> Encoder:
    """Load a model for the host's device.

    Args:
        model: a name of the combo, two files that hold a tower each, or any other name of open_clip's.
        activation, dtype: as in `options`.
        download: whether weights that are not on this computer may be fetched.
        results: where its vectors go; None for where nodes leave what they hand on.

    Raises:
        InputError: no such file, or weights that would have to be fetched.
        ModelError: weights that cannot be used.
    """
    source = resolve_model(model)
    if source != EMBEDDED and not source.endswith(FILE_SUFFIXES):
        downloads.refuse_hidden(source, allowed=download)
    dtype = memory.number_format(dtype)
    encoder = load_encoder(
        source, device=memory.building_device(), activation=activation, dtype=dtype, folders=host.model_folders()
    )
    return memory.hand_over(encoder, results)


def list_model_files() -> list[str]:
    """Checkpoints in the model folders, by name; those in sub-folders with the path from there, as `sub/name`.

    Folders that a CLIP shares with other models, as ComfyUI has them, give only files that may be a whole one: those
    with one tower have to be typed, two at a time.
    """
    return list_files(holds_model, unseen=True)


def list_files(fits: Callable[[Collection[str]], bool], *, unseen: bool = False) -> list[str]:
    """Checkpoints in the model folders that may be of a kind, named as above.

    Args:
        fits: says so by the names of the tensors; files that do not list them may be of any kind.
        unseen: whether those in a folder of our own are, whatever they hold.
    """
    return sorted(
        {
            name
            for name, path, own in _found_files()
            if name.endswith(FILE_SUFFIXES) and ((own and unseen) or _may_be(path, fits))
        }
    )


def resolve_model(model: str) -> str:
    """What `load_encoder` is to load: a name as it is, a file name as a path inside the model folders.

    Raises:
        InputError: a file that is not there; a workflow cannot name files elsewhere.
    """
    if not isinstance(model, str) or len(model) > LONGEST_NAME:
        raise InputError(f"{reprlib.repr(model)}; expected the name of a model.", place="model")
    if not model.endswith(FILE_SUFFIXES):
        if OPEN_CLIP_NAME.fullmatch(model) is None:  # open_clip takes any path in place of a tag
            raise InputError(f"{model!r}; expected a file of the model folders, or name/tag.", place="model")
        return model
    folders = host.model_folders()
    if (path := _find_file(folders, model)) is not None:
        return path
    files = split_files(model)
    found = [_find_file(folders, name) for name in files] if len(files) > 1 else [None]
    if missing := [name for name, path in zip(files, found, strict=True) if path is None]:
        looked = ", ".join(str(folder) for folder in folders)
        raise InputError(f"no file {missing[0]!r}; expected it in {looked}.", place="model")
    return SEPARATOR.join(path for path in found if path is not None)


def _find_file(folders: list[Path], model: str) -> str | None:
    """A file that the person typed as it is, any other inside the model folders."""
    path = model if host.is_trusted(model) else _find_below(folders, model)
    return None if path is None else str(path)


def _find_below(folders: list[Path], model: str) -> Path | None:
    """The first file of this name; its letters may not lead out of the folders.

    Links may: people keep large files elsewhere, and no workflow makes links.
    """
    parts = PureWindowsPath(model)  # takes both slashes; the file may come from a computer that writes the other one
    if parts.anchor or ".." in parts.parts:
        return None
    for folder in folders:
        for path in (folder / model, folder.joinpath(*parts.parts)):
            if os.path.isfile(path):  # noqa: PTH113 - a name that no file can have is no file
                return path.absolute()
    return None


def _found_files() -> Iterator[tuple[str, str | None, bool]]:
    """Name and path of every file in the model folders, and whether the folder is our own."""
    if not host.in_comfyui():
        for folder in host.model_folders():
            yield from ((name, str(folder / name), True) for name in _walk(folder, "", DEEPEST))
        return
    paths = host.comfy_module("folder_paths")
    for kind in host.model_kinds():
        for name in paths.get_filename_list(kind):  # ComfyUI's own listing, which it keeps
            yield name.replace(os.sep, "/"), paths.get_full_path(kind, name), kind == host.MODEL_KINDS[0]


def _walk(folder: Path, prefix: str, depth: int) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except OSError:  # no such folder, or one that may not be read
        return
    for entry in entries:
        if entry.is_file():
            yield prefix + entry.name
        elif depth > 1 and entry.is_dir():
            yield from _walk(folder / entry.name, f"{prefix}{entry.name}/", depth - 1)


def _may_be(path: str | None, fits: Callable[[Collection[str]], bool]) -> bool:
    """Whether a file may be of a kind; those that do not list their tensors may."""
    if path is None or not path.endswith(".safetensors"):
        return path is not None
    try:
        stat = os.stat(path)  # noqa: PTH116
        return _lists(path, stat.st_mtime_ns, stat.st_size, fits)
    except (OSError, ValueError, RecursionError):
        return False


@lru_cache(maxsize=1024)
def _lists(path: str, modified: int, size: int, fits: Callable[[Collection[str]], bool]) -> bool:
    """Whether the header of a safetensors file names tensors that fit; read again when the file changes."""
    with open(path, "rb") as file:  # noqa: PTH123
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length)) if length <= LONGEST_HEADER else {}
    return isinstance(header, dict) and fits(header.keys())
