"""`backbone` and its tower: timm's own models give the same tokens; any grid; bad files are refused in one line."""

from __future__ import annotations

import itertools

import pytest
import torch
from plain_models import make_backbone, plain_state
from safetensors.torch import save_file
from slow_tower import dino_positions
from torch.nn.functional import interpolate

from llmseg import backbone as module
from llmseg.backbone import MEAN, STD, Backbone, holds_backbone, load_backbone
from llmseg.errors import InputError, ModelError, UnknownNameError
from llmseg.towers.plain import build_plain
from llmseg.vit import resize_positions

KINDS = {  # name in timm -> sizes of `plain_state`
    "dino": ("vit_small_patch16_224.dino", {"patch": 8}),
    "registers": ("vit_small_patch14_reg4_dinov2", {"patch": 4, "registers": 4, "scaled": True, "classed": False}),
    "layer scale": ("vit_small_patch14_dinov2", {"patch": 4, "scaled": True}),
}


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(3))


def normalised(images):
    return (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def their_model(kind, state, image_size):
    """timm's own model with these weights."""
    timm = pytest.importorskip("timm")
    name, sizes = KINDS[kind]
    width = state["norm.weight"].shape[0]
    size = {"patch_size": sizes["patch"], "img_size": image_size, "embed_dim": width, "num_heads": width // 64}
    model = timm.create_model(name, pretrained=False, num_classes=0, depth=2, mlp_ratio=2, **size)
    model.load_state_dict(state, strict=True)
    return model.eval()


# --- the tower ---


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_equal_timm(kind):
    sizes = KINDS[kind][1]
    state, side = plain_state(**sizes), 4 * sizes["patch"]
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        theirs = their_model(kind, state, side).forward_features(images)
        torch.testing.assert_close(build_plain(state)(images), theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", [(3, 5), (7, 2), (1, 1)])
def test_tokens_of_other_grids_equal_timm_with_dinos_positions(kind, grid):
    sizes = KINDS[kind][1]
    state, size = plain_state(**sizes), tuple(side * sizes["patch"] for side in grid)
    table = state["pos_embed"][0]
    classed = len(table) == 17
    resized = dino_positions(table if classed else torch.cat([table[:1], table]), grid)
    other = {**state, "pos_embed": (resized if classed else resized[1:])[None]}
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        theirs = their_model(kind, other, size).forward_features(images)
        torch.testing.assert_close(build_plain(state)(images), theirs, atol=1e-5, rtol=0)


def test_registers_of_dinov2s_authors_equal_timms():
    """There CLS has a position, and registers come after positions were added."""
    theirs = plain_state(registers=4, scaled=True, classed=False)
    of_cls = torch.randn(1, 1, 64, generator=torch.Generator().manual_seed(6))
    authors = {name: tensor for name, tensor in theirs.items() if name != "reg_token"}
    authors |= {
        "register_tokens": theirs["reg_token"],
        "pos_embed": torch.cat([of_cls, theirs["pos_embed"]], 1),
        "cls_token": theirs["cls_token"] - of_cls,
        "mask_token": torch.zeros(1, 64),
    }
    images = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(build_plain(authors)(images), build_plain(theirs)(images), atol=1e-5, rtol=0)


def test_another_grid_leaves_the_positions_as_they_are():
    tower = build_plain(plain_state())
    before = tower.positions.clone()
    square = tower(torch.ones(1, 3, 16, 16))
    tower(torch.ones(1, 3, 8, 40))
    assert tower.positions.equal(before)
    assert tower(torch.ones(1, 3, 16, 16)).equal(square)


def test_portrait_positions_are_transposed_landscape_of_a_transposed_table():
    table = torch.randn(16, 8, generator=torch.Generator().manual_seed(8))
    turned = table.view(4, 4, 8).transpose(0, 1).reshape(16, 8)
    portrait, landscape = resize_positions(table, 4, (7, 3)), resize_positions(turned, 4, (3, 7))
    torch.testing.assert_close(portrait.view(7, 3, 8), landscape.view(3, 7, 8).transpose(0, 1))


def test_half_precision_files_are_read_in_float32():
    halves = {name: tensor.half() for name, tensor in plain_state(scaled=True).items()}
    assert {each.dtype for each in build_plain(halves).state_dict().values()} == {torch.float32}


# --- features ---


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_units_of_the_patches_after_the_last_norm(kind, images):
    backbone = make_backbone(**KINDS[kind][1])
    patch = backbone.patch_size
    features = backbone.patch_features(images)
    assert features.shape == (2, 24 // patch, 40 // patch, 64)
    tokens = backbone.module(normalised(images))[:, backbone.module.prefix :]
    wanted = tokens / tokens.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(features.flatten(1, 2), wanted, atol=1e-6, rtol=0)


def test_values_are_those_of_the_last_block(images):
    state = plain_state(layers=2, seed=4)
    backbone = Backbone(build_plain(state), "tiny", "tiny")
    tower = backbone.module
    x = tower.blocks[0](tower.embed(normalised(images))[0])
    normed = torch.nn.functional.layer_norm(
        x, (64,), state["blocks.1.norm1.weight"], state["blocks.1.norm1.bias"], 1e-6
    )
    values = normed @ state["blocks.1.attn.qkv.weight"][128:].T + state["blocks.1.attn.qkv.bias"][128:]
    wanted = (values / values.norm(dim=-1, keepdim=True))[:, 1:].unflatten(1, (6, 10))
    torch.testing.assert_close(backbone.value_features(images), wanted, atol=1e-5, rtol=0)


def test_images_are_resized_to_a_wanted_grid(images):
    backbone = make_backbone()
    resized = interpolate(images, size=(12, 28), mode="bilinear", antialias=True)
    for look in (backbone.patch_features, backbone.value_features):
        assert look(images, (3, 7)).shape == (2, 3, 7, 64)
        torch.testing.assert_close(look(images, (3, 7)), look(resized), atol=1e-6, rtol=0)
        assert look(images, (6, 10)).equal(look(images))


def test_what_is_over_whole_patches_is_not_looked_at(images):
    backbone = make_backbone()
    padded = torch.nn.functional.pad(images, (0, 3, 0, 2), value=0.7)
    assert backbone.patch_features(padded).equal(backbone.patch_features(images))


def test_each_image_is_seen_by_itself(images):
    backbone = make_backbone()
    alone = torch.cat([backbone.patch_features(image[None]) for image in images])
    torch.testing.assert_close(backbone.patch_features(images), alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("own", "patch", "wanted"),
    [(8, 16, (6, 10)), (16, 16, (3, 5)), (14, 16, (3, 5)), (4, 14, (12, 20)), (16, 8, (3, 5))],
)
def test_its_grid_is_a_whole_multiple_of_another_models(own, patch, wanted):
    assert make_backbone(patch=own).fit_grid((3, 5), patch) == wanted


def test_a_picture_without_a_whole_patch_is_refused():
    with pytest.raises(InputError) as caught:
        make_backbone().patch_features(torch.zeros(1, 3, 3, 9))
    assert str(caught.value) == (
        "backbone: 9 x 3 pixels are 2 x 0 patches; expected 1 to 16384 for a backbone. Choose another size."
    )


def test_more_patches_than_memory_holds_are_refused(monkeypatch):
    monkeypatch.setattr(module, "MOST_PATCHES", 59)
    with pytest.raises(InputError, match=r"^backbone: 40 x 24 pixels are 10 x 6 patches; "):
        make_backbone().patch_features(torch.zeros(1, 3, 24, 40))


def test_a_host_is_asked_before_each_pass(images):
    backbone = make_backbone()
    asked = []
    backbone.before_run = lambda: asked.append(True)
    backbone.patch_features(images)
    backbone.value_features(images)
    assert len(asked) == 2


# --- files ---


@pytest.mark.parametrize("prefix", ["", "backbone.", "model.visual."])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_files_are_found_and_read(tmp_path, images, prefix, suffix):
    state = {f"{prefix}{name}": tensor for name, tensor in plain_state(registers=2, classed=False).items()}
    path = tmp_path / f"eyes{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    assert holds_backbone(state)
    wanted = make_backbone(registers=2, classed=False).patch_features(images)
    for backbone in (load_backbone(path), load_backbone(path.name, folders=[tmp_path / "none", tmp_path])):
        assert backbone.patch_features(images).equal(wanted)
        assert backbone.identity.startswith("eyes@")


def test_identity_changes_with_the_weights(tmp_path):
    states = [plain_state(), plain_state(seed=1)]
    identities = []
    for state in states:
        save_file(state, tmp_path / "eyes.safetensors")
        identities.append(load_backbone(tmp_path / "eyes.safetensors").identity)
    assert identities[0] != identities[1]


def test_number_formats(tmp_path, images):
    save_file(plain_state(), tmp_path / "eyes.safetensors")
    exact, rough = (load_backbone(tmp_path / "eyes.safetensors", dtype=name) for name in ("auto", "bfloat16"))
    assert (exact.module.norm.weight.dtype, rough.module.norm.weight.dtype) == (torch.float32, torch.bfloat16)
    features = rough.patch_features(images)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, exact.patch_features(images), atol=0.05, rtol=0)
    with pytest.raises(UnknownNameError):
        load_backbone(tmp_path / "eyes.safetensors", dtype="float8")


def test_a_missing_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(ModelError) as caught:
        load_backbone("eyes.safetensors", folders=[tmp_path])
    assert str(caught.value) == (
        "backbone: no file 'eyes.safetensors'; expected one ending in .safetensors, .pt, .pth, .bin, looked for "
        f"eyes.safetensors, {tmp_path / 'eyes.safetensors'}."
    )


def change(name, tensor=None):
    """A state with one tensor changed, or left out."""
    state = plain_state(scaled=True)
    if tensor is None:
        del state[name]
    else:
        state[name] = tensor
    return state


BAD = {
    "cls of another width": change("cls_token", torch.zeros(1, 1, 32)),
    "two cls": change("cls_token", torch.zeros(1, 2, 64)),
    "no square of positions": change("pos_embed", torch.zeros(1, 19, 64)),
    "positions of another width": change("pos_embed", torch.zeros(1, 17, 63)),
    "flat positions": change("pos_embed", torch.zeros(17)),
    "long patches": change("patch_embed.proj.weight", torch.zeros(64, 3, 4, 8)),
    "grey patches": change("patch_embed.proj.weight", torch.zeros(64, 1, 4, 4)),
    "half a head": change("patch_embed.proj.weight", torch.zeros(32, 3, 4, 4)),
    "a scalar for patches": change("patch_embed.proj.weight", torch.zeros(())),
    "registers without rows": change("reg_token", torch.zeros(64)),
    "no norm": change("norm.weight"),
    "no bias": change("blocks.1.attn.qkv.bias"),
    "no second scale": change("blocks.1.ls2.gamma"),
    "scale of another width": change("blocks.0.ls1.gamma", torch.zeros(3)),
    "flat weights": change("blocks.0.attn.proj.weight", torch.zeros(())),
    "another block": change("blocks.900000000.norm1.weight", torch.zeros(64)),
    "swiglu": change("blocks.0.mlp.w12.weight", torch.zeros(64, 64)),
    "another model": change("fc_norm.weight", torch.zeros(64)),
    "no positions": change("pos_embed"),
    "empty name": change("blocks.", torch.zeros(1)),
}


@pytest.mark.parametrize("fault", BAD)
def test_other_models_are_refused(fault):
    with pytest.raises(ModelError) as caught:
        build_plain(BAD[fault])
    message = str(caught.value)
    assert message.startswith("model: ")
    assert "expected" in message
    assert "\n" not in message


def test_other_files_hold_no_backbone(tiny_clip):
    assert not holds_backbone(tiny_clip())
    assert not holds_backbone([name for name in plain_state() if name != "cls_token"])
    assert not holds_backbone([])


def test_a_file_of_something_else_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ModelError) as caught:
        load_backbone(tmp_path / "a.safetensors")
    assert str(caught.value) == (
        "backbone: 'a.safetensors' holds no 'patch_embed.proj.weight'; expected a plain ViT as timm's or DINO's."
    )


def test_heads_are_sixty_four_wide():
    for width, layers in itertools.product((64, 128), (1, 2)):
        tower = build_plain(plain_state(width=width, layers=layers))
        assert {block.attn.heads for block in tower.blocks} == {width // 64}
        assert len(tower.blocks) == layers
