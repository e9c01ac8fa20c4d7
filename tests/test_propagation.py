"""`propagation`: likeness number by number, the flow as one dense solve, and what score maps become of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_models import make_backbone
from slow_scores import make_scores
from torch.nn.functional import normalize

from llmseg.assembly import assemble_classes
from llmseg.errors import InputError
from llmseg.labels import label_pixels
from llmseg.refinement import propagation, refine_maps, refine_scores
from llmseg.refinement.propagation import likeness, propagate, propagate_scores


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def alike(*shape, seed=0):
    """Unit vectors around a common direction, as features are."""
    vectors = draw(*shape, seed=seed)
    vectors[..., 0] += 1
    return normalize(vectors, dim=-1)


def slow_likeness(features, patch, neighbours=400):
    """W, pair by pair."""
    height, width, _ = features.shape
    places = [(y, x) for y in range(height) for x in range(width)]
    flat = [features[y, x].double() for y, x in places]
    count = len(places)
    weights = np.zeros((count, count))
    for i in range(count):
        cosines = [float(flat[i] @ other) for other in flat]
        for j in sorted(range(count), key=lambda j: -cosines[j])[:neighbours]:
            distance = patch * math.dist(places[i], places[j])
            weights[i, j] = max(0.0, cosines[j]) ** 3 * math.exp(-0.01 * distance)
    weights = weights + weights.T
    np.fill_diagonal(weights, 0)
    return weights


def slow_flow(weights, values, share=0.95):
    """(1 - a) (I - a D^-1/2 W D^-1/2)^-1 Y"""
    degrees = weights.sum(1)
    scale = np.array([1 / math.sqrt(d) if d > 0 else 0.0 for d in degrees])
    system = np.eye(len(weights)) - share * scale[:, None] * weights * scale
    return (1 - share) * np.linalg.solve(system, values)


@pytest.mark.parametrize("shape", [(3, 4), (5, 2), (1, 1), (1, 6)])
@pytest.mark.parametrize("neighbours", [400, 3])
def test_likeness_equals_a_loop_over_pairs(monkeypatch, shape, neighbours):
    monkeypatch.setattr(propagation, "NEIGHBOURS", neighbours)
    features = alike(*shape, 6)
    got = likeness(features, 16.0)
    wanted = torch.from_numpy(slow_likeness(features, 16.0, neighbours)).float()
    torch.testing.assert_close(got, wanted, atol=1e-6, rtol=0)


def test_unlike_patches_are_not_tied():
    features = torch.eye(2)[torch.tensor([[0, 1, 0]])]
    expected = torch.zeros(3, 3)
    expected[0, 2] = expected[2, 0] = 2 * math.exp(-0.32)
    torch.testing.assert_close(likeness(features, 16.0), expected)
    assert not likeness(torch.tensor([[[1.0], [-1.0]]]), 16.0).any()


@pytest.mark.parametrize("seed", range(3))
def test_the_flow_equals_a_dense_solve(seed):
    weights = likeness(alike(4, 6, 5, seed=seed), 16.0)
    values = draw(24, 7, seed=seed + 10)
    wanted = torch.from_numpy(slow_flow(weights.double().numpy(), values.double().numpy())).float()
    torch.testing.assert_close(propagate(weights, values), wanted, atol=1e-5, rtol=0)


def test_columns_that_are_done_wait_for_the_others():
    weights = likeness(alike(4, 6, 5), 16.0)
    values = draw(24, 3, seed=1)
    values[:, 1] = 0
    flown = propagate(weights, values)
    assert not flown[:, 1].any()
    for column in range(3):
        torch.testing.assert_close(
            flown[:, column], propagate(weights, values[:, column : column + 1])[:, 0], atol=1e-5, rtol=0
        )


def test_a_patch_like_no_other_keeps_its_share():
    flown = propagate(torch.zeros(3, 3), torch.eye(3))
    torch.testing.assert_close(flown, 0.05 * torch.eye(3))


def test_patches_of_a_kind_agree_in_the_end():
    kinds = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    weights = (kinds[:, None] == kinds).float().fill_diagonal_(0)
    flown = propagate(weights, torch.tensor([[1.0], [0], [0], [0], [0], [0], [0], [0]]))[:, 0]
    assert flown[:4].min() > 0.15
    assert not flown[4:].any()


# --- score maps ---


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(5))


def refined_twin(scores, images, backbone):
    """Scores of every phrase, patch by patch. B of [K,h,w]"""
    maps = []
    for image, picture in enumerate(images):
        features = backbone.value_features(picture[None], scores.grid)[0]
        weights = slow_likeness(features, scores.seen[0] / scores.grid[0])
        flat = scores.phrase_scores(image).flatten(1).T.double().numpy()
        maps.append(torch.from_numpy(slow_flow(weights, flat)).float().T.unflatten(1, scores.grid))
    return maps


@pytest.mark.parametrize("phrases", [3, 40], ids=["on scores", "on features"])
def test_refined_scores_equal_the_twin_phrase_by_phrase(images, phrases):
    scores, backbone = make_scores([0, 1, 1] if phrases == 3 else [0, 1] * 20), make_backbone()
    refined = refine_scores(scores, images[: len(scores)], "lposs", backbone=backbone)
    assert refined.grid == scores.grid
    for image, wanted in enumerate(refined_twin(scores, images[: len(scores)], backbone)):
        torch.testing.assert_close(refined.phrase_scores(image), wanted, atol=1e-4, rtol=0)


def test_class_names_and_labels_follow(images):
    """Names that are no phrases are refined too, and every stage behind takes the maps."""
    scores, backbone = make_scores([0, 1, 1]), make_backbone()
    refined = refine_scores(scores, images, "lposs", backbone=backbone)
    named = make_scores([0, 1], embeddings=scores.bank.name_embeddings, names=scores.bank.name_embeddings)
    wanted = refined_twin(named, images, backbone)
    for image in range(2):
        torch.testing.assert_close(refined.name_scores(image), wanted[image], atol=1e-4, rtol=0)
    for mode in ("off", "blend", "max", "softmax_max"):
        maps = refine_maps(assemble_classes(refined, mode), torch.rand(2, 3, 40, 56), "bilateral")
        assert label_pixels(maps).labels.shape == (2, 40, 56)


def test_scales_and_windows_have_been_averaged_before(images):
    scores, backbone = make_scores([0, 1], window=24, stride=16, factors=(1.4, 0.7)), make_backbone()
    refined = refine_scores(scores, images, "lposs", backbone=backbone)
    for image, wanted in enumerate(refined_twin(scores, images, backbone)):
        torch.testing.assert_close(refined.phrase_scores(image), wanted, atol=1e-4, rtol=0)


def test_scores_stay_on_the_scale_of_cosines(images):
    """As many alike around every patch: a map that is the same everywhere stays what it is."""
    weights = torch.ones(9, 9).fill_diagonal_(0)
    torch.testing.assert_close(propagate(weights, torch.full((9, 1), 0.3)), torch.full((9, 1), 0.3))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"backbone": None},
            "refiner: 'lposs' asks a backbone which patches are alike; expected one. Connect Load Backbone, or choose "
            "another.",
        ),
        (
            {"scoring": "exact"},
            "refiner: 'lposs' works on patches; expected scores on the patch grid. Choose scoring 'fast'.",
        ),
        ({"count": 1}, "image: 1 images; expected the 2 of the maps."),
        (
            {"most": 34},
            "refiner: 5 x 7 patches; expected at most 34 for 'lposs'. Choose a smaller resize.",
        ),
    ],
)
def test_what_cannot_be_refined_is_refused_in_one_line(images, monkeypatch, given, message):
    given = {"backbone": make_backbone(), "scoring": "fast", "count": 2, "most": 2**13, **given}
    monkeypatch.setattr(propagation, "MOST_PATCHES", given["most"])
    with pytest.raises(InputError) as caught:
        propagate_scores(make_scores([0, 1], scoring=given["scoring"]), images[: given["count"]], given["backbone"])
    assert str(caught.value) == message


def test_class_maps_are_sent_to_where_scores_are(images):
    maps = assemble_classes(make_scores([0, 1]))
    with pytest.raises(
        InputError, match=r"^refiner: 'lposs' refines score maps, these are class maps; .*Move it before"
    ):
        refine_maps(maps, torch.rand(2, 3, 40, 56), "lposs", backbone=make_backbone())


def test_the_record_is_kept_otherwise(images):
    scores = make_scores([0, 1, 1])
    refined = refine_scores(scores, images, "lposs", backbone=make_backbone())
    assert replace(refined, layers=scores.layers, scored=scores.scored) == scores
