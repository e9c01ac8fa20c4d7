"""`towers.resnet`: CLIP's ResNets equal open_clip's, and MaskCLIP's 1x1 form reads their patches."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_towers import RESNET, make_network, register, save_network, token_rows
from torch.nn.functional import conv2d, interpolate, normalize

from llmseg.attention import ATTENTION
from llmseg.encoder import load_encoder
from llmseg.errors import InputError, ModelError
from llmseg.models.weights import read_weights
from llmseg.patch_features import build_patch_features

SIZES = [(64, 160), (160, 64), (64, 64), (130, 95)]


@pytest.fixture(scope="module")
def network():
    return make_network(RESNET)


@pytest.fixture(scope="module")
def path(network, tmp_path_factory):
    return save_network(network, tmp_path_factory.mktemp("models") / "resnet.safetensors")


@pytest.fixture(scope="module")
def encoder(path):
    return load_encoder(path)


def pictures(size, seed=3):
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(seed))


def normalised(encoder, images):
    return (images - encoder._mean) / encoder._std


def test_a_file_gives_open_clips_embeddings(network, encoder):
    images, ids = pictures((64, 64)), token_rows(network)
    with torch.no_grad():
        wanted = network.encode_image(normalised(encoder, images), normalize=True)
        torch.testing.assert_close(encoder.encode_image(images), wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(encoder.module.encode_text(ids), network.encode_text(ids), atol=1e-5, rtol=0)


def test_sentences_equal_open_clips(network, encoder):
    import open_clip

    sentences = ["a cat", "two small dogs on a sofa"]
    tokens = open_clip.SimpleTokenizer(context_length=16)(sentences)
    with torch.no_grad():
        wanted = network.encode_text(tokens, normalize=True)
    torch.testing.assert_close(encoder.encode_text(sentences), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", SIZES)
def test_patches_are_the_pools_value_path_as_convolutions(network, encoder, size):
    images = pictures(size)
    seen = images[..., : size[0] // 32 * 32, : size[1] // 32 * 32]
    pool = network.visual.attnpool
    with torch.no_grad():
        found = network.visual.forward_intermediates(normalised(encoder, seen), indices=1, intermediates_only=True)
        maps = found["image_intermediates"][-1]
        values = conv2d(maps, pool.v_proj.weight[:, :, None, None], pool.v_proj.bias)
        wanted = conv2d(values, pool.c_proj.weight[:, :, None, None], pool.c_proj.bias)
    got = encoder.encode_patches(images)
    torch.testing.assert_close(got, normalize(wanted, dim=1).permute(0, 2, 3, 1), atol=1e-5, rtol=0)
    assert got.shape[1:3] == (size[0] // 32, size[1] // 32)


@pytest.mark.parametrize("size", [(64, 160), (160, 64), (128, 128)])
def test_the_pool_on_another_grid_is_open_clips_with_a_resized_table(network, encoder, size):
    images = normalised(encoder, pictures(size))
    theirs = copy.deepcopy(network.visual)
    table = theirs.attnpool.positional_embedding.data
    square = table[1:].T.reshape(1, -1, 2, 2)
    resized = interpolate(square, size=(size[0] // 32, size[1] // 32), mode="bicubic", antialias=True)
    theirs.attnpool.positional_embedding.data = torch.cat([table[:1], resized[0].flatten(1).T])
    with torch.no_grad():
        torch.testing.assert_close(encoder.module.visual(images), theirs(images), atol=1e-5, rtol=0)
    assert len(encoder.module.visual.attnpool.positional_embedding) == 5, "never written back"


@pytest.mark.parametrize("name", sorted(set(ATTENTION) - {"maskclip"}))
def test_every_other_method_is_refused_in_one_line(encoder, name):
    with pytest.raises(InputError) as caught:
        build_patch_features(encoder, pictures((64, 64)), attention=name)
    assert str(caught.value) == (
        f"attention: {name!r} needs a tower that 'resnet' does not have; expected maskclip, or auto."
    )


def test_auto_is_maskclip_over_the_whole_image(encoder):
    assert (encoder.defaults.attention, encoder.defaults.window) == ("maskclip", 0)
    features = build_patch_features(encoder, pictures((64, 96)))
    assert [level.windows.shape[1:5] for level in features.levels] == [(1, 1, 16, 24)]


def test_compiling_has_nothing_to_do(encoder):
    encoder.compile()


def test_the_text_tower_has_its_nonlinearity(path, network):
    quick, gelu = read_weights(path, activation="quickgelu"), read_weights(path, activation="gelu")
    assert (quick.activation, gelu.activation, read_weights(path).activation) == ("quickgelu", "gelu", "gelu")
    assert quick.identity != gelu.identity
    ids = token_rows(network)
    assert not torch.allclose(quick.build().encode_text(ids), gelu.build().encode_text(ids), atol=1e-3)


def test_openais_own_names_tell_the_nonlinearity(network, tmp_path):
    saved = save_network(network, tmp_path / "RN50-openai.safetensors")
    assert read_weights(saved).activation == "quickgelu"


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("visual.attnpool.positional_embedding", "a ResNet without 'visual.attnpool.positional_embedding'; expected"),
        ("positional_embedding", "a ResNet without 'positional_embedding'; expected a CLIP with both towers"),
        ("visual.layer3.0.bn2.running_var", "1 tensors missing, too many or of another shape, first visual.layer3.0"),
        ("transformer.resblocks.0.mlp.c_fc.weight", "not a CLIP ResNet ('transformer.resblocks.0.mlp.c_fc.weight')"),
    ],
)
def test_what_is_missing_is_named(network, tmp_path, lost, message):
    from safetensors.torch import save_file

    state = {name: tensor for name, tensor in network.state_dict().items() if name != lost}
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(ModelError) as caught:
        load_encoder(str(tmp_path / "less.safetensors"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("visual.attnpool.positional_embedding", (0, 128), "0 places"),
        ("visual.attnpool.positional_embedding", (4, 128), "4 places"),
        ("token_embedding.weight", (100, 64), "a vocabulary of 100 tokens"),
        ("visual.layer1.0.conv1.weight", (7, 4, 1, 1), "towers 224 and 64 wide"),
        ("visual.layer1.0.conv1.weight", (), "tuple index out of range"),
        ("transformer.resblocks.0.mlp.c_fc.weight", (3,), "not enough values to unpack (expected 2, got 1)"),
    ],
)
def test_sizes_that_cannot_be_are_named(network, tmp_path, name, shape, message):
    from safetensors.torch import save_file

    save_file({**network.state_dict(), name: torch.zeros(shape)}, tmp_path / "odd.safetensors")
    with pytest.raises(ModelError) as caught:
        load_encoder(str(tmp_path / "odd.safetensors"))
    assert str(caught.value) == f"model: not a CLIP ResNet ({message}); expected OpenAI's layout."


def test_a_tensor_too_many_is_named(network, tmp_path):
    from safetensors.torch import save_file

    save_file({**network.state_dict(), "visual.layer5.weight": torch.zeros(1)}, tmp_path / "more.safetensors")
    with pytest.raises(ModelError, match=r"first visual\.layer5\.weight; expected a CLIP ResNet"):
        load_encoder(str(tmp_path / "more.safetensors"))


def test_it_comes_by_name_too(network, encoder, tmp_path):
    register(tmp_path)
    torch.save(network.state_dict(), tmp_path / "weights")
    named = load_encoder(f"Tiny-RN/{tmp_path / 'weights'}")
    images = pictures((64, 96))
    torch.testing.assert_close(named.encode_patches(images), encoder.encode_patches(images), atol=1e-6, rtol=0)
    assert (named.name, named.kind) == ("Tiny-RN/weights", "resnet")


class Holder(torch.nn.Module):
    """Tensors by dotted names, as OpenAI's archives hold them: half precision, with a few numbers beside."""

    def __init__(self, state):
        super().__init__()
        for name, tensor in {**state, "input_resolution": torch.tensor(64), "vocab_size": torch.tensor(49408)}.items():
            *folders, own = name.split(".")
            place = self
            for folder in folders:
                if not hasattr(place, folder):
                    place.add_module(folder, torch.nn.Module())
                place = getattr(place, folder)
            place.register_buffer(own, tensor.half() if tensor.is_floating_point() else tensor)

    def forward(self) -> int:
        return 0


def test_openais_archive_is_read_and_its_nonlinearity_known(network, encoder, tmp_path):
    torch.jit.script(Holder(network.state_dict())).save(str(tmp_path / "RN50.pt"))
    weights = read_weights(str(tmp_path / "RN50.pt"))
    assert (weights.activation, weights.image_size) == ("quickgelu", 64)
    images = pictures((64, 96))
    halves = load_encoder(str(tmp_path / "RN50.pt"))
    assert next(halves.module.parameters()).dtype == torch.float32
    torch.testing.assert_close(halves.encode_patches(images), encoder.encode_patches(images), atol=5e-3, rtol=0)
