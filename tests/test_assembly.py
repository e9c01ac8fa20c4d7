"""`assembly`: every mode against a loop over points, by hand, and its properties."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from slow_scores import WIDTH, make_scores, units
from torch.nn.functional import interpolate

from llmseg import assembly, options
from llmseg.assembly import AssembledMaps, assemble_classes
from llmseg.class_maps import HeldMaps
from llmseg.errors import InputError, UnknownNameError
from llmseg.modes import MODES
from llmseg.options import AUTO_NUMBER
from llmseg.painting import present_classes

INDEX = [2, 0, 0, 1, 0, 2, 3]  # in no order
LINEAR = ("off", "paper", "blend")
SEPARATE = ("off", "paper", "blend", "lme", "topk", "max")  # no phrase of one class changes the map of another
PROBABILITIES = ("softmax_max", "softmax_sum", "chils", "vote")
ON_PATCHES = {"size": (24, 32), "scoring": "fast"}
AT_PIXELS = {"size": (6, 9), "seen": (24, 32), "window": 16, "stride": 8, "scoring": "exact"}
WEIGHTS = [1.0, 0.01, 1.0, 0.3, 1.0, 2.0, 0.5]  # the first phrase of class 0 is a doubtful alias


def assembled(index=INDEX, **given):
    return make_scores(index, **{**ON_PATCHES, **given})


def maps(scores, mode, **numbers):
    return assemble_classes(scores, mode, **numbers).maps


def close(got, wanted, atol=1e-5):
    torch.testing.assert_close(got, wanted, atol=atol, rtol=0)


def class_means(scores, index):
    """Mean over the phrases of every class. [B,C,h,w]"""
    groups = [[phrase for phrase, owner in enumerate(index) if owner == label] for label in range(max(index) + 1)]
    return torch.stack(
        [torch.stack([scores.phrase_scores(image)[own].mean(0) for own in groups]) for image in range(len(scores))]
    )


# --- twins ---


class Point:
    """One point of one image in plain numbers; what every mode is a sentence about."""

    def __init__(self, scores, names, relevance, index, weights, temperature, name_weight, scale):
        self.z, self.names, self.r, self.w = scores, names, relevance, weights or [1.0] * len(scores)
        self.t, self.a, self.scale = temperature, name_weight, scale
        self.own = [[n for n, owner in enumerate(index) if owner == label] for label in range(len(names))]
        raised = [w * math.exp(scale * z) for w, z in zip(self.w, self.z, strict=True)]
        self.p = [each / sum(raised) for each in raised]

    def favoured(self, n):
        return self.z[n] + math.log(self.w[n]) / self.scale

    def mean(self, own):
        shares = [self.w[n] * math.exp(self.r[n] / self.t) for n in own]
        return sum(share * self.z[n] for share, n in zip(shares, own, strict=True)) / sum(shares)

    def lme(self, own):
        total = sum(self.w[n] * math.exp(self.z[n] / self.t) for n in own)
        return self.t * (math.log(total) - math.log(sum(self.w[n] for n in own)))

    def topk(self, own):
        best = sorted((self.favoured(n) for n in own), reverse=True)[:2]
        return sum(best) / len(best)

    def name_probability(self, label):
        return math.exp(self.scale * self.names[label]) / sum(math.exp(self.scale * name) for name in self.names)

    def vote(self, label):
        winner = max(range(len(self.p)), key=lambda n: self.p[n])
        return self.p[winner] if winner in self.own[label] else 0.0


# From a point, a label and the label's phrases to the value of the class there.
SLOW = {
    "off": lambda point, label, own: point.names[label],
    "paper": lambda point, label, own: point.mean(own),
    "blend": lambda point, label, own: point.a * point.names[label] + (1 - point.a) * point.mean(own),
    "lme": lambda point, label, own: point.lme(own),
    "topk": lambda point, label, own: point.topk(own),
    "max": lambda point, label, own: max(point.favoured(n) for n in own),
    "softmax_max": lambda point, label, own: max(point.p[n] for n in own),
    "softmax_sum": lambda point, label, own: sum(point.p[n] for n in own),
    "chils": lambda point, label, own: max(point.p[n] for n in own) * point.name_probability(label),
    "vote": lambda point, label, own: point.vote(label),
}


def test_the_tables_agree():
    assert list(SLOW) == list(MODES) == list(options.MODE.names)
    assert [mode for mode in MODES if MODES[mode].probabilities] == list(PROBABILITIES)
    assert set(SEPARATE) | set(PROBABILITIES) == set(MODES)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("given", [ON_PATCHES, AT_PIXELS], ids=["fast", "exact"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
@pytest.mark.parametrize(("temperature", "name_weight"), [(0.05, 0.3), (10, 0)])
def test_a_mode_equals_a_loop_over_points(mode, given, weights, temperature, name_weight):
    scores = make_scores(INDEX, weights=weights, logit_scale=13.0, **given)
    result = assemble_classes(scores, mode, temperature=temperature, name_weight=name_weight)
    assert result.maps.shape == (2, 4, *scores.grid)
    assert result.probabilities == (mode in PROBABILITIES)
    for image in range(2):
        z, names, got = (each.flatten(1).T.tolist() for each in (scores.phrase_scores(image), scores.name_scores(image), result.maps[image]))  # fmt: skip
        r = scores.phrase_relevance(image).tolist()
        for place in range(len(z)):
            point = Point(z[place], names[place], r, INDEX, weights, temperature, name_weight, 13.0)
            wanted = [SLOW[mode](point, label, own) for label, own in enumerate(point.own)]
            assert got[place] == pytest.approx(wanted, abs=1e-5)


def test_modes_by_hand():
    # A patch sees 0, 0.6 and 1 in its phrases, 0.8 and 1 in their classes' names; e^(2 z) are 1, 3.32 and 7.39.
    embeddings = torch.eye(3, WIDTH)[:2][[1, 0, 0]] * torch.tensor([[1.0], [0.6], [1.0]])
    names = torch.eye(1, WIDTH).repeat(2, 1) * torch.tensor([[0.8], [1.0]])
    scores = make_scores([0, 0, 1], embeddings=embeddings, names=names, size=(8, 8), images=1, logit_scale=2.0)
    scores = replace(scores, layers=(replace(scores.layers[0], values=torch.eye(1, WIDTH).view(1, 1, 1, WIDTH)),))
    scores = replace(scores, see_whole=lambda: torch.zeros(1, WIDTH))
    e = [1, math.exp(1.2), math.exp(2)]
    p, names = [each / sum(e) for each in e], [math.exp(1.6), math.exp(2)]
    wanted = {
        "off": [0.8, 1],
        "paper": [0.3, 1],
        "blend": [0.25 * 0.8 + 0.75 * 0.3, 1],
        "lme": [0.5 * math.log((1 + math.exp(1.2)) / 2), 1],
        "topk": [0.3, 1],
        "max": [0.6, 1],
        "softmax_max": [p[1], p[2]],
        "softmax_sum": [p[0] + p[1], p[2]],
        "chils": [p[1] * names[0] / sum(names), p[2] * names[1] / sum(names)],
        "vote": [0, p[2]],
    }
    for mode, values in wanted.items():
        assert maps(scores, mode, temperature=0.5, name_weight=0.25).flatten().tolist() == pytest.approx(values)


# --- properties ---


def test_off_is_the_class_name_whatever_the_phrases():
    scores = assembled()
    assert maps(scores, "off").equal(maps(assembled(embeddings=units(7, seed=9)), "off"))
    assert maps(scores, "off").equal(maps(assembled(index=[0, 1, 2, 3], names=units(4, seed=2)), "off"))
    assert maps(scores, "off")[1].equal(scores.name_scores(1))


@pytest.mark.parametrize("mode", MODES)
def test_copies_of_the_class_name_change_nothing_but_probabilities(mode):
    names = units(3, seed=2)
    once = assembled([0, 1, 2], embeddings=names, names=names)
    many = assembled([0, 0, 0, 0, 1, 2, 2], embeddings=names[[0, 0, 0, 0, 1, 2, 2]], names=names)
    before, after = maps(once, mode), maps(many, mode)
    if mode in SEPARATE:
        close(after, before)
        close(after, maps(once, "off"))
    else:
        assert (after - before).abs().max() > 0.01
    if mode == "vote":
        assert after.argmax(1).equal(before.argmax(1))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
@pytest.mark.parametrize("mode", MODES)
def test_the_order_of_phrases_does_not_matter(mode, weights):
    order = torch.tensor([4, 2, 6, 3, 0, 5, 1])
    scores = assembled(weights=weights)
    shuffled = assembled(
        [INDEX[place] for place in order],
        embeddings=scores.bank.embeddings[order],
        weights=None if weights is None else [weights[place] for place in order],
    )
    close(maps(shuffled, mode), maps(scores, mode), atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_a_phrase_more_for_one_class_leaves_the_scores_of_others_alone(mode):
    scores = assembled()
    more = assembled([*INDEX, 2], embeddings=torch.cat([scores.bank.embeddings, units(1, seed=8)]))
    others = [0, 1, 3]
    before, after = maps(scores, mode), maps(more, mode)
    if mode in SEPARATE:
        close(after[:, others], before[:, others], atol=1e-6)
    else:
        assert (after[:, others] <= before[:, others] + 1e-6).all(), "probabilities of others can only shrink"
    assert torch.allclose(after[:, 2], before[:, 2], atol=1e-6) == (mode == "off")


def test_a_warm_mode_is_the_mean_and_a_cold_one_the_best():
    scores = assembled()
    mean = class_means(scores, INDEX)
    for mode in ("lme", "paper", "blend"):
        close(maps(scores, mode, temperature=1e3, name_weight=0), mean, atol=1e-3)
    close(maps(scores, "lme", temperature=1e-4), maps(scores, "max"), atol=1e-3)
    for image in range(2):  # paper's best is the phrase that is nearest to the whole image
        z, r = scores.phrase_scores(image), scores.phrase_relevance(image)
        best = [max((n for n, owner in enumerate(INDEX) if owner == label), key=lambda n: r[n]) for label in range(4)]
        close(maps(scores, "paper", temperature=1e-5)[image], z[best])


def test_log_mean_exp_lies_between_mean_and_max():
    scores = assembled()
    middle = maps(scores, "lme", temperature=0.1)
    assert (middle >= class_means(scores, INDEX) - 1e-6).all()
    assert (middle <= maps(scores, "max") + 1e-6).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("temperature", [5e-324, 1e-40, 1e-3, 10])
def test_no_temperature_overflows_single_precision(mode, temperature):
    values = maps(assembled(weights=WEIGHTS), mode, temperature=temperature)
    assert values.dtype == torch.float32
    assert values.isfinite().all()


@pytest.mark.parametrize("mode", MODES)
def test_linear_modes_commute_with_enlarging(mode):
    """One aligned window as large as the original: the patch grid enlarged is what competes at the pixels, or not."""
    fast, exact = (assembled(scoring=scoring) for scoring in ("fast", "exact"))
    enlarged = interpolate(maps(fast, mode), size=(24, 32), mode="bilinear", align_corners=False)
    away = float((enlarged - maps(exact, mode)).abs().max())
    assert away < 1e-5 if mode in LINEAR else away > 1e-3


@pytest.mark.parametrize("scoring", ["fast", "exact"])
@pytest.mark.parametrize("mode", PROBABILITIES)
def test_probabilities_are_some(mode, scoring):
    values = maps(assembled(scoring=scoring, weights=WEIGHTS), mode)
    assert (values >= 0).all()
    total = values.sum(1)
    assert (total <= 1 + 1e-6).all()
    if mode == "softmax_sum":
        close(total, torch.ones_like(total))
    if mode == "vote":
        assert ((values > 0).sum(1) == 1).all()
        close(values.amax(1), maps(assembled(scoring=scoring, weights=WEIGHTS), "softmax_max").amax(1))


def test_the_vote_of_equal_phrases_goes_to_the_first_class():
    same = units(1, seed=5).repeat(4, 1)
    values = maps(assembled([0, 0, 0, 1], embeddings=same), "vote")  # the class of fewer phrases comes first inside
    assert (values[:, 0] > 0).all()
    assert (values[:, 1] == 0).all()


# --- weights ---


@pytest.mark.parametrize("mode", MODES)
def test_equal_weights_change_only_how_much_all_count(mode):
    close(maps(assembled(weights=[1.0] * 7), mode), maps(assembled(), mode), atol=1e-6)
    doubled = maps(assembled(weights=[2.0] * 7), mode)
    if mode not in ("topk", "max"):  # whose scores all rise by the same
        close(doubled, maps(assembled(), mode))
    else:
        close(doubled - math.log(2) / 40, maps(assembled(), mode))


@pytest.mark.parametrize("mode", ["off", "paper", "blend", "lme", "softmax_sum"])
def test_a_phrase_of_weight_three_counts_as_three(mode):
    scores = assembled(weights=[1.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    embeddings = scores.bank.embeddings
    copies = assembled([*INDEX, 0, 0], embeddings=torch.cat([embeddings, embeddings[[1, 1]]]))
    close(maps(scores, mode), maps(copies, mode))


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "off"])
def test_a_phrase_of_almost_no_weight_hardly_counts(mode):
    scores = assembled(weights=[1.0, 1e-30, 1.0, 1.0, 1.0, 1.0, 1.0])
    kept = [0, 2, 3, 4, 5, 6]
    without = assembled([INDEX[n] for n in kept], embeddings=scores.bank.embeddings[kept])
    close(maps(scores, mode), maps(without, mode))


# --- gate ---


@pytest.mark.parametrize("scoring", ["fast", "exact"])
def test_the_gate_lets_only_classes_pass_that_stand_out(scoring):
    roles = ("thing", "background", "thing", "thing")
    scores = assembled(scoring=scoring, roles=roles, names=units(4, seed=6))
    open_gate, gated = (assemble_classes(scores, "paper", gate=gate) for gate in options.GATE.names)
    assert open_gate.present is None
    wanted = torch.stack([present_classes(scores.class_score[image], 1) for image in range(2)])
    assert gated.present is not None
    assert gated.present.equal(wanted)
    assert 0 < int(wanted.sum()) < wanted.numel()
    assert gated.maps.equal(open_gate.maps), "the maps are the same; labels look at the gate"


# --- held or not ---


@pytest.mark.parametrize("mode", MODES)
def test_maps_made_when_asked_for_are_the_held_ones(mode, monkeypatch):
    scores = assembled(window=16, stride=8, weights=WEIGHTS)
    held = assemble_classes(scores, mode)
    monkeypatch.setattr(assembly, "MOST_HELD", 0)
    lazy = assemble_classes(scores, mode)
    assert isinstance(held.source, HeldMaps)
    assert isinstance(lazy.source, AssembledMaps)
    assert lazy.source.shape == held.source.shape == (2, 4, 3, 4)
    close(lazy.maps, held.maps, atol=1e-6)


def test_maps_at_pixels_are_made_when_asked_for():
    result = assemble_classes(make_scores(INDEX, **AT_PIXELS), "max")
    assert isinstance(result.source, AssembledMaps)
    assert (result.grid, result.size) == ((6, 9), (6, 9))


# --- defaults and the record ---


@pytest.mark.parametrize(
    ("mode", "temperature"),
    [("lme", 0.07), ("paper", 1.0), ("blend", 0.05), ("max", 1.0), ("softmax_sum", 1.0), ("auto", 0.07)],
)
def test_auto_temperature_is_the_models_own_for_its_own_mode(mode, temperature):
    scores = assembled(mode="lme", temperature=0.07, name_weight=0.2)
    wanted = maps(scores, "lme" if mode == "auto" else mode, temperature=temperature, name_weight=0.2)
    assert maps(scores, mode).equal(wanted)


def test_the_record_is_filled():
    scores = assembled(logit_scale=33.0, refiner="pamr")
    result = assemble_classes(scores, temperature=AUTO_NUMBER)
    assert (result.mode, result.logit_scale, result.size, result.grid) == ("blend", 33.0, (24, 32), (3, 4))
    assert (result.classes, result.phrases) == (scores.bank.classes, scores.bank.phrases)
    assert (result.refiner, result.scores, len(result)) == ("pamr", scores, 2)


# --- refused ---


def refused(scores, *args, **numbers):
    with pytest.raises(InputError) as caught:
        assemble_classes(scores, *args, **numbers)
    return caught.value


@pytest.mark.parametrize("temperature", [0, -2, float("nan"), float("inf")])
def test_other_temperatures_are_refused(temperature):
    assert str(refused(assembled(), "lme", temperature=temperature)) == (
        f"temperature: {temperature!r}; expected a number above 0, or -1 for the model's own."
    )


@pytest.mark.parametrize("weight", [1.5, -0.5, float("nan")])
def test_weights_beyond_the_unit_are_refused(weight):
    assert str(refused(assembled(), "blend", name_weight=weight)) == (
        f"name_weight: {weight!r}; expected 0 to 1, or -1 for the model's own."
    )


def test_a_class_without_a_phrase_is_refused():
    scores = assembled([0, 0, 2], names=units(3, seed=2))
    assert str(refused(scores, "max")) == "text_bank: a class has no phrase; expected at least its name."


def test_an_unknown_mode_is_refused():
    error = refused(assembled(), "maximum")
    assert isinstance(error, UnknownNameError)
    assert str(error) == (
        "mode: unknown name 'maximum'; expected one of off, paper, blend, lme, topk, max, softmax_max, softmax_sum, "
        "chils, vote. Did you mean 'max'?"
    )


def test_an_unknown_gate_is_refused():
    assert str(refused(assembled(), "max", gate="open")) == ("gate: unknown name 'open'; expected one of none, simseg.")
