"""Which models a workflow may name: files where people put them, and names whose weights nobody fetches unasked."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import import_nodes
from safetensors.torch import save_file

from llmseg.errors import InputError, ModelError
from llmseg.models.downloads import OFFLINE_VARIABLES
from llmseg.options import MODEL

MODELS: Any = import_nodes("models")
DOWNLOADS: Any = import_nodes("downloads")
ENCODING: Any = import_nodes("encoding")
NAMED = "ViT-B-16-quickgelu/openai"
IMAGE = {
    "open_clip": ("visual.transformer.resblocks.0.attn.in_proj_weight", "visual.conv1.weight"),
    "transformers": ("vision_model.pre_layrnorm.weight", "vision_model.embeddings.class_embedding"),
}
TEXT = {
    "open_clip": ("transformer.resblocks.0.attn.in_proj_weight", "token_embedding.weight"),
    "transformers": ("text_model.encoder.layers.0.self_attn.q_proj.weight", "text_projection.weight"),
}
SIGLIP = (
    "vision_model.head.probe",
    "text_model.embeddings.token_embedding.weight",
)  # of a layout that another reader knows


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder of models."""
    made = tmp_path / "models"
    (made / "sub" / "deeper").mkdir(parents=True)
    monkeypatch.setenv("LLMSEG_MODELS", str(made))
    return made


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_the_combo_has_the_embedded_model_first_then_files_then_names(folder: Path) -> None:
    for name in ("b.pt", "a.safetensors", "sub/deeper/c.bin", "notes.txt"):
        touch(folder / name)
    choices, options = ENCODING.LLMSegLoadEncoder.INPUT_TYPES()["required"]["model"]
    assert choices == ["embedded", "a.safetensors", "b.pt", "sub/deeper/c.bin", *list(MODEL.names)[1:]]
    assert options["default"] == "embedded"


@pytest.mark.parametrize("name", ["sub/deeper/c.pt", "sub\\deeper\\c.pt", "./sub/deeper/c.pt"])
def test_a_sub_folder_is_written_with_either_slash(folder: Path, name: str) -> None:
    path = touch(folder / "sub" / "deeper" / "c.pt")
    assert Path(MODELS.resolve_model(name)).samefile(path)


@pytest.mark.skipif(os.name == "nt", reason="making links needs rights on Windows")
def test_links_that_people_made_are_followed(folder: Path, tmp_path: Path) -> None:
    kept = touch(tmp_path / "large disk" / "kept.safetensors")
    (folder / "linked.safetensors").symlink_to(kept)
    (folder / "circle").symlink_to(folder)
    assert "linked.safetensors" in MODELS.list_model_files()
    assert Path(MODELS.resolve_model("linked.safetensors")).samefile(kept)


@pytest.mark.parametrize(
    "name",
    ["../x.pt", "sub/../../x.pt", "sub\\..\\..\\x.pt", "C:\\x.pt", "\\\\host\\x.pt", "/x.pt", "a\0.pt", "n" * 999 + ".pt"],
)  # fmt: skip
def test_letters_do_not_lead_out_of_the_folders(folder: Path, tmp_path: Path, name: str) -> None:
    touch(tmp_path / "x.pt")
    assert ENCODING.LLMSegLoadEncoder.VALIDATE_INPUTS(name) == f"no file {name!r}; expected it in {folder}."


def test_a_missing_folder_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = touch(tmp_path / "there" / "a.pt").parent
    monkeypatch.setenv("LLMSEG_MODELS", os.pathsep.join([str(tmp_path / "absent"), str(there)]))
    assert MODELS.list_model_files() == ["a.pt"]
    with pytest.raises(InputError, match="no file 'b.pt'; expected it in .*absent, .*there"):
        MODELS.resolve_model("b.pt")


