"""`weights`: local files. open_clip's names stand in `test_weights_open_clip`."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
import torch

from llmseg import options, weights
from llmseg.errors import ModelError, UnknownNameError
from llmseg.vit import build_clip
from llmseg.weights import FILE_SUFFIXES, read_weights


def message(model, **options):
    with pytest.raises(ModelError) as caught:
        read_weights(str(model), **options)
    return str(caught.value)


def same(state, other):
    return state.keys() == other.keys() and all(state[name].equal(other[name]) for name in state)


# --- read ---


def test_safetensors_come_back_as_they_were(tiny_clip, saved_clip):
    state = tiny_clip()
    weights = read_weights(str(saved_clip(state)))
    assert same(weights.state, state)
    assert (weights.name, weights.config.activation, weights.words, weights.library) == (
        "tiny",
        "gelu",
        None,
        "",
    )
    assert weights.config.vision.heads == 2


WRAPPED = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"epoch": 3, "name": "run", "state_dict": state},
    "module.": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "state_dict and module.": lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}},
}


@pytest.mark.parametrize("wrapping", WRAPPED)
@pytest.mark.parametrize("suffix", [suffix for suffix in FILE_SUFFIXES if suffix != ".safetensors"])
def test_pickled_state_dicts_are_read_however_wrapped(tiny_clip, tmp_path, wrapping, suffix):
    state = tiny_clip()
    torch.save(WRAPPED[wrapping](state), tmp_path / f"tiny{suffix}")
    assert same(read_weights(str(tmp_path / f"tiny{suffix}")).state, state)


def test_a_bare_name_is_looked_for_in_the_folders(tiny_clip, saved_clip, tmp_path):
    saved_clip(tiny_clip())
    assert read_weights("tiny.safetensors", folders=[tmp_path / "none", tmp_path]).name == "tiny"


def test_identity_changes_with_the_numbers_and_with_the_nonlinearity(tiny_clip, saved_clip):
    path = saved_clip(tiny_clip())
    first, again = read_weights(str(path)).identity, read_weights(str(path), activation="gelu").identity
    quick = read_weights(str(path), activation="quickgelu").identity
    other = read_weights(str(saved_clip({**tiny_clip(), "logit_scale": torch.tensor(9.0)}))).identity
    assert first == again
    assert len({first, quick, other}) == 3


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("ViT-B-16-OpenAI.safetensors", "quickgelu"),
        ("metaclip_400m.safetensors", "quickgelu"),
        ("dfn5b.safetensors", "quickgelu"),
        ("dfn2b_s39b.safetensors", "gelu"),
        ("metaclip2.safetensors", "gelu"),
        ("laion2b.safetensors", "gelu"),
    ],
)
def test_the_file_name_tells_the_nonlinearity_unless_the_person_does(tiny_clip, saved_clip, name, activation):
    path = str(saved_clip(tiny_clip(), name))
    assert read_weights(path).config.activation == activation
    for chosen in options.ACTIVATION.names:
        assert read_weights(path, activation=chosen).config.activation == chosen


def test_the_embedded_model_loads_without_open_clip():
    code = (
        "import sys; from llmseg.encoder import load_encoder; load_encoder().encode_text(['an owl']); "
        "print([name for name in ('open_clip', 'torchvision', 'transformers') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# --- refused ---


def test_an_unknown_activation_is_refused():
    with pytest.raises(UnknownNameError) as caught:
        read_weights(activation="gellu")
    assert str(caught.value) == (
        "activation: unknown name 'gellu'; expected one of auto, gelu, quickgelu. Did you mean 'gelu'?"
    )


def test_a_missing_file_says_where_it_was_looked_for(tmp_path):
    assert message("none.pt", folders=[tmp_path]) == (
        f"model: no file 'none.pt'; expected one of none.pt, {tmp_path / 'none.pt'}."
    )


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "folder.pt").mkdir()
    path = tmp_path / "folder.pt"
    assert message(path) == f"model: no file {str(path)!r}; expected one of {path}."


REFUSED_PICKLE = (
    "model: cannot read 'bad.pt' as plain tensors; expected a state dict. "
    "TorchScript archives and pickled models are refused: convert it to .safetensors."
)


class Trap:
    """Runs code when unpickled by an unsafe reader."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("writer", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))])
def test_a_pickled_object_is_refused_and_never_run(tmp_path, writer):
    writer({"state_dict": Trap(tmp_path / "sprung")}, tmp_path / "bad.pt")
    assert message(tmp_path / "bad.pt") == REFUSED_PICKLE
    assert not (tmp_path / "sprung").exists()


def test_a_whole_pickled_module_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "bad.pt")
    assert message(tmp_path / "bad.pt") == REFUSED_PICKLE


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_refused(tmp_path):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), str(tmp_path / "bad.pt"))
    assert message(tmp_path / "bad.pt") == REFUSED_PICKLE


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_pickle_is_refused(tiny_clip, tmp_path, share):
    torch.save({"logit_scale": torch.ones(1000)}, tmp_path / "bad.pt")
    data = (tmp_path / "bad.pt").read_bytes()
    (tmp_path / "bad.pt").write_bytes(data[: int(len(data) * share)])
    assert message(tmp_path / "bad.pt") == REFUSED_PICKLE


@pytest.mark.parametrize("share", [0, 0.1, 0.99])
def test_a_truncated_safetensors_file_is_refused(saved_clip, share):
    path = saved_clip({"logit_scale": torch.ones(1000)}, "bad.safetensors")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    text = message(path)
    assert text.startswith("model: cannot read 'bad.safetensors' (")
    assert text.endswith("); expected a safetensors file.")


NO_STATE_DICT = {
    "list": [torch.ones(1)],
    "tensor": torch.ones(1),
    "numbers": {"a": 1},
    "nested list": {"state_dict": [torch.ones(1)]},
    "mixed": {"state_dict": {"a": torch.ones(1), "b": "text"}},
    "sparse": {"a": torch.ones(3).to_sparse()},
    "meta": {"a": torch.ones(3, device="meta")},
    "a stride of 0 that claims 4 TB": {"a": torch.ones(1).expand(10**6, 10**6)},
}


@pytest.mark.filterwarnings("ignore:Validating sparse")
@pytest.mark.parametrize("kind", NO_STATE_DICT)
def test_what_is_no_state_dict_of_dense_tensors_is_refused(tmp_path, kind):
    torch.save(NO_STATE_DICT[kind], tmp_path / "bad.pt")
    assert message(tmp_path / "bad.pt") in {
        "model: 'bad.pt' holds no state dict; expected tensors by name.",
        REFUSED_PICKLE,
    }


def test_another_architecture_is_refused(saved_clip):
    path = saved_clip({"conv1.weight": torch.ones(2, 3, 3, 3)}, "resnet.safetensors")
    assert message(path) == (
        "model: not a CLIP checkpoint in OpenAI's layout ('visual.conv1.weight'); expected a ViT with both towers."
    )


def test_a_checkpoint_that_lost_a_tensor_is_refused_when_built(tiny_clip, saved_clip):
    state = tiny_clip()
    del state["visual.ln_pre.bias"]
    weights = read_weights(str(saved_clip(state)))
    with pytest.raises(ModelError) as caught:
        build_clip(weights.state, weights.config)
    assert str(caught.value) == (
        "model: 1 tensors missing or of another shape, first visual.ln_pre.bias; expected 74 as in OpenAI's layout."
    )


def test_the_limits_of_a_strangers_model_cannot_steer_a_terminal():
    assert weights._one_line("a\x1b[2J\nb\u202e  c") == "a[2J b c"
