"""Phrases ordered so that classes are merged by plain reductions.

Classes of as many phrases stand together: their block of scores is viewed as classes x phrases and reduced over the
latter, with no index per number.

Not here: scores (`scores`), what a mode does with them (`assembly`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Block", "PhraseOrder", "order_phrases"]


class Block(NamedTuple):
    """Classes that have as many phrases as each other.

    Args:
        start: of their first phrase in the order.
        classes: how many.
        each: phrases of each.
    """

    start: int
    classes: int
    each: int


@dataclass(frozen=True)
class PhraseOrder:
    """An order of phrases.

    Args:
        phrases: index in the bank of each phrase in the order. int64 [K]
        class_index: class of each phrase in the order. int64 [K]
        weights: how much each phrase in the order counts, or None where all count alike. [K]
        first: where the phrases of each class start in the order. int64 [C]
        count: phrases of each class. int64 [C]
        blocks: in the order; together all phrases.
    """

    phrases: Tensor
    class_index: Tensor
    weights: Tensor | None
    first: Tensor
    count: Tensor
    blocks: tuple[Block, ...]

    @property
    def one_each(self) -> bool:
        """Whether every class has a single phrase."""
        return len(self.phrases) == len(self.count)

    def reduce(self, values: Tensor, how: Callable[[Tensor, int], Tensor], dim: int = 0) -> Tensor:
        """Reduce phrases to classes.

        Args:
            values: of the phrases in the order. [...,K,...]
            how: a reduction over one dimension, such as `torch.amax`; of one number it is that number.
            dim: of the phrases.

        Returns:
            In label order. [...,C,...]
        """
        import torch

        parts = []
        for block in self.blocks:
            part = values.narrow(dim, block.start, block.classes * block.each)
            # Any reduction of a single phrase is that phrase.
            alone = block.each == 1
            parts.append(part if alone else how(part.unflatten(dim, (block.classes, block.each)), dim + 1))
        if len(parts) == 1:  # one block is in label order
            return parts[0]
        return torch.cat(parts, dim).index_select(dim, self._places)

    @cached_property
    def _places(self) -> Tensor:
        """Where each class stands among the reduced ones. int64 [C]"""
        return self.first.argsort().argsort()

    def spread(self, values: Tensor) -> Tensor:
        """Values of the classes at their phrases in the order. [C,...] -> [K,...]"""
        return values[self.class_index]


def order_phrases(class_index: Tensor, classes: int, weights: Tensor | None = None) -> PhraseOrder:
    """Put classes of as many phrases together, in label order among themselves.

    Args:
        class_index: class of each phrase. [K]
        classes: how many there are; every one has a phrase.
        weights: how much each phrase counts. [K]
    """
    import torch

    count = class_index.bincount(minlength=classes)
    # Stable, so that equal classes keep their order and phrases of a class theirs.
    by_class = torch.argsort(class_index, stable=True)
    phrases = by_class[torch.argsort(count[class_index[by_class]], stable=True)]
    ordered = class_index[phrases]
    sizes, members = count.unique(return_counts=True)
    blocks, start = [], 0
    for each, number in zip(sizes.tolist(), members.tolist(), strict=True):
        if each:
            blocks.append(Block(start, number, each))
            start += number * each
    places = torch.arange(len(ordered), device=ordered.device)
    first = torch.full_like(count, len(ordered)).scatter_reduce(0, ordered, places, "amin")
    return PhraseOrder(phrases, ordered, None if weights is None else weights[phrases], first, count, tuple(blocks))
