"""A confusion matrix that fits on a page, whatever the number of classes.

Not here: how it is drawn (`plots`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["normalise_matrix", "pick_confused"]

MOST = 20  # classes that can be read side by side


def pick_confused(matrices: Sequence[Tensor], most: int = MOST) -> list[int]:
    """Labels that occur, in label order; where there are many, those that most pixels are confused with.

    Args:
        matrices: of the columns that are to be compared. int64 [C,C+1] each
        most: labels at most.
    """
    import torch

    shares = [matrix.double() / matrix.sum().clamp(min=1) for matrix in matrices]
    wrong = torch.stack([_count_wrong(share) for share in shares]).sum(0)
    occurs = torch.stack([matrix.sum(1) for matrix in matrices]).sum(0) > 0
    labels = occurs.nonzero().flatten().tolist()
    return sorted(sorted(labels, key=lambda label: -float(wrong[label]))[:most])


def _count_wrong(matrix: Tensor) -> Tensor:
    """Pixels of each class that were taken for another, and of others that were taken for it. [C,C+1] -> [C]"""
    square = matrix[:, :-1]
    return matrix.sum(1) + square.sum(0) - 2 * square.diag()


def normalise_matrix(
    matrix: Tensor, names: Sequence[str], labels: Sequence[int]
) -> tuple[list[list[float]], list[str], list[str]]:
    """Shares of each true class by class found; those not listed, and unknown pixels, are summed up if there are any.

    Args:
        matrix: pixels. int64 [C,C+1]
        names: of all classes. [C]
        labels: the rows and the first columns.

    Returns:
        Shares that sum to 1 in every row that has pixels; names of the rows; names of the columns.
    """
    import torch

    rows = matrix[list(labels)].double()
    chosen, unknown = rows[:, list(labels)], rows[:, -1]
    others = rows[:, :-1].sum(1) - chosen.sum(1)
    more = [(name, part) for name, part in (("other classes", others), ("unknown", unknown)) if part.sum() > 0]
    shown = torch.cat([chosen, *(part[:, None] for _, part in more)], dim=1)
    listed = [names[label] for label in labels]
    return (shown / rows.sum(1, keepdim=True).clamp(min=1)).tolist(), listed, [*listed, *(name for name, _ in more)]
