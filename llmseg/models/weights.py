"""Model files and names -> weights with everything that is needed to run them.

    embedded                                    the small model in this package
    path/to/file.safetensors                    any layout of `READERS`; .pt, .pth and .bin too, never unpickled
    vision.safetensors + text.safetensors       the two towers of one CLIP
    ViT-B-16-quickgelu/openai                   name/tag of open_clip, which may download them

Not here: reading a file (`checkpoint`), its layout (`layouts`), running a model (`encoder`), its towers (`vit`,
`towers`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..clip_config import infer_config
from ..errors import ModelError, UnknownNameError
from ..options import ACTIVATION, AUTO
from ..store import file_hash
from .catalogue import find_source
from .checkpoint import check_description, expand_tokens, load_checkpoint
from .clip_files import ModelFile, make_identity, read_clip
from .downloads import check_whole, find_weights, model_folders
from .layouts import is_clip, list_towers
from .model_weights import OPENAI_MEAN, OPENAI_STD, ClipWeights, Weights
from .named_models import is_foreign, read_named, read_towers
from .simseg import is_simseg, read_simseg
from .torchscript import is_torchscript

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "EMBEDDED",
    "FILE_SUFFIXES",
    "OPENAI_MEAN",
    "OPENAI_STD",
    "READERS",
    "SEPARATOR",
    "ClipWeights",
    "Weights",
    "holds_model",
    "read_weights",
    "split_files",
]

EMBEDDED = "embedded"
FILE_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")

SEPARATOR = " + "  # between the files of two towers
KNOWN = "a CLIP in the layout of open_clip, OpenAI or transformers, or another model of docs/models.md"

MOST_LIMITS = 300  # characters; a stranger's file may hold any text, and this one is printed


def read_weights(model: str = EMBEDDED, *, activation: str = AUTO, folders: Sequence[Path] = ()) -> Weights:
    """Read the weights that `model` names.

    Args:
        model: "embedded", a file, two files that hold a tower each, or an open_clip name/tag.
        activation: a name in `options.ACTIVATION`, or "auto" to follow the source.
        folders: where a bare file name is looked for, after the path as given.

    Raises:
        ModelError: missing, unreadable, or no model that is known here.
        UnknownNameError: no such activation.
    """
    if activation not in ACTIVATION.choices:
        raise UnknownNameError(activation, ACTIVATION.choices, place="activation")
    if model == EMBEDDED:
        packaged = resources.files("llmseg").joinpath("data").joinpath("models").joinpath("embedded.safetensors")
        with resources.as_file(packaged) as path:
            return _read_files([path], activation)
    if model.endswith(FILE_SUFFIXES):
        return _read_files(_find_files(model, folders), activation)
    return _read_known(model, activation, folders)


def split_files(model: str) -> list[str]:
    """The one or two files that a name stands for.

    >>> split_files("vision.safetensors + text.safetensors")
    ['vision.safetensors', 'text.safetensors']
    """
    start = model.find(SEPARATOR)
    while start >= 0:
        first, second = model[:start], model[start + len(SEPARATOR) :]
        if first.endswith(FILE_SUFFIXES) and second.endswith(FILE_SUFFIXES):
            return [first, second]
        start = model.find(SEPARATOR, start + 1)
    return [model]


def holds_model(names: Collection[str]) -> bool:
    """Whether a file with tensors of these names is a model by itself."""
    return is_clip(names) or any(reader.fits(names) for reader in READERS.values())


def _find_files(model: str, folders: Sequence[Path]) -> list[Path]:
    """The file of this name, else the two that it stands for."""
    found = _look_for(model, folders)
    return [found] if found is not None else [_find_file(name, folders) for name in split_files(model)]


def _find_file(model: str, folders: Sequence[Path]) -> Path:
    if (path := _look_for(model, folders)) is not None:
        return path
    looked = ", ".join(str(path) for path in _candidates(model, folders))
    raise ModelError(f"no file {model!r}; expected one of {looked}.", place="model")


def _look_for(model: str, folders: Sequence[Path]) -> Path | None:
    # Not Path.is_file, which fails where a name is too long to be one.
    return next((path for path in _candidates(model, folders) if os.path.isfile(path)), None)  # noqa: PTH113


def _candidates(model: str, folders: Sequence[Path]) -> list[Path]:
    return [Path(model), *(folder / model for folder in folders)]


def _read_known(model: str, activation: str, folders: Sequence[Path]) -> Weights:
    """Weights by a name of open_clip, which is imported only where it has to fetch or to run them."""
    source = find_source(model)
    found = None if source is None else find_weights(source, [*folders, *model_folders()])
    if source is None or found is None or not source.vit:
        return read_named(model, activation, weights=found)
    if activation == AUTO:
        activation = "quickgelu" if source.quick_gelu else "gelu"
    published = source.sha256 if found.name == Path(source.url).name else ""
    weights = _read_files([found], activation, published, source.name)
    identity = make_identity(source.name, weights.identity.rpartition("@")[2].rpartition("+")[0], activation)
    return replace(weights, name=source.name, identity=identity, mean=source.mean, std=source.std)


def _read_files(paths: Sequence[Path], activation: str, published: str = "", name: str = "") -> Weights:
    files = []
    for path in paths:
        digest = file_hash(path)
        check_whole(path, digest, published, name)
        state, described = load_checkpoint(path)
        fingerprint = digest[:16]
        if described and len(paths) == 1:
            return _from_description(state, described, fingerprint, activation)
        files.append(ModelFile(path, state, fingerprint, path.suffix != ".safetensors" and is_torchscript(path)))
    if len(files) == 1:
        for reader in READERS.values():
            if reader.fits(files[0].state):
                return reader.read(files[0].state, paths[0], fingerprint, activation)
    for file in files:
        if not list_towers(file.state):
            raise ModelError(
                f"{file.path.name!r} holds no model that is known here, its first tensors are "
                f"{', '.join(list(file.state)[:3])[:200] or 'none'}; expected {KNOWN}.",
                place="model",
            )
    return read_clip(files, activation)


def _from_description(
    state: dict[str, Tensor], described: Mapping[str, Any], fingerprint: str, activation: str
) -> Weights:
    try:
        state = expand_tokens(state, described.get("token_ids"))
        config = infer_config(state, described["activation"] if activation == AUTO else activation)
        check_description(described, config)
        return ClipWeights(
            name=described["name"],
            identity=make_identity(described["name"], fingerprint, config.activation),
            config=replace(
                config,
                vision=replace(config.vision, heads=described["vision"]["heads"]),
                text=replace(config.text, heads=described["text"]["heads"]),
            ),
            state=state,
            mean=tuple(described["mean"]),
            std=tuple(described["std"]),
            words=None if described.get("words") is None else frozenset(described["words"]),
            names=tuple(described.get("names", ())),
            library=described.get("library", ""),
            limits=_one_line(described.get("limits", ""))[:MOST_LIMITS],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"metadata of the model is unusable ({repr(error)[:200]}); expected every field, with values of its kind.",
            place="model",
        ) from error


def _one_line(text: str) -> str:
    """Spaces collapsed, and nothing that would steer a terminal."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


class Reader(NamedTuple):
    """How to read a file of one layout that is not a CLIP ViT's.

    Args:
        fits: whether tensors of these names have the layout.
        read: makes weights of the tensors, the file, its fingerprint, and an activation or "auto".
    """

    fits: Callable[[Collection[str]], bool]
    read: Callable[[Mapping[str, Tensor], Path, str, str], Weights]


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "simseg": Reader(is_simseg, read_simseg),
        "towers": Reader(is_foreign, read_towers),
    }
)
