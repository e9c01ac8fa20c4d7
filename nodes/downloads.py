"""Weights that open_clip knows by name: whether they are on this computer, and whether they may be fetched.

Nothing is fetched that nobody asked for: a workflow from somewhere else may name any model, of any size.

Not here: fetching and reading them (`llmseg.weights`, which asks open_clip).
Sources: open_clip 3.3 `pretrained.download_pretrained`; the variables of huggingface_hub.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from llmseg.errors import InputError

from . import host

TRUE = frozenset(("1", "on", "yes", "true"))
OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # where open_clip names none


def refuse_hidden(model: str, allowed: bool) -> None:
    """Raise where opening a model by name would fetch its weights without leave.

    A name that open_clip does not know passes: its own message comes when it is opened, and no network is used.

    Args:
        model: name/tag.
        allowed: whether the person asked for it.

    Raises:
        InputError: the weights are not here, and may not be fetched.
    """
    source = _source(model)
    if not source or _find(source) is not None:
        return
    missing = f"the weights of {model!r} are not on this computer; expected them in {_folder(source)}."
    if reason := offline_reason():
        raise InputError(f"{missing} They cannot be fetched: {reason}.", place="model")
    if not allowed:
        raise InputError(f"{missing} Turn on download in Load CLIP Encoder to fetch them once.", place="model")


def offline_reason() -> str:
    """Why nothing may be fetched; empty where it may."""
    for variable in OFFLINE_VARIABLES:
        if (value := os.environ.get(variable, "")).casefold() in TRUE:
            return f"{variable} is {value}"
    return "" if (network := host.network()) == "online" else f"this run is {network}"


def _source(model: str) -> dict[str, Any]:
    """Where open_clip has weights from; empty where it does not know them."""
    name, _, tag = model.partition("/")
    try:
        import open_clip
    except Exception:  # the library says what is wrong with it
        return {}
    return dict(open_clip.get_pretrained_cfg(name, tag) or {}) if tag else {}


def _find(source: dict[str, Any]) -> Path | None:
    """The file, if it is here already."""
    if repository := source.get("hf_hub"):
        from huggingface_hub import try_to_load_from_cache

        owner, _, file = repository.rpartition("/")
        names = (file, f"{Path(file).stem}.safetensors") if file else HUB_FILES
        found = (try_to_load_from_cache(owner, name, cache_dir=_folder(source)) for name in names)
        return next((Path(path) for path in found if isinstance(path, str)), None)
    path = Path(source["file"]) if "file" in source else _folder(source) / Path(source.get("url", "")).name
    return path if path.is_file() else None


def _folder(source: dict[str, Any]) -> Path:
    """The folder that open_clip fetches into."""
    if source.get("hf_hub"):
        from huggingface_hub.constants import HF_HUB_CACHE

        return Path(HF_HUB_CACHE)
    return Path("~/.cache/clip").expanduser()
