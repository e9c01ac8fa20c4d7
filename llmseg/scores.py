"""`PatchFeatures` x `TextBank` -> `ScoreMaps`: the cosine of every patch with every phrase.

Lazy: one matrix product per image, made when assembly asks for it. Overlapping windows and scales are
averaged once, on the features: a mean of cosines is the product with the mean of the unit features, so no
map is ever averaged.

Not here: merging phrases into classes (`assembly`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .defaults import EngineDefaults
from .errors import InputError
from .types import Level, PatchFeatures, TextBank

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ScoreMaps", "merge_levels", "merge_windows", "score_image"]


@dataclass(frozen=True)
class ScoreMaps:
    """Cosines on the patch grid, computed on demand.

    Args:
        patches: mean over scales and windows of the unit features at a patch. [B,h,w,D]
        image_vector: unit embedding of the whole image. [B,D]
        bank: the encoded phrases.
        size: pixels of the original image. (H, W)
        defaults: what "auto" means for the encoder.
    """

    patches: Tensor
    image_vector: Tensor
    bank: TextBank
    size: tuple[int, int]
    defaults: EngineDefaults

    def __len__(self) -> int:
        return len(self.patches)

    def phrase_scores(self, image: int) -> Tensor:
        """Cosine of every phrase with every patch of one image, in [-1, 1]. [K,h,w]"""
        return (self.patches[image] @ self.bank.embeddings.T).permute(2, 0, 1)

    def name_scores(self, image: int) -> Tensor:
        """Cosine of every class name with every patch of one image. [C,h,w]"""
        return (self.patches[image] @ self.bank.name_embeddings.T).permute(2, 0, 1)

    def phrase_relevance(self, image: int) -> Tensor:
        """Cosine of every phrase with the whole image. [K]"""
        return self.bank.embeddings @ self.image_vector[image]

    def class_score(self) -> Tensor:
        """Cosine of every class name with every whole image. [B,C]"""
        return self.image_vector @ self.bank.name_embeddings.T


def score_image(features: PatchFeatures, bank: TextBank) -> ScoreMaps:
    """Bring features and phrases together.

    Raises:
        InputError: they come from different models.
    """
    if features.model != bank.model:
        raise InputError(
            f"phrases encoded by {bank.model!r}, image by {features.model!r}; expected one encoder for both.",
            place="text_bank",
        )
    return ScoreMaps(merge_levels(features), features.image_vector, bank, features.size, features.defaults)


def merge_levels(features: PatchFeatures) -> Tensor:
    """Mean over the scales, on the grid of the finest. [B,h,w,D]"""
    from torch.nn.functional import interpolate

    finest, *others = features.levels
    total = merge_windows(finest)
    for level in others:
        channels = merge_windows(level).movedim(-1, 1)
        resized = interpolate(channels, size=finest.grid, mode="bilinear", antialias=True, align_corners=False)
        total = total + resized.movedim(1, -1)
    return total / len(features.levels) if others else total


def merge_windows(level: Level) -> Tensor:
    """Mean over the windows that cover each patch. [B,N,h,w,D] -> [B,h,w,D]"""
    windows = level.windows
    if len(level.boxes) == 1:
        return windows[:, 0]
    total = windows.new_zeros(len(windows), *level.grid, windows.shape[-1])
    count = windows.new_zeros(*level.grid, 1)
    for number, (top, left, bottom, right) in enumerate(level.boxes):
        total[:, top:bottom, left:right] += windows[:, number]
        count[top:bottom, left:right] += 1
    return total / count
