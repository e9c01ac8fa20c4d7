"""What is learned: which caption belongs to which picture, and which patches each phrase of a caption means.

Nobody says where anything is. Four terms, all from captions:

- global: CLIP's own contrast between pictures and captions;
- presence: a phrase fits the best patches of pictures whose caption holds it better than those of others, and
  better than phrases that the caption does not hold;
- competition: on the patches that fit a phrase best, it beats all other phrases;
- explanation: every patch is explained by some phrase of its own caption, where that names everything.

Not here: the towers (`towers`). Sources: CLIP (arXiv:2103.00020); pooling over the best patches as in multiple
instance learning; the last two terms and their shares come from this project's experiments.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .batches import Batch
from .recipe import Recipe

__all__ = ["global_loss", "local_loss"]

NEVER = -1e4  # a logit that no softmax sees


def global_loss(pictures: Tensor, captions: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """CLIP's symmetric contrast. []

    Args:
        pictures, captions: embeddings. [B,D]
        scale: factor on cosines.
        same: pairs that are no negatives, since their captions say the same. bool [B,B]
    """
    cosines = F.normalize(pictures.float(), dim=-1) @ F.normalize(captions.float(), dim=-1).T
    others = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    logits = (scale * cosines).masked_fill(others, NEVER)
    truth = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2


def local_loss(patches: Tensor, phrases: Tensor, scale: Tensor, batch: Batch, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Presence, and competition with explanation. [], []

    Args:
        patches: embeddings of all patches. [B,P,D]
        phrases: embeddings of the batch's phrases. [K,D]
        scale: factor on cosines.
        batch: who says what.
        recipe: shares of the patches.
    """
    logits = scale * (F.normalize(patches.float(), dim=-1) @ F.normalize(phrases.float(), dim=-1).T)  # [B,P,K]
    count = logits.shape[1]
    most = {True: max(3, round(count * recipe.stuff_share)), False: max(2, round(count * recipe.thing_share))}
    presence = _presence(_pool(logits, batch.stuff, most), batch.holds)
    shares = logits.log_softmax(-1)
    rows, columns = batch.holds.nonzero(as_tuple=True)
    own = shares[rows, :, columns]  # [pairs,P]
    is_stuff = batch.stuff[columns]
    competition = sum(
        own[is_stuff == stuff].topk(number, 1).values.mean(1).sum() for stuff, number in most.items()
    ) / len(own)
    prior = torch.where(batch.stuff, 0.0, math.log(recipe.thing_prior))
    told = (shares[batch.told] + prior).masked_fill(~batch.holds[batch.told][:, None], NEVER)
    explanation = told.logsumexp(-1).mean()
    return presence, -(competition + recipe.hard_weight * explanation)


def _pool(logits: Tensor, stuff: Tensor, most: dict[bool, int]) -> Tensor:
    """Mean logit of each phrase over its best patches. [B,P,K] -> [B,K]"""
    pooled = torch.empty(len(logits), logits.shape[2], dtype=logits.dtype, device=logits.device)
    for is_stuff, number in most.items():
        columns = (stuff == is_stuff).nonzero()[:, 0]
        best = logits[:, :, columns].transpose(1, 2).topk(number, -1, sorted=False).values.mean(-1)
        pooled = pooled.index_copy(1, columns, best)
    return pooled


def _presence(pooled: Tensor, holds: Tensor) -> Tensor:
    """Held phrases against others of the picture, and holding pictures against others of the phrase. []"""
    absent = pooled.masked_fill(holds, NEVER)
    against_phrases = torch.logaddexp(pooled, absent.logsumexp(1, keepdim=True)) - pooled
    against_pictures = torch.logaddexp(pooled, absent.logsumexp(0, keepdim=True)) - pooled
    return (against_phrases + against_pictures)[holds].mean()
