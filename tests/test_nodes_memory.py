"""Tests of `nodes/memory.py` with a stand-in for ComfyUI's memory management; the real one is in `test_comfyui_host`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import Interrupted, import_nodes

from llmseg import build_text_bank, expand_names, parse_names
from llmseg.assembly import assemble_classes
from llmseg.encoder import Encoder
from llmseg.labels import label_pixels
from llmseg.patch_features import build_patch_features
from llmseg.scores import score_image

MEMORY: Any = import_nodes("memory")
MODELS: Any = import_nodes("models")
ENCODING: Any = import_nodes("encoding")
CPU, META = torch.device("cpu"), torch.device("meta")
IMAGE = torch.rand(2, 40, 56, 3, generator=torch.Generator().manual_seed(0))


class Patcher:
    """As far as ComfyUI's own asks: partial moves, and what is loaded."""

    def __init__(self, model: torch.nn.Module, load_device: torch.device, offload_device: torch.device) -> None:
        self.model, self.load_device, self.offload_device = model, load_device, offload_device
        self.loaded = 0

    def loaded_size(self) -> int:
        return self.loaded

    def partially_load(self, device_to: Any, extra_memory: float = 0, force_patch_weights: bool = False) -> int:
        self.loaded = int(min(extra_memory, 1000))
        return self.loaded

    def partially_unload(self, device_to: Any, memory_to_free: int = 0, force_patch_weights: bool = False) -> int:
        raise AssertionError("parts of ours cannot work apart")


