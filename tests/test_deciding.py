"""Labels by the rules of published evaluations, against those rules written out pixel by pixel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from llmseg.assembly import assemble_classes
from llmseg.encoder import load_encoder
from llmseg.errors import InputError
from llmseg.evaluation.deciding import decide_labels
from llmseg.evaluation.protocols import LabelRules
from llmseg.examples import load_example
from llmseg.expansion import expand_names
from llmseg.files import image_to_tensor
from llmseg.labels import label_pixels
from llmseg.names import parse_names
from llmseg.painting import present_classes
from llmseg.patch_features import build_patch_features
from llmseg.pipeline import SegmentOptions, segment
from llmseg.refinement import refine_maps, refine_scores
from llmseg.scores import ScoreMaps, score_image
from llmseg.text_bank import build_text_bank

NAMES = "background, dog, cat, tree, house, boat"
EXACT = SegmentOptions(templates="bare", include_names="no", resize=64, layout="published", scoring="exact", scales="one",
                       window=32, stride=16, mode="softmax_max", refiner="none")  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A random ViT, whose classes all win somewhere."""
    from conftest import random_checkpoint
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in random_checkpoint(3).items()}, path)
    return load_encoder(str(path))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 35, 45, generator=torch.Generator().manual_seed(1))


def score(
    encoder: Any, images: torch.Tensor, options: SegmentOptions, names: str = NAMES, source: str = ""
) -> ScoreMaps:
    expansion = expand_names(parse_names(names), source or "dog: poodle, beagle\ntree: oak")
    bank = build_text_bank(encoder, expansion, options.templates, options.include_names)
    knobs = ("attention", "window", "stride", "resize", "scales", "layout", "flips")
    features = build_patch_features(encoder, images, text_bank=bank, **{knob: getattr(options, knob) for knob in knobs})
    return score_image(features, bank, options.scoring)


SAME = {
    "auto": SegmentOptions(),
    "exact": EXACT,
    "early": replace(EXACT, refiner="pamr", mode="max", threshold=0.3),
    "late": SegmentOptions(refiner="guided", mode="max", min_area=0.01),
    "gated": SegmentOptions(gate="simseg", threshold=0.6, mode="max", refiner="none"),
    "painted": SegmentOptions(refiner="simseg", mode="paper"),
}


@pytest.mark.parametrize("options", SAME.values(), ids=SAME)
def test_without_rules_it_is_the_engine(encoder: Any, options: SegmentOptions) -> None:
    pixels = np.ascontiguousarray(load_example("park")[60:160, :120])
    picture = image_to_tensor(pixels)
    listed = "dog: poodle, beagle"
    names = "grass, dog, tree, sky, car, boat, cow, cat, flower, ball, building, ship"
    result = decide_labels(score(encoder, picture, options, names, listed), picture, options)
    whole = segment(pixels, names, listed, encoder=encoder, options=options)
    assert torch.equal(result.labels, whole.labels)
    assert torch.equal(result.confidence, whole.confidence)
    assert torch.equal(result.winning_phrase, whole.winning_phrase)

    # The same written out, since both call one function: refiners of score maps first, all others after the merge.
    scores = score(encoder, picture, options, names, listed)
    early = options.refiner == "pamr"
    scores = refine_scores(scores, picture, "pamr") if early else scores
    maps = assemble_classes(scores, options.mode, temperature=options.temperature, gate=options.gate)
    maps = maps if early else refine_maps(maps, picture, options.refiner)
    expected = label_pixels(maps, threshold=options.threshold, min_area=options.min_area)
    assert torch.equal(result.labels, expected.labels)
    assert len(result.labels.unique()) > 1


def published_labels(
    cosines: np.ndarray, owners: list[int], scale: float, threshold: float, least: float
) -> np.ndarray:
    """What SCLIP's evaluation does with the cosines of one image, one number after the other. [K,H,W] -> [H,W]"""
    phrases, height, width = cosines.shape
    classes = max(owners) + 1
    likely = np.zeros((classes, height, width))
    for y in range(height):
        for x in range(width):
            powers = np.exp(scale * (cosines[:, y, x] - cosines[:, y, x].max()))
            for phrase in range(phrases):
                owner = owners[phrase]
                likely[owner, y, x] = max(likely[owner, y, x], powers[phrase] / powers.sum())
    areas = [int((likely.argmax(0) == label).sum()) for label in range(classes)]
    for label in range(1, classes):
        if least and areas[label] <= least * sum(areas[1:]):
            likely[label] = 0
    labels = likely.argmax(0)
    labels[likely.max(0) < threshold] = 0
    return labels


