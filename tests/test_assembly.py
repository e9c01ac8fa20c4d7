"""`assembly`: every mode against a loop over pixels, by hand, and its properties."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import interpolate, normalize

from llmseg import options
from llmseg.assembly import ASSEMBLERS, assemble_classes
from llmseg.defaults import EngineDefaults
from llmseg.errors import InputError, UnknownNameError
from llmseg.options import AUTO_NUMBER
from llmseg.scores import ScoreMaps
from llmseg.types import ClassList, ClassName, TextBank

INDEX = [0, 0, 0, 1, 2, 2]
LINEAR = ("off", "paper", "blend")


def units(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, 5, generator=generator, dtype=torch.float64), dim=-1)


def make_scores(index=INDEX, embeddings=None, names=None, **defaults):
    embeddings = units(len(index), seed=1) if embeddings is None else embeddings
    names = units(max(index) + 1, seed=2) if names is None else names
    classes = ClassList(tuple(ClassName(f"class {label}") for label in range(len(names))))
    phrases = tuple(f"phrase {number}" for number in range(len(index)))
    bank = TextBank(embeddings, torch.tensor(index), names, classes, phrases, "single", "m")
    return ScoreMaps(units(2, 3, 4, seed=3), units(2, seed=4), bank, (24, 32), EngineDefaults(**defaults))


def maps(scores, mode, **numbers):
    return assemble_classes(scores, mode, **numbers).maps


# --- twins ---


def softmax_mean(z, r, t):
    weights = [math.exp(relevance / t) for relevance in r]
    return sum(w * score for w, score in zip(weights, z, strict=True)) / sum(weights)


# z: scores of a class's phrases at a pixel; r: their relevance; name: score of the class name; t, a: the numbers.
SLOW = {
    "off": lambda z, r, name, t, a: name,
    "paper": lambda z, r, name, t, a: softmax_mean(z, r, t),
    "blend": lambda z, r, name, t, a: a * name + (1 - a) * softmax_mean(z, r, t),
    "lme": lambda z, r, name, t, a: t * math.log(sum(math.exp(score / t) for score in z) / len(z)),
    "max": lambda z, r, name, t, a: max(z),
}


def test_the_tables_agree():
    assert list(SLOW) == list(ASSEMBLERS) == list(options.MODE.names)


@pytest.mark.parametrize("mode", ASSEMBLERS)
@pytest.mark.parametrize(("temperature", "weight"), [(0.05, 0.3), (1.0, 0.9), (10, 0)])
def test_a_mode_equals_a_loop_over_pixels(mode, temperature, weight):
    scores = make_scores()
    result = assemble_classes(scores, mode, temperature=temperature, name_weight=weight)
    assert result.maps.shape == result.winning_phrase.shape == (2, 3, 3, 4)
    for image in range(2):
        z, names, r = scores.phrase_scores(image), scores.name_scores(image), scores.phrase_relevance(image)
        for label in range(3):
            own = [number for number, owner in enumerate(INDEX) if owner == label]
            for y in range(3):
                for x in range(4):
                    at = [float(z[number, y, x]) for number in own]
                    wanted = SLOW[mode](at, r[own].tolist(), float(names[label, y, x]), temperature, weight)
                    assert float(result.maps[image, label, y, x]) == pytest.approx(wanted, abs=1e-9)
                    winner = -1 if mode == "off" else own[at.index(max(at))]
                    assert int(result.winning_phrase[image, label, y, x]) == winner


def test_modes_by_hand():
    embeddings = torch.tensor([[0.0, 1.0], [0.6, 0.8], [1.0, 0.0]])
    bank = make_scores([0, 0, 1], torch.zeros(3, 5), torch.zeros(2, 5)).bank
    bank = replace(bank, embeddings=embeddings, name_embeddings=torch.tensor([[0.8, 0.6], [1.0, 0.0]]))
    scores = ScoreMaps(torch.tensor([1.0, 0.0]).view(1, 1, 1, 2), torch.zeros(1, 2), bank, (8, 8), EngineDefaults())
    lme = 0.5 * math.log((1 + math.exp(0.6 / 0.5)) / 2)
    wanted = {"off": 0.8, "paper": 0.3, "blend": 0.25 * 0.8 + 0.75 * 0.3, "lme": lme, "max": 0.6}
    for mode, value in wanted.items():
        got = maps(scores, mode, temperature=0.5, name_weight=0.25).flatten().tolist()
        assert got == pytest.approx([value, 1.0])


def test_the_first_of_equal_phrases_wins():
    embeddings = units(3, seed=5)[[0, 0, 0, 1, 2, 2]]
    winners = assemble_classes(make_scores(embeddings=embeddings), "max").winning_phrase
    assert winners.unique().tolist() == [0, 3, 4]


# --- properties ---


def test_off_is_the_class_name_whatever_the_phrases():
    scores = make_scores()
    other = make_scores(embeddings=units(6, seed=9))
    assert maps(scores, "off").equal(maps(other, "off"))
    assert maps(scores, "off")[1].equal(scores.name_scores(1))


@pytest.mark.parametrize("mode", ASSEMBLERS)
def test_copies_of_the_class_name_change_nothing(mode):
    names = units(3, seed=2)
    once = make_scores([0, 1, 2], names, names)
    many = make_scores([0, 0, 0, 0, 1, 2, 2], names[[0, 0, 0, 0, 1, 2, 2]], names)
    torch.testing.assert_close(maps(once, mode), maps(many, mode), atol=1e-12, rtol=0)
    torch.testing.assert_close(maps(once, mode), maps(once, "off"), atol=1e-12, rtol=0)


@pytest.mark.parametrize("mode", ASSEMBLERS)
def test_the_order_of_phrases_does_not_matter(mode):
    scores = make_scores()
    order = torch.tensor([4, 2, 3, 0, 5, 1])
    bank = replace(scores.bank, embeddings=scores.bank.embeddings[order], class_index=scores.bank.class_index[order])
    shuffled = assemble_classes(replace(scores, bank=bank), mode)
    torch.testing.assert_close(shuffled.maps, maps(scores, mode), atol=1e-12, rtol=0)
    winners = assemble_classes(scores, mode).winning_phrase
    if mode != "off":
        assert order[shuffled.winning_phrase].equal(winners)


@pytest.mark.parametrize("mode", ASSEMBLERS)
def test_a_phrase_more_for_one_class_leaves_the_others_alone(mode):
    scores = make_scores()
    more = make_scores([*INDEX, 2], torch.cat([scores.bank.embeddings, units(1, seed=8)]))
    before, after = maps(scores, mode), maps(more, mode)
    assert after[:, :2].equal(before[:, :2])
    assert after[:, 2].equal(before[:, 2]) == (mode == "off")


def test_a_warm_log_mean_exp_is_the_mean_and_a_cold_one_the_max():
    scores = make_scores()
    groups = [[number for number, owner in enumerate(INDEX) if owner == label] for label in range(3)]
    mean = torch.stack([torch.stack([scores.phrase_scores(i)[own].mean(0) for own in groups]) for i in range(2)])
    torch.testing.assert_close(maps(scores, "lme", temperature=1e6), mean, atol=1e-6, rtol=0)
    torch.testing.assert_close(maps(scores, "lme", temperature=1e-6), maps(scores, "max"), atol=1e-5, rtol=0)
    torch.testing.assert_close(maps(scores, "paper", temperature=1e9), mean, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", ASSEMBLERS)
@pytest.mark.parametrize("temperature", [1e-40, 1e-3, 10])
def test_no_temperature_overflows_single_precision(mode, temperature):
    scores = make_scores()
    bank = replace(
        scores.bank,
        embeddings=scores.bank.embeddings.float(),
        name_embeddings=scores.bank.name_embeddings.float(),
    )
    single = replace(scores, patches=scores.patches.float(), image_vector=scores.image_vector.float(), bank=bank)
    assert maps(single, mode, temperature=temperature).isfinite().all()


@pytest.mark.parametrize("mode", LINEAR)
def test_linear_modes_commute_with_resizing(mode):
    scores = make_scores()

    def enlarge(values):
        return interpolate(values, size=(7, 9), mode="bilinear", align_corners=False)

    large = replace(scores, patches=enlarge(scores.patches.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
    torch.testing.assert_close(maps(large, mode), enlarge(maps(scores, mode)), atol=1e-12, rtol=0)


def test_log_mean_exp_lies_between_mean_and_max():
    scores = make_scores()
    warm, middle, cold = maps(scores, "lme", temperature=1e6), maps(scores, "lme"), maps(scores, "max")
    assert (middle >= warm - 1e-9).all()
    assert (middle <= cold + 1e-9).all()


# --- defaults and the record ---


@pytest.mark.parametrize(
    ("mode", "temperature"), [("lme", 0.07), ("paper", 1.0), ("blend", 0.05), ("max", 1.0), ("auto", 0.07)]
)
def test_auto_temperature_is_the_models_own_for_its_own_mode(mode, temperature):
    scores = make_scores(mode="lme", temperature=0.07, name_weight=0.2)
    wanted = maps(scores, "lme" if mode == "auto" else mode, temperature=temperature, name_weight=0.2)
    assert maps(scores, mode).equal(wanted)


def test_the_record_is_filled():
    scores = make_scores(logit_scale=33.0)
    result = assemble_classes(scores, temperature=AUTO_NUMBER)
    assert (result.mode, result.logit_scale, result.size) == ("blend", 33.0, (24, 32))
    assert (result.classes, result.phrases) == (scores.bank.classes, scores.bank.phrases)
    assert result.class_score.equal(scores.class_score())
    assert result.winning_phrase.dtype == torch.int64


# --- refused ---


def refused(scores, *args, **numbers):
    with pytest.raises(InputError) as caught:
        assemble_classes(scores, *args, **numbers)
    return caught.value


@pytest.mark.parametrize("temperature", [0, -2, float("nan"), float("inf")])
def test_other_temperatures_are_refused(temperature):
    assert str(refused(make_scores(), "lme", temperature=temperature)) == (
        f"temperature: {temperature!r}; expected a number above 0, or -1 for the model's own."
    )


@pytest.mark.parametrize("weight", [1.5, -0.5, float("nan")])
def test_weights_beyond_the_unit_are_refused(weight):
    assert str(refused(make_scores(), "blend", name_weight=weight)) == (
        f"name_weight: {weight!r}; expected 0 to 1, or -1 for the model's own."
    )


def test_a_class_without_a_phrase_is_refused():
    scores = make_scores([0, 0, 2], names=units(3, seed=2))
    assert str(refused(scores, "max")) == "text_bank: a class has no phrase; expected at least its name."


def test_an_unknown_mode_is_refused():
    error = refused(make_scores(), "maximum")
    assert isinstance(error, UnknownNameError)
    assert (
        str(error) == "mode: unknown name 'maximum'; expected one of off, paper, blend, lme, max. Did you mean 'max'?"
    )
