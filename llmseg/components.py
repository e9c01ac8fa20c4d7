"""Labels of pixels -> numbered pieces: connected components, or whole classes.

Runs of equal labels along the rows are found first and joined with those they touch in the row above, so
that the work is in a few array operations whatever the picture shows.

Not here: what is known of a piece (`regions`).
Sources: components by runs (He, Chao, Suzuki 2008); joined by hooking to the smallest neighbour and pointer
jumping (Shiloach, Vishkin 1982).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["COMPONENTS", "Numbering", "find_runs", "label_components"]


def label_components(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbering the connected pieces of equal label, from the top left; pixels touch by an edge or a corner.

    Args:
        labels: those below 0 belong to nothing. [H,W]

    Returns:
        The piece of each pixel, -1 for none [H,W]; the label of each piece [N].
    """
    import numpy as np

    run_of, starts = find_runs(labels)
    values = labels[starts]
    first, numbers = np.unique(_join(len(values), *_touching_runs(labels, run_of)), return_inverse=True)
    known = values[first] >= 0
    renumbered = np.where(known, known.cumsum() - 1, -1)
    return renumbered[numbers][run_of], values[first][known]


def _keep_classes(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same for whole classes: each label is one piece. [H,W], [N]"""
    import numpy as np

    found = np.unique(labels[labels >= 0])
    numbers = np.searchsorted(found, labels)
    return np.where(labels >= 0, numbers, -1), found


def find_runs(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Runs of equal labels along the rows: the number of each pixel's run, and where runs start. two [H,W]"""
    import numpy as np

    starts = np.ones(labels.shape, dtype=bool)
    starts[:, 1:] = labels[:, 1:] != labels[:, :-1]
    return starts.cumsum().reshape(labels.shape) - 1, starts


def _touching_runs(labels: NDArray[np.int64], run_of: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of runs of one label that touch from row to row. two [pairs]"""
    import numpy as np

    width = labels.shape[1]
    pairs = []
    for step in (-1, 0, 1):  # from a pixel to its neighbours below
        here, below = slice(max(0, -step), width - max(0, step)), slice(max(0, step), width - max(0, -step))
        same = (labels[:-1, here] == labels[1:, below]) & (labels[1:, below] >= 0)
        upper, lower = run_of[:-1, here][same], run_of[1:, below][same]
        fresh = np.ones(len(upper), dtype=bool)  # two runs side by side touch in many pixels
        fresh[1:] = (upper[1:] != upper[:-1]) | (lower[1:] != lower[:-1])
        pairs.append((upper[fresh], lower[fresh]))
    uppers, lowers = (np.concatenate(each) for each in zip(*pairs, strict=True))
    return uppers, lowers


def _join(count: int, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """The smallest number that each of `count` things is joined with, over pairs of joined ones. [count]

    Every round halves the things left within two of them: one that hooks to nothing either takes somebody in, or
    its neighbour hooks lower still and it follows in the next round.
    """
    import numpy as np

    parents = np.arange(count)
    while len(one):
        low = np.minimum(parents[one], parents[other])
        high = np.maximum(parents[one], parents[other])
        apart = low != high
        one, other = one[apart], other[apart]
        np.minimum.at(parents, high[apart], low[apart])
        while not np.array_equal(above := parents[parents], parents):
            parents = above
    return parents


# labels [H,W] -> the piece of each pixel, -1 for none [H,W], and the label of each piece [N]
Numbering = Callable[["NDArray[np.int64]"], tuple["NDArray[np.int64]", "NDArray[np.int64]"]]

COMPONENTS: Mapping[str, Numbering] = {"component": label_components, "class": _keep_classes}
