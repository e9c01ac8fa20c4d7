"""A CLIP that is ready to run: sentences and pictures in, unit vectors out.

Not here: reading weights (`weights`), sliding windows (`patch_features`), templates (`text_bank`).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .attention import ATTENTION
from .defaults import EngineDefaults, engine_defaults
from .errors import InputError, lookup
from .options import AUTO
from .tokenizer import ClipTokenizer
from .weights import EMBEDDED, Weights, read_weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .vit import Clip

__all__ = ["Encoder", "load_encoder"]

SENTENCES_PER_BATCH = 256


class Encoder:
    """Both towers of one CLIP, its tokenizer and its preprocessing.

    Args:
        weights: as read by `weights.read_weights`.
        device: where it runs; results stay there.

    Attributes:
        module: the torch module, for a host that moves models itself.
        limits: one line on what the model does not know; empty for none.
        phrase_cache: unit vectors by (template set, phrase); `text_bank` fills it.
    """

    def __init__(self, weights: Weights, device: str | torch.device = "cpu") -> None:
        import torch

        from .vit import build_clip

        self.name = weights.name
        self.identity = weights.identity
        self.words = weights.words
        self.names = weights.names
        self.library = weights.library
        self.limits = weights.limits
        self.patch_size = weights.config.patch_size
        self.image_size = weights.config.image_size
        self.embed_dim = weights.config.embed_dim
        self.module: Clip = build_clip(weights.state, weights.config).to(device)
        self.tokenizer = ClipTokenizer(weights.config.context_length)
        self.phrase_cache: OrderedDict[tuple[str, str], Tensor] = OrderedDict()
        self._mean = torch.tensor(weights.mean).view(3, 1, 1)
        self._std = torch.tensor(weights.std).view(3, 1, 1)

    @property
    def defaults(self) -> EngineDefaults:
        """What "auto" means for this model."""
        return engine_defaults(self.name)

    @property
    def device(self) -> torch.device:
        """Where the towers are."""
        return self.module.logit_scale.device

    def unknown_words(self, phrase: str) -> tuple[str, ...]:
        """Words the model was never shown, or the phrase itself where it holds no word at all.

        Empty for a model that reads any word.
        """
        if self.words is None:
            return ()
        words = re.findall(r"[^\W_]+", phrase.lower()) or [phrase]
        return tuple(word for word in words if word not in self.words)

    def fits(self, sentence: str) -> bool:
        """Whether the model reads a sentence to its end."""
        return len(self.tokenizer.encode(sentence)) + 2 <= self.tokenizer.context_length

    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        """Unit embeddings of sentences. [N,D]

        Raises:
            InputError: a sentence is longer than the model reads.
        """
        import torch
        from torch.nn.functional import normalize

        tokens = self.tokenizer(sentences).to(self.device)
        with torch.no_grad():
            batches = [self.module.encode_text(batch) for batch in tokens.split(SENTENCES_PER_BATCH)]
            return normalize(torch.cat(batches), dim=-1)

    def encode_image(self, images: Tensor) -> Tensor:
        """Unit embeddings of whole images, the last block unmodified. [B,3,H,W] in 0..1 -> [B,D]

        Images are squeezed to the model's own square, so that nothing of them is cut off.
        """
        import torch
        from torch.nn.functional import interpolate, normalize

        square = (self.image_size, self.image_size)
        with torch.no_grad():
            if tuple(images.shape[-2:]) != square:
                images = interpolate(images, size=square, mode="bicubic", antialias=True).clamp(0, 1)
            return normalize(self.module.visual(self._prepare(images)), dim=-1)

    def encode_patches(self, images: Tensor, attention: str = AUTO) -> Tensor:
        """Unit embeddings of every patch. [B,3,H,W] in 0..1 -> [B,h,w,D]

        Args:
            images: sides are multiples of `patch_size`.
            attention: a name in `ATTENTION`, or "auto".

        Raises:
            InputError: a side is no multiple of the patch size.
            UnknownNameError: no such attention.
        """
        import torch
        from torch.nn.functional import normalize

        policy = lookup(ATTENTION, self.defaults.attention if attention == AUTO else attention, place="attention")
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise InputError(
                f"{width} x {height} pixels; expected multiples of the patch size {self.patch_size}.", place="images"
            )
        with torch.no_grad():
            return normalize(self.module.visual.patches(self._prepare(images), policy), dim=-1)

    def _prepare(self, images: Tensor) -> Tensor:
        images = images.to(self.device, self.module.visual.conv1.weight.dtype)
        return (images - self._mean.to(images)) / self._std.to(images)


def load_encoder(
    model: str = EMBEDDED,
    *,
    device: str | torch.device = "cpu",
    activation: str = AUTO,
    folders: Sequence[Path] = (),
) -> Encoder:
    """Load a CLIP by name or file; see `weights.read_weights` for the names.

    Raises:
        ModelError: missing or unusable weights.
    """
    return Encoder(read_weights(model, activation=activation, folders=folders), device)
