"""Cosines of rows of cells with phrases, each row computed once.

Tiles next to each other need the same rows of patches, overlapping windows several of them; a row is kept until all
tiles have passed it.

Not here: what becomes of them (`scores`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .sampling import Box

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ScoreRows"]


class ScoreRows:
    """Cosines of one image's cells.

    Args:
        values: unit features of the cells. [R,Q,D]
        queries: unit vectors. [M,D]
    """

    def __init__(self, values: Tensor, queries: Tensor) -> None:
        self._values = values
        self._queries = queries
        self._kept: dict[int, Tensor] = {}

    def tile(self, cells: Box) -> Tensor:
        """Cosines of some cells. Rows before them are forgotten. [r,M,q]"""
        import torch

        wanted = range(cells.rows.start, cells.rows.stop)
        self._kept = {row: scores for row, scores in self._kept.items() if row >= wanted.start}
        missing = [row for row in wanted if row not in self._kept]
        if missing:
            scores = (self._values[missing] @ self._queries.T).transpose(1, 2).contiguous()  # [r,M,Q]
            self._kept.update(zip(missing, scores, strict=True))
        return torch.stack([self._kept[row][:, cells.columns] for row in wanted])
