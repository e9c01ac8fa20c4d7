"""Everything in one call: any kind of picture in, one label for each of its pixels out."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import random_checkpoint
from PIL import Image
from plain_models import make_backbone, plain_state
from safetensors.torch import save_file
from torch.nn.functional import interpolate

from llmseg import options
from llmseg.assembly import assemble_classes
from llmseg.encoder import Encoder, load_encoder
from llmseg.errors import InputError, ModelError, UnknownNameError
from llmseg.evaluation import confusion_matrix, mean_iou
from llmseg.examples import benchmark_scenes, load_example, world_classes
from llmseg.expansion import expand_names
from llmseg.files import image_to_tensor
from llmseg.labels import label_pixels
from llmseg.names import parse_names
from llmseg.patch_features import SCALE_FACTORS, build_patch_features
from llmseg.pipeline import SegmentOptions, segment
from llmseg.refinement import EARLY_REFINERS, REFINERS, refine_maps, refine_scores
from llmseg.scores import score_image
from llmseg.text_bank import build_text_bank
from llmseg.types import UNKNOWN, LabelMap, TextBank

PICTURE = load_example("park")[:97, :140]  # no multiple of the patch size
NAMES = "dog, car, grass"

REGIONS = image_to_tensor(PICTURE)[0] > 0.5  # a mask per colour

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


# --- options ---


def test_options_are_the_knobs_of_the_stages() -> None:
    tables = {name.lower(): value for name, value in vars(options).items()}
    for field in fields(SegmentOptions):
        free_text = field.name in ("custom_templates", "negatives")
        assert field.default == ("" if free_text else tables[field.name].default)


Segmented = Callable[..., LabelMap]


@pytest.fixture(scope="module")
def segmented(encoder: Encoder) -> Segmented:
    """The picture under some options; each is segmented once."""
    seen: dict[tuple[tuple[str, Any], ...], LabelMap] = {}

    def ask(**knobs: Any) -> LabelMap:
        key = tuple(sorted(knobs.items()))
        if key not in seen:
            beside: dict[str, Any] = {"regions": REGIONS, "backbone": make_backbone()}
            seen[key] = segment(PICTURE, NAMES, encoder=encoder, options=SegmentOptions(**knobs), **beside)
        return seen[key]

    return ask


@pytest.mark.parametrize("scoring", options.SCORING.names)
@pytest.mark.parametrize("mode", options.MODE.names)
def test_every_mode_runs(mode: str, scoring: str, segmented: Segmented) -> None:
    result = segmented(mode=mode, scoring=scoring, scales="one", refiner="none")
    assert result.labels.shape == (1, 97, 140)
    assert ((result.confidence > 0) & (result.confidence <= 1 + 1e-6)).all()
    won = {result.phrases[index] for index in result.winning_phrase.unique().tolist() if index >= 0}
    assert bool(won) == (mode != "off")


@pytest.mark.parametrize("attention", options.ATTENTION.names)
def test_every_attention_runs(attention: str, segmented: Segmented) -> None:
    result = segmented(attention=attention, scales="one", refiner="none")
    assert set(result.labels.unique().tolist()) <= {0, 1, 2}


def test_a_backbone_may_be_a_file_and_serves_attention_and_refiner(encoder: Encoder, tmp_path: Path) -> None:
    save_file(plain_state(), tmp_path / "eyes.safetensors")
    chosen = SegmentOptions(attention="proxyclip", refiner="lposs", scales="one")
    loaded, named = (
        segment(PICTURE, NAMES, "off", encoder=encoder, options=chosen, backbone=backbone)
        for backbone in (make_backbone(), str(tmp_path / "eyes.safetensors"))
    )
    assert loaded.labels.equal(named.labels)
    assert loaded.confidence.equal(named.confidence)
    plain = segment(PICTURE, NAMES, "off", encoder=encoder, options=SegmentOptions(scales="one", refiner="none"))
    assert not plain.confidence.equal(loaded.confidence)
    with pytest.raises(InputError, match=r"^attention: 'proxyclip' asks a backbone which patches are alike; "):
        segment(PICTURE, NAMES, "off", encoder=encoder, options=chosen)


@pytest.mark.parametrize("layout", options.LAYOUT.names)
@pytest.mark.parametrize("refiner", REFINERS)
def test_every_refiner_runs_in_every_layout(refiner: str, layout: str, segmented: Segmented) -> None:
    if refiner == "superpixels":
        pytest.importorskip("skimage")
    result = segmented(refiner=refiner, layout=layout, scales="one")
    assert set(result.labels.unique().tolist()) <= {UNKNOWN, 0, 1, 2}
    if refiner not in ("simseg", "regions"):
        assert (result.labels >= 0).all()
        plain = segmented(refiner="none", layout=layout, scales="one").labels
        assert (result.labels == plain).float().mean() > 0.7, "refined, not replaced"


def test_pamr_comes_before_the_merge_and_other_refiners_after_it(encoder: Encoder, segmented: Segmented) -> None:
    images = image_to_tensor(PICTURE)
    bank = build_text_bank(encoder, expand_names(parse_names(NAMES), "auto", encoder.library))
    scores = score_image(build_patch_features(encoder, images, scales="one"), bank)
    for refiner in REFINERS:
        if refiner == "superpixels" and not importlib.util.find_spec("skimage"):
            continue
        if refiner in EARLY_REFINERS:
            maps = assemble_classes(refine_scores(scores, images, refiner))
        else:
            maps = refine_maps(assemble_classes(scores), images, refiner, regions=REGIONS)
        assert segmented(refiner=refiner, scales="one").labels.equal(label_pixels(maps).labels)


def test_negatives_compete_and_are_left_out(segmented: Segmented) -> None:
    plain, result = segmented(scales="one"), segmented(scales="one", negatives="sky, tree")
    assert result.names == plain.names == ("dog", "car", "grass")
    taken = result.labels != plain.labels
    assert 0 < int(taken.sum()) < taken.numel()
    assert (result.labels[taken] == UNKNOWN).all()
    assert (result.winning_phrase[taken] == -1).all()


def test_the_paper_preset(encoder: Encoder) -> None:
    """Phrases weighted by the whole image; few classes, told by their names, each painted where its mask is."""
    names = "dog, car, grass, sky, tree, building, ball, flower"
    knobs = SegmentOptions(mode="paper", gate="simseg", refiner="simseg", scales="one")
    result = segment(PICTURE, names, encoder=encoder, options=knobs)
    bank = build_text_bank(encoder, expand_names(parse_names(names), "auto", encoder.library))
    score = bank.name_embeddings @ encoder.encode_image(image_to_tensor(PICTURE))[0]
    painted = result.labels >= 0
    assert 0 < int(painted.sum()) < painted.numel()
    assert 1 <= len(result.labels[painted].unique()) <= 5
    assert (score[result.labels[painted].unique()] >= score.mean() + score.std()).all()
    torch.testing.assert_close(result.confidence[painted], score[result.labels[painted]])
    assert (result.confidence[~painted] == 0).all()
    assert (result.winning_phrase[painted] >= 0).all()


KNOBS: dict[str, dict[str, Any]] = {
    "templates": {"templates": "single"},
    "include_names": {"include_names": "no"},
    "custom_templates": {"templates": "custom", "custom_templates": "a photo of {}."},
    "background": {"background": "surroundings"},
    "negatives": {"negatives": "sky, tree"},
    "attention": {"attention": "vanilla"},
    "window": {"window": 32},
    "stride": {"stride": 64},
    "resize": {"resize": 64},
    "scales": {"scales": "one"},
    "layout": {"layout": "published", "refiner": "none"},
    "scoring": {"scoring": "exact", "refiner": "none"},
    "flips": {"flips": "horizontal"},
    "gate": {"gate": "simseg"},
    "mode": {"mode": "lme"},
    "temperature": {"mode": "lme", "temperature": 5.0},
    "name_weight": {"mode": "blend", "name_weight": 0.9},
    "refiner": {"refiner": "none"},
    "threshold": {"threshold": 1.0},
    "min_area": {"min_area": 0.5},
}
WITHOUT: dict[str, dict[str, Any]] = {"custom_templates": {"templates": "custom", "custom_templates": "{}"}}


@pytest.mark.parametrize("knob", [field.name for field in fields(SegmentOptions)])
def test_every_knob_changes_something(knob: str, segmented: Segmented) -> None:
    changed = KNOBS[knob]
    rest = WITHOUT.get(knob, {name: value for name, value in changed.items() if name != knob})
    base = {} if knob == "scales" else {"scales": "one"}
    without, with_knob = segmented(**{**base, **rest}), segmented(**{**base, **changed})
    same_labels = torch.equal(without.labels, with_knob.labels)
    assert not (same_labels and torch.equal(without.confidence, with_knob.confidence))


# --- the published order, from pixels on ---


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A random CLIP of patches of 8 pixels."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in random_checkpoint().items()}, path)
    return load_encoder(str(path))


def published_maps(encoder: Encoder, image: torch.Tensor, bank: TextBank, knobs: SegmentOptions) -> torch.Tensor:
    """Cosines of the phrases as public code makes them, window by window. [1,3,H,W] -> [K,H,W]"""
    size, scales = image.shape[-2:], []
    for factor in SCALE_FACTORS[knobs.scales]:
        scale = factor * knobs.resize / min(size) if knobs.resize else factor
        height, width = (int(side * scale + 0.5) for side in size)
        resized = interpolate(image, size=(height, width), mode="bilinear")
        total, count = torch.zeros(len(bank.phrases), height, width), torch.zeros(height, width)
        for i in range(max(height - knobs.window + knobs.stride - 1, 0) // knobs.stride + 1):
            for j in range(max(width - knobs.window + knobs.stride - 1, 0) // knobs.stride + 1):
                bottom = min(i * knobs.stride + knobs.window, height)
                right = min(j * knobs.stride + knobs.window, width)
                top, left = max(bottom - knobs.window, 0), max(right - knobs.window, 0)
                seen = encoder.encode_patches(resized[:, :, top:bottom, left:right], knobs.attention)
                cosines = (seen @ bank.embeddings.T).permute(0, 3, 1, 2)
                total[:, top:bottom, left:right] += interpolate(
                    cosines, size=(bottom - top, right - left), mode="bilinear"
                )[0]
                count[top:bottom, left:right] += 1
        scales.append(interpolate((total / count)[None], size=size, mode="bilinear")[0])
    return torch.stack(scales).mean(0)


SLIDES: dict[str, dict[str, Any]] = {
    "landscape": {"size": (77, 101), "window": 40, "stride": 24, "resize": 0},
    "portrait": {"size": (101, 77), "window": 40, "stride": 24, "resize": 0},
    "no whole windows": {"size": (64, 90), "window": 37, "stride": 21, "resize": 0},
    "larger than the image": {"size": (45, 70), "window": 96, "stride": 48, "resize": 0},
    "reduced": {"size": (90, 121), "window": 32, "stride": 19, "resize": 45},
    "enlarged": {"size": (33, 44), "window": 32, "stride": 19, "resize": 60},
    "several scales": {"size": (61, 50), "window": 32, "stride": 24, "resize": 48, "scales": "three"},
}


@pytest.mark.parametrize("attention", ["sclip", "naclip"])
@pytest.mark.parametrize("slide", SLIDES)
def test_published_layout_scored_exactly_is_the_published_order(slide: str, attention: str, tiny: Encoder) -> None:
    given = {"scales": "one", **SLIDES[slide]}
    images = torch.rand(2, 3, *given.pop("size"), generator=torch.Generator().manual_seed(0))
    knobs = SegmentOptions(attention=attention, layout="published", mode="softmax_max", refiner="none", **given)
    names, phrases = "dog, car, grass", "dog: poodle, terrier\ncar: taxi\ngrass: lawn, meadow, turf"
    result = segment(images, names, phrases, encoder=tiny, options=knobs)
    bank = build_text_bank(tiny, expand_names(parse_names(names), phrases))
    one_hot = torch.nn.functional.one_hot(bank.class_index).T.float()  # [C,K]
    for number in range(2):
        z = published_maps(tiny, images[number][None], bank, knobs)
        p = (one_hot[:, :, None, None] * (40 * z).softmax(0)).amax(1)
        torch.testing.assert_close(result.confidence[number], p.amax(0), atol=1e-5, rtol=0)
        best = p.topk(2, 0)
        sure = best.values[0] - best.values[1] > 2e-5  # else rounding decides
        assert sure.float().mean() > 0.98
        assert result.labels[number][sure].equal(best.indices[0][sure])
    assert len(result.labels.unique()) > 1


# --- what may go wrong ---


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


@pytest.mark.parametrize("knob", ["attention", "mode", "templates", "refiner", "layout", "scoring", "gate", "scales"])
def test_unknown_option_names_its_table(knob: str, encoder: Encoder) -> None:
    values: dict[str, Any] = {"scales": "one", knob: "nonsense"}
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
    knobs = SegmentOptions(scales="one")
    flipped = segment(PICTURE[..., ::-1], "dog, sky", options=knobs).labels
    again = segment(np.ascontiguousarray(PICTURE[..., ::-1]), "dog, sky", options=knobs).labels
    assert torch.equal(flipped, again)
    assert segment(torch.rand(1, 3, 16, 16).half(), "dog, sky").labels.shape == (1, 16, 16)
