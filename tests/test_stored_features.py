"""`stored_features`: features from a file act in every way as those that were encoded; what they are found by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from plain_models import make_backbone
from torch import Tensor

from llmseg import assemble_classes, build_text_bank, expand_names, label_pixels, parse_names, score_image
from llmseg.encoder import Encoder, load_encoder
from llmseg.errors import InputError, UnknownNameError
from llmseg.options import ATTENTION, DTYPE, LAYOUT, MODE, SCALES
from llmseg.patch_features import build_patch_features
from llmseg.stored_features import features_key, pack_features, unpack_features
from llmseg.stored_values import dump_value, load_value
from llmseg.types import PatchFeatures, TextBank

IMAGES = torch.rand(2, 3, 42, 61, generator=torch.Generator().manual_seed(0))
SIDES = {"window": 32, "stride": 16, "resize": 48}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Callable[..., dict[str, Tensor]]) -> Path:
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("clip") / "tiny.safetensors"
    save_file(tiny_clip(), path)
    return path


@pytest.fixture(scope="module")
def tower(clip: Path) -> Encoder:
    return load_encoder(str(clip))


@pytest.fixture(scope="module")
def bank(tower: Encoder) -> TextBank:
    return build_text_bank(tower, expand_names(parse_names("dog, grass, sky")))


def encode(tower: Encoder, bank: TextBank | None = None, **options: Any) -> PatchFeatures:
    return build_patch_features(tower, IMAGES, text_bank=bank, **{**SIDES, **options})


def through_a_file(features: PatchFeatures, tower: Encoder) -> PatchFeatures:
    """What a later process makes of the file."""
    return unpack_features(load_value(dump_value(pack_features(features), 2**24)), tower, IMAGES.clone())


def same(left: PatchFeatures, right: PatchFeatures) -> bool:
    described = [(each.size, each.model, each.defaults, each.aligned) for each in (left, right)]
    levels = [
        one.plan == two.plan
        and one.windows.dtype == two.windows.dtype
        and one.windows.stride() == two.windows.stride()
        and one.windows.equal(two.windows)
        for one, two in zip(left.levels, right.levels, strict=True)
    ]
    return described[0] == described[1] and all(levels) and left.see_whole().equal(right.see_whole())


@pytest.mark.parametrize("attention", ATTENTION.names)
def test_every_attention_comes_back(attention: str, tower: Encoder, bank: TextBank) -> None:
    features = encode(tower, bank, attention=attention, scales="three", backbone=make_backbone())
    assert same(through_a_file(features, tower), features)


@pytest.mark.parametrize("layout", LAYOUT.names)
@pytest.mark.parametrize("scales", SCALES.names)
def test_every_layout_and_scale_comes_back(layout: str, scales: str, tower: Encoder) -> None:
    features = encode(tower, attention="naclip", layout=layout, scales=scales)
    assert same(through_a_file(features, tower), features)


@pytest.mark.parametrize("dtype", DTYPE.names)
def test_every_number_format_comes_back(dtype: str, clip: Path) -> None:
    tower = load_encoder(str(clip), dtype=dtype)
    features = encode(tower)
    assert same(through_a_file(features, tower), features)


@pytest.mark.parametrize("gate", ["none", "simseg"])
@pytest.mark.parametrize("mode", MODE.names)
@pytest.mark.parametrize(("scoring", "layout"), [("fast", "grid"), ("exact", "published")])
def test_label_maps_are_the_same(
    mode: str, gate: str, scoring: str, layout: str, tower: Encoder, bank: TextBank
) -> None:
    features = encode(tower, attention="naclip", layout=layout)
    maps = [
        label_pixels(assemble_classes(score_image(each, bank, scoring), mode, gate=gate))
        for each in (features, through_a_file(features, tower))
    ]
    for field in ("labels", "confidence", "winning_phrase"):
        assert getattr(maps[0], field).equal(getattr(maps[1], field))


def test_the_whole_image_is_looked_at_only_when_somebody_asks(tower: Encoder) -> None:
    features, seen = encode(tower), []
    handle = tower.module.visual.conv1.register_forward_hook(lambda module, args, out: seen.append(len(args[0])))
    try:
        again = through_a_file(features, tower)
        assert seen == []
        again.see_whole()
        again.see_whole()
        assert seen == [2]
    finally:
        handle.remove()


# --- what they are found by ---


def key(tower: Any, images: Tensor = IMAGES, **options: Any) -> str | None:
    return features_key(tower, images, **{"attention": "auto", **SIDES, "scales": "auto", "layout": "auto", **options})


def test_a_key_changes_with_every_option_and_pixel(tower: Encoder) -> None:
    one_pixel = IMAGES.clone()
    one_pixel[1, 2, 41, 60] = one_pixel[1, 2, 41, 60].nextafter(torch.tensor(2.0))
    keys = [
        key(tower),
        key(tower, one_pixel),
        key(tower, IMAGES[:1]),
        key(tower, IMAGES.flip(0)),
        key(tower, IMAGES.transpose(2, 3)),
        key(tower, IMAGES.double()),
        *(key(tower, attention=name) for name in ATTENTION.names if name not in ("resclip", "proxyclip")),
        *(key(tower, layout=name) for name in LAYOUT.names),
        *(key(tower, scales=name) for name in SCALES.names),
        *(key(tower, **{side: 40}) for side in SIDES),
    ]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert key(tower, IMAGES.clone()) == keys[0]


def test_a_key_changes_with_the_weights_the_activation_and_the_number_format(
    tower: Encoder, clip: Path, tiny_clip: Callable[..., dict[str, Tensor]], saved_clip: Callable[..., Path]
) -> None:
    changed = tiny_clip()
    changed["visual.proj"] = changed["visual.proj"].clone()
    changed["visual.proj"][0, 0] += 1e-6
    others = [
        load_encoder(str(saved_clip(changed))),  # of the same name
        load_encoder(str(clip), activation="quickgelu"),
        load_encoder(str(clip), dtype="bfloat16"),
    ]
    assert len({key(each) for each in [tower, *others]}) == 4
    assert key(load_encoder(str(clip))) == key(tower)


def test_phrases_count_where_the_attention_looks_at_them(tower: Encoder, bank: TextBank) -> None:
    other = replace(bank, embeddings=bank.embeddings.flip(0))
    for attention in ATTENTION.names:
        keys = {key(tower, attention=attention, text_bank=each) for each in (bank, other)}
        assert len(keys) == (2 if attention == "resclip" else 1)
        assert (key(tower, attention=attention) in keys) == (attention != "resclip")
    assert key(tower, attention="resclip") is None, "which fails when it runs"
    strange = replace(bank, model="another")  # which fails too
    assert key(tower, attention="resclip", text_bank=strange) != key(tower, attention="resclip", text_bank=bank)


def test_what_runs_on_a_gpu_is_not_stored(tower: Encoder) -> None:
    elsewhere = SimpleNamespace(device=torch.device("cuda"), identity=tower.identity)
    assert key(elsewhere) is None


def test_an_attention_that_does_not_exist_has_no_key(tower: Encoder) -> None:
    with pytest.raises(UnknownNameError, match=r"^attention: "):
        key(tower, attention="naklip")


# --- files that hold something else ---


def other_values(features: PatchFeatures) -> list[Any]:
    (level,) = features.levels
    plan = list(astuple(level.plan))
    levels = [
        [(1, plan)],
        [(level.windows, 3)],
        [(level.windows, plan[:-1])],
        [(level.windows, [None] * 5)],
        [(level.windows[:1], plan)],
        [(level.windows, [*plan[:3], plan[3][:1], plan[4]])],
        [(level.windows[..., 1:], plan)],
    ]
    return [None, "levels", {"aligned": True}, {"levels": []}, *({"levels": each, "aligned": True} for each in levels)]


def test_what_are_no_features_is_refused(tower: Encoder) -> None:
    features = encode(tower)
    assert same(unpack_features(pack_features(features), tower, IMAGES), features)
    for kept in other_values(features):
        with pytest.raises(InputError, match=r"^stored value: .*; expected "):
            unpack_features(kept, tower, IMAGES)