@pytest.fixture
def managed(comfyui: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A ComfyUI whose device is the processor, or another one that a test names."""
    state = SimpleNamespace(device=CPU, half=False, free=2**40, requests=[], freed=[], host=comfyui)

    def load_models_gpu(models: list[Patcher]) -> None:
        state.requests.append([type(model.model).__name__ for model in models])
        for model in models:
            model.partially_load(model.load_device, 0.1)  # as in a ComfyUI that is short of memory

    members: dict[str, Any] = {
        "get_torch_device": lambda: state.device,
        "text_encoder_offload_device": lambda: CPU,
        "intermediate_device": lambda: CPU,
        "should_use_fp16": lambda device: state.half,
        "get_free_memory": lambda device: state.free,
        "minimum_inference_memory": lambda: 2**30,
        "load_models_gpu": load_models_gpu,
        "free_memory": lambda size, device: state.freed.append((size, device)),
    }
    for name, member in members.items():
        monkeypatch.setattr(sys.modules["comfy.model_management"], name, member, raising=False)
    patching = ModuleType("comfy.model_patcher")
    patching.__dict__["ModelPatcher"] = Patcher
    monkeypatch.setitem(sys.modules, "comfy.model_patcher", patching)
    return state


def load(dtype: str = "auto") -> Encoder:
    (encoder,) = ENCODING.LLMSegLoadEncoder().execute("embedded", "auto", dtype)
    return encoder


def encode(encoder: Encoder, image: torch.Tensor = IMAGE) -> Any:
    (features,) = ENCODING.LLMSegEncodeImage().execute(encoder, image, "naclip", 32, 16, -1, "one")
    return features


def test_headless_nobody_moves_anything(host: Any) -> None:
    encoder = load()
    assert (encoder.before_run, encoder.results) == (None, None)
    assert MEMORY.building_device() == MEMORY.resting_device() == host.torch_device() == CPU
    assert MEMORY.number_format("auto") == "auto", "the library's own choice"


def test_the_model_is_loaded_when_it_runs_and_only_then(managed: SimpleNamespace) -> None:
    encoder = load()
    assert managed.requests == []
    encode(encoder)
    encode(encoder)
    assert managed.requests == [["Clip"]]
    encoder.before_run.patcher.loaded = 0  # another model needed the room
    encode(encoder)
    assert managed.requests == [["Clip"], ["Clip"]]


def test_it_is_moved_as_a_whole(managed: SimpleNamespace) -> None:
    encoder = load()
    encode(encoder)
    patcher = encoder.before_run.patcher
    assert patcher.loaded == 1000, "though ComfyUI offered room for a part"
    assert patcher.partially_unload(CPU, 1) == 0, "so that ComfyUI unloads all"


def test_room_is_asked_for_where_others_left_none(managed: SimpleNamespace) -> None:
    managed.device = META
    loader = MEMORY.Loader(torch.nn.Linear(1, 1), META, CPU)
    for managed.free in (2**40, 2**40, 0, 0):
        loader()
    assert managed.requests == [["Linear"]] * 3


@pytest.mark.parametrize(("half", "dtype", "expected"), [
    (False, "auto", "float32"), (True, "auto", "float16"), (True, "float32", "float32"), (False, "bfloat16", "bfloat16"),
])  # fmt: skip
def test_the_number_format_is_the_hosts_advice_unless_chosen(
    managed: SimpleNamespace, half: bool, dtype: str, expected: str
) -> None:
    managed.half = half
    module = load(dtype).module
    assert module.visual.conv1.weight.dtype == getattr(torch, expected)
    assert module.text_projection.dtype == torch.float32


@pytest.mark.parametrize("kind", ["image", "text"])
def test_stop_ends_the_work_before_the_next_batch(
    managed: SimpleNamespace, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmseg.patch_features.TOKENS_PER_BATCH", 70)  # four windows
    monkeypatch.setattr("llmseg.encoder.TOKENS_PER_BATCH", 70)
    encoder, batches = load(), list[int]()

    def count(*_: Any) -> None:
        batches.append(1)
        managed.host.interrupted = len(batches) == 2

    tower = encoder.module.visual.ln_pre if kind == "image" else encoder.module.token_embedding
    tower.register_forward_hook(count)
    with pytest.raises(Interrupted):
        encode(encoder) if kind == "image" else encoder.encode_text([f"oak {number}" for number in range(99)])
    assert len(batches) == 2


def test_results_wait_where_the_host_wants_them(managed: SimpleNamespace) -> None:
    managed.device = META
    handed_on, used_at_once = load(), MODELS.open_encoder("embedded", results=META)
    assert handed_on.module.logit_scale.device == used_at_once.module.logit_scale.device == CPU, "not loaded yet"
    assert (handed_on.device, used_at_once.device) == (CPU, META)


def tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, tuple):
        return [each for part in value for each in tensors(part)]
    if is_dataclass(value) and not isinstance(value, type):
        return [each for field in fields(value) if field.init for each in tensors(getattr(value, field.name))]
    return []


@pytest.fixture(scope="module")
def records(encoder: Encoder) -> dict[str, Any]:
    """One of every record that nodes hand on."""
    images = IMAGE.movedim(-1, 1)
    bank = build_text_bank(encoder, expand_names(parse_names("dog | hound, grass"), "auto", encoder.library))
    features = build_patch_features(encoder, images, window=32, stride=16, scales="three")
    found = {"bank": bank, "features": features}
    for scoring in ("fast", "exact"):
        scores = score_image(features, bank, scoring)
        maps = assemble_classes(scores, "max", gate="simseg")
        found |= {f"{scoring} scores": scores, f"{scoring} maps": maps, f"{scoring} labels": label_pixels(maps)}
    return found


RECORDS = ["bank", "features", *(f"{how} {what}" for how in ("fast", "exact") for what in ("scores", "maps", "labels"))]


@pytest.mark.parametrize("name", RECORDS)
def test_all_tensors_of_a_record_move(records: dict[str, Any], name: str) -> None:
    record = records[name]
    moved = MEMORY.move(record, META)
    assert type(moved) is type(record)
    assert {tensor.device for tensor in tensors(record)} == {CPU}
    assert {tensor.device for tensor in tensors(moved)} == {META}
    assert [tensor.shape for tensor in tensors(moved)] == [tensor.shape for tensor in tensors(record)]
    assert len(set(map(id, tensors(moved)))) == len(set(map(id, tensors(record)))), "what was shared still is"


def test_the_look_at_the_whole_image_answers_where_its_record_is(records: dict[str, Any]) -> None:
    features = records["features"]
    there = MEMORY.move(features, META)
    assert there.see_whole().device == META
    again = MEMORY.Later(there.see_whole, CPU)
    assert again().equal(features.see_whole())
    assert again.call is features.see_whole, "however often it was moved"


def test_what_holds_no_tensor_stays_itself(encoder: Encoder) -> None:
    expansion = expand_names(parse_names("dog, grass"), "off")
    for value in (expansion, encoder, "text", 3, None, ("a", (1, None)), slice(1, 2)):
        assert MEMORY.move(value, META) is value


def node(seen: list[Any]) -> Callable[..., Any]:
    @MEMORY.on_device
    def execute(self: Any, record: torch.Tensor, *, other: torch.Tensor) -> tuple[torch.Tensor, str]:
        """A node."""
        seen.extend([record.device, other.device])
        return other.new_zeros(3, device=CPU), "text"

    result: Callable[..., Any] = execute
    return result


def test_work_is_done_on_the_device_and_asks_for_room(managed: SimpleNamespace) -> None:
    seen: list[Any] = []
    managed.device = META
    execute = node(seen)
    given, text = execute(None, torch.zeros(5), other=torch.zeros(2, dtype=torch.float64))
    assert seen == [META, META]
    assert (given.device, text) == (CPU, "text")
    assert managed.freed == [(5 * 4 + 2 * 8 + 2**30, META)]
    assert execute.__doc__ == "A node."


def test_nothing_moves_where_there_is_one_device(host: Any) -> None:
    seen: list[Any] = []
    held = torch.zeros(2)
    node(seen)(None, held, other=held)
    assert seen == [CPU, CPU]
