"""Which models a workflow may name, and how nodes open them.

Not here: where model folders are (`host`), reading weights (`llmseg.weights`).
"""

from __future__ import annotations

import re
import reprlib
from pathlib import Path

from llmseg.encoder import Encoder, load_encoder
from llmseg.errors import InputError
from llmseg.options import AUTO, MODEL
from llmseg.weights import FILE_SUFFIXES

from . import host
from .sockets import Input

LONGEST_NAME = 1024  # characters; longer ones make the file system fail in its own ways
OPEN_CLIP_NAME = re.compile(r"[\w.-]+(/[\w-]+)?")


def model_input() -> Input:
    """The combo of models: the shipped names, then the files in the model folders."""
    return [*MODEL.names, *list_model_files()], {"default": MODEL.default, "tooltip": MODEL.help}


def check_model(model: str | None) -> bool | str:
    """What VALIDATE_INPUTS answers. Naming `model` there lifts the host's own check of the list."""
    try:
        return model is None or bool(resolve_model(model))  # None: the name comes over a link
    except InputError as error:
        return error.problem


def model_stamp(model: str | None) -> int:
    """Changes when a model file is replaced; 0 for what is no file."""
    if model is None or check_model(model) is not True or not model.endswith(FILE_SUFFIXES):
        return 0
    return Path(resolve_model(model)).stat().st_mtime_ns


def open_encoder(model: str, activation: str = AUTO, dtype: str = AUTO) -> Encoder:
    """Load a model on the host's device."""
    return load_encoder(resolve_model(model), device=host.torch_device(), activation=activation, dtype=dtype)


def list_model_files() -> list[str]:
    """Checkpoints in the model folders, by name."""
    found = [
        entry.name
        for folder in host.model_folders()
        if folder.is_dir()
        for entry in folder.iterdir()
        if entry.suffix in FILE_SUFFIXES and entry.is_file()
    ]
    return sorted(set(found))


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
    if host.is_trusted(model):
        return model
    folders = host.model_folders()
    for folder in folders:
        path = (folder / model).resolve()
        if path.is_relative_to(folder.resolve()) and path.is_file():
            return str(path)
    looked = ", ".join(str(folder) for folder in folders)
    raise InputError(f"no file {model!r}; expected it in {looked}.", place="model")
