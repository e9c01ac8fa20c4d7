"""`patch_features`: windows in batches equal windows one by one, as many at once as memory holds."""

from __future__ import annotations

import itertools

import pytest
import torch
from plain_models import make_backbone
from slow_tower import SlowTower, slow_naclip_end
from torch.nn.functional import interpolate

from llmseg import looking, patch_features
from llmseg.attention import ATTENTION
from llmseg.defaults import EngineDefaults
from llmseg.encoder import load_encoder
from llmseg.errors import InputError, UnknownNameError
from llmseg.expansion import expand_names
from llmseg.names import parse_names
from llmseg.patch_features import SCALE_FACTORS, build_patch_features, split_features
from llmseg.text_bank import build_text_bank
from llmseg.types import ClassList, ClassName, TextBank
from llmseg.windows import plan_windows

MEAN, SPREAD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 56, 88, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def tiny(tiny_clip, saved_clip):
    """A random CLIP that nobody calibrated: window 224, stride 112, short side 336."""
    return lambda **sizes: load_encoder(str(saved_clip(tiny_clip(**sizes))))


def make_bank(encoder, count=5):
    """Random phrases, one a class."""
    vectors = torch.randn(count, encoder.embed_dim, generator=torch.Generator().manual_seed(6))
    vectors /= vectors.norm(dim=-1, keepdim=True)
    names = tuple(f"thing {number}" for number in range(count))
    classes = ClassList(tuple(ClassName(name) for name in names))
    return TextBank(vectors, torch.arange(count), vectors, classes, names, "bare", encoder.identity)


def plan_of(size, patch=8, *, window, stride):
    return plan_windows(size, patch, window=window, stride=stride, resize=0, factor=1.0, layout="grid")


# --- features ---


@pytest.mark.parametrize("tokens", [1, 60, 10**6], ids=["one by one", "few", "all at once"])
def test_batches_equal_windows_one_by_one(encoder, images, monkeypatch, tokens):
    monkeypatch.setattr(patch_features, "TOKENS_PER_BATCH", tokens)
    (level,) = build_patch_features(
        encoder, images, attention="naclip", window=32, stride=24, resize=0, scales="one"
    ).levels
    assert level.windows.shape == (2, 2, 4, 4, 4, encoder.embed_dim)
    assert level.grid == (7, 11)
    windows = level.windows.flatten(1, 2)
    for image, (number, (rows, columns)) in itertools.product(range(2), enumerate(level.plan.boxes)):
        alone = encoder.encode_patches(images[image, :, rows, columns][None], "naclip")[0]
        torch.testing.assert_close(windows[image, number], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [name for name, entry in ATTENTION.items() if not entry.stitched])
def test_no_method_lets_the_windows_of_a_batch_see_each_other(encoder, images, name):
    bank = make_bank(encoder) if ATTENTION[name].feedback else None
    options = {"attention": name, "window": 48, "stride": 40, "resize": 0, "scales": "one"}
    backbone = make_backbone() if ATTENTION[name].proxy else None
    (level,) = build_patch_features(encoder, images, **options, text_bank=bank, backbone=backbone).levels
    windows = level.windows.flatten(1, 2)
    for image, (number, (rows, columns)) in itertools.product(range(2), enumerate(level.plan.boxes)):
        pixels = images[image, :, rows, columns][None]
        alike = backbone.patch_features(pixels) if backbone else None
        alone = encoder.encode_patches(pixels, name, bank.embeddings if bank else None, alike)[0]
        torch.testing.assert_close(windows[image, number], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["naclip", "resclip"])
def test_the_record_is_filled(encoder, images, name):
    bank = make_bank(encoder)
    features = build_patch_features(encoder, images, attention=name, window=0, scales="one", text_bank=bank)
    (level,) = features.levels
    assert level.plan == plan_of((56, 88), window=0, stride=8)
    assert (features.size, features.model, features.aligned) == ((56, 88), encoder.identity, True)
    assert features.defaults == encoder.defaults
    phrases = bank.embeddings if ATTENTION[name].feedback else None
    wanted = encoder.encode_patches(images, name, phrases)
    torch.testing.assert_close(level.windows[:, 0, 0], wanted, atol=1e-6, rtol=0)
    assert features.see_whole().equal(encoder.encode_image(images))


