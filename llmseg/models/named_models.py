"""Models that come by open_clip's configurations: by name and tag, or as a file known by the names in it.

    ViT-B-16-SigLIP/webli           name/tag of open_clip, which may download the weights
    a file with visual.trunk.*      a timm tower as open_clip stores it; see `towers.configs` for which
    a file with vision_model.head.* SigLIP as transformers stores it
    a file with visual.layer1.*     CLIP's ResNet as OpenAI stores it

A CLIP ViT by name is a `ClipWeights` like any other.

Not here: files of CLIP ViTs (`weights`), the records (`library_weights`), the towers (`towers`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..clip_config import guess_activation, infer_config
from ..errors import ModelError, nearest
from ..options import AUTO
from ..store import file_hash
from .library_weights import LibraryWeights, ResNetWeights
from .model_weights import OPENAI_MEAN, OPENAI_STD, ClipWeights, Weights
from .torchscript import is_torchscript

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["is_foreign", "read_named", "read_towers"]

RESNET = "visual.layer1.0.conv1.weight"
SIGLIP, SIGLIP_TEXT = "vision_model.head.probe", "text_model.embeddings.token_embedding.weight"
TIMM = "visual.trunk."
HALVES = (0.5, 0.5, 0.5)  # mean and deviation of SigLIP's and PE-Core's images


def is_foreign(names: Collection[str]) -> bool:
    """Whether tensors of these names are both towers of a model that is read here."""
    timm = "text.positional_embedding" in names and any(name.startswith(TIMM) for name in names)
    return timm or {RESNET, "text_projection"} <= set(names) or {SIGLIP, SIGLIP_TEXT} <= set(names)


def read_towers(state: Mapping[str, Tensor], path: Path, fingerprint: str, activation: str) -> Weights:
    """A file with a timm tower, SigLIP as transformers stores it, or a CLIP ResNet.

    Args:
        state: its tensors.
        path: of the file; its name and its neighbours say what the tensors do not.
        fingerprint: changes with the file.
        activation: a name in `options.ACTIVATION`, or "auto"; read for ResNets, elsewhere the configuration says it.

    Raises:
        ModelError: none of them, or one whose configuration cannot be told.
    """
    if RESNET in state:
        if activation == AUTO:
            scripted = path.suffix != ".safetensors" and is_torchscript(path)  # only OpenAI's files are programs
            activation = "quickgelu" if scripted else guess_activation(path.name)
        return _resnet(path.stem, fingerprint, state, activation)
    from ..towers.configs import find_architecture
    from ..towers.library import import_open_clip
    from ..towers.siglip_layout import from_transformers, is_transformers_siglip

    open_clip = import_open_clip(path.name)
    foreign = is_transformers_siglip(state)
    tensors = from_transformers(state) if foreign else dict(state)
    found = find_architecture(open_clip, tensors, path)
    return LibraryWeights(
        name=path.stem,
        identity=f"{path.stem}@{fingerprint}+{found.name}{'+tanh' if foreign else ''}",
        mean=found.mean or (HALVES if foreign else OPENAI_MEAN),
        std=found.std or (HALVES if foreign else OPENAI_STD),
        config=found.config,
        state=tensors,
        tanh=foreign,
        file=path,
        **_text_and_kind(found.config),
    )


def read_named(model: str, activation: str = AUTO, *, weights: Path | None = None) -> Weights:
    """A model by open_clip's name and tag.

    Args:
        model: name/tag; the tag may be a file that open_clip can read.
        activation: as in `options.ACTIVATION`, for a CLIP ViT.
        weights: where the tag's weights lie on this computer; None to let open_clip look for them.

    Raises:
        ModelError: no such name or tag, weights that cannot be had, or a tower that is not known here.
    """
    from ..towers.library import import_open_clip

    open_clip = import_open_clip(model)
    name, _, tag = model.partition("/")
    if name not in open_clip.list_models():
        close = nearest(name, open_clip.list_models(), 3)
        hint = f" Nearest: {', '.join(close)}." if close else ""
        raise ModelError(
            f"{model!r} is neither a file nor a model of open_clip; expected 'embedded', a file ending in "
            f".safetensors, .pt, .pth, .bin, or name/tag such as 'ViT-B-16-quickgelu/openai'.{hint}",
            place="model",
        )
    if not tag:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise ModelError(f"{model!r} names no weights; expected name/tag, with a tag of {tags}.", place="model")
    try:
        network = open_clip.create_model(name, pretrained=tag if weights is None else str(weights))
    except Exception as error:  # open_clip and the hub raise many kinds; each means: no weights
        raise ModelError(f"open_clip cannot load '{name}/{tag}': {error}", place="model") from error
    return _from_network(open_clip, network, (name, tag), activation, weights)


def _from_network(
    open_clip: Any, network: Any, named: tuple[str, str], activation: str, weights: Path | None
) -> Weights:
    name, tag = named
    described = open_clip.get_model_config(name)
    preprocess = open_clip.get_pretrained_cfg(name, tag) or {}
    file = Path(tag)
    own = f"{name}/{file.name}"
    fingerprint = file_hash(file)[:16] if file.is_file() else ""
    mean, std = (tuple(preprocess.get(key) or ()) for key in ("mean", "std"))
    state = dict(network.state_dict())
    if any(key.startswith(TIMM) for key in state):
        from ..towers.timm_vit import check_timm

        check_timm(network.visual)
        published = {} if mean else _published(open_clip, name)
        return LibraryWeights(
            name=own,
            identity=f"{own}@{fingerprint}",
            mean=mean or published.get("mean", OPENAI_MEAN),
            std=std or published.get("std", OPENAI_STD),
            config=described,
            state=state,
            file=weights or (file if file.is_file() else None),
            **_text_and_kind(described),
        )
    if activation == AUTO:
        known = preprocess.get("quick_gelu", guess_activation(file.name) == "quickgelu")
        activation = "quickgelu" if described.get("quick_gelu") or known else "gelu"
    if RESNET in state:
        return _resnet(own, fingerprint, state, activation, mean, std)
    config = infer_config(state, activation)
    heads = described["vision_cfg"].get("head_width", 64)
    config = replace(
        config,
        vision=replace(config.vision, heads=config.vision.width // heads),
        text=replace(config.text, heads=described["text_cfg"].get("heads", config.text.heads)),
    )
    return ClipWeights(
        name=own,
        identity=f"{own}@{fingerprint}+{activation}",
        config=config,
        state=state,
        mean=mean or OPENAI_MEAN,
        std=std or OPENAI_STD,
    )


def _published(open_clip: Any, name: str) -> dict[str, tuple[float, ...]]:
    """Mean and deviation that all published weights of an architecture share."""
    from ..towers.configs import describe

    found = describe(open_clip, name, open_clip.get_model_config(name))
    return {"mean": found.mean, "std": found.std} if found.mean else {}


def _resnet(
    name: str,
    fingerprint: str,
    state: Mapping[str, Tensor],
    activation: str,
    mean: tuple[float, ...] = (),
    std: tuple[float, ...] = (),
) -> ResNetWeights:
    missing = [
        key for key in ("text_projection", "positional_embedding", "visual.attnpool.positional_embedding")
        if key not in state or not state[key].ndim
    ]  # fmt: skip
    if missing:
        raise ModelError(
            f"a ResNet without {missing[0]!r}; expected a CLIP with both towers in OpenAI's layout.", place="model"
        )
    return ResNetWeights(
        name=name,
        identity=f"{name}@{fingerprint}+{activation}",
        state=state,
        activation=activation,
        mean=mean or OPENAI_MEAN,
        std=std or OPENAI_STD,
    )


def _text_and_kind(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the configuration of a timm tower says of the engine: the kind, and whether padding may be left out."""
    text, vision = config["text_cfg"], config["vision_cfg"]
    pooled_at_end = text.get("pool_type", "argmax") == "argmax" and not text.get("no_causal_mask", False)
    return {"kind": "pooled" if vision.get("timm_pool") == "map" else "vit", "causal_text": pooled_at_end}
