"""On a GPU: the same answers as on a processor, in half the digits and with less memory than asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from llmseg import patch_features
from llmseg.attention import ATTENTION
from llmseg.encoder import load_encoder
from llmseg.examples import load_example
from llmseg.patch_features import build_patch_features
from llmseg.pipeline import SegmentOptions, segment

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

NAMES = "oak, cottage, taxi, poodle, grass"
WORDS = ["an oak", "a cottage", "a taxi", "a poodle", "grass"]


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 96, 144, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def on_gpu():
    """The embedded model as "auto" has it there: the image tower in float16."""
    return load_encoder(device="cuda")


@pytest.fixture
def all_memory() -> Iterator[None]:
    """Gives back what a test takes away."""
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def test_half_the_digits_are_what_auto_means_there(on_gpu):
    assert {parameter.dtype for parameter in on_gpu.module.visual.parameters()} == {torch.float16}
    assert on_gpu.module.text_projection.dtype == torch.float32


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ATTENTION)
def test_half_precision_is_close_to_a_processor(encoder, images, name, dtype):
    words = encoder.encode_text(WORDS)
    phrases = words if ATTENTION[name].feedback else None
    theirs = load_encoder(device="cuda", dtype=dtype)
    seen = theirs.encode_patches(images, name, phrases.cuda() if phrases is not None else None)
    assert (seen.device.type, seen.dtype) == ("cuda", torch.float32)
    wanted = encoder.encode_patches(images, name, phrases)
    torch.testing.assert_close(seen.cpu() @ words.T, wanted @ words.T, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    "name", [name for name, entry in ATTENTION.items() if not entry.feedback and not entry.calibration]
)
def test_full_precision_is_closer_where_nothing_is_chosen(encoder, images, name):
    seen = load_encoder(device="cuda", dtype="float32").encode_patches(images, name)
    torch.testing.assert_close(seen.cpu(), encoder.encode_patches(images, name), atol=5e-3, rtol=0)


@pytest.mark.parametrize("name", ATTENTION)
def test_labels_are_those_of_a_processor(encoder, on_gpu, name):
    picture = load_example("park")
    options = SegmentOptions(attention=name)
    here, there = (segment(picture, NAMES, encoder=model, options=options).labels.cpu() for model in (encoder, on_gpu))
    assert (here == there).float().mean() > 0.99


def test_a_batch_that_does_not_fit_is_halved(on_gpu, images, monkeypatch, all_memory):
    monkeypatch.setattr(patch_features, "TOKENS_PER_BATCH", 10**6)

    def build(copies):
        told = []
        features = build_patch_features(
            on_gpu,
            images.repeat(copies, 1, 1, 1),
            attention="naclip",
            window=64,
            stride=8,
            resize=0,
            scales="one",
            on_batch=lambda *counts: told.append(counts),
        )
        return features.levels[0].windows.cpu(), told

    build(1)  # what libraries keep for themselves is no part of the measure
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_reserved()
    wanted, told = build(16)
    count = len(wanted) * wanted.shape[1] * wanted.shape[2]
    assert told == [(count, count)]
    peak = torch.cuda.max_memory_reserved()
    torch.cuda.empty_cache()
    # Two thirds of what it took: too little for all at once, enough for half of them.
    room = held + (peak - held) * 2 // 3
    torch.cuda.set_per_process_memory_fraction(room / torch.cuda.get_device_properties(0).total_memory)
    got, told = build(16)
    torch.testing.assert_close(got, wanted, atol=1e-2, rtol=0)
    assert len(told) > 1
    assert told[-1] == (count, count)
