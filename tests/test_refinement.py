"""`refinement`: every refiner keeps the record; score maps are refined before the merge, class maps after it."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from slow_refiners import slow_owner, slow_vote
from slow_scores import make_scores, units
from torch.nn.functional import interpolate

from llmseg import options
from llmseg.assembly import assemble_classes
from llmseg.class_maps import ClassMaps, HeldMaps
from llmseg.crf import CRF_PRESETS
from llmseg.errors import InputError, UnknownNameError
from llmseg.labels import label_pixels
from llmseg.painting import mask_classes, present_classes
from llmseg.pamr import pamr
from llmseg.refinement import (
    EARLY_REFINERS,
    REFINERS,
    SCORE_REFINERS,
    class_refiners,
    refine,
    refine_bilaterally,
    refine_maps,
    refine_scores,
)
from llmseg.refinement.bilateral import FINER, upsample_bilaterally
from llmseg.refinement.guided import filter_guided
from llmseg.refinement.mean_field import sharpen_by_crf
from llmseg.refinement.superpixels import cut_superpixels
from llmseg.types import UNKNOWN

INDEX = [2, 0, 0, 1, 0, 2, 3]  # in no order
SIZE = (32, 40)
# Of the maps as they are given; all others refine probabilities.
OF_SCORES = ("none", "bilateral", "pamr")


@pytest.fixture
def images():
    """Patches of flat colours, so that the CRF of simseg meets few."""
    colours = torch.rand(2, 3, 2, 3, generator=torch.Generator().manual_seed(1))
    return interpolate(colours, size=SIZE, mode="nearest")


def class_maps(mode="max", **given):
    return assemble_classes(make_scores(INDEX, size=SIZE, names=units(4, seed=6), **given), mode)


@pytest.fixture
def regions():
    """Overlapping masks for each image."""
    generator = torch.Generator().manual_seed(9)
    masks = interpolate(torch.rand(2, 5, 3, 4, generator=generator), size=SIZE, mode="nearest") > 0.6
    return list(masks)


@pytest.fixture
def sharpen(images, regions):
    """`refine_maps` with all that any refiner asks for."""

    def call(maps, name):
        if name == "superpixels":
            pytest.importorskip("skimage")
        return refine_maps(maps, images, name, regions=regions if name == "regions" else None)

    return call


def likely(maps):
    """Probabilities of all classes at the pixels. [B,C,H,W]"""
    values = interpolate(maps.maps, size=SIZE, mode="bilinear", align_corners=False)
    return values if maps.probabilities else (values * maps.logit_scale).softmax(1)


def test_the_tables_are_the_listed_ones():
    assert {*REFINERS, *SCORE_REFINERS} == set(options.REFINER.names)
    assert set(SCORE_REFINERS) >= EARLY_REFINERS


# --- class maps ---


@pytest.mark.parametrize(("mode", "scoring"), [("max", "fast"), ("softmax_sum", "exact")])
@pytest.mark.parametrize("name", REFINERS)
def test_a_refiner_keeps_everything_but_the_maps(sharpen, name, mode, scoring):
    maps = class_maps(mode, scoring=scoring)
    refined = sharpen(maps, name)
    assert refined.source.shape[:2] == maps.source.shape[:2]
    changed = {
        field.name for field in fields(ClassMaps) if getattr(refined, field.name) is not getattr(maps, field.name)
    }
    assert changed <= {"source", "probabilities"}
    assert refined.probabilities == (maps.probabilities or name not in OF_SCORES)
    labels = label_pixels(refined)
    assert labels.labels.shape == (2, *SIZE)
    assert labels.confidence.isfinite().all()


@pytest.mark.parametrize("name", OF_SCORES)
def test_a_refiner_stays_between_the_values_it_is_given(images, name):
    maps = class_maps()
    refined, given = refine_maps(maps, images, name).maps.flatten(2), maps.maps.flatten(2)
    assert bool((refined.amin(2) >= given.amin(2) - 1e-6).all())
    assert bool((refined.amax(2) <= given.amax(2) + 1e-6).all())


@pytest.mark.parametrize("name", [name for name in REFINERS if name not in OF_SCORES])
def test_probabilities_stay_probabilities(sharpen, name):
    refined = sharpen(class_maps(), name).maps
    assert refined.shape == (2, 4, *SIZE)
    assert bool(((refined >= 0) & (refined <= 1)).all())


@pytest.mark.parametrize("name", REFINERS)
def test_images_are_refined_one_by_one(images, regions, sharpen, name):
    maps = class_maps()
    both = sharpen(maps, name).maps
    for number in range(2):
        layers = tuple(replace(layer, values=layer.values[number : number + 1]) for layer in maps.scores.layers)
        whole = maps.scores.image_vector[number : number + 1]
        one = assemble_classes(replace(maps.scores, layers=layers, see_whole=lambda whole=whole: whole), "max")
        own = regions[number] if name == "regions" else None
        alone = refine_maps(one, images[number : number + 1], name, regions=own)
        torch.testing.assert_close(alone.maps[0], both[number])


@pytest.mark.parametrize("name", REFINERS)
def test_nothing_is_changed_in_place(images, sharpen, name):
    maps = class_maps()
    before = maps.maps.clone(), images.clone()
    sharpen(maps, name)
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


@pytest.mark.parametrize("name", ["crf", "crf_deeplab"])
def test_the_crf_sharpens_the_probabilities_of_the_winners(images, sharpen, name):
    maps = class_maps()
    refined = sharpen(maps, name).maps
    preset = CRF_PRESETS["simseg" if name == "crf" else "deeplab"]
    for number, (values, picture) in enumerate(zip(likely(maps), images, strict=True)):
        winners = maps.maps[number].argmax(0).unique()  # on a grid as coarse as this one win is enough
        torch.testing.assert_close(refined[number, winners], sharpen_by_crf(values[winners], picture, preset))
        assert refined[number].sum(0).allclose(torch.ones(SIZE))


def test_the_guided_filter_smooths_what_is_bilaterally_finer(images, sharpen):
    refined = sharpen(class_maps(), "guided").maps
    finer = refine_bilaterally(class_maps(), images)
    for number, (values, picture) in enumerate(zip(likely(finer), images, strict=True)):
        winners = finer.maps[number].argmax(0).unique()
        wanted = filter_guided(values[winners], picture).clamp(0, 1)
        torch.testing.assert_close(refined[number, winners], wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["regions", "superpixels"])
def test_every_region_takes_its_most_frequent_label(images, regions, sharpen, name):
    refined = sharpen(class_maps(), name).maps
    best = likely(refine_bilaterally(class_maps(), images)).argmax(1)
    for number in range(2):
        masks = regions[number].float()
        owner = slow_owner(masks) if name == "regions" else cut_superpixels(images[number])
        wanted, share = slow_vote(best[number], owner)
        assert refined[number].argmax(0).equal(wanted)
        inside = owner >= 0
        torch.testing.assert_close(refined[number].amax(0)[inside].double(), share[inside], atol=1e-5, rtol=0)
        assert not wanted.equal(best[number])


def test_pixels_outside_all_regions_keep_their_probabilities(images, regions, sharpen):
    refined = sharpen(class_maps(), "regions").maps
    before = likely(refine_bilaterally(class_maps(), images))
    for number in range(2):
        outside = ~regions[number].any(0)
        assert 0 < int(outside.sum()) < outside.numel()
        winners = refined[number].flatten(1).any(1)
        torch.testing.assert_close(refined[number][winners][:, outside], before[number][winners][:, outside])


def test_maps_that_are_fine_already_are_not_made_finer_first(images, sharpen):
    exact = class_maps("softmax_sum", scoring="exact")
    refined = sharpen(exact, "guided").maps
    wanted = filter_guided(exact.maps[0], images[0]).clamp(0, 1)
    winners = refined[0].flatten(1).any(1)
    torch.testing.assert_close(refined[0][winners], wanted[winners], atol=1e-5, rtol=0)


def test_a_refiner_may_follow_another(images, sharpen):
    twice = sharpen(sharpen(class_maps(), "bilateral"), "crf")
    assert twice.grid == SIZE
    assert label_pixels(twice).labels.shape == (2, *SIZE)


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


# --- refused ---


def refused(kind, function, *arguments):
    with pytest.raises(kind) as caught:
        function(*arguments)
    return str(caught.value)


def test_an_unknown_refiner_is_refused(images):
    names = "none, bilateral, pamr, guided, superpixels, regions, crf, crf_deeplab, simseg"
    text = f"refiner: unknown name 'none '; expected one of {names}. Did you mean 'none'?"
    assert refused(UnknownNameError, refine_maps, class_maps(), images, "none ") == text
    text = f"refiner: unknown name 'none '; expected one of {', '.join(SCORE_REFINERS)}. Did you mean 'none'?"
    assert refused(UnknownNameError, refine_scores, make_scores(INDEX, size=SIZE), images, "none ") == text


@pytest.mark.parametrize("name", sorted(set(REFINERS) - set(SCORE_REFINERS)))
def test_a_refiner_of_class_maps_is_refused_before_the_merge(images, name):
    assert refused(InputError, refine_scores, make_scores(INDEX, size=SIZE), images, name) == (
        f"refiner: {name!r} refines class maps, these are score maps; expected one of {', '.join(SCORE_REFINERS)}. "
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


@pytest.mark.parametrize("name", sorted(set(SCORE_REFINERS) - set(REFINERS)))
def test_a_refiner_of_score_maps_is_refused_behind_the_merge(images, name):
    assert refused(InputError, refine_maps, class_maps(), images, name) == (
        f"refiner: {name!r} refines score maps, these are class maps; expected one of {', '.join(REFINERS)}. "
        "Move it before Assemble Classes."
    )


def test_regions_that_nobody_gave_are_asked_for(images):
    text = "regions: none were given; expected masks for refiner 'regions'. Connect regions, or choose another."
    assert refused(InputError, refine_maps, class_maps(), images, "regions") == text


def test_regions_that_do_not_fit_are_refused_only_where_they_are_looked_at(images):
    maps = class_maps()
    text = "regions: 3 masks for 2 images; expected one image, whose masks they are. Refine images with regions one by one."
    with pytest.raises(InputError) as caught:
        refine(maps, images, "regions", regions=torch.zeros(3, *SIZE))
    assert str(caught.value) == text
    assert refine(maps, images, "none", regions=torch.zeros(3, *SIZE)) is maps


@pytest.mark.parametrize("name", ["bilateral", "guided", "regions"])
def test_maps_that_would_fill_the_memory_are_refused(name):
    huge = HeldMaps(torch.zeros(()).expand(2, 171, 1024, 1024))
    size = (5000, 4000)
    maps = replace(class_maps(), source=huge, size=size)
    pictures = torch.zeros(()).expand(2, 3, *size)
    with pytest.raises(InputError) as caught:
        refine_maps(maps, pictures, name, regions=[torch.zeros(0, *size)] * 2)
    assert str(caught.value) == (
        "refiner: 171 classes on 4096 x 4096 points are too many to refine; "
        "expected fewer classes, a smaller picture or refiner 'none'."
    )


def test_masks_that_would_fill_the_memory_are_refused(images, monkeypatch):
    monkeypatch.setattr(class_refiners, "MOST_NUMBERS", 4 * 32 * 40 - 1)
    maps = replace(class_maps("paper"), present=torch.ones(2, 4, dtype=torch.bool))
    assert refused(InputError, refine_maps, maps, images, "simseg") == (
        "refiner: 4 classes on 32 x 40 points are too many to refine; "
        "expected fewer classes, a smaller picture or refiner 'none'."
    )