@pytest.mark.parametrize(("height", "width", "resize"), [(56, 88, 28), (88, 56, 112), (1, 1, 16), (5, 300, 0)])
def test_images_are_resized_to_whole_patches(encoder, height, width, resize):
    images = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(4))
    features = build_patch_features(encoder, images, window=0, resize=resize, scales="one", attention="naclip")
    (level,) = features.levels
    assert features.size == (height, width)
    assert not any(side % 8 for side in level.plan.size)
    pixels = interpolate(images, size=level.plan.size, mode="bilinear", antialias=True)
    torch.testing.assert_close(level.windows[:, 0, 0], encoder.encode_patches(pixels, "naclip"), atol=1e-5, rtol=0)


def test_published_windows_lie_between_patches_and_are_resized_without_blurring(encoder):
    images = torch.rand(2, 3, 75, 101, generator=torch.Generator().manual_seed(4))
    features = build_patch_features(
        encoder, images, layout="published", window=30, stride=13, resize=60, scales="one", attention="naclip"
    )
    (level,) = features.levels
    assert not features.aligned
    assert (level.plan.size, level.plan.window, level.plan.cells) == ((60, 81), (30, 30), (3, 3))
    assert level.plan.tops == (0, 13, 26, 30)
    assert level.plan.lefts == (0, 13, 26, 39, 51)
    assert level.windows.shape == (2, 4, 5, 3, 3, encoder.embed_dim)
    pixels = interpolate(images, size=(60, 81), mode="bilinear", antialias=False)
    for (row, top), (column, left) in itertools.product(enumerate((0, 13, 26, 30)), enumerate((0, 13, 26, 39, 51))):
        alone = encoder.encode_patches(pixels[:, :, top : top + 24, left : left + 24], "naclip")  # whole patches
        torch.testing.assert_close(level.windows[:, row, column], alone, atol=1e-5, rtol=0)


def test_progress_is_told_after_each_batch(encoder, images, monkeypatch):
    monkeypatch.setattr(patch_features, "TOKENS_PER_BATCH", 3 * 17)
    told = []
    features = build_patch_features(
        encoder, images, window=32, stride=32, resize=0, scales="one", on_batch=lambda *counts: told.append(counts)
    )
    assert features.levels[0].plan.count == 6
    assert told == [(3, 12), (6, 12), (9, 12), (12, 12)]


def test_the_whole_image_is_not_encoded_before_it_is_asked_for(encoder, images):
    passes = []
    hook = encoder.module.visual.register_forward_hook(lambda *_: passes.append(1))
    try:
        features = build_patch_features(encoder, images, window=32, stride=32, resize=0, scales="one")
        assert passes == []
        features.see_whole()
        assert passes == [1]
    finally:
        hook.remove()


# --- memory ---


class SmallMemory:
    """Lets so many windows at once through to the encoder."""

    def __init__(self, encoder, monkeypatch, room):
        self.encode, self.room, self.batches = encoder.encode_patches, room, []
        monkeypatch.setattr(encoder, "encode_patches", self)

    def __call__(self, images, *arguments):
        self.batches.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError("no room")
        return self.encode(images, *arguments)


@pytest.mark.parametrize(
    ("room", "batches"),
    [
        (30, [30]),
        (15, [30, 15, 15]),
        (8, [30, 15, 7, 7, 7, 7, 2]),
        (1, [30, 15, 7, 3] + [1] * 30),
    ],
)
def test_out_of_memory_halves_the_batch_and_goes_on(encoder, images, monkeypatch, room, batches):
    options = {"attention": "naclip", "window": 32, "stride": 16, "resize": 0, "scales": "one"}
    (wanted,) = build_patch_features(encoder, images, **options).levels
    memory, told = SmallMemory(encoder, monkeypatch, room), []
    (level,) = build_patch_features(encoder, images, **options, on_batch=lambda *counts: told.append(counts)).levels
    torch.testing.assert_close(level.windows, wanted.windows, atol=1e-5, rtol=0)
    assert memory.batches == batches
    sums = itertools.accumulate(batch for batch in batches if batch <= room)
    assert told == [(done, 30) for done in sums]
    assert told[-1] == (30, 30)


def test_a_window_that_does_not_fit_alone_is_an_error(encoder, images, monkeypatch):
    memory = SmallMemory(encoder, monkeypatch, 0)
    with pytest.raises(torch.OutOfMemoryError):
        build_patch_features(encoder, images, window=32, stride=16, resize=0, scales="one")
    assert memory.batches == [30, 15, 7, 3, 1]


# --- stitched ---


def test_one_window_is_naclips(encoder, images):
    options = {"window": 0, "resize": 0, "scales": "one"}
    stitched, naclip = (
        build_patch_features(encoder, images, attention=name, **options).levels[0] for name in ("stitched", "naclip")
    )
    assert stitched.plan == naclip.plan
    assert stitched.windows.equal(naclip.windows)


