"""Models that need open_clip to run, before they are built: timm towers, and CLIP's ResNets.

Not here: reading them (`named_models`), the towers (`towers`). Sources: open_clip's configurations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..attention import ATTENTION, LastBlock
from ..errors import ModelError
from ..hub_tokenizer import HubTokenizer
from ..tokenizer import VOCABULARY_SIZE, ClipTokenizer, Tokenizer
from ..tower import Model
from .model_weights import Weights

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LibraryWeights", "ResNetWeights"]

# Without blocks a method has nothing to change.
RESNET_METHODS: Mapping[str, LastBlock] = MappingProxyType({"maskclip": ATTENTION["maskclip"]})


@dataclass(frozen=True, kw_only=True)
class LibraryWeights(Weights):
    """A model with a timm image tower, as in `towers.library`.

    Args:
        config: open_clip's configuration.
        state: tensors by open_clip's names.
        tanh: whether all MLPs use GELU's approximation by tanh, as transformers' SigLIP does.
        file: where it was read from; a tokenizer may lie beside it. None where there is no file.
    """

    config: Mapping[str, Any]
    state: Mapping[str, Tensor]
    tanh: bool = False
    file: Path | None = None

    @property
    def embed_dim(self) -> int:
        """Width D of the joint space."""
        return int(self.config["embed_dim"])

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        from ..towers.configs import measure

        sizes = measure(self.state)
        return sizes["patch"] or self.image_size // sizes["grid"]

    @property
    def image_size(self) -> int:
        """Side in pixels of the square that a whole image is squeezed to."""
        return int(self.config["vision_cfg"].get("image_size", 224))

    def build(self) -> Model:
        """The towers, as in `towers.library.build_library_model`."""
        from ..towers.library import build_library_model

        return build_library_model(self.config, self.state, self.tanh)

    def make_tokenizer(self) -> Tokenizer:
        """CLIP's own, or the one that the configuration names.

        Raises:
            ModelError: a vocabulary of which nobody says whose it is.
        """
        text = self.config["text_cfg"]
        length, size = text.get("context_length", 77), text.get("vocab_size", VOCABULARY_SIZE)
        if name := text.get("hf_tokenizer_name"):
            clean = text.get("tokenizer_kwargs", {}).get("clean", "whitespace")
            return HubTokenizer(name, self.file, length, size, clean)
        if size != VOCABULARY_SIZE:
            raise ModelError(
                f"a vocabulary of {size} tokens without a tokenizer's name; expected {VOCABULARY_SIZE} as in CLIP's "
                "own, or hf_tokenizer_name in the configuration.",
                place="model",
            )
        return ClipTokenizer(length)


@dataclass(frozen=True, kw_only=True)
class ResNetWeights(Weights):
    """A CLIP ResNet.

    Args:
        state: tensors in OpenAI's layout.
        activation: of the text tower, a name in `options.ACTIVATION`.
    """

    state: Mapping[str, Tensor]
    activation: str
    kind: str = "resnet"
    methods: Mapping[str, LastBlock] = field(default_factory=lambda: RESNET_METHODS)

    @property
    def embed_dim(self) -> int:
        """Width D of the joint space."""
        return int(self.state["text_projection"].shape[-1])

    @property
    def patch_size(self) -> int:
        """Pixels between places of the last feature map."""
        return 32

    @property
    def image_size(self) -> int:
        """Side in pixels of the square that a whole image is squeezed to."""
        places = len(self.state["visual.attnpool.positional_embedding"]) - 1
        return math.isqrt(max(0, places)) * self.patch_size

    def build(self) -> Model:
        """The towers, as in `towers.library.build_resnet`."""
        from ..towers.library import build_resnet, import_open_clip

        import_open_clip(self.name)
        return build_resnet(self.state, self.activation)

    def make_tokenizer(self) -> Tokenizer:
        """CLIP's own."""
        return ClipTokenizer(len(self.state["positional_embedding"]))
