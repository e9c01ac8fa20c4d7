"""Model files as tensors and a description, whatever the file claims.

Model files are untrusted: tensors and JSON are read, nothing is unpickled into objects, and no size
that a file states is believed before the tensors agree.

Not here: which file (`weights`), what its names mean (`layouts`), what is built from it (`vit`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..clip_config import ClipConfig
from ..errors import ModelError
from ..options import ACTIVATION
from ..tokenizer import VOCABULARY_SIZE
from .torchscript import is_torchscript, read_torchscript

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["check_description", "expand_tokens", "load_checkpoint"]


WIDEST = 4096  # numbers per token; the largest public text tower has 1280
MOST_SHARED = 2  # bytes that tensors may claim for each byte of a file: some are the same one under two names

# What makes up most of a checkpoint for making pictures, and is no part of a CLIP.
OTHER_PARTS = ("model.diffusion_model.", "first_stage_model.", "model_ema.", "vae.")


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, and the description that this project's own files carry (else empty).

    Raises:
        ModelError: unreadable, or anything but tensors.
    """
    if path.suffix != ".safetensors":
        return _load_pickle(path), {}
    state, metadata = _load_safetensors(path)
    return state, _described(metadata, path)


def check_description(described: Mapping[str, Any], config: ClipConfig) -> None:
    """Hold the metadata against the tensors: sizes must agree, everything else be of its kind.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: what does not fit; the caller says whose it is.
    """
    measured = {
        "vision": {**asdict(config.vision), "image_size": config.image_size, "patch_size": config.patch_size},
        "text": {**asdict(config.text), "context_length": config.context_length, "vocab_size": config.vocab_size},
    }
    for tower, sizes in measured.items():
        for key, size in sizes.items():
            said = described[tower].get(key, size)
            if said != size and key != "heads":
                raise ValueError(f"{tower} {key} {said!r}, not {size} as in the tensors")
        if type(described[tower]["heads"]) is not int or described[tower]["heads"] < 1:
            raise ValueError(f"{tower} heads {described[tower]['heads']!r}")
    if described["embed_dim"] != config.embed_dim:
        raise ValueError(f"embed_dim {described['embed_dim']!r}, not {config.embed_dim} as in the tensors")
    if config.activation not in ACTIVATION.names:
        raise ValueError(f"activation {config.activation!r}")
    for key in ("mean", "std"):
        if len(described[key]) != 3 or not all(0 <= value <= 1 for value in described[key]):
            raise ValueError(f"{key} {described[key]!r}")
    if min(described["std"]) == 0:
        raise ValueError(f"std {described['std']!r}")
    lists = [described.get("names", []), described.get("words") or []]
    texts = [described[key] for key in ("name", "library", "limits") if key in described]
    texts += [text for listed in lists for text in listed]
    if not all(isinstance(entry, list) for entry in lists) or not all(isinstance(text, str) for text in texts):
        raise TypeError("a name or word that is no text")


def expand_tokens(state: dict[str, Tensor], ids: Sequence[int] | None) -> dict[str, Tensor]:
    """Row i+1 of a compact token table belongs to token `ids[i]`; row 0 stands for every other token.

    Raises:
        ValueError: another number of rows than of ids, or an id out of range.
    """
    if ids is None:
        return state
    import torch

    compact = state["token_embedding.weight"]
    if compact.ndim != 2 or compact.shape[1] > WIDEST:  # expanding multiplies a small file by thousands
        raise ValueError(f"a token table of shape {list(compact.shape)}")
    if len(compact) != len(ids) + 1 or not all(0 <= number < VOCABULARY_SIZE for number in ids):
        raise ValueError(f"{len(ids)} token_ids for {len(compact)} rows")
    rows = torch.zeros(VOCABULARY_SIZE, dtype=torch.int64)
    rows[torch.tensor(ids, dtype=torch.int64)] = torch.arange(1, len(ids) + 1)
    return {**state, "token_embedding.weight": compact[rows]}


def _load_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if not name.startswith(OTHER_PARTS)]  # noqa: SIM118
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"cannot read {path.name!r} ({error}); expected a safetensors file.", place="model") from error


def _load_pickle(path: Path) -> dict[str, Tensor]:
    import torch

    if is_torchscript(path):
        return _check_claims(read_torchscript(path), path)
    try:
        with _harmless():
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds here, unpickling and archive errors among them
        raise ModelError(
            f"cannot read {path.name!r} as plain tensors; expected a state dict. "
            "Pickled models are refused: save its state_dict(), as .safetensors if you can.",
            place="model",
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not all(map(_is_dense, state.values())):
        raise ModelError(f"{path.name!r} holds no state dict; expected tensors by name.", place="model")
    return _check_claims({str(name).removeprefix("module."): tensor for name, tensor in state.items()}, path)


def _harmless() -> AbstractContextManager[object]:
    """Lets plain values pass that training scripts leave beside the tensors: versions and numpy's numbers."""
    import numpy as np
    import torch

    if tuple(map(int, torch.__version__.split(".")[:2])) < (
        2,
        6,
    ):  # takes no other name of a function, as old files have
        return nullcontext()
    kinds: list[Any] = [type(np.dtype(kind)) for kind in ("bool", "int32", "int64", "float32", "float64")]
    kinds += [torch.torch_version.TorchVersion, np.dtype]
    scalar = np.float64(0).__reduce__()[0]
    kinds += [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return torch.serialization.safe_globals(kinds)


def _check_claims(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Refuse tensors that are many views of the same few numbers: each becomes its own when a model is built."""
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if claimed > MOST_SHARED * path.stat().st_size:
        raise ModelError(
            f"the tensors of {path.name!r} claim {claimed} bytes; expected at most {MOST_SHARED} for each of the file.",
            place="model",
        )
    return state


def _is_dense(value: object) -> bool:
    """Whether a value is a tensor that holds every number it claims; a stride of 0 could claim any size."""
    import torch

    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def _described(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    try:
        described = json.loads(metadata.get("llmseg", "{}"))
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"metadata of {path.name!r} is not valid JSON ({error}); expected an object.", place="model"
        ) from error
    return described if isinstance(described, dict) else {}