def test_shared_folders_of_comfyui_give_what_may_be_a_clip(
    host: Any, comfyui: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, shared = comfyui.root / "models" / "llmseg", comfyui.root / "cv"
    touch(ours / "sub" / "mine.safetensors")
    touch(shared / "old.bin")
    touch(shared / "cut off.safetensors")
    (shared / "no list.safetensors").write_bytes((3).to_bytes(8, "little") + b"[1]")
    (shared / "deep.safetensors").write_bytes((10**5).to_bytes(8, "little") + b"[" * 10**5)
    (shared / "endless.safetensors").write_bytes((2**63).to_bytes(8, "little") + b"{")
    layouts = {name: (*IMAGE[name], *TEXT[name]) for name in IMAGE} | {"siglip": SIGLIP}
    for name, keys in {
        **layouts,
        "half": IMAGE["open_clip"],
        "text": TEXT["transformers"],
        "vae": ("decoder",),
    }.items():
        save_file({key: torch.zeros(1) for key in keys}, shared / f"{name}.safetensors")
    paths = sys.modules["folder_paths"]

    def get_filename_list(kind: str) -> list[str]:
        root = Path(paths.get_folder_paths(kind)[0])
        return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]

    monkeypatch.setattr(paths, "get_filename_list", get_filename_list, raising=False)
    monkeypatch.setattr(
        paths, "get_full_path", lambda kind, name: str(Path(paths.get_folder_paths(kind)[0], name)), raising=False
    )
    assert host.model_kinds() == ["llmseg", "clip_vision"]
    whole = [f"{name}.safetensors" for name in layouts]
    assert MODELS.list_model_files() == sorted(["old.bin", "sub/mine.safetensors", *whole])
    both = (*IMAGE["open_clip"], *TEXT["transformers"])
    save_file({key: torch.zeros(2) for key in both}, shared / "half.safetensors")
    assert "half.safetensors" in MODELS.list_model_files(), "a file that was replaced is looked at again"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, one folder of models, and no word on the network."""
    for variable in OFFLINE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LLMSEG_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def refusal(model: str = NAMED, *, download: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        ENCODING.LLMSegLoadEncoder().execute(model, "auto", download=download)
    return str(caught.value)


def missing(hub: Path) -> str:
    places = f"{hub.parent / 'models'}, {hub}, {hub.parent / '.cache' / 'clip'}"
    return f"model: the weights of {NAMED!r} are not on this computer; expected them in {places}."


def test_nothing_is_fetched_unasked(host: Any, hub: Path) -> None:
    assert refusal() == (
        f"{missing(hub)} Turn on download in Load CLIP Encoder to fetch them once, or run: "
        f"python -m llmseg.models get {NAMED}"
    )
    DOWNLOADS.refuse_hidden(NAMED, allowed=True)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
@pytest.mark.parametrize("value", ["1", "ON", "yes", "True"])
def test_the_hubs_own_word_is_obeyed(
    host: Any, hub: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert refusal(download=True) == f"{missing(hub)} They cannot be fetched: {variable} is {value}."


@pytest.mark.parametrize("network", ["offline", "frozen"])
def test_a_run_without_network_fetches_nothing(host: Any, hub: Path, tmp_path: Path, network: str) -> None:
    host.use_headless(host.HeadlessHost(tmp_path, tmp_path, tmp_path, network=network))
    assert refusal(download=True) == f"{missing(hub)} They cannot be fetched: this run is {network}."


def test_weights_that_are_here_need_no_leave(host: Any, hub: Path) -> None:
    repository = hub / "models--timm--vit_base_patch16_clip_224.openai"
    touch(repository / "snapshots" / "abc" / "open_clip_model.safetensors")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc", encoding="utf-8")
    DOWNLOADS.refuse_hidden(NAMED, allowed=False)


@pytest.mark.parametrize("name", [f"{NAMED.replace('/', '--')}.safetensors", f"{NAMED.replace('/', '--')}.pt"])
def test_weights_in_the_model_folders_need_no_leave(host: Any, hub: Path, name: str) -> None:
    touch(hub.parent / "models" / name)
    DOWNLOADS.refuse_hidden(NAMED, allowed=False)


def test_a_name_opens_the_file_in_the_folders_of_the_host(
    host: Any, comfyui: SimpleNamespace, saved_clip: Any, tiny_clip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = comfyui.root / "models" / "llmseg"
    ours.mkdir(parents=True)
    saved_clip(tiny_clip()).rename(ours / "ViT-B-16-quickgelu--openai.safetensors")
    monkeypatch.setattr(MODELS.memory, "building_device", lambda: "cpu")
    monkeypatch.setattr(MODELS.memory, "hand_over", lambda encoder, _: encoder)
    monkeypatch.setattr(MODELS.memory, "number_format", lambda dtype: "float32")
    encoder = MODELS.open_encoder(NAMED)
    assert encoder.name == NAMED
    assert encoder.module.config.activation == "quickgelu"


# --- two files ---


@pytest.fixture
def towers(folder: Path, saved_clip: Any, tiny_clip: Any) -> Path:
    """The two towers of a CLIP, each in a file, one of them in a sub-folder."""
    state = tiny_clip()
    image = {name: tensor for name, tensor in state.items() if name.startswith("visual.")}
    saved_clip(image, "v.safetensors").rename(folder / "vision.safetensors")
    text = {name: tensor for name, tensor in state.items() if name not in image}
    saved_clip(text, "t.safetensors").rename(folder / "sub" / "text.safetensors")
    return folder


def test_two_files_are_a_model(host: Any, towers: Path) -> None:
    name = "vision.safetensors + sub/text.safetensors"
    assert ENCODING.LLMSegLoadEncoder.VALIDATE_INPUTS(name) is True
    assert MODELS.resolve_model(name) == f"{towers / 'vision.safetensors'} + {towers / 'sub' / 'text.safetensors'}"
    encoder = ENCODING.LLMSegLoadEncoder().execute(name, "auto")[0]
    assert encoder.name == "vision + text"
    stamp = MODELS.model_stamp(name)
    os.utime(towers / "sub" / "text.safetensors", ns=(1, 1))
    assert MODELS.model_stamp(name) != stamp
    os.utime(towers / "vision.safetensors", ns=(2, 2))
    assert MODELS.model_stamp(name) == 3


@pytest.mark.parametrize(
    "name", ["../x.pt + sub/text.safetensors", "vision.safetensors + ../x.pt", "vision.safetensors + /x.pt"]
)
def test_neither_of_two_files_leads_out_of_the_folders(towers: Path, tmp_path: Path, name: str) -> None:
    touch(tmp_path / "x.pt")
    outside = next(part for part in name.split(" + ") if part.endswith("x.pt"))
    assert ENCODING.LLMSegLoadEncoder.VALIDATE_INPUTS(name) == f"no file {outside!r}; expected it in {towers}."


@pytest.mark.parametrize(
    "name", ["vision.safetensors + ", " + .pt", "a + b", "vision.safetensors + sub/text.safetensors + x.pt"]
)
def test_odd_sums_are_no_model(towers: Path, name: str) -> None:
    assert ENCODING.LLMSegLoadEncoder.VALIDATE_INPUTS(name) is not True


def test_one_tower_in_the_combo_would_be_a_trap(towers: Path) -> None:
    with pytest.raises(
        ModelError, match="holds the image tower of a CLIP only; expected the text tower too. Name both files"
    ):
        ENCODING.LLMSegLoadEncoder().execute("vision.safetensors", "auto")


@pytest.mark.parametrize("name", ["ViT-B-16-quickgelu/no_such_tag", "no_such_model/openai", "ViT-B-16"])
def test_names_that_nobody_knows_are_left_to_the_library(host: Any, hub: Path, name: str) -> None:
    DOWNLOADS.refuse_hidden(name, allowed=False)
