"""SimSeg's checkpoints as weights of the engine: the model under which arXiv:2404.00701 was published.

Not here: its towers (`towers.simseg`), its words (`wordpiece`), what "auto" means for it (`defaults`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError
from ..options import AUTO
from ..tokenizer import Tokenizer
from ..wordpiece import WordPieceTokenizer
from .model_weights import Weights

if TYPE_CHECKING:
    from torch import Tensor

    from ..tower import Model

__all__ = ["SimSegWeights", "is_simseg", "read_simseg"]

IMAGE_SIZE = 288  # pixels; every picture is squeezed to this square
CONTEXT_LENGTH = 25  # tokens of a text
PATCHES = "image_encoder.model.model.patch_embed.proj.weight"
WORDS = "text_encoder.model.model.embeddings.word_embeddings.weight"
PROJECTION = "image_projection.linear.weight"
MARKS = frozenset({PATCHES, WORDS, PROJECTION, "text_projection.linear.weight"})
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class SimSegWeights(Weights):
    """A SimSeg, for the towers in `towers.simseg`.

    Args:
        state: tensors under the names of its authors.
        path: of the file; its vocabulary is looked for from there.
    """

    state: Mapping[str, Tensor]
    path: Path

    @property
    def embed_dim(self) -> int:
        """Width D of the joint space."""
        return len(self.state[PROJECTION])

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return self.state[PATCHES].shape[-1]

    @property
    def image_size(self) -> int:
        """Side in pixels of the square that a whole image is squeezed to."""
        return IMAGE_SIZE

    def build(self) -> Model:
        """The towers, as in `towers.simseg.build_simseg`."""
        from ..towers.simseg import build_simseg

        return build_simseg(self.state, IMAGE_SIZE)

    def make_tokenizer(self) -> Tokenizer:
        """BERT's, whose vocabulary is looked for when the first sentence comes."""
        return WordPieceTokenizer(self.path, CONTEXT_LENGTH, len(self.state[WORDS]))


def is_simseg(names: Collection[str]) -> bool:
    """Whether the names of a file's tensors are those of a SimSeg."""
    return {name.removeprefix("module.") for name in names} >= MARKS


def read_simseg(
    state: Mapping[str, Tensor], path: Path, fingerprint: str = "", activation: str = AUTO
) -> SimSegWeights:
    """The weights of a SimSeg.

    Args:
        state: tensors of the file.
        path: the file.
        fingerprint: of its content.
        activation: not looked at: both towers were trained with exact GELU.

    Raises:
        ModelError: tensors that cannot be those of a SimSeg.
    """
    patches, projection, words = (state[name] for name in (PATCHES, PROJECTION, WORDS))
    if (patches.ndim, projection.ndim, words.ndim) != (4, 2, 2) or IMAGE_SIZE % max(1, patches.shape[-1]):
        raise ModelError(
            f"patches {list(patches.shape)}, a projection {list(projection.shape)} and words {list(words.shape)}; "
            f"expected patches that divide {IMAGE_SIZE} pixels, [D,width] and [words,width].",
            place="model",
        )
    return SimSegWeights(
        name=path.stem,
        identity=f"{path.stem}@{fingerprint}",
        mean=MEAN,
        std=STD,
        kind="simseg",
        resample="pillow",
        state=state,
        path=path,
    )
