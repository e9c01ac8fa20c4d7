"""Weights on this computer: the folders they may lie in, which file a name stands for, whether a file is whole.

Nothing here uses the network.

Not here: where weights come from (`catalogue`), fetching them (`fetching`), reading them (`weights`).
Sources: open_clip 3.3 `pretrained.download_pretrained`; the variables and the cache of huggingface_hub.
"""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import ModelError
from ..store import user_folder
from .catalogue import Source

__all__ = [
    "MODELS_VARIABLE",
    "OFFLINE_VARIABLES",
    "check_whole",
    "find_weights",
    "list_places",
    "model_folders",
    "offline_reason",
    "read_record",
    "record_path",
    "target_folder",
]

TRUE = frozenset(("1", "on", "yes", "true"))
OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
MODELS_VARIABLE = "LLMSEG_MODELS"
OWN = Path("models", "llmseg")  # as ComfyUI has its models
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
QUICK = "-quickgelu"
CLIP_CACHE = "~/.cache/clip"  # where open_clip keeps what does not come from the hub
LARGEST_RECORD = 2**16  # bytes
LONGEST_SHOWN = 100


def model_folders() -> list[Path]:
    """Folders of model files for whoever runs without ComfyUI, best first; some may not exist.

    Those of `LLMSEG_MODELS`, separated as in PATH. Else `models/llmseg` below the current folder, that of the ComfyUI
    that this package lies in, and the user's own.
    """
    listed = [Path(folder) for folder in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep) if folder]
    return listed or [folder for folder in (OWN, _comfyui_folder(), user_folder("data") / "models") if folder]


def target_folder() -> Path:
    """Where fetched weights go, unless the person says otherwise: the first of `model_folders` that has a reason."""
    folders = model_folders()
    if folders[0] == OWN and not OWN.parent.is_dir():  # not in every folder where somebody types a command
        return folders[1]
    return folders[0]


def find_weights(source: Source, folders: list[Path] | None = None) -> Path | None:
    """The file with these weights, if it is on this computer; the hub's cache and open_clip's own are looked into too.

    Args:
        source: as from `catalogue.find_source`.
        folders: where to look first; None for `model_folders`.
    """
    for path in _own_places(source, model_folders() if folders is None else folders):
        if path.is_file():
            return path
    if source.repository:
        from huggingface_hub import try_to_load_from_cache

        found = (try_to_load_from_cache(source.repository, file, cache_dir=_hub_cache()) for file in source.files)
        if (path_text := next((path for path in found if isinstance(path, str)), None)) is not None:
            return Path(path_text)
    cached = _clip_cache(source)
    return cached if cached is not None and cached.is_file() else None


def list_places(source: Source, folders: list[Path] | None = None) -> list[Path]:
    """Folders that `find_weights` looks into."""
    places = list(model_folders() if folders is None else folders)
    places += [_hub_cache()] if source.repository else []
    cached = _clip_cache(source)
    return places + ([cached.parent] if cached is not None else [])


def offline_reason(network: str = "online") -> str:
    """Why nothing may be fetched; empty where it may.

    Args:
        network: a name in `options.NETWORK`.
    """
    for variable in OFFLINE_VARIABLES:
        if (value := os.environ.get(variable, "")).casefold() in TRUE:
            return f"{variable} is {value}"
    return "" if network == "online" else f"this run is {network}"


def record_path(path: Path) -> Path:
    """Where it is written down what a fetched file must be."""
    return path.with_name(f"{path.stem}.source.json")


def read_record(path: Path) -> dict[str, Any]:
    """What a file must be: name, source, revision, size and sha256; empty for one that nobody fetched."""
    try:
        with record_path(path).open("rb") as file:
            record = json.loads(file.read(LARGEST_RECORD))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def check_whole(path: Path, digest: str, published: str = "", name: str = "") -> None:
    """Refuse a file that is not what was fetched.

    Args:
        path: the file.
        digest: SHA-256 of its content, as hex digits.
        published: how it must begin, for a file that has no record.
        name: of the weights, for such a file.

    Raises:
        ModelError: cut off, damaged, or another file under its name.
    """
    record = read_record(path)
    wanted = record.get("sha256", published)
    if not isinstance(wanted, str) or not wanted or digest.startswith(wanted):
        return
    size, should = path.stat().st_size, record.get("size")
    cut = f" It has {size} bytes of {should}." if isinstance(should, int) and should != size else ""
    name = str(record.get("name", name))[:LONGEST_SHOWN]
    remedy = f"Run: python -m llmseg.models get {name} --replace" if name else "Fetch it again."
    raise ModelError(
        f"{path.name!r} is not what was fetched: its SHA-256 begins with {digest[:12]}; expected {wanted[:12]}.{cut} "
        f"{remedy}",
        place="model",
    )


def _own_places(source: Source, folders: list[Path]) -> list[Path]:
    """Where `fetching` puts weights, under either of the names that open_clip has for them."""
    architecture, _, tag = source.stem.partition("--")
    other = architecture.removesuffix(QUICK) if architecture.endswith(QUICK) else f"{architecture}{QUICK}"
    stems = (source.stem, f"{other}--{tag}") if source.quick_gelu else (source.stem,)
    flat = [folder / f"{stem}{suffix}" for folder in folders for stem in stems for suffix in SUFFIXES]
    return flat + [folder / stem / file for folder in folders for stem in stems for file in source.files]


def _comfyui_folder() -> Path | None:
    """The folder of models of the ComfyUI whose custom_nodes this package lies in."""
    pack = Path(__file__).resolve().parents[2]
    models = pack.parent.parent / "models"
    return models / OWN.name if pack.parent.name == "custom_nodes" and models.is_dir() else None


def _hub_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _clip_cache(source: Source) -> Path | None:
    """OpenAI's own files are TorchScript, which only our own towers are filled from."""
    if not source.url or not source.vit:
        return None
    return Path(CLIP_CACHE).expanduser() / PurePosixPath(source.url).name
