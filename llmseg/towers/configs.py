"""Which of open_clip's configurations a checkpoint has: found by shapes, and never guessed where several fit.

In this order: `open_clip_config.json` beside the file, as the hub's folders have it; the one configuration that every
tensor fits; of several, the one that the name of the
file or of its folder speaks of.

Not here: building (`library`), other layouts (`siglip_layout`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ModelError
from .library import misfit

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CONFIG_FILE", "Architecture", "describe", "find_architecture", "measure"]

CONFIG_FILE = "open_clip_config.json"
LONGEST_CONFIG = 2**20  # bytes
FAMILIES = ("eva", "vision_transformer", "vision_transformer_hybrid", "vitamin")  # modules of timm
TEXT_DEFAULTS = {"context_length": 77, "vocab_size": 49408, "width": 512, "layers": 12}  # open_clip's own


class Architecture(NamedTuple):
    """A configuration with its name, and what its images are normalised by; empty where nobody says."""

    name: str
    config: Mapping[str, Any]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def find_architecture(open_clip: Any, state: Mapping[str, Tensor], path: Path) -> Architecture:
    """The configuration of a checkpoint with a timm image tower.

    Args:
        open_clip: the library.
        state: tensors by open_clip's names.
        path: of the file; its name and its neighbours are looked at.

    Raises:
        ModelError: none fits, or several do.
    """
    sizes = measure(state)
    if (beside := _read_beside(path)) is not None and _fits(beside.config, sizes, state):
        return beside
    known = ((name, open_clip.get_model_config(name)) for name in open_clip.list_models())
    fitting = [describe(open_clip, name, config) for name, config in known if _fits(config, sizes, state)]
    if not fitting:
        said = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ModelError(
            f"no configuration of open_clip fits {path.name!r} ({said}); expected a timm tower that it knows. "
            f"Put the model's own {CONFIG_FILE} beside the file.",
            place="model",
        )
    return _choose(fitting, path)


def measure(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Sizes that both a checkpoint and a configuration tell.

    Raises:
        ModelError: one of the towers is not there.
    """
    try:
        context, width = state["text.positional_embedding"].shape
        vocabulary, _ = state["text.token_embedding.weight"].shape
        tokens = state["visual.trunk.pos_embed"].shape[1]
        embed_dim = _embed_dim(state, width)
    except (KeyError, ValueError, IndexError) as error:
        raise ModelError(
            f"not a whole model of open_clip ({error}); expected an image tower 'visual.trunk' with positions and a "
            "text tower 'text'.",
            place="model",
        ) from error
    layers = {name.split(".")[3] for name in state if name.startswith("text.transformer.resblocks.")}
    return {
        "embed_dim": embed_dim,
        "context_length": context,
        "vocab_size": vocabulary,
        "width": width,
        "layers": len(layers),
        "grid": math.isqrt(tokens),
        "patch": _patch(state),
    }


def _embed_dim(state: Mapping[str, Tensor], width: int) -> int:
    """Numbers of a sentence's vector: a linear layer's outputs, a matrix's columns, or the tower's own width."""
    if "text.text_projection.weight" in state:
        return int(state["text.text_projection.weight"].shape[0])
    return int(state["text.text_projection"].shape[-1]) if "text.text_projection" in state else width


def _patch(state: Mapping[str, Tensor]) -> int:
    """Pixels of a patch; 0 for a stem of several convolutions."""
    kernel = state.get("visual.trunk.patch_embed.proj.weight")
    known = kernel is not None and kernel.ndim == 4 and kernel.shape[1] == 3
    return int(kernel.shape[-1]) if known and kernel is not None else 0


def _fits(config: Any, sizes: Mapping[str, int], state: Mapping[str, Tensor]) -> bool:
    """By numbers first: building every configuration takes minutes, and a stranger's may ask for any size."""
    try:
        vision, text = config["vision_cfg"], config["text_cfg"]
        told = {
            "embed_dim": config["embed_dim"],
            **{name: text.get(name, TEXT_DEFAULTS[name]) for name in TEXT_DEFAULTS},
        }
        if any(told[name] != sizes[name] for name in told) or not _is_timm(vision) or "hf_model_name" in text:
            return False
        if sizes["patch"] and vision.get("image_size", 224) // sizes["patch"] != sizes["grid"]:
            return False
        return not misfit(config, state)
    except Exception:  # a stranger's configuration may fail in any way; then it is not this one
        return False


def _is_timm(vision: Mapping[str, Any]) -> bool:
    """Whether an image tower is one of timm's that may be a plain transformer, and not something to fetch."""
    import timm

    name = vision.get("timm_model_name")
    if not isinstance(name, str) or not timm.is_model(name):
        return False
    family = timm.model_entrypoint(name).__module__
    return not family.startswith("timm.") or family.removeprefix("timm.models.") in FAMILIES


def _read_beside(path: Path) -> Architecture | None:
    file = path.parent / CONFIG_FILE
    try:
        if not file.is_file() or file.stat().st_size > LONGEST_CONFIG:
            return None
        read = json.loads(file.read_text(encoding="utf-8"))
        preprocess = read.get("preprocess_cfg", {})
        mean, std = (_three(preprocess.get(name)) for name in ("mean", "std"))
        return Architecture(path.stem, read["model_cfg"], mean, std)
    except (OSError, ValueError, KeyError, AttributeError, RecursionError):
        return None


def _three(numbers: Any) -> tuple[float, ...]:
    """Numbers per RGB channel; empty for anything else."""
    if isinstance(numbers, list) and len(numbers) == 3 and all(isinstance(n, (int, float)) for n in numbers):
        return tuple(float(number) for number in numbers)
    return ()


def describe(open_clip: Any, name: str, config: Mapping[str, Any]) -> Architecture:
    """With the mean and deviation that all published weights of this name share."""
    tags = open_clip.list_pretrained_tags_by_model(name)
    found = [open_clip.get_pretrained_cfg(name, tag) or {} for tag in tags]
    pairs = {(tuple(each.get("mean") or ()), tuple(each.get("std") or ())) for each in found}
    mean, std = pairs.pop() if len(pairs) == 1 else ((), ())
    return Architecture(name, config, mean, std)


def _choose(fitting: Sequence[Architecture], path: Path) -> Architecture:
    """One of those that fit; names that mean the same model count once."""
    said = f"{path.parent.name} {path.stem}".casefold()  # the hub's folders are named, the files in them are not
    named = sorted((each for each in fitting if each.name.casefold() in said), key=lambda each: len(each.name))
    if named:
        longest: Architecture = named[-1]
        return longest
    different: dict[str, Architecture] = {
        json.dumps([each.config, each.mean, each.std], sort_keys=True): each for each in reversed(fitting)
    }
    if len(different) == 1:
        return fitting[0]
    sized = [each for each in different.values() if re.search(rf"(?<![0-9a-z]){_image_size(each)}(?![0-9a-z])", said)]
    if len(sized) == 1:
        return sized[0]
    names = ", ".join(each.name for each in fitting)
    raise ModelError(
        f"{path.name!r} may be any of {names}; expected one of them in the name of the file or of its folder. "
        f"Rename it, such as to '{fitting[0].name}{path.suffix}', or put its {CONFIG_FILE} beside it.",
        place="model",
    )


def _image_size(described: Architecture) -> int:
    """Pixels of a side."""
    return int(described.config["vision_cfg"].get("image_size", 224))
