"""A CLIP out of files: one that holds both towers, or two that hold one each.

What the tensors do not tell, the nonlinearity and the number of heads, is taken from a config.json that fits, from the
name of the file, or from what is usual for the layout and the size.

Not here: reading a file (`checkpoint`), its names (`layouts`), which files a model is made of (`weights`).
Sources: configurations of transformers 5 and of ComfyUI 0.8.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..clip_config import ClipConfig, guess_activation, infer_config
from ..errors import ModelError
from ..options import AUTO
from .hub_config import HubConfig, read_hub_config
from .layouts import IMAGE, TEXT, from_transformers, to_native
from .model_weights import OPENAI_MEAN, OPENAI_STD, ClipWeights

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ModelFile", "file_label", "make_identity", "read_clip"]

# What hubs call every file, so that the folder has to tell what it is.
GENERIC_NAMES = (
    "model",
    "pytorch_model",
    "open_clip_model",
    "open_clip_pytorch_model",
    "clip_vision",
    "image_encoder",
    "text_encoder",
)
PLAIN_MARKS = ("laion", "datacomp", "commonpool")  # trained with exact GELU, whatever is usual for the size
LARGEST_OF_OPENAI = 1024  # width; the larger ones in transformers' layout are LAION's
TRAINED_SCALE = math.log(100)  # where the scale of the logits stands after training; half files often lack it
HALF_MEANS = ("laion2b_s32b_b82k", "laion2b-s32b-b82k")  # the one CLIP ViT of open_clip that sees -1..1

TOWERS = {
    IMAGE: ("visual.conv1.weight", "visual.proj", "visual_projection.weight"),
    TEXT: ("token_embedding.weight", "text_projection", "text_projection.weight"),
}


@dataclass(frozen=True)
class ModelFile:
    """A model file as read.

    Args:
        path: where it lies.
        state: its tensors.
        fingerprint: changes whenever its content does.
        scripted: whether it is a TorchScript archive.
    """

    path: Path
    state: Mapping[str, Tensor]
    fingerprint: str
    scripted: bool = False


def read_clip(files: Sequence[ModelFile], activation: str) -> ClipWeights:
    """A CLIP whose towers stand in one or two files.

    Args:
        files: in any order.
        activation: a name in `options.ACTIVATION`, or "auto".

    Raises:
        ModelError: a tower missing, there twice, without its projection, or of another CLIP than the other one.
    """
    import torch

    towers = [to_native(file.state) for file in files]
    _check_towers(files, towers)
    state: dict[str, Tensor] = {"logit_scale": torch.tensor(TRAINED_SCALE)}
    for tower in towers:
        state |= tower
    config = infer_config(state)
    described = [read_hub_config(file.path.parent, config) if from_transformers(file.state) else None for file in files]
    if activation == AUTO:
        activation = _agree([_find_activation(*pair, config) for pair in zip(files, described, strict=True)])
    name = " + ".join(file_label(file.path) for file in files)
    half = any(mark in name.casefold() for mark in HALF_MEANS)
    return ClipWeights(
        name=name,
        identity=make_identity(name, "-".join(file.fingerprint for file in files), activation),
        config=_with_heads(replace(config, activation=activation), described),
        state=state,
        mean=(0.5, 0.5, 0.5) if half else OPENAI_MEAN,
        std=(0.5, 0.5, 0.5) if half else OPENAI_STD,
    )


def file_label(path: Path) -> str:
    """What a file is called: its name, or that of its folder where the name could be any model's.

    >>> file_label(Path("clip-vit-large-patch14/model.safetensors"))
    'clip-vit-large-patch14'
    """
    if path.stem not in GENERIC_NAMES:
        return path.stem
    folder = path.absolute().parent
    if folder.parent.name == "snapshots":  # the hub's cache: models--owner--name/snapshots/revision/file
        folder = folder.parent.parent
    return folder.name or path.stem


def make_identity(name: str, fingerprint: str, activation: str) -> str:
    """What features and phrases must share to be comparable; the nonlinearity is as good as a weight."""
    return f"{name}@{fingerprint}+{activation}"


def _check_towers(files: Sequence[ModelFile], towers: Sequence[Mapping[str, Tensor]]) -> None:
    holders: dict[str, int] = {}
    for kind, (sign, projection, name) in TOWERS.items():
        holding = [number for number, tower in enumerate(towers) if sign in tower]
        if len(holding) > 1:
            names = " and ".join(repr(files[number].path.name) for number in holding)
            raise ModelError(f"{names} hold the {kind} tower each; expected one of each kind.", place="model")
        if holding:
            holders[kind] = holding[0]
            if projection not in towers[holding[0]]:
                raise ModelError(
                    f"the {kind} tower of {files[holding[0]].path.name!r} has no {name}, which leads into the space of "
                    "both towers; expected a file that was saved with it. Those of Stable Diffusion 1.5 are not.",
                    place="model",
                )
    for kind, other in ((IMAGE, TEXT), (TEXT, IMAGE)):
        if kind not in holders:
            raise _one_tower([file.path.name for file in files], other, kind)
    if len(files) > len(set(holders.values())):
        idle = next(file.path.name for number, file in enumerate(files) if number not in holders.values())
        raise ModelError(f"{idle!r} holds no tower of a CLIP; expected one in each file.", place="model")
    _check_widths(files, towers, holders)


def _one_tower(names: Sequence[str], held: str, missing: str) -> ModelError:
    listed = " and ".join(map(repr, names))
    example = f"{names[0]} + {'TEXT' if missing == TEXT else 'VISION'}.safetensors"
    return ModelError(
        f"{listed} {'holds' if len(names) == 1 else 'hold'} the {held} tower of a CLIP only; expected the {missing} "
        f"tower too. Name both files, as in '{example}'.",
        place="model",
    )


def _check_widths(
    files: Sequence[ModelFile], towers: Sequence[Mapping[str, Tensor]], holders: Mapping[str, int]
) -> None:
    shapes = [tuple(towers[number][TOWERS[kind][1]].shape) for kind, number in sorted(holders.items())]
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        image, text = (files[holders[kind]].path.name for kind in (IMAGE, TEXT))
        raise ModelError(
            f"the image tower of {image!r} projects by {list(shapes[0])}, the text tower of {text!r} by "
            f"{list(shapes[1])}; expected both into a space of one width. Name the two towers of one CLIP.",
            place="model",
        )


def _find_activation(file: ModelFile, described: HubConfig | None, config: ClipConfig) -> tuple[str, str]:
    """The nonlinearity of a file, and where that is known from; empty where it is only usual."""
    label = file_label(file.path)
    if described is not None:
        return described.activation, f"the config.json beside {file.path.name!r}"
    if guess_activation(label) == "quickgelu":
        return "quickgelu", f"the name {label!r}"
    if any(mark in label.casefold() for mark in PLAIN_MARKS):
        return "gelu", f"the name {label!r}"
    small = max(config.vision.width, config.text.width) <= LARGEST_OF_OPENAI
    usual = file.scripted or (small and from_transformers(file.state))
    return ("quickgelu" if usual else "gelu"), ""


def _agree(known: Sequence[tuple[str, str]]) -> str:
    """The nonlinearity of all towers: what is known goes before what is usual."""
    sure = [(activation, source) for activation, source in known if source]
    if not sure:
        return max(activation for activation, _ in known)  # quickgelu is a guess with a reason, gelu one without
    if len({activation for activation, _ in sure}) > 1:
        said = ", ".join(f"{activation} by {source}" for activation, source in sure)
        raise ModelError(
            f"the two towers differ in their nonlinearity ({said}); expected the towers of one CLIP. "
            "Choose activation if they are.",
            place="model",
        )
    return sure[0][0]


def _with_heads(config: ClipConfig, described: Sequence[HubConfig | None]) -> ClipConfig:
    heads: dict[str, int] = {}
    for found in described:
        heads |= found.heads if found is not None else {}
    vision = replace(config.vision, heads=heads.get("vision", config.vision.heads))
    return replace(config, vision=vision, text=replace(config.text, heads=heads.get("text", config.text.heads)))