@pytest.mark.parametrize(
    "rules",
    [
        LabelRules(logit_scale=65.0, unknown_is_background=True, least_share=0.1),
        LabelRules(logit_scale=50.0, unknown_is_background=True, least_share=0.25),
        LabelRules(logit_scale=20.0, least_share=1.0),
        LabelRules(logit_scale=10.0),
        LabelRules(least_share=0.05),
    ],
)
@pytest.mark.parametrize("threshold", [0.0, 0.25])
def test_published_rules(tiny: Any, images: torch.Tensor, rules: LabelRules, threshold: float) -> None:
    options = replace(EXACT, threshold=threshold)
    scores = score(tiny, images, options)
    result = decide_labels(scores, images, options, rules)
    scale = scores.defaults.logit_scale if rules.logit_scale is None else rules.logit_scale
    owners = scores.bank.class_index.tolist()
    for image in range(2):
        cosines = scores.phrase_scores(image).double().numpy()
        expected = published_labels(cosines, owners, scale, threshold, rules.least_share)
        assert (result.labels[image].numpy() == expected).mean() > 0.999  # of equals, rounding decides
        assert result.labels[image].tolist() == expected.tolist() or threshold


def test_rules_change_something(tiny: Any, images: torch.Tensor) -> None:
    """The rules above are worth a test: each moves pixels here."""
    options = replace(EXACT, threshold=0.25)
    scores = score(tiny, images, options)
    plain = decide_labels(scores, images, options).labels
    for rules in (LabelRules(logit_scale=10.0), LabelRules(logit_scale=200.0), LabelRules(least_share=0.3)):
        assert not torch.equal(decide_labels(scores, images, options, rules).labels, plain)
    assert scores.defaults.logit_scale == 40.0, "the scores that were given stay as they are"


def test_logit_scale_where_classes_compete_last(tiny: Any, images: torch.Tensor) -> None:
    options = replace(EXACT, mode="max")
    scores = score(tiny, images, options)
    for scale in (5.0, 80.0):
        result = decide_labels(scores, images, options, LabelRules(logit_scale=scale))
        for image in range(2):
            cosines = scores.phrase_scores(image)
            classes = torch.stack([cosines[scores.bank.class_index == label].amax(0) for label in range(6)])
            expected = (classes * scale).softmax(0).amax(0)
            assert torch.allclose(result.confidence[image], expected, atol=1e-5)


def test_unknown_is_the_first_class_where_that_is_the_background(tiny: Any, images: torch.Tensor) -> None:
    options = replace(EXACT, threshold=0.3)
    scores = score(tiny, images, options, names="dog, cat, tree, house")
    plain = decide_labels(scores, images, options).labels
    filled = decide_labels(scores, images, options, LabelRules(unknown_is_background=True)).labels
    assert (plain == -1).any()
    assert (plain > 0).any()
    assert torch.equal(filled, plain.clamp(min=0))


@pytest.mark.parametrize("unknown", [False, True])
def test_small_classes_without_a_background(tiny: Any, images: torch.Tensor, unknown: bool) -> None:
    """Where nobody says which class is the background all are judged, else all but the first."""
    scores = score(tiny, images, EXACT, names="dog, cat, tree, house")
    labels = decide_labels(scores, images, EXACT).labels
    rules = LabelRules(least_share=0.3, unknown_is_background=unknown)
    result = decide_labels(scores, images, EXACT, rules).labels
    for before, after in zip(labels, result, strict=True):
        areas = [int((before == label).sum()) for label in range(4)]
        judged = areas[1:] if unknown else areas
        small = {label for label in range(int(unknown), 4) if areas[label] <= 0.3 * sum(judged)}
        assert set(after.unique().tolist()) <= set(range(4)) - small
        stays = torch.tensor([label not in small for label in range(4)])[before]
        assert torch.equal(after[stays], before[stays])


def test_the_gate_may_ask_fewer_names(encoder: Any) -> None:
    picture = image_to_tensor(np.ascontiguousarray(load_example("park")[60:160, :120]))
    options = SegmentOptions(refiner="simseg", mode="off", scales="one")
    names = "grass, dog, tree, house, car, boat, cow, cat"
    scores = score(encoder, picture, options, names, "off")
    found = {}
    for top in (0, 2, 4):
        present = present_classes(scores.class_score[0], None, top or 30)
        result = decide_labels(scores, picture, options, LabelRules(gate_top=top))
        painted = {label for label in result.labels.unique().tolist() if label >= 0}
        assert painted <= set(present.nonzero()[:, 0].tolist())
        found[top] = tuple(present.tolist())
    assert len(set(found.values())) > 1, "the number matters here"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (LabelRules(logit_scale=0.0), "logit_scale: 0.0; expected a number above 0, or none."),
        (LabelRules(logit_scale=float("nan")), "logit_scale: nan; expected a number above 0, or none."),
        (LabelRules(least_share=1.5), "least_share: 1.5; expected a number from 0 to 1."),
        (LabelRules(least_share=float("nan")), "least_share: nan; expected a number from 0 to 1."),
        (LabelRules(gate_top=-1), "gate_top: -1; expected 0 or more."),
    ],
)
def test_wrong_rules(tiny: Any, images: torch.Tensor, rules: LabelRules, message: str) -> None:
    with pytest.raises(InputError) as caught:
        decide_labels(score(tiny, images, EXACT), images, EXACT, rules)
    assert str(caught.value) == message
