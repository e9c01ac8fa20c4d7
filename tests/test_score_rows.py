"""`score_rows`: tiles are the crop of all cosines, and no row is computed twice on the way down."""

from __future__ import annotations

import random

import torch
from slow_scores import WIDTH, units

from llmseg.sampling import Box
from llmseg.score_rows import ScoreRows

ROWS, COLUMNS, QUERIES = 9, 7, 5


def slow_cosines(values, queries):
    """Row by row, query by query, column by column. [R,M,Q]"""
    return torch.tensor(
        [
            [[sum(a * b for a, b in zip(cell, query, strict=True)) for cell in row] for query in queries]
            for row in values
        ]
    )


def make_rows():
    values, queries = units(ROWS, COLUMNS, seed=1), units(QUERIES, seed=2)
    return ScoreRows(values, queries), slow_cosines(values.tolist(), queries.tolist())


def box(top, bottom, left=0, right=COLUMNS):
    return Box(slice(top, bottom), slice(left, right))


def test_any_tile_in_any_order_is_the_crop_of_all():
    rows, cosines = make_rows()
    chooser = random.Random(0)
    for _ in range(30):
        tile = box(*sorted(chooser.sample(range(ROWS + 1), 2)), *sorted(chooser.sample(range(COLUMNS + 1), 2)))
        torch.testing.assert_close(rows.tile(tile), cosines[tile.rows, :, tile.columns], atol=1e-6, rtol=0)


def test_by_hand():
    values = torch.zeros(2, 1, WIDTH)
    values[0, 0, 0], values[1, 0, 1] = 1, 1
    rows = ScoreRows(values, torch.eye(3, WIDTH))
    assert rows.tile(Box(slice(1, 2), slice(0, 1))).tolist() == [[[0], [1], [0]]]


class Counting:
    """Values that remember which rows were asked for."""

    def __init__(self, values):
        self.values, self.asked = values, []

    def __getitem__(self, rows):
        self.asked += rows
        return self.values[rows]


def test_a_row_is_computed_once_and_forgotten_when_passed():
    values = Counting(units(ROWS, COLUMNS, seed=1))
    rows = ScoreRows(values, units(QUERIES, seed=2))
    for tile in (box(0, 4, 0, 3), box(0, 4, 2, 7), box(2, 6), box(3, 9)):
        rows.tile(tile)
    assert values.asked == list(range(ROWS))
    rows.tile(box(1, 4))
    assert values.asked[ROWS:] == [1, 2], "row 3 was still there"
