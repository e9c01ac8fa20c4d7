"""Everything in one call: any kind of picture in, one label for each of its pixels out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from llmseg import options
from llmseg.assembly import assemble_classes
from llmseg.encoder import Encoder
from llmseg.errors import InputError, ModelError, UnknownNameError
from llmseg.evaluation import confusion_matrix, mean_iou
from llmseg.examples import benchmark_scenes, load_example, world_classes
from llmseg.expansion import expand_names
from llmseg.files import image_to_tensor
from llmseg.labels import label_pixels
from llmseg.names import parse_names
from llmseg.patch_features import build_patch_features
from llmseg.pipeline import SegmentOptions, segment
from llmseg.refinement import refine_maps
from llmseg.scores import score_image
from llmseg.text_bank import build_text_bank

PICTURE = load_example("park")[:97, :140]  # no multiple of the patch size
NAMES = "dog, car, grass"

FORMS: dict[str, Callable[[Path], Any]] = {
    "path": lambda path: path,
    "text": str,
    "pillow": lambda path: Image.fromarray(PICTURE),
    "pillow with alpha": lambda path: Image.fromarray(PICTURE).convert("RGBA"),
    "array": lambda path: PICTURE,
    "tensor": lambda path: image_to_tensor(PICTURE),
}


@pytest.fixture(scope="module")
def expected(encoder: Encoder) -> torch.Tensor:
    """The stages one by one."""
    expansion, images = expand_names(parse_names(NAMES)), image_to_tensor(PICTURE)
    scores = score_image(build_patch_features(encoder, images), build_text_bank(encoder, expansion))
    return label_pixels(refine_maps(assemble_classes(scores), images)).labels


@pytest.mark.parametrize("form", FORMS)
def test_any_form_of_picture(form: str, encoder: Encoder, expected: torch.Tensor, tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "x.png")
    result = segment(FORMS[form](tmp_path / "x.png"), NAMES, encoder=encoder)
    assert result.labels.shape == (1, 97, 140)
    assert result.names == ("dog", "car", "grass")
    assert torch.equal(result.labels, expected)


def test_batch_is_segmented_image_by_image(encoder: Encoder) -> None:
    images = torch.stack([image_to_tensor(load_example("park")[y : y + 60, :90])[0] for y in (40, 120)])
    both = segment(images, NAMES, encoder=encoder)
    for index in range(2):
        single = segment(images[index : index + 1], NAMES, encoder=encoder)
        assert (single.labels[0] == both.labels[index]).float().mean() > 0.999


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (300, 5), (8, 8), (97, 3)])
def test_pictures_of_any_shape(size: tuple[int, int], encoder: Encoder) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    result = segment(picture, NAMES, encoder=encoder)
    assert result.labels.shape == (1, *size)
    assert set(result.labels.unique().tolist()) <= {0, 1, 2}
    assert bool(((result.confidence > 0) & (result.confidence <= 1)).all())


def test_model_is_loaded_by_name(expected: torch.Tensor) -> None:
    assert torch.equal(segment(PICTURE, NAMES).labels, expected)


def test_options_are_the_knobs_of_the_stages() -> None:
    tables = {name.lower(): value for name, value in vars(options).items()}
    for field in fields(SegmentOptions):
        assert field.default == tables[field.name].default


@pytest.mark.parametrize("mode", options.MODE.names)
def test_every_mode_runs(mode: str, encoder: Encoder) -> None:
    result = segment(PICTURE, NAMES, encoder=encoder, options=SegmentOptions(mode=mode))
    won = {result.phrases[index] for index in result.winning_phrase.unique().tolist() if index >= 0}
    assert bool(won) == (mode != "off")


KNOBS: dict[str, dict[str, Any]] = {
    "templates": {"templates": "single"},
    "include_names": {"include_names": "no"},
    "attention": {"attention": "vanilla"},
    "window": {"window": 32},
    "stride": {"stride": 64},
    "resize": {"resize": 64},
    "scales": {"scales": "one"},
    "mode": {"mode": "lme"},
    "temperature": {"mode": "lme", "temperature": 5.0},
    "name_weight": {"mode": "blend", "name_weight": 0.9},
    "refiner": {"refiner": "none"},
    "threshold": {"threshold": 1.0},
    "min_area": {"min_area": 0.5},
}


@pytest.mark.parametrize("knob", [field.name for field in fields(SegmentOptions)])
def test_every_knob_changes_something(knob: str, encoder: Encoder) -> None:
    changed = KNOBS[knob]
    rest = {name: value for name, value in changed.items() if name != knob}
    without, with_knob = (
        segment(PICTURE, NAMES, encoder=encoder, options=SegmentOptions(**values)) for values in (rest, changed)
    )
    same_labels = torch.equal(without.labels, with_knob.labels)
    assert not (same_labels and torch.equal(without.confidence, with_knob.confidence))


def test_word_that_the_model_does_not_know(encoder: Encoder) -> None:
    with pytest.raises(InputError, match=r"^names: the model 'emoji-world' does not know the word 'background'"):
        segment(PICTURE, "dog, background", encoder=encoder)


def test_progress_is_told(encoder: Encoder) -> None:
    calls: list[tuple[int, int]] = []
    knobs = SegmentOptions(window=32, stride=16)
    segment(PICTURE, NAMES, encoder=encoder, options=knobs, on_batch=lambda done, total: calls.append((done, total)))
    assert calls
    assert calls[-1][0] == calls[-1][1] > 1
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


@pytest.mark.parametrize(
    ("picture", "text"),
    [
        (np.zeros((4, 6), dtype=np.uint8), "image: uint8 [4, 6]; expected uint8 [H,W,3]."),
        (np.zeros((4, 6, 4), dtype=np.uint8), "image: uint8 [4, 6, 4]; expected uint8 [H,W,3]."),
        (np.zeros((4, 6, 3)), "image: float64 [4, 6, 3]; expected uint8 [H,W,3]."),
        (torch.zeros(1, 3, 4, 6).byte(), "image: torch.uint8 [1, 3, 4, 6]; expected floats in 0..1 [B,3,H,W]."),
        (torch.zeros(1, 4, 6, 3), "images: shape [1, 4, 6, 3]; expected [B,3,H,W]."),
        (torch.zeros(0, 3, 4, 6), "images: shape [0, 3, 4, 6]; expected [B,3,H,W]."),
        (Path("nowhere.png"), None),
    ],
)
def test_what_is_no_picture(picture: Any, text: str | None, encoder: Encoder) -> None:
    with pytest.raises(InputError) as caught:
        segment(picture, NAMES, encoder=encoder)
    missing = "image: cannot read 'nowhere.png': No such file or directory; expected a PNG, JPEG or WebP."
    assert str(caught.value) == (text or missing)


@pytest.mark.parametrize("knob", ["attention", "mode", "templates", "refiner"])
def test_unknown_option_names_its_table(knob: str, encoder: Encoder) -> None:
    values: dict[str, Any] = {knob: "nonsense"}
    with pytest.raises(UnknownNameError, match=f"^{knob}: unknown name 'nonsense'; expected one of "):
        segment(PICTURE, NAMES, encoder=encoder, options=SegmentOptions(**values))


def test_missing_model() -> None:
    with pytest.raises(ModelError) as caught:
        segment(PICTURE, NAMES, encoder="nowhere.safetensors")
    text = "model: no file 'nowhere.safetensors'; expected one of nowhere.safetensors."
    assert str(caught.value) == text


def test_subclasses_help_on_the_packaged_world(encoder: Encoder) -> None:
    """The method's claim, on a few scenes: phrases beat class names."""
    world = world_classes()
    names = list(dict.fromkeys(world.coarse))
    coarse = np.array([names.index(name) for name in world.coarse])
    classes = parse_names(",".join(names))
    banks = {how: build_text_bank(encoder, expand_names(classes, how, "emoji")) for how in ("off", "auto")}
    matrices = {how: torch.zeros(len(names), len(names) + 1, dtype=torch.int64) for how in banks}
    for image, labels in benchmark_scenes()[::5]:
        features = build_patch_features(encoder, image_to_tensor(image), stride=64)
        for how, bank in banks.items():
            found = label_pixels(assemble_classes(score_image(features, bank))).labels[0]
            matrices[how] += confusion_matrix(found, torch.from_numpy(coarse[labels]), len(names))
    assert mean_iou(matrices["auto"]) > mean_iou(matrices["off"]) > 0.1


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_batch_beyond_0_and_1_is_refused(value):
    batch = torch.full((1, 3, 16, 16), value)
    with pytest.raises(InputError) as caught:
        segment(batch, "dog, sky")
    assert str(caught.value) == "image: torch.float32 [1, 3, 16, 16]; expected floats in 0..1 [B,3,H,W]."


def test_a_flipped_array_and_half_precision_are_taken():
    picture = load_example("park")
    flipped = segment(picture[..., ::-1], "dog, sky").labels
    assert torch.equal(flipped, segment(np.ascontiguousarray(picture[..., ::-1]), "dog, sky").labels)
    assert segment(torch.rand(1, 3, 16, 16).half(), "dog, sky").labels.shape == (1, 16, 16)
