"""`score_refiners`: maps of phrases are refined before the merge, at the pixels, on phrases or on features."""

from __future__ import annotations

import pytest
import torch
from slow_scores import PUBLISHED_CASES, WIDTH, make_scores
from torch.nn.functional import interpolate

from llmseg.assembly import assemble_classes
from llmseg.errors import InputError
from llmseg.labels import label_pixels
from llmseg.modes import MODES
from llmseg.pamr import pamr
from llmseg.refinement import refine, refine_scores, score_refiners
from llmseg.refinement.guided import filter_guided
from llmseg.windows import PUBLISHED

INDEX = [2, 0, 0, 1, 0, 2, 3]  # in no order
SIZE = (32, 40)
OF_CHANNELS = {"pamr": pamr, "guided": filter_guided}


@pytest.fixture
def images():
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", OF_CHANNELS)
@pytest.mark.parametrize("phrases", [2, 9], ids=["few phrases", "few features"])
@pytest.mark.parametrize(
    "case", ["landscape", "several scales", "between patches", "original smaller", "original larger"]
)
def test_a_refiner_before_the_merge_is_that_of_the_phrase_maps(case, phrases, name):
    given = PUBLISHED_CASES[case]
    scoring = "exact" if given.get("layout") == PUBLISHED else "fast"
    scores = make_scores([*range(phrases)], scoring=scoring, **given)
    assert (len(scores.queries) <= WIDTH) == (phrases == 2)
    images = torch.rand(2, 3, *scores.size, generator=torch.Generator().manual_seed(3))
    refined = refine_scores(scores, images, name)
    assert (refined.grid, refined.exact, refined.scored) == (scores.size, True, phrases == 2)
    for number in range(2):
        guide = images[number][None]
        if scoring == "exact":  # as published: what the encoder saw, at the original size again
            guide = interpolate(guide, size=scores.seen, mode="bilinear", align_corners=False)
            guide = interpolate(guide, size=scores.size, mode="bilinear", align_corners=False)
        for before, after in (
            (scores.phrase_scores(number), refined.phrase_scores(number)),
            (scores.name_scores(number), refined.name_scores(number)),
        ):
            enlarged = interpolate(before[None], size=scores.size, mode="bilinear", align_corners=False)[0]
            wanted = OF_CHANNELS[name](enlarged, guide[0])
            torch.testing.assert_close(after, wanted, atol=2e-4 if name == "guided" else 1e-5, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_refined_scores_are_merged_like_any_others(images, mode):
    scores = make_scores(INDEX, size=SIZE, weights=[1.0, 0.2, 1.0, 0.3, 1.0, 2.0, 0.5])
    refined = refine_scores(scores, images, "pamr")
    assert refined.bank is scores.bank
    assert refined.class_score.equal(scores.class_score)
    result = label_pixels(assemble_classes(refined, mode))
    assert result.labels.shape == (2, *SIZE)
    assert result.confidence.isfinite().all()


def test_refining_twice_is_refining_the_refined():
    for index in ([0, 1], INDEX):
        scores = make_scores(index, size=SIZE)
        images = torch.rand(2, 3, *SIZE)
        once = refine_scores(scores, images, "pamr")
        twice = refine_scores(once, images, "pamr").phrase_scores(1)
        torch.testing.assert_close(twice, pamr(once.phrase_scores(1), images[1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scoring", ["fast", "exact"])
def test_an_original_smaller_than_its_patches_is_refined(scoring):
    scores = make_scores(INDEX, scoring=scoring, size=(1, 2), seen=(40, 56))
    refined = refine_scores(scores, torch.rand(2, 3, 1, 2), "pamr")
    assert refined.phrase_scores(0).shape == (7, 1, 2)


@pytest.mark.parametrize("name", ["none", "auto"])
def test_scores_may_stay_as_they_are(images, name):
    scores = make_scores(INDEX, size=SIZE, refiner="bilateral")
    assert refine_scores(scores, images, name) is scores


def test_what_is_given_decides_what_is_refined(images):
    scores = make_scores(INDEX, size=SIZE)
    assert refine(scores, images, "none") is scores
    maps = assemble_classes(scores, "max")
    assert refine(maps, images, "bilateral").grid == (16, 20)
    assert refine(scores, images, "pamr").phrase_scores(0).shape == (7, *SIZE)


def test_scores_that_would_fill_the_memory_are_refused(images, monkeypatch):
    scores = make_scores(INDEX, size=SIZE)
    monkeypatch.setattr(score_refiners, "MOST_NUMBERS", 2 * WIDTH * 32 * 40 - 1)
    with pytest.raises(InputError) as caught:
        refine_scores(scores, images, "pamr")
    assert str(caught.value) == (
        f"refiner: {WIDTH} channels on 32 x 40 pixels are too many to refine; expected a smaller "
        "picture or refiner 'none'."
    )
