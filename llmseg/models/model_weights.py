"""A model as read from its source, before it is built: the record, and the kind that is a CLIP ViT.

Not here: reading one (`weights`), other kinds (`named_models`, `simseg`), the towers (`vit`, `towers`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..attention import ATTENTION, LastBlock
from ..clip_config import ClipConfig
from ..tokenizer import ClipTokenizer, Tokenizer
from ..tower import Model

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OPENAI_MEAN", "OPENAI_STD", "ClipWeights", "Weights"]

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, kw_only=True)
class Weights(ABC):
    """A model as read from its source, and everything that is needed to run it; each kind of model is a subclass.

    Args:
        name: own name, by which `defaults.engine_defaults` knows it.
        identity: changes whenever the weights do.
        mean, std: per RGB channel, for images in 0..1.
        words: every word the model knows; None for a model that reads any.
        names: phrases worth suggesting when a word is unknown.
        library: expansion library made for this model; empty for none.
        limits: one line on what the model does not know; empty where nobody wrote one.
        kind: a key of `defaults.KIND_DEFAULTS`.
        causal_text: whether padding may be left out: no token of the text tower sees a later one, or none sees padding.
        methods: what of `attention.ATTENTION` it can run.
        resample: how a whole image is squeezed to the model's square: bicubic, bilinear, or pillow as in `squash`.

    Attributes:
        embed_dim: width D of the joint space.
        patch_size, image_size: pixels.
    """

    name: str
    identity: str
    mean: tuple[float, ...] = OPENAI_MEAN
    std: tuple[float, ...] = OPENAI_STD
    words: frozenset[str] | None = None
    names: tuple[str, ...] = ()
    library: str = ""
    limits: str = ""
    kind: str = "vit"
    causal_text: bool = True
    methods: Mapping[str, LastBlock] = field(default_factory=lambda: ATTENTION)
    resample: str = "bicubic"

    @property
    @abstractmethod
    def embed_dim(self) -> int:
        """As above."""

    @property
    @abstractmethod
    def patch_size(self) -> int:
        """As above."""

    @property
    @abstractmethod
    def image_size(self) -> int:
        """As above."""

    @abstractmethod
    def build(self) -> Model:
        """The towers, in evaluation mode.

        Raises:
            ModelError: tensors that do not fit.
        """

    @abstractmethod
    def make_tokenizer(self) -> Tokenizer:
        """What turns sentences into tokens for the text tower."""


@dataclass(frozen=True, kw_only=True)
class ClipWeights(Weights):
    """A CLIP ViT, for the towers in `vit`.

    Args:
        config: sizes of the towers.
        state: tensors in OpenAI's layout.
    """

    config: ClipConfig
    state: Mapping[str, Tensor]

    @property
    def embed_dim(self) -> int:
        """Width D of the joint space."""
        return self.config.embed_dim

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return self.config.patch_size

    @property
    def image_size(self) -> int:
        """Side in pixels of the square that a whole image is squeezed to."""
        return self.config.image_size

    def build(self) -> Model:
        """The towers, as in `vit.build_clip`."""
        from ..vit import build_clip

        return build_clip(self.state, self.config)

    def make_tokenizer(self) -> Tokenizer:
        """CLIP's own."""
        return ClipTokenizer(self.config.context_length)
