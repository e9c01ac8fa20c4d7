"""Connected components and whole classes, against a flood fill pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from llmseg.components import COMPONENTS, label_components

Labels = NDArray[np.int64]


def flood(labels: Labels) -> tuple[Labels, list[int]]:
    """The slow twin: from every pixel not yet numbered, walk to all neighbours of the same label."""
    height, width = labels.shape
    numbers = np.full(labels.shape, -1)
    found: list[int] = []
    for row in range(height):
        for column in range(width):
            if labels[row, column] < 0 or numbers[row, column] >= 0:
                continue
            waiting = [(row, column)]
            numbers[row, column] = len(found)
            while waiting:
                y, x = waiting.pop()
                for v in range(max(0, y - 1), min(height, y + 2)):
                    for u in range(max(0, x - 1), min(width, x + 2)):
                        if numbers[v, u] < 0 and labels[v, u] == labels[row, column]:
                            numbers[v, u] = len(found)
                            waiting.append((v, u))
            found.append(int(labels[row, column]))
    return numbers, found


def spiral(size: int) -> Labels:
    """One path that winds to the middle, one pixel wide, between walls of another label."""
    labels = np.zeros((size, size), dtype=np.int64)
    row, column, step = 0, 0, (0, 1)
    labels[0, 0] = 1
    for _ in range(size * size):
        for turn in (step, (step[1], -step[0])):
            y, x = row + turn[0], column + turn[1]
            ahead = y + turn[0], x + turn[1]
            inside = 0 <= y < size and 0 <= x < size
            free = not (0 <= ahead[0] < size and 0 <= ahead[1] < size) or labels[ahead] == 0
            if inside and free and labels[y, x] == 0:
                row, column, step = y, x, turn
                labels[y, x] = 1
                break
        else:
            break
    return labels


def comb(height: int, width: int) -> Labels:
    """Teeth that only meet in the last row: every run waits long for its number."""
    labels = np.tile(np.arange(width) % 2 - 1, (height, 1))
    labels[-1] = 0
    return labels


SHAPES = [(1, 1), (1, 9), (9, 1), (2, 2), (5, 17), (17, 5), (23, 31)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [1, 2, 5])
def test_components_are_those_of_the_flood_fill(shape: tuple[int, int], classes: int) -> None:
    rng = np.random.default_rng(classes)
    for share in (0.2, 0.5, 0.9):
        labels = np.where(rng.random(shape) < share, rng.integers(0, classes, shape), -1)
        numbers, found = label_components(labels)
        slow, slow_found = flood(labels)
        assert numbers.tolist() == slow.tolist()
        assert found.tolist() == slow_found


@pytest.mark.parametrize("labels", [spiral(25), comb(9, 21), comb(9, 21)[::-1], np.eye(9, dtype=np.int64) - 1])
def test_winding_shapes_are_one_piece(labels: Labels) -> None:
    numbers, found = label_components(labels)
    slow, slow_found = flood(labels)
    assert numbers.tolist() == slow.tolist()
    assert found.tolist() == slow_found
    assert found.tolist().count(labels.max()) == 1


def test_corners_touch_and_numbers_start_at_the_top_left() -> None:
    labels = np.array([[-1, 7, -1, 3], [7, -1, -1, -1], [-1, -1, 7, 7]])
    numbers, found = label_components(labels)
    assert numbers.tolist() == [[-1, 0, -1, 1], [0, -1, -1, -1], [-1, -1, 2, 2]]
    assert found.tolist() == [7, 3, 7]


def test_nothing_has_no_pieces() -> None:
    for number in COMPONENTS.values():
        numbers, found = number(np.full((3, 4), -1))
        assert (numbers == -1).all()
        assert len(found) == 0


def test_whole_classes_are_one_piece_each() -> None:
    numbers, found = COMPONENTS["class"](np.array([[4, -1, 2], [-1, 4, 4]]))
    assert numbers.tolist() == [[1, -1, 0], [-1, 1, 1]]
    assert found.tolist() == [2, 4]


def test_many_pixels_take_few_rounds() -> None:
    """A chessboard of single pixels touching by corners only: one piece of each label, and no recursion."""
    labels = np.indices((300, 400)).sum(0) % 2
    numbers, found = label_components(labels)
    assert found.tolist() == [0, 1]
    assert (numbers == labels).all()
