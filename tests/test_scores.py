"""`scores`: cosines by loops; averaging features equals averaging scores."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from llmseg.defaults import EngineDefaults
from llmseg.errors import InputError
from llmseg.patch_features import window_boxes
from llmseg.scores import merge_levels, merge_windows, score_image
from llmseg.types import ClassList, ClassName, Level, PatchFeatures, TextBank

GRID, D = (5, 7), 6


def random_units(*shape, seed=0):
    return normalize(torch.randn(*shape, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=-1)


def make_features(window=3, stride=2):
    boxes = window_boxes(GRID, window, stride)
    top, left, bottom, right = boxes[0]
    return PatchFeatures(
        levels=(Level(random_units(2, len(boxes), bottom - top, right - left), boxes, GRID),),
        image_vector=random_units(2, seed=1),
        size=(40, 56),
        model="m",
        defaults=EngineDefaults(),
    )


@pytest.fixture
def bank():
    return TextBank(
        embeddings=random_units(4, seed=2),
        class_index=torch.tensor([0, 0, 1, 2]),
        name_embeddings=random_units(3, seed=3),
        classes=ClassList(tuple(ClassName(name) for name in "abc")),
        phrases=("p", "q", "r", "s"),
        templates="single",
        model="m",
    )


def dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def slow_mean_score(features, image, y, x, vector):
    """Mean over windows of the cosine at one patch."""
    cosines = [
        dot(features.levels[0].windows[image, number, y - top, x - left], vector)
        for number, (top, left, bottom, right) in enumerate(features.levels[0].boxes)
        if top <= y < bottom and left <= x < right
    ]
    return sum(cosines) / len(cosines)


@pytest.mark.parametrize(("window", "stride"), [(3, 2), (3, 3), (4, 1), (0, 1)])
def test_scores_of_averaged_features_equal_averaged_scores(bank, window, stride):
    features = make_features(window, stride)
    scores = score_image(features, bank)
    for image in range(2):
        phrases, names = scores.phrase_scores(image), scores.name_scores(image)
        assert phrases.shape == (4, *GRID)
        assert names.shape == (3, *GRID)
        for y in range(GRID[0]):
            for x in range(GRID[1]):
                wanted = [slow_mean_score(features, image, y, x, vector) for vector in bank.embeddings]
                assert phrases[:, y, x].tolist() == pytest.approx(wanted, abs=1e-6)
                wanted = [slow_mean_score(features, image, y, x, vector) for vector in bank.name_embeddings]
                assert names[:, y, x].tolist() == pytest.approx(wanted, abs=1e-6)


def test_whole_image_scores_equal_loops(bank):
    features = make_features()
    scores = score_image(features, bank)
    assert len(scores) == 2
    for image, vector in enumerate(features.image_vector):
        wanted = [dot(vector, phrase) for phrase in bank.embeddings]
        assert scores.phrase_relevance(image).tolist() == pytest.approx(wanted)
        wanted = [dot(vector, name) for name in bank.name_embeddings]
        assert scores.class_score()[image].tolist() == pytest.approx(wanted)


def test_overlap_is_averaged_by_hand():
    windows = torch.tensor([[1.0, 2.0], [4.0, 8.0]]).view(1, 2, 1, 2, 1)  # two windows of 1 x 2, one patch shared
    level = Level(windows, ((0, 0, 1, 2), (0, 1, 1, 3)), (1, 3))
    assert merge_windows(level).flatten().tolist() == [1.0, 3.0, 8.0]


def test_one_window_is_taken_as_it_is():
    features = make_features(window=0)
    assert merge_levels(features).data_ptr() == features.levels[0].windows.data_ptr()


def slow_resize(values, size):
    """Tent filter from scratch, rows then columns; wider where the picture shrinks. [h,w] -> [H,W]"""

    def along(line, count):
        scale = len(line) / count
        reach = max(scale, 1.0)
        out = []
        for place in range(count):
            centre = (place + 0.5) * scale
            shares = [max(0.0, 1 - abs((other + 0.5 - centre) / reach)) for other in range(len(line))]
            out.append(sum(s * v for s, v in zip(shares, line, strict=True)) / sum(shares))
        return out

    rows = [along(row, size[1]) for row in values]
    columns = [along(column, size[0]) for column in zip(*rows, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def test_scores_of_several_scales_are_the_mean_of_each_scales_scores_on_the_finest_grid(bank):
    levels = tuple(
        Level(random_units(2, 1, *grid, seed=number), ((0, 0, *grid),), grid)
        for number, grid in enumerate([GRID, (3, 4), (1, 2)])
    )
    scores = score_image(replace(make_features(), levels=levels), bank)
    for image in range(2):
        for phrase, vector in enumerate(bank.embeddings):
            each = [[[dot(x, vector) for x in row] for row in level.windows[image, 0]] for level in levels]
            wanted = torch.tensor([slow_resize(one, GRID) for one in each]).mean(0)
            torch.testing.assert_close(scores.phrase_scores(image)[phrase].float(), wanted, atol=1e-5, rtol=0)


def test_scores_stay_between_minus_one_and_one(bank):
    scores = score_image(make_features(), bank).phrase_scores(0)
    assert float(scores.abs().max()) <= 1


def test_size_and_defaults_are_handed_on(bank):
    scores = score_image(make_features(), bank)
    assert (scores.size, scores.defaults, scores.bank) == ((40, 56), EngineDefaults(), bank)


def test_different_models_are_refused(bank):
    features = make_features()
    other = PatchFeatures(**{**vars(features), "model": "other"})
    with pytest.raises(InputError) as caught:
        score_image(other, bank)
    assert str(caught.value) == ("text_bank: phrases encoded by 'm', image by 'other'; expected one encoder for both.")
