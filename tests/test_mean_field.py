"""`mean_field`: many labels through the CRF; in C++ and in torch they are the same, where both are there."""

from __future__ import annotations

import sys

import pytest
import torch
from torch.nn.functional import interpolate

from llmseg.crf import CRF_PRESETS, DenseCrf
from llmseg.refinement import mean_field
from llmseg.refinement.mean_field import has_cpp, infer_in_cpp, infer_in_torch, sharpen_by_crf


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def picture():
    return interpolate(noise(1, 3, 5, 6), size=(40, 52), mode="nearest")[0]


@pytest.fixture
def probability():
    return (interpolate(noise(1, 5, 6, 7, seed=1), size=(40, 52), mode="bilinear")[0] * 6).softmax(0)


@pytest.fixture
def in_torch(monkeypatch):
    """As where pydensecrf is not installed."""
    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    assert not has_cpp()


@pytest.mark.parametrize("preset", CRF_PRESETS)
def test_it_is_our_own_crf_on_whole_colours(picture, probability, preset, in_torch):
    chosen = CRF_PRESETS[preset]
    crf = DenseCrf((picture * 255).round(), chosen.gaussian, chosen.bilateral)
    wanted = crf.infer(probability, chosen.steps)
    torch.testing.assert_close(sharpen_by_crf(probability, picture, chosen), wanted, atol=1e-5, rtol=0)
    assert not wanted.argmax(0).equal(probability.argmax(0))


def test_shares_of_the_whole_become_probabilities(picture, probability, in_torch):
    """Some labels may be left out: the others then sum to less than 1."""
    preset = CRF_PRESETS["simseg"]
    some = probability[:3]
    wanted = sharpen_by_crf(some / some.sum(0), picture, preset)
    torch.testing.assert_close(sharpen_by_crf(some, picture, preset), wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(wanted.sum(0), torch.ones(40, 52))
    nobody = torch.zeros(2, 40, 52)
    assert sharpen_by_crf(nobody, picture, preset).isfinite().all()


def test_one_label_has_nobody_to_ask(picture):
    assert sharpen_by_crf(noise(1, 40, 52), picture, CRF_PRESETS["simseg"]).equal(torch.ones(1, 40, 52))


@pytest.mark.parametrize("preset", CRF_PRESETS)
def test_both_give_the_same(picture, probability, preset):
    pytest.importorskip("pydensecrf.densecrf")
    colours = (picture * 255).round()
    theirs = infer_in_cpp(probability, colours, CRF_PRESETS[preset])
    torch.testing.assert_close(theirs, infer_in_torch(probability, colours, CRF_PRESETS[preset]), atol=1e-3, rtol=0)


def test_the_one_in_cpp_is_taken_where_it_is_there(picture, probability, monkeypatch):
    asked = []
    monkeypatch.setattr(mean_field, "has_cpp", lambda: True)
    monkeypatch.setattr(mean_field, "infer_in_cpp", lambda *given: asked.append(given) or given[0])
    given = sharpen_by_crf(probability, picture, CRF_PRESETS["simseg"])
    assert len(asked) == 1
    torch.testing.assert_close(given, probability)
