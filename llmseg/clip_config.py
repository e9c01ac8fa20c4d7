"""Sizes of a CLIP's two towers, read off the shapes of a checkpoint in OpenAI's layout.

Every size but the width of a head can be read; that one stands in a table.

Not here: the towers (`vit`), files (`models`). Source: arXiv:2103.00020, and the configurations
of open_clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import ModelError
from .tokenizer import VOCABULARY_SIZE

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ClipConfig", "TowerConfig", "guess_activation", "infer_config"]

HEAD_WIDTH = 64  # of every public CLIP except the image towers below
HEADS_BY_WIDTH = {1280: 16, 1408: 16, 1664: 16, 1792: 16}  # ViT-H, g, bigG and e: 80, 88, 104 and 112 wide
MOST_LAYERS = 256  # the largest public tower has 56; a file may claim any number


# Tags (of open_clip) and words in file names whose weights were trained with QuickGELU. open_clip 3
# only warns when a plain architecture name meets them, and then computes something else.
QUICKGELU_MARKS = ("openai", "metaclip", "dfn2b", "dfn5b")
GELU_EXCEPTIONS = ("dfn2b_s39b", "metaclip_altogether", "metaclip2")


@dataclass(frozen=True)
class TowerConfig:
    """Size of one transformer; `hidden` is the inner width of its MLPs."""

    width: int
    layers: int
    heads: int
    hidden: int


@dataclass(frozen=True)
class ClipConfig:
    """Sizes of both towers.

    Args:
        vision, text: the transformers.
        image_size, patch_size: pixels; the grid of the position embedding is their quotient.
        context_length, vocab_size: of the text tower.
        embed_dim: width D of the joint space.
        activation: a name in `options.ACTIVATION`.
    """

    vision: TowerConfig
    text: TowerConfig
    image_size: int
    patch_size: int
    context_length: int
    vocab_size: int
    embed_dim: int
    activation: str = "gelu"


def infer_config(state: Mapping[str, Tensor], activation: str = "gelu") -> ClipConfig:
    """Read the sizes of both towers off a state dict in OpenAI's layout.

    Raises:
        ModelError: another layout, or the vocabulary of another tokenizer.
    """
    try:
        width, _, patch, _ = state["visual.conv1.weight"].shape
        tokens, _ = state["visual.positional_embedding"].shape
        text_width, embed_dim = state["text_projection"].shape
        context_length, _ = state["positional_embedding"].shape
        vocab_size, _ = state["token_embedding.weight"].shape
        vision = _infer_tower(state, "visual.transformer.", width, HEADS_BY_WIDTH.get(width))
        text = _infer_tower(state, "transformer.", text_width, None)
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"not a CLIP checkpoint in OpenAI's layout ({error}); expected a ViT with both towers.", place="model"
        ) from error
    if empty := [name for name, tensor in state.items() if not tensor.numel()]:
        raise ModelError(f"tensor {empty[0]!r} is empty; expected numbers in all of them.", place="model")
    if vocab_size != VOCABULARY_SIZE:
        raise ModelError(
            f"a vocabulary of {vocab_size} tokens; expected {VOCABULARY_SIZE} as in CLIP's own tokenizer.",
            place="model",
        )
    return ClipConfig(
        vision=vision,
        text=text,
        image_size=round((tokens - 1) ** 0.5) * patch,
        patch_size=patch,
        context_length=context_length,
        vocab_size=vocab_size,
        embed_dim=embed_dim,
        activation=activation,
    )


def guess_activation(name: str) -> str:
    """The nonlinearity of weights, by a tag of open_clip or the name of a file; a name in `options.ACTIVATION`."""
    folded = name.casefold()
    quick = any(mark in folded for mark in QUICKGELU_MARKS)
    return "quickgelu" if quick and not any(mark in folded for mark in GELU_EXCEPTIONS) else "gelu"


def _infer_tower(state: Mapping[str, Tensor], prefix: str, width: int, heads: int | None) -> TowerConfig:
    start = f"{prefix}resblocks."
    layers = len({name[len(start) :].split(".")[0] for name in state if name.startswith(start)})
    if layers > MOST_LAYERS:
        raise ValueError(f"{layers} layers")
    hidden, _ = state[f"{start}0.mlp.c_fc.weight"].shape
    return TowerConfig(width, layers, heads or max(1, width // HEAD_WIDTH), hidden)