def slow_stitched(state, image, plan, patch):
    """Tokens of every window, averaged patch by patch and CLS over all, through the last block of the twin."""
    twin = SlowTower(state)
    picture = torch.stack([(image[c] - MEAN[c]) / SPREAD[c] for c in range(3)])
    grid = (plan.size[0] // patch, plan.size[1] // patch)
    seen = {cell: [] for cell in itertools.product(*map(range, grid))}
    cls = []
    for rows, columns in plan.boxes:
        tokens = twin.outputs(picture[:, rows, columns])[0][twin.layers - 1]
        cls.append(tokens[0])
        for number, (y, x) in enumerate(itertools.product(*map(range, plan.cells))):
            seen[rows.start // patch + y, columns.start // patch + x].append(tokens[1 + number])
    means = [sum(tokens) / len(tokens) for tokens in (cls, *seen.values())]
    return slow_naclip_end(twin, torch.stack(means), grid)


@pytest.mark.parametrize("room", [1, 10**6])
def test_stitched_windows_equal_the_twin(tiny, tiny_clip, monkeypatch, room):
    monkeypatch.setattr(patch_features, "TOKENS_PER_BATCH", room)
    images = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(4))
    (level,) = build_patch_features(
        tiny(), images, attention="stitched", window=16, stride=8, resize=0, scales="one"
    ).levels
    assert (level.plan.boxes, level.plan.cells) == ([(slice(0, 24), slice(0, 40))], (3, 5))
    plan = plan_of((24, 40), window=16, stride=8)
    assert plan.count == 8
    wanted = torch.stack([slow_stitched(tiny_clip(), image, plan, 8) for image in images]).float()
    torch.testing.assert_close(level.windows[:, 0, 0], wanted, atol=1e-5, rtol=0)


def test_stitching_windows_that_lie_between_patches_is_refused(encoder, images):
    with pytest.raises(InputError) as caught:
        build_patch_features(
            encoder, images, attention="stitched", layout="published", window=32, stride=13, resize=0, scales="one"
        )
    assert str(caught.value) == (
        "layout: windows lie between patches; expected layout 'grid' for an attention that stitches them."
    )


# --- scales ---


@pytest.mark.parametrize("scales", SCALE_FACTORS)
def test_every_scale_is_encoded_as_if_it_were_the_only_one(encoder, images, scales):
    features = build_patch_features(encoder, images, window=32, stride=16, resize=0, scales=scales)
    assert len(features.levels) == len(SCALE_FACTORS[scales])
    for level, factor in zip(features.levels, SCALE_FACTORS[scales], strict=True):
        grid = tuple(max(1, round(side * factor / 8)) for side in (56, 88))
        assert level.grid == grid
        pixels = interpolate(images, size=(grid[0] * 8, grid[1] * 8), mode="bilinear", antialias=True)
        (alone,) = build_patch_features(encoder, pixels, window=32, stride=16, resize=0, scales="one").levels
        assert alone.plan == level.plan
        torch.testing.assert_close(alone.windows, level.windows, atol=1e-5, rtol=0)


@pytest.mark.parametrize("factors", SCALE_FACTORS.values(), ids=list(SCALE_FACTORS))
def test_the_finest_scale_comes_first(factors):
    assert list(factors) == sorted(factors, reverse=True)


def test_scales_start_from_the_resized_picture(encoder, images):
    features = build_patch_features(encoder, images, window=0, resize=112, scales="three")
    assert [level.grid for level in features.levels] == [(20, 31), (10, 15), (5, 8)]


def test_progress_counts_the_windows_of_all_scales(encoder, images):
    told = []
    build_patch_features(
        encoder, images, window=32, stride=32, resize=0, scales="three", on_batch=lambda *counts: told.append(counts)
    )
    assert told == [(24, 34), (32, 34), (34, 34)]  # 2 images of 3 x 4, 2 x 2 and 1 x 1 windows


# --- defaults ---


def test_the_embedded_models_own_window(encoder):
    features = build_patch_features(encoder, torch.rand(1, 3, 96, 144), scales="one")
    assert features.levels[0].plan == plan_of((96, 144), window=64, stride=32)


@pytest.mark.parametrize(("patch", "stride"), [(32, 128), (16, 112)])
def test_the_common_window_of_a_model_nobody_calibrated(tiny, patch, stride):
    features = build_patch_features(tiny(patch=patch, grid=2), torch.rand(1, 3, 336, 448))
    size = (round(336 / patch) * patch, 448)
    assert [level.plan for level in features.levels] == [plan_of(size, patch, window=224, stride=stride)]


@pytest.mark.parametrize("layout", ["grid", "published"])
def test_auto_is_the_models_own_layout(tiny, images, layout, monkeypatch):
    own = EngineDefaults(window=32, stride=16, resize=50, layout=layout, attention="vanilla")
    monkeypatch.setattr("llmseg.encoder.engine_defaults", lambda model, kind: own)
    encoder = tiny()
    features = build_patch_features(encoder, images)
    plan = plan_windows((56, 88), 8, window=32, stride=16, resize=50, factor=1.0, layout=layout)
    assert features.aligned is (layout == "grid")
    assert features.levels[0].plan == plan
    chosen = build_patch_features(encoder, images, layout=layout, attention="vanilla")
    assert features.levels[0].windows.equal(chosen.levels[0].windows)


# --- refused ---


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 8, 8), "images: shape [3, 8, 8]; expected [B,3,H,W]."),
        ((1, 4, 8, 8), "images: shape [1, 4, 8, 8]; expected [B,3,H,W]."),
        ((0, 3, 8, 8), "images: shape [0, 3, 8, 8]; expected [B,3,H,W]."),
        ((1, 3, 0, 8), "images: shape [1, 3, 0, 8]; expected [B,3,H,W]."),
    ],
)
def test_other_shapes_are_refused(encoder, shape, message):
    with pytest.raises(InputError) as caught:
        build_patch_features(encoder, torch.zeros(shape))
    assert str(caught.value) == message


