"""A CLIP that is ready to run: sentences and pictures in, unit vectors out.

Not here: reading weights (`models`), sliding windows (`patch_features`), templates (`text_bank`).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .attention import ATTENTION, LastBlock
from .defaults import EngineDefaults, engine_defaults
from .errors import InputError, lookup
from .models.weights import EMBEDDED, Weights, read_weights
from .options import AUTO, DTYPE
from .squash import squash
from .tokenizer import Tokenizer, batch_lengths
from .tower import Model, image_parameter, text_parameter

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Encoder", "load_encoder"]

TOKENS_PER_BATCH = 4096


class Encoder:
    """Both towers of one CLIP, its tokenizer and its preprocessing.

    Args:
        weights: as read by `models.weights.read_weights`.
        device: where it runs.
        dtype: of the image tower, a name in `options.DTYPE`; "auto" is float16 on CUDA, else float32. The text tower
            keeps float32: phrases are few, and their vectors are kept.

    Attributes:
        module: the torch module, a `tower.Model`; from when a host moves it itself, nothing here does.
        before_run: asked before every batch by a host that moves the module; what it raises ends the work.
        results: where vectors are handed out; None for wherever the towers are.
        limits: one line on what the model does not know; empty for none.
        causal_text: whether padding may be left out: no token of the text tower sees a later one, or none sees padding.
        phrase_cache: unit vectors by (key of `text_cache`, phrase); `text_bank` fills it.
    """

    def __init__(self, weights: Weights, device: str | torch.device = "cpu", dtype: str = AUTO) -> None:
        import torch

        self.name = weights.name
        self.identity = weights.identity
        self.words = weights.words
        self.names = weights.names
        self.library = weights.library
        self.limits = weights.limits
        self.kind = weights.kind
        self.methods = weights.methods
        self.resample = weights.resample
        self.patch_size = weights.patch_size
        self.image_size = weights.image_size
        self.embed_dim = weights.embed_dim
        self.module: Any = _place(weights.build(), device)
        if dtype == AUTO:
            dtype = "float16" if torch.device(device).type == "cuda" else "float32"
        lookup(DTYPE.names, dtype, place="dtype")
        self.module.visual.to(getattr(torch, dtype))
        self.tokenizer: Tokenizer = weights.make_tokenizer()
        self.causal_text = weights.causal_text
        self.before_run: Callable[[], object] | None = None
        self.results: torch.device | None = None
        self.phrase_cache: OrderedDict[tuple[str, str], Tensor] = OrderedDict()
        self._mean = torch.tensor(weights.mean).view(3, 1, 1)
        self._std = torch.tensor(weights.std).view(3, 1, 1)

    def compile(self) -> None:
        """Let torch.compile fuse the blocks of the image tower; the last one, which methods replace, stays as it is.

        Worth it for many pictures of one size on a GPU: the first one takes longer. On a CPU it needs a C++ compiler.
        """
        for block in self.module.visual.blocks[:-1]:
            block.compile()

    @property
    def defaults(self) -> EngineDefaults:
        """What "auto" means for this model."""
        return engine_defaults(self.name, self.kind)

    @property
    def text_identity(self) -> str:
        """What vectors of text must share to be comparable; a host may change the number format."""
        return f"{self.identity}+{text_parameter(self.module).dtype}"

    @property
    def image_dtype(self) -> torch.dtype:
        """Number format of the image tower."""
        return image_parameter(self.module).dtype

    @property
    def device(self) -> torch.device:
        """Where results are."""
        return self.results or text_parameter(self.module).device

    def unknown_words(self, phrase: str) -> tuple[str, ...]:
        """Words the model was never shown, or the phrase itself where it holds no word at all.

        Empty for a model that reads any word.
        """
        if self.words is None:
            return ()
        words = re.findall(r"[^\W_]+", phrase.lower()) or [phrase]
        return tuple(word for word in words if word not in self.words)

    def knows(self, phrase: str) -> bool:
        """Whether the model was shown every word of a phrase."""
        return not self.unknown_words(phrase)

    def fits(self, sentence: str) -> bool:
        """Whether the model reads a sentence to its end."""
        return self.tokenizer.fits(sentence)

    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        """Unit embeddings of sentences; each is read once, among others of its length. [N,D]

        Raises:
            InputError: a sentence is longer than the model reads.
        """
        import torch
        from torch.nn.functional import normalize

        rows = {sentence: row for row, sentence in enumerate(dict.fromkeys(sentences))}
        tokens = self.tokenizer(list(rows), None if self.causal_text else self.tokenizer.context_length)
        # Up to the last token that is no zero: padding, or a letter of CLIP's that no sentence ends with.
        ends = (tokens != 0).cumsum(-1).argmax(-1) + 1
        lengths = ends.tolist() if self.causal_text else [tokens.shape[1]] * len(rows)
        vectors = text_parameter(self.module).new_empty(len(rows), self.embed_dim, device=self.device)
        with torch.no_grad():
            for batch in batch_lengths(lengths, TOKENS_PER_BATCH):
                some = tokens[batch, : lengths[batch[-1]]].to(self._ready())
                vectors[batch] = self.module.encode_text(some).to(vectors.device)
            return normalize(vectors[[rows[sentence] for sentence in sentences]], dim=-1)

    def encode_image(self, images: Tensor) -> Tensor:
        """Unit embeddings of whole images, the last block unmodified. [B,3,H,W] in 0..1 -> [B,D]

        Images are squeezed to the model's own square, so that nothing of them is cut off.
        """
        return self.whole_image(images)()

    def whole_image(self, images: Tensor) -> Callable[[], Tensor]:
        """`encode_image` for later: a pass that only some of the assembly modes need."""
        from torch.nn.functional import interpolate

        square = (self.image_size, self.image_size)
        if self.resample == "pillow":
            images = squash(images, self.image_size)
        elif tuple(images.shape[-2:]) != square:
            images = interpolate(images, size=square, mode=self.resample, antialias=True).clamp(0, 1)
        return cache(partial(self._encode_square, images))

    def _encode_square(self, images: Tensor) -> Tensor:
        import torch
        from torch.nn.functional import normalize

        with torch.no_grad():
            return normalize(self.module.visual(self._prepare(images)), dim=-1).float().to(self.device)

    def method(self, attention: str = AUTO) -> LastBlock:
        """How the image tower ends under a name.

        Raises:
            UnknownNameError: no such attention.
            InputError: one that this kind of model cannot run.
        """
        attention = self.defaults.attention if attention == AUTO else attention
        lookup(ATTENTION, attention, place="attention")
        if attention not in self.methods:
            able = ", ".join(self.methods)
            raise InputError(
                f"{attention!r} needs a tower that {self.name!r} does not have; expected {able}, or auto.",
                place="attention",
            )
        return self.methods[attention]

    def encode_patches(
        self, images: Tensor, attention: str = AUTO, phrases: Tensor | None = None, alike: Tensor | None = None
    ) -> Tensor:
        """Unit embeddings of every patch. [B,3,H,W] in 0..1 -> [B,h,w,D]

        Args:
            images: what is over whole patches on the right and below is not looked at.
            attention: a name in `ATTENTION`, or "auto".
            phrases: unit vectors for an attention with feedback. [K,D]
            alike: unit vectors of a backbone's patches for an attention with a proxy; then h, w are theirs. [B,h,w,E]

        Raises:
            InputError: a side is shorter than a patch, or an attention that this model cannot run.
            UnknownNameError: no such attention.
        """
        import torch

        from .dense import embed_patches

        method = self.method(attention)
        height, width = images.shape[-2:]
        if min(height, width) < self.patch_size:
            raise InputError(
                f"{width} x {height} pixels; expected at least one patch, {self.patch_size} x {self.patch_size}.",
                place="images",
            )
        with torch.no_grad():
            prepared = self._prepare(images)
            sought, alike = (None if each is None else each.to(prepared.device) for each in (phrases, alike))
            return embed_patches(self.module.visual, prepared, method, sought, alike).to(self.device)

    def encode_tokens(self, images: Tensor) -> Tensor:
        """What the last block reads: `module.visual.prefix` tokens, then patches. [B,3,H,W] in 0..1 -> [B,N,width]"""
        import torch

        from .dense import run_to_last

        with torch.no_grad():
            return run_to_last(self.module.visual, self._prepare(images)).to(self.device)

    def finish_tokens(self, tokens: Tensor, grid: tuple[int, int], attention: str) -> Tensor:
        """Unit embeddings of patches from what the last block reads. [B,N,width] -> [B,h,w,D]"""
        import torch

        from .dense import finish_tokens

        method = self.method(attention)
        with torch.no_grad():
            return finish_tokens(self.module.visual, tokens.to(self._ready()), grid, method).to(self.device)

    def _ready(self) -> torch.device:
        """Where the towers are, once the host has them in place."""
        if self.before_run is not None:
            self.before_run()
        return text_parameter(self.module).device

    def _prepare(self, images: Tensor) -> Tensor:
        images = images.to(self._ready(), self.image_dtype)
        return (images - self._mean.to(images)) / self._std.to(images)


def _place(model: Model, device: str | torch.device) -> Any:
    """A model is a torch module too, which its protocol cannot say."""
    module: Any = model
    return module.to(device)


def load_encoder(
    model: str = EMBEDDED,
    *,
    device: str | torch.device = "cpu",
    activation: str = AUTO,
    folders: Sequence[Path] = (),
    dtype: str = AUTO,
) -> Encoder:
    """Load a CLIP by name or file; see `models.weights.read_weights` for the names, `Encoder` for the rest.

    Raises:
        ModelError: missing or unusable weights.
        UnknownNameError: no such dtype.
    """
    return Encoder(read_weights(model, activation=activation, folders=folders), device, dtype)
