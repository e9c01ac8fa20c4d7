"""On a GPU: the same answers as on a processor, in half the digits and with less memory than asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from plain_models import make_backbone, plain_state

from llmseg import patch_features
from llmseg.attention import ATTENTION
from llmseg.backbone import Backbone
from llmseg.crf import CRF_PRESETS, DenseCrf
from llmseg.encoder import load_encoder
from llmseg.examples import load_example
from llmseg.modes import MODES
from llmseg.pamr import pamr
from llmseg.patch_features import build_patch_features
from llmseg.pipeline import SegmentOptions, segment
from llmseg.refinement import REFINERS
from llmseg.run import main
from llmseg.towers.plain import build_plain

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

QUICKSTART = Path(__file__).parent.parent / "workflows" / "quickstart.json"
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


@pytest.mark.parametrize(("attention", "refiner"), [("proxyclip", "none"), ("naclip", "lposs")])
def test_a_backbone_there_is_close_to_one_here(encoder, on_gpu, images, attention, refiner):
    here, there = make_backbone(), Backbone(build_plain(plain_state()), "tiny", "tiny", "cuda")
    assert there.module.norm.weight.dtype == torch.float16
    for look in ("patch_features", "value_features"):
        seen = getattr(there, look)(images.cuda())
        assert (seen.device.type, seen.dtype) == ("cuda", torch.float32)
        torch.testing.assert_close(seen.cpu(), getattr(here, look)(images), atol=0.02, rtol=0)
    options = SegmentOptions(attention=attention, refiner=refiner, scales="one")
    labels = [
        segment(load_example("park"), NAMES, encoder=model, options=options, backbone=eyes).labels
        for model, eyes in ((encoder, here), (on_gpu, there))
    ]
    assert labels[1].device.type == "cuda"
    assert (labels[0] == labels[1].cpu()).float().mean() > 0.95


def agreement(here, there, regions=None, **knobs):
    """Share of a scene's pixels that both devices label alike."""
    picture = load_example("park")
    given = {"options": SegmentOptions(**knobs), "regions": regions, "backbone": make_backbone()}
    labels = [segment(picture, NAMES, encoder=model, **given).labels for model in (here, there)]
    assert labels[1].device.type == "cuda"
    return (labels[0] == labels[1].cpu()).float().mean()


@pytest.mark.parametrize("name", ATTENTION)
def test_labels_are_those_of_a_processor(encoder, on_gpu, name):
    assert agreement(encoder, on_gpu, attention=name) > 0.99


@pytest.mark.parametrize("scoring", ["fast", "exact"])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_that_of_a_processor(encoder, on_gpu, mode, scoring):
    assert agreement(encoder, on_gpu, mode=mode, scoring=scoring) > 0.99


@pytest.mark.parametrize("layout", ["grid", "published"])
@pytest.mark.parametrize("refiner", REFINERS)
def test_every_refiner_is_that_of_a_processor(encoder, on_gpu, refiner, layout):
    if refiner == "superpixels":
        pytest.importorskip("skimage")
    regions = torch.from_numpy(load_example("park").copy()).movedim(-1, 0) > 100  # a mask per colour
    assert agreement(encoder, on_gpu, regions, refiner=refiner, layout=layout) > 0.99


@pytest.mark.parametrize(
    "knobs",
    [
        {"gate": "simseg"},
        {"scales": "three"},
        {"window": 64, "stride": 32, "scoring": "exact"},
        {"background": "surroundings", "threshold": 0.3, "min_area": 0.02},
        {"templates": "bare", "include_names": "yes"},
    ],
)
def test_other_knobs_are_those_of_a_processor(encoder, on_gpu, knobs):
    assert agreement(encoder, on_gpu, **knobs) > 0.99


def test_pamr_is_that_of_a_processor(images):
    maps = torch.rand(7, 96, 144, generator=torch.Generator().manual_seed(1))
    seen = pamr(maps.cuda(), images[0].cuda())
    torch.testing.assert_close(seen.cpu(), pamr(maps, images[0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("preset", CRF_PRESETS.values(), ids=CRF_PRESETS)
def test_the_crf_is_that_of_a_processor_and_the_same_every_time(images, preset):
    probability = torch.rand(3, 2, 96, 144, generator=torch.Generator().manual_seed(1))
    picture = (images[0] * 255).round()

    def infer(device):
        crf = DenseCrf(picture.to(device), preset.gaussian, preset.bilateral)
        return crf.infer(probability.to(device), preset.steps).cpu()

    seen = infer("cuda")
    torch.testing.assert_close(seen, infer("cpu"), atol=1e-3, rtol=0)
    assert infer("cuda").equal(seen)


def test_phrases_encoded_there_are_found_again(on_gpu):
    first = segment(load_example("park"), NAMES, encoder=on_gpu)
    on_gpu.phrase_cache.clear()  # the next ones come from the disk, which knows no devices
    assert segment(load_example("park"), NAMES, encoder=on_gpu).labels.equal(first.labels)


@pytest.mark.slow
def test_a_compiled_tower_sees_the_same(on_gpu, images):
    compiled = load_encoder(device="cuda")
    compiled.compile()
    torch.testing.assert_close(compiled.encode_patches(images), on_gpu.encode_patches(images), atol=1e-2, rtol=0)


def test_a_workflow_runs_there(tmp_path):
    assert main([str(QUICKSTART), "--device", "cuda", "--output", str(tmp_path)]) == 0
    assert list((tmp_path / "quickstart").iterdir())


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
