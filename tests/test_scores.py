"""`scores`: averaging features equals averaging scores, at pixels they are the published order, tiles are the whole."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from slow_scores import (
    PUBLISHED_CASES,
    WIDTH,
    make_bank,
    make_features,
    make_level,
    make_scores,
    published_scores,
    units,
)

from llmseg.defaults import EngineDefaults
from llmseg.errors import InputError, UnknownNameError
from llmseg.sampling import Box
from llmseg.scores import merge_levels, merge_windows, score_image
from llmseg.types import Level
from llmseg.windows import PUBLISHED, WindowPlan

INDEX = [1, 0, 0, 2]  # in no order
GRID = (5, 7)


@pytest.fixture
def bank():
    return make_bank(INDEX)


def dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


# --- fast ---


def slow_mean_score(level, image, y, x, vector):
    """Mean over windows of the cosine at one patch."""
    cosines = []
    for row, top in enumerate(level.plan.tops):
        for column, left in enumerate(level.plan.lefts):
            inside = y - top // 8, x - left // 8
            if all(0 <= place < cells for place, cells in zip(inside, level.plan.cells, strict=True)):
                cosines.append(dot(level.windows[image, row, column, inside[0], inside[1]], vector))
    return sum(cosines) / len(cosines)


@pytest.mark.parametrize(("window", "stride"), [(24, 16), (24, 24), (32, 8), (0, 8), (64, 8)])
def test_scores_of_averaged_features_equal_averaged_scores(bank, window, stride):
    features = make_features(window=window, stride=stride)
    scores = score_image(features, bank)
    assert (scores.grid, scores.exact) == (GRID, False)
    for image in range(2):
        phrases, names = scores.phrase_scores(image), scores.name_scores(image)
        assert phrases.shape == (4, *GRID)
        assert names.shape == (3, *GRID)
        for y in range(GRID[0]):
            for x in range(GRID[1]):
                for values, vectors in ((phrases, bank.embeddings), (names, bank.name_embeddings)):
                    wanted = [slow_mean_score(features.levels[0], image, y, x, vector) for vector in vectors]
                    assert values[:, y, x].tolist() == pytest.approx(wanted, abs=1e-6)


def test_overlap_is_averaged_by_hand():
    windows = torch.tensor([[1.0, 2.0], [4.0, 8.0]]).view(1, 1, 2, 1, 2, 1)  # 1 x 2 patches each, one shared
    level = Level(windows, WindowPlan((8, 24), (8, 16), (0,), (0, 8), (1, 2)))
    assert level.grid == (1, 3)
    assert merge_windows(level).flatten().tolist() == [1.0, 3.0, 8.0]


def test_one_window_is_taken_as_it_is():
    features = make_features()
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
    plans = [WindowPlan((8 * h, 8 * w), (8 * h, 8 * w), (0,), (0,), (h, w)) for h, w in (GRID, (3, 4), (1, 2))]
    levels = tuple(make_level(plan, 2, seed=number) for number, plan in enumerate(plans))
    scores = score_image(replace(make_features(), levels=levels), bank)
    for image in range(2):
        for phrase, vector in enumerate(bank.embeddings):
            each = [[[dot(x, vector) for x in row] for row in level.windows[image, 0, 0]] for level in levels]
            wanted = torch.tensor([slow_resize(one, GRID) for one in each]).mean(0)
            torch.testing.assert_close(scores.phrase_scores(image)[phrase], wanted, atol=1e-5, rtol=0)


# --- exact ---


@pytest.mark.parametrize("case", PUBLISHED_CASES)
def test_exact_scores_are_the_published_order(bank, case):
    features = make_features(**PUBLISHED_CASES[case])
    scores = score_image(features, bank, "exact")
    assert (scores.grid, scores.size, scores.exact) == (features.size, features.size, True)
    for image in range(len(scores)):
        for values, vectors in (
            (scores.phrase_scores(image), bank.embeddings),
            (scores.name_scores(image), bank.name_embeddings),
        ):
            torch.testing.assert_close(values, published_scores(features, image, vectors), atol=1e-5, rtol=0)


def test_exact_scores_by_hand():
    """Two patches of 8 pixels, scores 0 and 1, on 4 pixels of the original."""
    windows = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).view(1, 1, 1, 1, 2, 2)
    plan = WindowPlan((8, 16), (8, 16), (0,), (0,), (1, 2))
    features = replace(make_features((1, 4), images=1), levels=(Level(windows, plan),))
    vector = torch.tensor([[1.0, 0.0]])
    scores = score_image(features, make_bank([0], vector, vector), "exact")
    # Pixels of the resized line: 0 x 4, 1/16, 3/16 ... 15/16, 1 x 4; the original's lie between 1 and 2, 5 and 6 ...
    assert scores.phrase_scores(0).flatten().tolist() == pytest.approx([0, 0.25, 0.75, 1])


@pytest.mark.parametrize("case", PUBLISHED_CASES)
def test_constant_features_give_constant_scores(bank, case):
    features = make_features(**PUBLISHED_CASES[case])
    levels = tuple(replace(level, windows=torch.ones_like(level.windows)) for level in features.levels)
    scores = score_image(replace(features, levels=levels), bank, "exact").phrase_scores(1)
    wanted = bank.embeddings.sum(1).view(-1, 1, 1).expand_as(scores)
    torch.testing.assert_close(scores, wanted, atol=1e-5, rtol=0)


# --- both ---

KINDS = {
    "fast": ("fast", {"window": 24, "stride": 16, "factors": (1.4, 0.7)}),
    "exact": ("exact", {"window": 24, "stride": 13, "layout": PUBLISHED, "factors": (1.4, 0.7)}),
}


@pytest.mark.parametrize("names", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_any_tile_is_the_crop_of_the_whole(kind, names):
    scoring, given = KINDS[kind]
    scores = make_scores(INDEX, scoring=scoring, **given)
    chooser = random.Random(kind)
    for _ in range(20):
        image = chooser.randrange(2)
        box = Box(*(slice(*sorted(chooser.sample(range(side + 1), 2))) for side in scores.grid))
        whole = scores.name_scores(image) if names else scores.phrase_scores(image)[scores.order.phrases]
        tile = scores.tile(image, box, names)
        torch.testing.assert_close(tile.movedim(1, 0), whole[:, box.rows, box.columns], atol=1e-6, rtol=0)


def test_the_last_tile_is_kept_and_no_other():
    scores = make_scores(INDEX)
    box, other = Box(slice(0, 2), slice(1, 5)), Box(slice(0, 2), slice(1, 4))
    first, names = scores.tile(0, box), scores.tile(0, box, names=True)
    assert scores.tile(0, box) is first
    assert scores.tile(0, box, names=True) is names
    assert not scores.tile(1, box).equal(first)
    assert scores.tile(1, other).equal(scores.tile(1, box)[..., :3])
    assert scores.tile(0, box).equal(first)


def test_a_changed_copy_keeps_no_tile_of_the_old_one():
    scores, box = make_scores(INDEX), Box(slice(0, 5), slice(0, 7))
    scores.tile(0, box)
    other = replace(scores, bank=make_bank(INDEX, units(4, seed=7)))
    assert other.tile(0, box).equal(make_scores(INDEX, embeddings=units(4, seed=7)).tile(0, box))


@pytest.mark.parametrize("size", [(40, 56), (1, 2)])  # the second is so small that some patches reach no pixel
@pytest.mark.parametrize("phrases", [2, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_linear_in_the_fewer_of_queries_and_features(kind, phrases, size):
    scoring, given = KINDS[kind]
    scores = make_scores([*range(phrases)], scoring=scoring, size=size, seen=(40, 56), **given)
    channels = scores.channels(1)
    assert channels.shape == (min(len(scores.queries), WIDTH), *scores.grid)
    few = len(scores.queries) <= WIDTH
    assert few == (phrases == 2)
    queries = channels if few else torch.einsum("dhw,kd->khw", channels, scores.queries)
    wanted = scores.phrase_scores(1)[scores.order.phrases]
    torch.testing.assert_close(queries[:phrases], wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(queries[scores.name_rows], scores.name_scores(1), atol=1e-6, rtol=0)


def test_a_name_that_is_a_phrase_is_scored_once():
    embeddings = units(4, seed=1)
    names = torch.stack([embeddings[2], units(1, seed=5)[0], embeddings[3]])
    scores = make_scores(INDEX, embeddings=embeddings, names=names)
    assert len(scores.queries) == 5
    assert scores.queries[:4].equal(embeddings[scores.order.phrases])
    assert scores.queries[scores.name_rows].equal(names)


def test_whole_image_scores_equal_loops(bank):
    features = make_features()
    scores = score_image(features, bank)
    assert len(scores) == 2
    for image, vector in enumerate(features.see_whole()):
        wanted = [dot(vector, phrase) for phrase in bank.embeddings]
        assert scores.phrase_relevance(image).tolist() == pytest.approx(wanted)
        wanted = [dot(vector, name) for name in bank.name_embeddings]
        assert scores.class_score[image].tolist() == pytest.approx(wanted)


def test_the_whole_image_is_looked_at_once_and_only_when_asked_for(bank):
    looks = []
    features = make_features()
    scores = score_image(replace(features, see_whole=lambda: looks.append(1) or units(2, seed=4)), bank)
    scores.phrase_scores(0)
    assert looks == []
    scores.phrase_relevance(0)
    assert scores.class_score.shape == (2, 3)
    assert looks == [1]


@pytest.mark.parametrize("kind", KINDS)
def test_scores_stay_between_minus_one_and_one(kind):
    scoring, given = KINDS[kind]
    scores = make_scores(INDEX, scoring=scoring, **given)
    assert float(scores.phrase_scores(0).abs().max()) <= 1


def test_size_and_defaults_are_handed_on(bank):
    features = make_features((20, 30), seen=(40, 56), factors=(1.5, 1.0))
    scores = score_image(features, bank)
    assert (scores.size, scores.defaults, scores.bank) == ((20, 30), EngineDefaults(), bank)
    assert scores.seen == (64, 80), "at the finest scale"
    assert (scores.aligned, scores.scored) == (True, False)
    assert scores.order.weights is None
    weighted = score_image(features, make_bank(INDEX, weights=[1.0, 2.0, 3.0, 4.0]))
    assert weighted.order.weights is not None
    assert weighted.order.weights.tolist() == [1, 4, 2, 3]


@pytest.mark.parametrize(("own", "layout", "exact"), [("fast", "grid", False), ("exact", "grid", True)])
def test_auto_is_the_models_own(bank, own, layout, exact):
    assert score_image(make_features(layout=layout, scoring=own), bank).exact is exact


def test_auto_is_exact_between_patches(bank):
    features = make_features(window=24, stride=13, layout=PUBLISHED, scoring="fast")
    assert score_image(features, bank).exact
    assert not score_image(features, bank).aligned


# --- refused ---


def test_different_models_are_refused(bank):
    with pytest.raises(InputError) as caught:
        score_image(replace(make_features(), model="other"), bank)
    assert str(caught.value) == ("text_bank: phrases encoded by 'm', image by 'other'; expected one encoder for both.")


def test_fast_scoring_between_patches_is_refused(bank):
    features = make_features(window=24, stride=13, layout=PUBLISHED)
    with pytest.raises(InputError) as caught:
        score_image(features, bank, "fast")
    assert str(caught.value) == "scoring: windows lie between patches; expected 'exact', or layout 'grid'."


def test_an_unknown_scoring_is_refused(bank):
    with pytest.raises(UnknownNameError) as caught:
        score_image(make_features(), bank, "exactly")
    assert str(caught.value) == "scoring: unknown name 'exactly'; expected one of fast, exact. Did you mean 'exact'?"
