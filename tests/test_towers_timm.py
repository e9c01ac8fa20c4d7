"""`towers.timm_vit`, `towers.pooling`: each kind of timm tower equals open_clip's own, whole and patch by patch."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from tiny_towers import CONFIGS, PATCH, config, make_network, register, save_network, token_rows
from torch.nn.functional import normalize, scaled_dot_product_attention

from llmseg.attention import ATTENTION
from llmseg.dense import embed_patches
from llmseg.encoder import load_encoder
from llmseg.errors import ModelError
from llmseg.towers.library import LibraryModel, build_library_model
from llmseg.towers.timm_vit import TimmTower

LANDSCAPE, PORTRAIT = (24, 56), (48, 16)


@pytest.fixture(scope="module", autouse=True)
def names(tmp_path_factory):
    register(tmp_path_factory.mktemp("configs"))


@pytest.fixture(scope="module")
def networks():
    return {name: make_network(described) for name, described in CONFIGS.items()}


@pytest.fixture(scope="module")
def encoders(networks, tmp_path_factory):
    """Each loaded from a file of its own."""
    folder = tmp_path_factory.mktemp("models")
    return {name: load_encoder(save_network(net, folder / f"{name}.safetensors")) for name, net in networks.items()}


@pytest.fixture(scope="module")
def towers(networks):
    """Ours around a copy of open_clip's modules."""
    return {name: TimmTower(copy.deepcopy(network.visual)).eval() for name, network in networks.items()}


def dynamic_trunk(network, name):
    """timm's own trunk for any image size, with the same weights."""
    vision = CONFIGS[name]["vision_cfg"]
    classes = 0 if vision["timm_proj"] == "none" else CONFIGS[name]["embed_dim"]
    trunk = timm.create_model(
        vision["timm_model_name"], num_classes=classes, global_pool=vision["timm_pool"], dynamic_img_size=True
    )
    trunk.load_state_dict(network.visual.trunk.state_dict())
    return trunk.eval()


def pictures(size, seed=2):
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(seed))


# --- the whole image and text ---


