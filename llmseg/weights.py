"""Model files and names -> CLIP weights with everything that is needed to run them.

    embedded                        the small model in this package
    path/to/file.safetensors        OpenAI's layout; .pt and .bin are read with weights_only=True
    ViT-B-16-quickgelu/openai       name/tag of open_clip, which may download them

Not here: reading a file (`checkpoint`), running a model (`encoder`), its towers (`vit`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .checkpoint import check_description, expand_tokens, file_hash, load_checkpoint
from .clip_config import ClipConfig, infer_config
from .errors import ModelError, UnknownNameError, nearest
from .options import ACTIVATION, AUTO

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EMBEDDED", "FILE_SUFFIXES", "Weights", "read_weights"]

EMBEDDED = "embedded"
FILE_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)

MOST_LIMITS = 300  # characters; a stranger's file may hold any text, and this one is printed

# Tags (of open_clip) and words in file names whose weights were trained with QuickGELU. open_clip 3
# only warns when a plain architecture name meets them, and then computes something else.
QUICKGELU_MARKS = ("openai", "metaclip", "dfn2b", "dfn5b")
GELU_EXCEPTIONS = ("dfn2b_s39b", "metaclip_altogether", "metaclip2")


@dataclass(frozen=True)
class Weights:
    """A CLIP as read from its source.

    Args:
        name: own name, by which `defaults.engine_defaults` knows it.
        identity: changes whenever the weights do.
        config: sizes of the towers.
        state: tensors in OpenAI's layout.
        mean, std: per RGB channel, for images in 0..1.
        words: every word the model knows; None for a model that reads any.
        names: phrases worth suggesting when a word is unknown.
        library: expansion library made for this model; empty for none.
        limits: one line on what the model does not know; empty where nobody wrote one.
    """

    name: str
    identity: str
    config: ClipConfig
    state: Mapping[str, Tensor]
    mean: tuple[float, ...] = OPENAI_MEAN
    std: tuple[float, ...] = OPENAI_STD
    words: frozenset[str] | None = None
    names: tuple[str, ...] = ()
    library: str = ""
    limits: str = ""


def read_weights(model: str = EMBEDDED, *, activation: str = AUTO, folders: Sequence[Path] = ()) -> Weights:
    """Read the weights that `model` names.

    Args:
        model: "embedded", a file, or an open_clip name/tag.
        activation: a name in `options.ACTIVATION`, or "auto" to follow the source.
        folders: where a bare file name is looked for, after the path as given.

    Raises:
        ModelError: missing, unreadable, or not a CLIP ViT in OpenAI's layout.
        UnknownNameError: no such activation.
    """
    if activation not in ACTIVATION.choices:
        raise UnknownNameError(activation, ACTIVATION.choices, place="activation")
    if model == EMBEDDED:
        packaged = resources.files(__package__).joinpath("data").joinpath("models").joinpath("embedded.safetensors")
        with resources.as_file(packaged) as path:
            return _read_file(path, activation)
    if model.endswith(FILE_SUFFIXES):
        return _read_file(_find_file(model, folders), activation)
    return _read_open_clip(model, activation)


def _find_file(model: str, folders: Sequence[Path]) -> Path:
    candidates = [Path(model), *(folder / model for folder in folders)]
    for path in candidates:
        if path.is_file():
            return path
    looked = ", ".join(str(path) for path in candidates)
    raise ModelError(f"no file {model!r}; expected one of {looked}.", place="model")


def _read_file(path: Path, activation: str) -> Weights:
    state, described = load_checkpoint(path)
    fingerprint = file_hash(path)[:16]
    if described:
        return _from_description(state, described, fingerprint, activation)
    chosen = _guess_activation(path.name) if activation == AUTO else activation
    return Weights(path.stem, _identity(path.stem, fingerprint, chosen), infer_config(state, chosen), state)


def _from_description(
    state: dict[str, Tensor], described: Mapping[str, Any], fingerprint: str, activation: str
) -> Weights:
    try:
        state = expand_tokens(state, described.get("token_ids"))
        config = infer_config(state, described["activation"] if activation == AUTO else activation)
        check_description(described, config)
        return Weights(
            name=described["name"],
            identity=_identity(described["name"], fingerprint, config.activation),
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


def _read_open_clip(model: str, activation: str) -> Weights:
    name, _, tag = model.partition("/")
    try:
        import open_clip
    except Exception as error:  # a torchvision that does not match torch fails with more than ImportError
        raise ModelError(
            f"{model!r} needs open_clip, which cannot be imported ({error}). "
            "Run: pip install open_clip_torch, with a torchvision that matches torch.",
            place="model",
        ) from error
    if name not in open_clip.list_models():
        close = nearest(name, open_clip.list_models(), 3)
        hint = f" Nearest: {', '.join(close)}." if close else ""
        raise ModelError(
            f"{model!r} is neither a file nor a model of open_clip; expected 'embedded', a file ending in "
            f"{', '.join(FILE_SUFFIXES)}, or name/tag such as 'ViT-B-16-quickgelu/openai'.{hint}",
            place="model",
        )
    if not tag:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise ModelError(f"{model!r} names no weights; expected name/tag, with a tag of {tags}.", place="model")
    return _convert_open_clip(open_clip, name, tag, activation)


def _convert_open_clip(open_clip: Any, name: str, tag: str, activation: str) -> Weights:
    try:
        network = open_clip.create_model(name, pretrained=tag)
    except Exception as error:  # open_clip and the hub raise many kinds; each means: no weights
        raise ModelError(f"open_clip cannot load '{name}/{tag}': {error}", place="model") from error
    described = open_clip.get_model_config(name)
    preprocess = open_clip.get_pretrained_cfg(name, tag) or {}
    file = Path(tag)
    if activation == AUTO:
        known = preprocess.get("quick_gelu", _guess_activation(file.name) == "quickgelu")
        activation = "quickgelu" if described.get("quick_gelu") or known else "gelu"
    state = dict(network.state_dict())
    config = infer_config(state, activation)
    heads = described["vision_cfg"].get("head_width", 64)
    text_heads = described["text_cfg"].get("heads", config.text.heads)
    config = replace(
        config,
        vision=replace(config.vision, heads=config.vision.width // heads),
        text=replace(config.text, heads=text_heads),
    )
    return Weights(
        name=f"{name}/{file.name}",
        identity=_identity(f"{name}/{file.name}", file_hash(file)[:16] if file.is_file() else "", activation),
        config=config,
        state=state,
        mean=tuple(preprocess.get("mean") or OPENAI_MEAN),
        std=tuple(preprocess.get("std") or OPENAI_STD),
    )


def _guess_activation(name: str) -> str:
    folded = name.casefold()
    quick = any(mark in folded for mark in QUICKGELU_MARKS)
    return "quickgelu" if quick and not any(mark in folded for mark in GELU_EXCEPTIONS) else "gelu"


def _identity(name: str, fingerprint: str, activation: str) -> str:
    """What features and phrases must share to be comparable; the nonlinearity is as good as a weight."""
    return f"{name}@{fingerprint}+{activation}"


def _one_line(text: str) -> str:
    """Spaces collapsed, and nothing that would steer a terminal."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