def test_resclip_without_a_text_bank_is_refused(encoder, images):
    with pytest.raises(InputError) as caught:
        build_patch_features(encoder, images, attention="resclip")
    assert str(caught.value) == (
        "attention: 'resclip' looks at the phrases; expected a text bank. Connect text_bank, or choose another."
    )


def test_resclip_with_the_phrases_of_another_model_is_refused(encoder, images, tiny):
    bank = make_bank(tiny())
    with pytest.raises(InputError) as caught:
        build_patch_features(encoder, images, attention="resclip", text_bank=bank)
    assert str(caught.value) == f"text_bank: phrases encoded by {bank.model!r}; expected {encoder.identity!r}."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"layout": "gird"},
            "layout: unknown name 'gird'; expected one of grid, published, squash. Did you mean 'grid'?",
        ),
        (
            {"scales": "fiv"},
            "scales: unknown name 'fiv'; expected one of one, three, five, seven. Did you mean 'five'?",
        ),
    ],
)
def test_unknown_names_are_refused(encoder, images, options, message):
    with pytest.raises(UnknownNameError) as caught:
        build_patch_features(encoder, images, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"window": 20}, "window: 20 pixels; expected a multiple of the model's patch size 8, such as 16."),
        (
            {"window": 16, "stride": 24},
            "stride: 24 pixels; expected at most the window, 16. Some patches would be in no window.",
        ),
        (
            {"resize": 2048, "window": 0},
            "window: 102912 patches; expected at most 16384. Choose a smaller size or a larger stride.",
        ),
    ],
)
def test_windows_that_do_not_fit_are_refused(encoder, images, numbers, message):
    with pytest.raises(InputError) as caught:
        build_patch_features(encoder, images, **{"scales": "one", "layout": "grid", **numbers})
    assert str(caught.value) == message


@pytest.mark.parametrize("attention", ["scclip", "resclip"])
def test_a_window_with_too_many_pairs_of_patches_is_refused(encoder, monkeypatch, attention):
    monkeypatch.setattr(looking, "MOST_PAIRED_PATCHES", 15)
    bank = build_text_bank(encoder, expand_names(parse_names("owl"), "off"))
    with pytest.raises(InputError) as caught:
        build_patch_features(
            encoder, torch.rand(1, 3, 32, 32), attention=attention, window=0, scales="one", text_bank=bank
        )
    assert str(caught.value) == (
        f"window: 16 patches; expected at most 15 for attention {attention!r}. Choose a smaller window."
    )


def test_features_split_into_those_of_each_image(encoder, images):
    whole = build_patch_features(encoder, images, window=32, stride=16, scales="three")
    for number, part in enumerate(split_features(whole)):
        assert part.size == whole.size
        assert torch.equal(part.see_whole(), whole.see_whole()[number : number + 1])
        for level, all_levels in zip(part.levels, whole.levels, strict=True):
            assert torch.equal(level.windows, all_levels.windows[number : number + 1])
            assert level.plan == all_levels.plan
    (alone,) = split_features(build_patch_features(encoder, images[:1], window=32, stride=16, scales="one"))
    assert alone.levels[0].windows.shape[0] == 1
