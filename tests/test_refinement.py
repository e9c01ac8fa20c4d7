"""`refinement`: every refiner keeps the record; score maps are refined before the merge, class maps after it."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from slow_scores import PUBLISHED_CASES, WIDTH, make_scores, units
from torch.nn.functional import interpolate

from llmseg import options, refinement
from llmseg.assembly import assemble_classes
from llmseg.bilateral import FINER, upsample_bilaterally
from llmseg.class_maps import ClassMaps, HeldMaps
from llmseg.errors import InputError, UnknownNameError
from llmseg.labels import label_pixels
from llmseg.modes import MODES
from llmseg.painting import mask_classes, present_classes
from llmseg.pamr import pamr
from llmseg.refinement import REFINERS, SCORE_REFINERS, refine, refine_bilaterally, refine_maps, refine_scores
from llmseg.types import UNKNOWN
from llmseg.windows import PUBLISHED

INDEX = [2, 0, 0, 1, 0, 2, 3]  # in no order
SIZE = (32, 40)


@pytest.fixture
def images():
    """Patches of flat colours, so that the CRF of simseg meets few."""
    colours = torch.rand(2, 3, 2, 3, generator=torch.Generator().manual_seed(1))
    return interpolate(colours, size=SIZE, mode="nearest")


def class_maps(mode="max", **given):
    return assemble_classes(make_scores(INDEX, size=SIZE, names=units(4, seed=6), **given), mode)


def test_the_tables_are_the_listed_ones():
    assert set(REFINERS) == set(options.REFINER.names)
    assert set(SCORE_REFINERS) <= set(REFINERS)


# --- class maps ---


@pytest.mark.parametrize(("mode", "scoring"), [("max", "fast"), ("softmax_sum", "exact")])
@pytest.mark.parametrize("name", REFINERS)
def test_a_refiner_keeps_everything_but_the_maps(images, name, mode, scoring):
    maps = class_maps(mode, scoring=scoring)
    refined = refine_maps(maps, images, name)
    assert refined.source.shape[:2] == maps.source.shape[:2]
    changed = {
        field.name for field in fields(ClassMaps) if getattr(refined, field.name) is not getattr(maps, field.name)
    }
    assert changed <= {"source", "probabilities"}
    assert refined.probabilities == (maps.probabilities or name == "simseg")
    labels = label_pixels(refined)
    assert labels.labels.shape == (2, *SIZE)
    assert labels.confidence.isfinite().all()


@pytest.mark.parametrize("name", [name for name in REFINERS if name != "simseg"])
def test_a_refiner_stays_between_the_values_it_is_given(images, name):
    maps = class_maps()
    refined, given = refine_maps(maps, images, name).maps.flatten(2), maps.maps.flatten(2)
    assert bool((refined.amin(2) >= given.amin(2) - 1e-6).all())
    assert bool((refined.amax(2) <= given.amax(2) + 1e-6).all())


@pytest.mark.parametrize("name", REFINERS)
def test_images_are_refined_one_by_one(images, name):
    maps = class_maps()
    both = refine_maps(maps, images, name).maps
    for number in range(2):
        layers = tuple(replace(layer, values=layer.values[number : number + 1]) for layer in maps.scores.layers)
        whole = maps.scores.image_vector[number : number + 1]
        one = assemble_classes(replace(maps.scores, layers=layers, see_whole=lambda whole=whole: whole), "max")
        torch.testing.assert_close(refine_maps(one, images[number : number + 1], name).maps[0], both[number])


@pytest.mark.parametrize("name", [name for name in REFINERS if name != "simseg"])
def test_nothing_is_changed_in_place(images, name):
    maps = class_maps()
    before = maps.maps.clone(), images.clone()
    refine_maps(maps, images, name)
    assert maps.maps.equal(before[0])
    assert images.equal(before[1])


def test_auto_is_the_models_own(images):
    maps = class_maps()
    assert refine_maps(maps, images) is maps
    own = replace(maps, refiner="bilateral")
    assert refine_maps(own, images).maps.equal(refine_bilaterally(own, images).maps)


def test_bilateral_is_the_one_of_every_image(images):
    maps = class_maps()
    refined = refine_bilaterally(maps, images, 0.2, 3.0)
    assert refined.grid == (4 * FINER, 5 * FINER)
    for number in range(2):
        wanted = upsample_bilaterally(maps.maps[number], images[number], 0.2, 3.0)
        assert refined.maps[number].equal(wanted)


def test_pamr_of_class_maps_is_guided_at_the_pixels(images):
    maps = class_maps()
    refined = refine_maps(maps, images, "pamr")
    assert refined.grid == SIZE
    for number in range(2):
        enlarged = interpolate(maps.maps[number][None], size=SIZE, mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(refined.maps[number], pamr(enlarged, images[number]))


# --- simseg ---


def slow_painting(masks, scores):
    """Pixel by pixel, the published argmax over planes that are 0 outside their mask. [H,W]"""
    labels = torch.full(masks.shape[1:], -1)
    for y in range(masks.shape[1]):
        for x in range(masks.shape[2]):
            planes = [float(mask[y, x]) * float(score) for mask, score in zip(masks, scores, strict=True)]
            if max(planes) > 0:
                labels[y, x] = planes.index(max(planes))
    return labels


@pytest.mark.parametrize(("mode", "gate"), [("paper", "none"), ("paper", "simseg"), ("max", "everybody")])
def test_simseg_paints_masks_by_the_scores_of_the_names(images, mode, gate):
    scores = make_scores(INDEX, size=SIZE, names=units(4, seed=6), roles=["background"])
    if gate == "everybody":
        present = torch.tensor([[False, True, True, True]] * 2)
        overlapping = HeldMaps(assemble_classes(scores, mode).maps[:, [0, 1, 1, 3]])
        maps = replace(assemble_classes(scores, mode), present=present, source=overlapping)
    else:
        present = torch.stack([present_classes(score, 0) for score in scores.class_score])
        maps = assemble_classes(scores, mode, gate=gate)
    result = label_pixels(refine_maps(maps, images, "simseg"))
    for number in range(2):
        score = scores.class_score[number]
        masks = mask_classes(maps.maps[number], present[number], images[number])
        assert bool((masks.sum(0) > 1).any()) == (gate == "everybody")
        wanted = slow_painting(masks, score)
        assert wanted.unique().numel() > 1
        assert result.labels[number].equal(wanted.clamp(min=0)), "what is not painted is background"
        painted = wanted != UNKNOWN
        assert result.confidence[number].equal(torch.where(painted, score[wanted.clamp(min=0)], 0.0))


def test_simseg_leaves_pixels_outside_all_masks_unknown(images):
    maps = class_maps("paper")
    refined = refine_maps(maps, images, "simseg")
    outside = (refined.maps == 0).all(1)
    assert 0 < int(outside.sum()) < outside.numel()
    result = label_pixels(refined)
    assert (result.labels == UNKNOWN).equal(outside)
    assert (result.winning_phrase == -1).equal(outside)


def test_simseg_heeds_the_gate_of_the_maps(images):
    """Which classes are present was decided where the maps were made."""
    present = torch.zeros(2, 4, dtype=torch.bool)
    present[0, 3] = present[1, 0] = True
    maps = replace(class_maps("paper"), present=present)
    refined = refine_maps(maps, images, "simseg").maps
    score = maps.scores.class_score
    for number, label in ((0, 3), (1, 0)):
        there = refined[number].flatten(1).any(1).nonzero()[:, 0].tolist()
        assert there == ([label] if score[number, label] > 0 else [])


# --- score maps ---


@pytest.mark.parametrize("phrases", [2, 9], ids=["few phrases", "few features"])
@pytest.mark.parametrize(
    "case", ["landscape", "several scales", "between patches", "original smaller", "original larger"]
)
def test_pamr_before_the_merge_is_that_of_the_phrase_maps(case, phrases):
    given = PUBLISHED_CASES[case]
    scoring = "exact" if given.get("layout") == PUBLISHED else "fast"
    scores = make_scores([*range(phrases)], scoring=scoring, **given)
    assert (len(scores.queries) <= WIDTH) == (phrases == 2)
    images = torch.rand(2, 3, *scores.size, generator=torch.Generator().manual_seed(3))
    refined = refine_scores(scores, images, "pamr")
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
            torch.testing.assert_close(after, pamr(enlarged, guide[0]), atol=1e-5, rtol=0)


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


# --- refused ---


def refused(kind, function, *arguments):
    with pytest.raises(kind) as caught:
        function(*arguments)
    return str(caught.value)


def test_an_unknown_refiner_is_refused(images):
    text = "refiner: unknown name 'none '; expected one of none, bilateral, pamr, simseg. Did you mean 'none'?"
    assert refused(UnknownNameError, refine_maps, class_maps(), images, "none ") == text
    text = "refiner: unknown name 'none '; expected one of none, pamr. Did you mean 'none'?"
    assert refused(UnknownNameError, refine_scores, make_scores(INDEX, size=SIZE), images, "none ") == text


@pytest.mark.parametrize("name", sorted(set(REFINERS) - set(SCORE_REFINERS)))
def test_a_refiner_of_class_maps_is_refused_before_the_merge(images, name):
    assert refused(InputError, refine_scores, make_scores(INDEX, size=SIZE), images, name) == (
        f"refiner: {name!r} refines class maps, these are score maps; expected one of none, pamr. "
        "Move it behind Assemble Classes."
    )


def test_other_images_are_refused():
    alone = torch.zeros(1, 3, *SIZE)
    text = "image: 1 images; expected the 2 of the maps."
    assert refused(InputError, refine_maps, class_maps(), alone) == text
    assert refused(InputError, refine_scores, make_scores(INDEX, size=SIZE), alone) == text


def test_a_picture_of_another_size_is_refused():
    text = "image: 40 x 32 pixels; expected the 32 x 40 of the maps."
    assert refused(InputError, refine_maps, class_maps(), torch.zeros(2, 3, 40, 32)) == text


def test_class_maps_made_of_no_scores_cannot_be_painted(images):
    maps = replace(class_maps(), scores=None)
    text = "class_maps: maps without scores; expected those of Assemble Classes."
    assert refused(InputError, refine_maps, maps, images, "simseg") == text


@pytest.mark.parametrize(
    ("name", "points"), [("bilateral", (4096, 4096)), ("pamr", (5000, 4000)), ("simseg", (5000, 4000))]
)
def test_maps_that_would_fill_the_memory_are_refused(name, points):
    huge = HeldMaps(torch.zeros(()).expand(2, 171, 1024, 1024))
    size = (5000, 4000)
    maps = replace(class_maps(), source=huge, size=size)
    pictures = torch.zeros(()).expand(2, 3, *size)
    assert refused(InputError, refine_maps, maps, pictures, name) == (
        f"refiner: 171 classes on {points[0]} x {points[1]} points are too many to refine; "
        "expected fewer classes, a smaller picture or refiner 'none'."
    )


def test_scores_that_would_fill_the_memory_are_refused(images, monkeypatch):
    scores = make_scores(INDEX, size=SIZE)
    monkeypatch.setattr(refinement, "MOST_NUMBERS", 2 * WIDTH * 32 * 40 - 1)
    assert refused(InputError, refine_scores, scores, images, "pamr") == (
        f"refiner: {WIDTH} channels on 32 x 40 pixels are too many to refine; expected a smaller "
        "picture or refiner 'none'."
    )
