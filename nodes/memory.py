"""Where models and results are, and who moves them.

In ComfyUI the towers belong to its memory management: they wait on the offload device, are brought to the
device before a batch, and leave when another model needs the room. What nodes hand on waits where ComfyUI
wants it, so that nothing of ours holds the device between nodes. Headless, all stays on the one device.

Not here: which device that is (`host`), which file a model is read from (`models`).
Source: ComfyUI 0.8 `comfy.model_management`, `comfy.model_patcher`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from llmseg.backbone import Backbone
from llmseg.encoder import Encoder
from llmseg.options import AUTO

from . import host, progress

if TYPE_CHECKING:
    import torch

WHOLE = 1e32  # bytes; more than any model has

Call = TypeVar("Call", bound=Callable[..., Any])
Model = TypeVar("Model", Encoder, Backbone)


def building_device() -> torch.device:
    """Where a model is built: in ComfyUI not on the device yet, there may be no room."""
    if not host.in_comfyui():
        return host.torch_device()
    device: torch.device = _management().text_encoder_offload_device()
    return device


def resting_device() -> torch.device:
    """Where nodes leave what they hand on."""
    if not host.in_comfyui():
        return host.torch_device()
    device: torch.device = _management().intermediate_device()
    return device


def number_format(dtype: str) -> str:
    """A name in `options.DTYPE` for the image tower: "auto" follows ComfyUI's own advice for its device."""
    if dtype != AUTO or not host.in_comfyui():
        return dtype
    return "float16" if _management().should_use_fp16(host.torch_device()) else "float32"


def hand_over(encoder: Model, results: torch.device | None = None) -> Model:
    """Give the towers to ComfyUI's memory management; headless they stay where they are.

    Args:
        encoder: was built on `building_device`.
        results: where its vectors go; None for where nodes leave what they hand on.
    """
    if host.in_comfyui():
        encoder.before_run = Loader(encoder.module, host.torch_device(), building_device())
        encoder.results = results or resting_device()
    return encoder


class Loader:
    """Brings a module to the device before it runs.

    Args:
        module: the towers.
        device: where they run.
        offload_device: where they wait.
    """

    def __init__(self, module: torch.nn.Module, device: torch.device, offload_device: torch.device) -> None:
        # Held here and not by the module: ComfyUI forgets a patcher that nobody holds, and takes one that its
        # module outlives for a leak.
        self.patcher = _patcher_class()(module, load_device=device, offload_device=offload_device)

    def __call__(self) -> None:
        """Stop where the user wants to stop; else have the module in place, with room beside it for a batch."""
        progress.check_interrupted()
        management = _management()
        device = self.patcher.load_device
        # Only when needed: freeing memory empties torch's cache, which costs more than a batch.
        crowded = device.type != "cpu" and management.get_free_memory(device) < management.minimum_inference_memory()
        if self.patcher.loaded_size() == 0 or crowded:
            management.load_models_gpu([self.patcher])


def on_device(execute: Call) -> Call:
    """A node's function that works on the device: what it is given is brought there, what it gives is put to rest.

    Changes nothing where nodes leave their results on the device anyway.
    """

    @wraps(execute)
    def execute_there(*args: Any, **kwargs: Any) -> Any:
        device, rest = host.torch_device(), resting_device()
        if device == rest:
            return execute(*args, **kwargs)
        make_room((args, kwargs), device)
        seen: dict[int, Any] = {}
        given = [move(value, device, seen) for value in args]
        named = {name: move(value, device, seen) for name, value in kwargs.items()}
        return move(execute(*given, **named), rest)

    return cast("Call", execute_there)


def make_room(records: Any, device: torch.device) -> None:
    """Ask ComfyUI for as much memory of a device as records take, and some to work in."""
    management = _management()
    tensors: dict[int, Any] = {}
    _collect(records, tensors)
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    management.free_memory(size + management.minimum_inference_memory(), device)


def move(value: Any, device: torch.device, seen: dict[int, Any] | None = None) -> Any:
    """Records, and tuples of them, with all their tensors on a device; what two share they share again.

    Args:
        value: anything; what holds no tensor is answered as it is.
        device: where to.
        seen: what was moved already, by identity; for several values that share.
    """
    seen = {} if seen is None else seen
    if id(value) in seen:
        return seen[id(value)]
    moved = value
    if _is_tensor(value):
        moved = value.to(device)
    elif isinstance(value, tuple):
        parts = [move(part, device, seen) for part in value]
        if any(new is not old for new, old in zip(parts, value, strict=True)):
            moved = type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    elif is_dataclass(value) and not isinstance(value, type):
        own = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        parts_by_name = {
            name: Later(part, device) if name == "see_whole" else move(part, device, seen) for name, part in own.items()
        }
        if any(parts_by_name[name] is not part for name, part in own.items()):
            moved = replace(value, **parts_by_name)
    seen[id(value)] = moved
    return moved


class Later:
    """A call whose answer is wanted on a device.

    Args:
        call: gives a tensor.
        device: where to.
    """

    def __init__(self, call: Callable[[], torch.Tensor], device: torch.device) -> None:
        self.call = call.call if isinstance(call, Later) else call  # moved to and fro, it stays one call
        self.device = device

    def __call__(self) -> torch.Tensor:
        """The tensor, there."""
        return self.call().to(self.device)


def _collect(value: Any, tensors: dict[int, Any]) -> None:
    """The tensors of records, each once."""
    if _is_tensor(value):
        tensors[id(value)] = value
    elif isinstance(value, dict):
        _collect(tuple(value.values()), tensors)
    elif isinstance(value, tuple):
        for part in value:
            _collect(part, tensors)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            _collect(getattr(value, field.name), tensors)


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _management() -> Any:
    return host.comfy_module("comfy.model_management")


def _patcher_class() -> Any:
    base: Any = host.comfy_module("comfy.model_patcher").ModelPatcher

    class WholePatcher(base):  # type: ignore[misc]
        """Moves a module as a whole: ComfyUI's own layers fetch weights one by one, plain ones of torch cannot."""

        def partially_load(self, device_to: Any, extra_memory: float = 0, force_patch_weights: bool = False) -> Any:
            return super().partially_load(device_to, WHOLE, force_patch_weights=force_patch_weights)

        def partially_unload(self, device_to: Any, memory_to_free: float = 0, **options: Any) -> int:
            return 0  # then ComfyUI unloads all of it

    return WholePatcher
