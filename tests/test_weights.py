"""`weights`: local files. open_clip's names stand in `test_weights_open_clip`."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys

import pytest
import torch

from llmseg import options
from llmseg.errors import ModelError, UnknownNameError
from llmseg.models import weights
from llmseg.models.weights import FILE_SUFFIXES, read_weights
from llmseg.vit import build_clip


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


# --- by a name of open_clip, from this computer ---

NAME = "ViT-B-16-quickgelu/openai"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The one folder of models, and no caches."""
    monkeypatch.setenv("LLMSEG_MODELS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


@pytest.mark.parametrize("name", [NAME, "ViT-B-16/openai"])
def test_a_name_whose_file_is_here_is_read_without_open_clip(tiny_clip, saved_clip, folder, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    saved_clip(tiny_clip(), "ViT-B-16-quickgelu--openai.safetensors")
    weights = read_weights(name)
    assert same(weights.state, tiny_clip())
    assert (weights.name, weights.config.activation) == (name, "quickgelu")
    assert weights.identity.startswith(f"{name}@")
    assert read_weights(name, activation="gelu").config.activation == "gelu"
    assert read_weights(name, activation="gelu").identity != weights.identity


def test_a_name_is_looked_for_in_other_folders_first(tiny_clip, saved_clip, folder):
    saved_clip(tiny_clip(), "ViT-B-16--laion2b_s34b_b88k.safetensors")
    (folder / "first").mkdir()
    saved_clip(tiny_clip(seed=1), "first/ViT-B-16--laion2b_s34b_b88k.safetensors")
    weights = read_weights("ViT-B-16/laion2b_s34b_b88k", folders=[folder / "first"])
    assert same(weights.state, tiny_clip(seed=1))
    assert weights.config.activation == "gelu"


def test_mean_and_deviation_are_those_of_the_name(tiny_clip, saved_clip, folder):
    saved_clip(tiny_clip(), "ViT-L-14--laion2b_s32b_b82k.safetensors")
    weights = read_weights("ViT-L-14/laion2b_s32b_b82k")
    assert (weights.mean, weights.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_the_hubs_cache_is_looked_into(tiny_clip, saved_clip, folder):
    repository = folder / "hub" / "models--timm--vit_base_patch16_clip_224.openai"
    (repository / "snapshots" / "abc").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc", encoding="utf-8")
    saved_clip(tiny_clip(), str(repository / "snapshots" / "abc" / "open_clip_model.safetensors"))
    assert same(read_weights(NAME).state, tiny_clip())


def test_open_clips_own_cache_is_held_against_the_published_hash(folder):
    (folder / ".cache" / "clip").mkdir(parents=True)
    (folder / ".cache" / "clip" / "ViT-B-16.pt").write_bytes(b"cut off")
    assert message(NAME) == (
        "model: 'ViT-B-16.pt' is not what was fetched: its SHA-256 begins with 117b48570e01; expected 5806e77cd80f. "
        f"Run: python -m llmseg.models get {NAME} --replace"
    )


def test_a_file_that_is_not_what_was_fetched_is_refused(tiny_clip, saved_clip, folder):
    path = saved_clip(tiny_clip(), "ViT-B-16-quickgelu--openai.safetensors")
    record = {"name": NAME, "size": path.stat().st_size + 1, "sha256": "ab" * 32}
    path.with_name("ViT-B-16-quickgelu--openai.source.json").write_text(json.dumps(record), encoding="utf-8")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for model in (NAME, str(path)):
        assert message(model) == (
            f"model: 'ViT-B-16-quickgelu--openai.safetensors' is not what was fetched: its SHA-256 begins with {digest[:12]}; "
            f"expected abababababab. It has {path.stat().st_size} bytes of {path.stat().st_size + 1}. "
            f"Run: python -m llmseg.models get {NAME} --replace"
        )


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
    "Pickled models are refused: save its state_dict(), as .safetensors if you can."
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
        "model: 'resnet.safetensors' holds no model that is known here, its first tensors are conv1.weight; expected a "
        "CLIP in the layout of open_clip, OpenAI or transformers, or another model of docs/models.md."
    )


def test_many_views_of_the_same_numbers_are_refused(tmp_path):
    numbers = torch.ones(1000)
    torch.save({f"a{count}": numbers for count in range(9)}, tmp_path / "bad.pt")
    size = (tmp_path / "bad.pt").stat().st_size
    assert 9 * numbers.nbytes > 2 * size
    assert message(tmp_path / "bad.pt") == (
        "model: the tensors of 'bad.pt' claim 36000 bytes; expected at most 2 for each of the file."
    )


def test_plain_values_of_training_scripts_pass(tiny_clip, tmp_path):
    np = pytest.importorskip("numpy")
    beside = {"version": torch.__version__, "step": np.int64(3), "loss": np.float32(0.5), "best": np.bool_(True)}
    torch.save({"state_dict": tiny_clip(), "meta": beside, "optimizer": {"state": {}}}, tmp_path / "run.pth")
    assert same(read_weights(str(tmp_path / "run.pth")).state, tiny_clip())


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