@pytest.mark.parametrize("name", CONFIGS)
def test_a_file_gives_open_clips_embeddings(networks, encoders, name):
    network, encoder = networks[name], encoders[name]
    images, ids = pictures((32, 32)), token_rows(network)
    normalised = (images - encoder._mean) / encoder._std
    with torch.no_grad():
        wanted = network.encode_image(normalised, normalize=True)
        torch.testing.assert_close(encoder.encode_image(images), wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(encoder.module.encode_text(ids), network.encode_text(ids), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [LANDSCAPE, PORTRAIT])
@pytest.mark.parametrize("name", CONFIGS)
def test_any_image_size_gives_timms_own_vector(networks, towers, name, size):
    images = pictures(size)
    with torch.no_grad():
        trunk = dynamic_trunk(networks[name], name)
        torch.testing.assert_close(towers[name](images), trunk(images), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", CONFIGS)
def test_no_size_is_remembered(towers, name):
    before = {key: tensor.clone() for key, tensor in towers[name].state_dict().items()}
    with torch.no_grad():
        first = towers[name](pictures((32, 32)))
        towers[name](pictures(LANDSCAPE))
        assert towers[name](pictures((32, 32))).equal(first)
    assert all(tensor.equal(before[key]) for key, tensor in towers[name].state_dict().items())


def test_parameters_keep_open_clips_names(networks):
    for name, described in CONFIGS.items():
        model = build_library_model(described, networks[name].state_dict())
        assert set(model.state_dict()) == set(networks[name].state_dict()) - {"logit_scale", "logit_bias"}


def test_what_is_over_whole_patches_is_not_looked_at(towers):
    images = pictures((29, 38))
    for tower in towers.values():
        x, grid = tower.embed(images)
        assert grid == (3, 4)
        assert x.equal(tower.embed(images[..., :24, :32])[0])


# --- patches ---


@pytest.mark.parametrize("size", [LANDSCAPE, PORTRAIT])
@pytest.mark.parametrize("name", CONFIGS)
def test_patches_equal_the_head_applied_to_each_token_alone(networks, towers, name, size):
    """The attention pool called with a sequence of one: its softmax is over one key, so its own forward is the twin."""
    trunk, head = dynamic_trunk(networks[name], name), networks[name].visual.head
    images = pictures(size)
    with torch.no_grad():
        tokens = trunk.forward_features(images)[:, trunk.num_prefix_tokens :]
        rows = []
        for token in tokens.flatten(0, 1):
            pooled = token[None] if trunk.attn_pool is None else trunk.attn_pool(token[None, None])
            rows.append(head(trunk.head(trunk.fc_norm(pooled))))
        wanted = normalize(torch.cat(rows), dim=-1).view(2, size[0] // PATCH, size[1] // PATCH, -1)
        got = embed_patches(towers[name], images, ATTENTION["vanilla"])
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_parts_of_a_block_put_together_are_the_block(towers, name):
    tower = towers[name]
    with torch.no_grad():
        x, grid = tower.embed(pictures(LANDSCAPE))
        for block in tower.on_grid(grid):
            attended = scaled_dot_product_attention(*block.attn.project(block.ln_1(x)))
            halfway = x + block.attn.merge(attended)
            whole = halfway + block.mlp(block.ln_2(halfway))
            torch.testing.assert_close(whole, block(x), atol=1e-5, rtol=0)
            x = whole


VARIANTS = [
    ("tiny_siglip", {"qk_norm": True}),
    ("tiny_siglip", {"qkv_bias": False, "scale_attn_norm": True}),
    ("tiny_siglip", {"class_token": True, "reg_tokens": 3, "no_embed_class": True}),
    ("tiny_pe", {"qkv_fused": False}),
    ("tiny_pe", {"attn_type": "eva", "init_values": None}),
    ("tiny_pe", {"rope_rotate_half": True, "qk_norm": True}),
    ("tiny_eva", {"qkv_fused": True, "use_rot_pos_emb": False}),
]


@pytest.mark.parametrize(("trunk", "options"), VARIANTS, ids=str)
def test_every_variant_of_timms_attention_equals_timm(trunk, options):
    described = config(trunk, "map" if trunk != "tiny_eva" else "token", "none", 48)
    network = make_network(described)
    network.visual.trunk = timm.create_model(trunk, num_classes=0, dynamic_img_size=True, **options)
    for number, parameter in enumerate(network.visual.trunk.parameters()):
        torch.nn.init.normal_(parameter, 0.1, 0.1, generator=torch.Generator().manual_seed(number))
    wanted = copy.deepcopy(network.visual).eval()
    tower = TimmTower(network.visual).eval()
    images = pictures(LANDSCAPE)
    with torch.no_grad():
        torch.testing.assert_close(tower(images), wanted(images), atol=1e-5, rtol=0)
        x, grid = tower.embed(images)
        assert x.shape[1] == tower.prefix + grid[0] * grid[1]
        block = tower.on_grid(grid)[1]
        halfway = x + block.attn.merge(scaled_dot_product_attention(*block.attn.project(block.ln_1(x))))
        torch.testing.assert_close(halfway + block.mlp(block.ln_2(halfway)), block(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("which", ["q", "k", "v", "qk", "kv"])
def test_only_what_is_asked_for_is_projected(towers, name, which):
    tower = towers[name]
    x, grid = tower.embed(pictures(LANDSCAPE))
    attn = tower.on_grid(grid)[0].attn
    full, some = attn.project(x), attn.project(x, which)
    for letter in "qkv":
        got = some["qkv".index(letter)]
        assert got.equal(full["qkv".index(letter)]) if letter in which else got.numel() == 0


def slow_last_block(tower, images, pairs, sigma):
    """ClearCLIP and NACLIP literally: head by head, pair by pair of tokens, no residual and no MLP."""
    x, grid = tower.embed(images)
    *before, last = tower.on_grid(grid)
    for block in before:
        x = block(x)
    own = last.attn.project(last.ln_1(x))
    compared = {"q": own.q, "k": own.k}[pairs[0][0]]
    out = torch.zeros_like(own.v)
    first = x.shape[1] - grid[0] * grid[1]
    for b in range(out.shape[0]):
        for head in range(out.shape[1]):
            logits = compared[b, head] @ compared[b, head].T / compared.shape[-1] ** 0.5
            for i in range(grid[0] * grid[1] if sigma else 0):
                for j in range(grid[0] * grid[1]):
                    apart = (i // grid[1] - j // grid[1]) ** 2 + (i % grid[1] - j % grid[1]) ** 2
                    logits[first + i, first + j] += torch.exp(torch.tensor(-apart / (2 * sigma**2)))
            out[b, head] = logits.softmax(-1) @ own.v[b, head]
    tokens = last.attn.merge(out)[:, first:]
    return normalize(tower.read_out(tokens), dim=-1).unflatten(1, grid)


@pytest.mark.parametrize(("method", "sigma"), [("clearclip", 0), ("naclip", 5)])
@pytest.mark.parametrize("name", CONFIGS)
def test_methods_run_on_timm_trunks_as_on_clips(towers, name, method, sigma):
    images = pictures((24, 32))
    with torch.no_grad():
        wanted = slow_last_block(towers[name], images, ATTENTION[method].pairs, sigma)
        got = embed_patches(towers[name], images, ATTENTION[method])
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)


def test_rotary_positions_stay_exact_in_halves(networks):
    model = LibraryModel(copy.deepcopy(networks["Tiny-PE"]))
    exact = model.visual._rope_table((3, 7))
    model.visual.to(torch.float16)
    assert model.visual._rope_table((3, 7)).equal(exact)
    assert exact.dtype == torch.float32
    patches = embed_patches(model.visual, pictures(LANDSCAPE).half(), ATTENTION["naclip"])
    assert patches.dtype == torch.float32
    assert patches.isfinite().all()


# --- refusals ---


@pytest.mark.parametrize(
    ("trunk", "problem"),
    [
        ("test_convnext", "'ConvNeXt' with other blocks"),
        ("test_vit4", ""),
    ],
)
def test_what_is_no_plain_transformer_is_refused_in_one_line(trunk, problem):
    network = make_network(config("tiny_siglip", "map", "none", 48))
    network.visual.trunk = timm.create_model(trunk, num_classes=0)
    if not problem:
        assert TimmTower(network.visual).patch_size == 16
        return
    with pytest.raises(ModelError) as caught:
        TimmTower(network.visual)
    assert str(caught.value) == (
        f"model: an image tower {problem}; expected a plain transformer, as SigLIP's, PE-Core's, EVA02's or "
        "MobileCLIP-B's."
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"attn_layer": "diff"}, "attention 'DiffAttention'"),
        ({"block_fn": vars(timm.models.vision_transformer)["ResPostBlock"]}, "blocks 'ResPostBlock'"),
    ],
    ids=["attention", "blocks"],
)
def test_parts_that_are_not_known_are_named(options, problem):
    network = make_network(config("tiny_siglip", "map", "none", 48))
    network.visual.trunk = timm.create_model("tiny_siglip", num_classes=0, **options)
    with pytest.raises(ModelError, match=problem):
        TimmTower(network.visual)
