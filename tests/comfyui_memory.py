"""Run by `test_comfyui_host.py` in a process of its own: our nodes under the memory management of a real ComfyUI.

    python comfyui_memory.py COMFYUI_PATH cpu|cuda

No server runs, only its modules. Prints one line of JSON: what was seen at every step.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import sys
import weakref
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMFYUI, DEVICE = sys.argv[1:3]
sys.path[:0] = [COMFYUI, str(ROOT)]
sys.argv = ["main.py", *(["--cpu"] if DEVICE == "cpu" else [])]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.model_management as management  # noqa: E402
import torch  # noqa: E402
from comfy.model_patcher import ModelPatcher  # noqa: E402

EVERYTHING = 1e30
NAMES = "oak, cottage, taxi, poodle, grass"


def load_nodes() -> None:
    """The nodes as `llmseg_nodes`, told that a server runs."""
    server = sys.modules["server"] = ModuleType("server")
    server.PromptServer = SimpleNamespace(instance=object())  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location(
        "llmseg_nodes", ROOT / "nodes" / "__init__.py", submodule_search_locations=[str(ROOT / "nodes")]
    )
    assert spec is not None
    assert spec.loader is not None
    package = sys.modules["llmseg_nodes"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


load_nodes()
from llmseg_nodes import encoding, maps, memory, text  # noqa: E402

from llmseg import build_text_bank, expand_names, parse_names  # noqa: E402
from llmseg.encoder import load_encoder  # noqa: E402

IMAGE = encoding.LLMSegExampleImage().execute("park")[0]
seen: dict[str, Any] = {}


def other_model() -> ModelPatcher:
    """What another node loads."""
    return ModelPatcher(torch.nn.Linear(512, 512), management.get_torch_device(), torch.device("cpu"))


def places(encoder: Any) -> list[str]:
    return sorted({parameter.device.type for parameter in encoder.module.parameters()})


def loaded() -> list[str]:
    return [type(model.model).__name__ for model in management.loaded_models()]


def encode(encoder: Any) -> Any:
    return encoding.LLMSegEncodeImage().execute(encoder, IMAGE, "naclip", 64, 32, -1, "one")[0]


def push_out_and_back() -> None:
    (encoder,) = encoding.LLMSegLoadEncoder().execute("embedded", "auto")
    seen["number format"] = str(encoder.module.visual.conv1.weight.dtype)
    seen["at first"] = [loaded(), places(encoder)]
    first = encode(encoder)
    seen["encoding"] = [loaded(), places(encoder), first.levels[0].windows.device.type]
    other = other_model()
    management.load_models_gpu([other])
    seen["with another"] = sorted(loaded())
    management.free_memory(EVERYTHING, management.get_torch_device())
    seen["pushed out"] = [loaded(), places(encoder)]
    again = encode(encoder)
    seen["back"] = [loaded(), places(encoder), torch.equal(first.levels[0].windows, again.levels[0].windows)]
    management.free_memory(EVERYTHING, management.get_torch_device())
    seen["a late look"] = [first.see_whole().device.type, loaded(), places(encoder)]
    if DEVICE != "cpu":  # a little is asked for: all of it goes, for its parts cannot work apart
        encode(encoder)
        management.free_memory(management.get_free_memory() + 1, management.get_torch_device())
        seen["a little asked for"] = [loaded(), places(encoder)]
    cached = expand_names(parse_names(NAMES), "off")
    text.LLMSegEncodeText().execute(encoder, cached)
    management.free_memory(EVERYTHING, management.get_torch_device())
    (bank,) = text.LLMSegEncodeText().execute(encoder, cached)
    seen["nothing to encode"] = [loaded(), bank.embeddings.device.type]


def give_back() -> None:
    """Nobody holds the encoder any more: its memory is free at once, without a search for circles."""
    gc.collect()
    gc.disable()
    (encoder,) = encoding.LLMSegLoadEncoder().execute("embedded", "auto")
    features, module = encode(encoder), weakref.ref(encoder.module)
    del encoder
    held = module() is not None
    del features
    seen["given back"] = [held, module() is None, loaded()]
    gc.enable()


def stop() -> None:
    (encoder,) = encoding.LLMSegLoadEncoder().execute("embedded", "auto")
    expansion = expand_names(parse_names("boat, whale"), "off")
    calls = {"image": lambda: encode(encoder), "text": lambda: text.LLMSegEncodeText().execute(encoder, expansion)}
    for name, call in calls.items():
        management.interrupt_current_processing()
        try:
            call()
            seen[f"stop {name}"] = "went on"
        except management.InterruptProcessingException:
            seen[f"stop {name}"] = [loaded()]
        management.interrupt_current_processing(False)


def chain(encoder: Any, wrap: Any, mode: str, refiner: str, scoring: str) -> Any:
    """Labels by the four nodes after the encoder."""
    expansion = expand_names(parse_names(NAMES), "auto", encoder.library)
    bank, features = build_text_bank(encoder, expansion), encode(encoder)
    (scores,) = wrap(maps.LLMSegScore.execute)(None, features, bank, scoring)
    (merged,) = wrap(maps.LLMSegAssemble.execute)(
        None, scores, mode, -1, -1, "simseg" if refiner == "simseg" else "none"
    )
    (refined,) = wrap(maps.LLMSegRefine.execute)(None, merged, IMAGE, refiner)
    label_map, confidence = wrap(maps.LLMSegLabel.execute)(None, refined, 0.0, 0.0)
    assert label_map.labels.device.type == confidence.device.type == "cpu"
    return label_map.labels


def work_on_device() -> None:
    (encoder,) = encoding.LLMSegLoadEncoder().execute("embedded", "auto", "float32")
    here = load_encoder()
    for mode, refiner, scoring in (("max", "bilateral", "fast"), ("paper", "simseg", "fast"), ("lme", "pamr", "fast"),
                                   ("paper", "none", "exact"), ("blend", "none", "exact")):  # fmt: skip
        wanted = chain(here, lambda call: call, mode, refiner, scoring)
        found = chain(encoder, memory.on_device, mode, refiner, scoring)
        plain = chain(encoder, lambda call: call, mode, refiner, scoring)
        seen[f"{mode} {refiner} {scoring}"] = [
            float((labels == wanted).float().mean()) > 0.99 for labels in (found, plain)
        ]


push_out_and_back()
give_back()
stop()
if DEVICE != "cpu":  # elsewhere there is nothing to move
    work_on_device()
    gc.collect()
    torch.cuda.synchronize()
    seen["bytes left"] = torch.cuda.memory_allocated()
print(json.dumps(seen))
