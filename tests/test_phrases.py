"""`phrases`: an order in which plain reductions do what loops over the classes do."""

from __future__ import annotations

import random

import pytest
import torch

from llmseg.phrases import Block, order_phrases

INDICES = {
    "unequal": [0, 0, 0, 1, 2, 2],
    "shuffled": [2, 0, 3, 1, 0, 2, 0, 4, 3, 0],
    "equal": [0, 0, 1, 1, 2, 2],
    "names alone": [0, 1, 2, 3],
    "one class": [0, 0, 0],
    "one phrase": [0],
    "largest first": [0, 0, 0, 1, 1, 2],
}
HOW = {"amax": torch.amax, "sum": torch.sum, "logsumexp": torch.logsumexp, "mean": torch.mean}


def groups(index):
    """Phrases of every class, as they come."""
    return [[phrase for phrase, owner in enumerate(index) if owner == label] for label in range(max(index) + 1)]


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", INDICES)
def test_reducing_equals_a_loop_over_classes(name, how, dim):
    index = INDICES[name]
    values = torch.randn(len(index), 3, 5, generator=torch.Generator().manual_seed(0))
    wanted = torch.stack([HOW[how](values[own], 0) for own in groups(index)])
    order = order_phrases(torch.tensor(index), max(index) + 1)
    reduced = order.reduce(values[order.phrases].movedim(0, dim), HOW[how], dim)
    torch.testing.assert_close(reduced.movedim(dim, 0), wanted)


@pytest.mark.parametrize("name", INDICES)
def test_classes_of_as_many_phrases_stand_together(name):
    index = INDICES[name]
    order = order_phrases(torch.tensor(index), max(index) + 1)
    own = groups(index)
    assert order.class_index.tolist() == [index[phrase] for phrase in order.phrases.tolist()]
    assert order.count.tolist() == [len(each) for each in own]
    for label, phrases in enumerate(own):
        first, count = int(order.first[label]), int(order.count[label])
        assert order.phrases[first : first + count].tolist() == phrases, "in the order in which they came"
    start = 0
    for block in order.blocks:
        assert block.start == start
        labels = order.class_index[start : start + block.classes * block.each].tolist()
        members = [label for label, phrases in enumerate(own) if len(phrases) == block.each]
        assert labels == [label for label in members for _ in range(block.each)], "in label order"
        start += block.classes * block.each
    assert start == len(index)
    assert [block.each for block in order.blocks] == sorted({len(phrases) for phrases in own})


def test_by_hand():
    order = order_phrases(torch.tensor([0, 0, 1, 2, 2]), 3, torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]))
    assert order.phrases.tolist() == [2, 0, 1, 3, 4]
    assert order.class_index.tolist() == [1, 0, 0, 2, 2]
    assert order.weights is not None
    assert order.weights.tolist() == pytest.approx([0.3, 0.1, 0.2, 0.4, 0.5])
    assert (order.first.tolist(), order.count.tolist()) == ([1, 0, 3], [2, 1, 2])
    assert order.blocks == (Block(0, 1, 1), Block(1, 2, 2))
    assert order.reduce(torch.tensor([5.0, 1.0, 2.0, 4.0, 3.0]), torch.amax).tolist() == [2, 5, 4]
    assert order.spread(torch.tensor([7, 8, 9])).tolist() == [8, 7, 7, 9, 9]
    assert order_phrases(torch.tensor([0, 1]), 2).weights is None


def test_spread_undoes_what_reduce_gathers():
    index = INDICES["shuffled"]
    order = order_phrases(torch.tensor(index), 5)
    values = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(1))
    spread = order.spread(values)
    assert spread.shape == (len(index), 2, 3)
    assert order.reduce(spread, torch.amax).equal(values)


@pytest.mark.parametrize("seed", range(20))
def test_any_counts_in_any_order(seed):
    chooser = random.Random(seed)
    classes = chooser.randint(1, 30)
    index = [label for label in range(classes) for _ in range(chooser.randint(1, 5))]
    chooser.shuffle(index)
    order = order_phrases(torch.tensor(index), classes)
    values = torch.randn(len(index), generator=torch.Generator().manual_seed(seed))
    wanted = torch.stack([values[own].max() for own in groups(index)])
    assert order.reduce(values[order.phrases], torch.amax).equal(wanted)
    assert sorted(order.phrases.tolist()) == list(range(len(index)))
