"""Nodes from a picture to a label map, and the step between host and library tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conftest import import_nodes
from plain_models import make_backbone
from slow_scores import make_bank, make_features

from llmseg import ClassMaps, InputError, ScoreMaps, build_text_bank, expand_names, parse_names
from llmseg.options import GATE, MODE, REFINER, SCORING
from llmseg.refinement import REFINERS, SCORE_REFINERS

ENCODING: Any = import_nodes("encoding")
MAPS: Any = import_nodes("maps")
REGIONS: Any = import_nodes("regions")
SOCKETS: Any = import_nodes("sockets")


def test_the_stages_give_b_maps_for_b_images() -> None:
    (encoder,) = ENCODING.LLMSegLoadEncoder().execute("embedded", "auto")
    image = torch.cat([ENCODING.LLMSegExampleImage().execute(scene)[0] for scene in ("park", "night")])
    bank = build_text_bank(encoder, expand_names(parse_names("dog, building, grass, night, sky")))
    (features,) = ENCODING.LLMSegEncodeImage().execute(encoder, image, "auto", -1, -1, -1, "one")
    (scores,) = MAPS.LLMSegScore().execute(features, bank)
    (maps,) = MAPS.LLMSegAssemble().execute(scores, "max", -1, -1)
    assert maps.mode == "max"
    (refined,) = MAPS.LLMSegRefine().execute(maps, image, "auto")
    assert refined.maps.shape[:2] == maps.maps.shape[:2]
    assert refined.maps.shape[2] > maps.maps.shape[2]
    labels, confidence = MAPS.LLMSegLabel().execute(refined, 0.0, 0.0)
    assert labels.labels.shape == confidence.shape == (2, 192, 256)
    assert confidence.dtype == torch.float32
    assert 0 <= confidence.min() <= confidence.max() <= 1
    # Each picture is labelled as if it were alone.
    (alone,) = ENCODING.LLMSegEncodeImage().execute(encoder, image[1:], "auto", -1, -1, -1, "one")
    assert torch.allclose(alone.levels[0].windows, features.levels[0].windows[1:], atol=1e-5)


INDEX = [0, 0, 1, 2]
IMAGE = torch.zeros(2, 40, 56, 3)


@pytest.mark.parametrize("gate", GATE.names)
@pytest.mark.parametrize("mode", MODE.names)
@pytest.mark.parametrize("scoring", SCORING.names)
def test_every_choice_reaches_its_stage(scoring: str, mode: str, gate: str) -> None:
    (scores,) = MAPS.LLMSegScore().execute(make_features(), make_bank(INDEX), scoring)
    assert scores.exact == (scoring == "exact")
    (maps,) = MAPS.LLMSegAssemble().execute(scores, mode, -1, -1, gate)
    assert (maps.mode, maps.present is None) == (mode, gate == "none")
    labels, _ = MAPS.LLMSegLabel().execute(maps, 0.0, 0.0)
    assert labels.labels.shape == (2, 40, 56)


def test_files_from_before_an_input_was_there_still_run() -> None:
    (scores,) = MAPS.LLMSegScore().execute(make_features(), make_bank(INDEX))
    (maps,) = MAPS.LLMSegAssemble().execute(scores, "auto", -1, -1)
    assert not scores.exact
    assert maps.present is None


@pytest.mark.parametrize("refiner", [name for name in REFINER.names if name in REFINERS and name != "regions"])
def test_refine_takes_both_kinds_of_maps(refiner: str) -> None:
    if refiner == "superpixels":
        pytest.importorskip("skimage")
    (scores,) = MAPS.LLMSegScore().execute(make_features(), make_bank(INDEX))
    (maps,) = MAPS.LLMSegAssemble().execute(scores, "max", -1, -1)
    (refined,) = MAPS.LLMSegRefine().execute(maps, IMAGE, refiner)
    assert isinstance(refined, ClassMaps)
    if refiner in SCORE_REFINERS:
        (refined,) = MAPS.LLMSegRefine().execute(scores, IMAGE, refiner)
        assert isinstance(refined, ScoreMaps)
        assert MAPS.LLMSegAssemble().execute(refined, "max", -1, -1)[0].size == (40, 56)
    else:
        with pytest.raises(InputError, match=f"^refiner: '{refiner}' refines class maps, these are score maps; "):
            MAPS.LLMSegRefine().execute(scores, IMAGE, refiner)


def test_refine_lets_regions_of_any_node_vote() -> None:
    (encoder,) = ENCODING.LLMSegLoadEncoder().execute("embedded", "auto")
    image = ENCODING.LLMSegExampleImage().execute("park")[0]
    bank = build_text_bank(encoder, expand_names(parse_names("dog, car, tree, grass, sky")))
    (features,) = ENCODING.LLMSegEncodeImage().execute(encoder, image, "auto", -1, -1, -1, "one")
    (scores,) = MAPS.LLMSegScore().execute(features, bank)
    (maps,) = MAPS.LLMSegAssemble().execute(scores, "max", -1, -1)
    masks = torch.zeros(2, *image.shape[1:3])
    masks[0, :100], masks[1, 150:, 100:] = 1, 1
    (refined,) = MAPS.LLMSegRefine().execute(maps, image, "regions", masks)
    labels, _ = MAPS.LLMSegLabel().execute(refined, 0.0, 0.0)
    for mask in masks:
        assert len(labels.labels[0][mask > 0].unique()) == 1
    assert len(labels.labels.unique()) > 2
    (scores,) = MAPS.LLMSegScore().execute(make_features(), make_bank(INDEX))
    (two,) = MAPS.LLMSegAssemble().execute(scores, "max", -1, -1)
    with pytest.raises(InputError, match=r"^regions: 2 masks for 2 images; expected one image"):
        MAPS.LLMSegRefine().execute(two, IMAGE, "regions", torch.zeros(2, 40, 56))
    with pytest.raises(InputError, match=r"^regions: none were given"):
        MAPS.LLMSegRefine().execute(maps, image, "regions")


def test_superpixels_are_regions() -> None:
    pytest.importorskip("skimage")
    image = ENCODING.LLMSegExampleImage().execute("park")[0]
    (masks,) = REGIONS.LLMSegSuperpixels().execute(image, 40, 30.0)
    assert masks.shape[1:] == (192, 256)
    assert masks.dtype == torch.float32
    assert masks.sum(0).eq(1).all()
    with pytest.raises(InputError, match="^image: 2 images; expected one"):
        REGIONS.LLMSegSuperpixels().execute(image.expand(2, -1, -1, -1), 40, 30.0)


def test_refine_asks_the_backbone() -> None:
    (scores,) = MAPS.LLMSegScore().execute(make_features(), make_bank(INDEX))
    backbone = make_backbone()
    (refined,) = MAPS.LLMSegRefine().execute(scores, IMAGE, "lposs", None, backbone)
    assert isinstance(refined, ScoreMaps)
    assert not refined.layers[0].values.equal(scores.layers[0].values)
    assert MAPS.LLMSegAssemble().execute(refined, "max", -1, -1)[0].size == (40, 56)
    with pytest.raises(InputError, match=r"^refiner: 'lposs' asks a backbone which patches are alike; expected one\. "):
        MAPS.LLMSegRefine().execute(scores, IMAGE, "lposs")
    (maps,) = MAPS.LLMSegAssemble().execute(scores, "max", -1, -1)
    with pytest.raises(InputError, match=r"^refiner: 'lposs' refines score maps, these are class maps; "):
        MAPS.LLMSegRefine().execute(maps, IMAGE, "lposs", None, backbone)


def test_the_other_kind_of_maps_is_refused_where_only_one_will_do() -> None:
    (scores,) = MAPS.LLMSegScore().execute(make_features(), make_bank(INDEX))
    (maps,) = MAPS.LLMSegAssemble().execute(scores, "max", -1, -1)
    with pytest.raises(InputError) as error:
        MAPS.LLMSegLabel().execute(scores, 0.0, 0.0)
    assert str(error.value) == "class_maps: ScoreMaps; expected ClassMaps."
    with pytest.raises(InputError) as error:
        MAPS.LLMSegAssemble().execute(maps, "max", -1, -1)
    assert str(error.value) == "score_maps: ClassMaps; expected ScoreMaps."


@pytest.mark.parametrize(("channels", "expected"), [(1, [0.5] * 3), (3, [0.1, 0.2, 0.3]), (4, [0.1, 0.2, 0.3])])
def test_to_images_takes_grey_colour_and_alpha(channels: int, expected: list[float]) -> None:
    pixel = [0.5] if channels == 1 else [0.1, 0.2, 0.3, 0.9][:channels]
    images = SOCKETS.to_images(torch.tensor(pixel).expand(2, 5, 7, channels))
    assert images.shape == (2, 3, 5, 7)
    assert images[1, :, 4, 6].tolist() == pytest.approx(expected)


def test_to_images_refuses_other_shapes() -> None:
    with pytest.raises(InputError) as error:
        SOCKETS.to_images(torch.rand(5, 7, 3))
    assert str(error.value) == "image: shape [5, 7, 3]; expected IMAGE [B,H,W,3]."
