"""`comfy.model_management` and `comfy.cli_args`: devices, stopping, and what the person asked for.

Not here: loading and unloading models, which packs that run here do themselves.
Source: ComfyUI 0.8 `comfy/model_management.py`, `comfy/cli_args.py`, restated.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any

from llmseg.graph.packs.problems import MissingService

from .. import host
from . import running

if TYPE_CHECKING:
    import torch


def cpu() -> torch.device:
    """Where ComfyUI keeps what nodes exchange, and models that do not run."""
    import torch

    return torch.device("cpu")


def get_autocast_device(dev: object) -> str:
    """The kind of a device."""
    return str(getattr(dev, "type", "cuda"))


def is_device_type(device: object, type: str) -> bool:
    """Whether a device is of this kind."""
    return getattr(device, "type", None) == type


def soft_empty_cache(force: bool = False) -> None:
    """Give back memory of the device that nobody uses."""
    gc.collect()
    if "torch" in sys.modules:
        kind = getattr(sys.modules["torch"], host.torch_device().type)
        getattr(kind, "empty_cache", int)()  # the processor has no such thing


def unload_all_models() -> None:
    """There are none to unload: packs that run here hold their own."""


def out_of_memory() -> type[BaseException]:
    """What torch raises where the memory of a device does not suffice."""
    import torch

    error: type[BaseException] = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
    return error


class Arguments:
    """The command line as far as packs ask about it."""

    base_directory = None
    default_hashing_function = "sha256"

    @property
    def disable_metadata(self) -> bool:
        """Whether pictures must not carry the workflow."""
        return not host.metadata_enabled()

    @property
    def cpu(self) -> bool:
        """Whether models run on the processor."""
        return host.torch_device().type == "cpu"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise MissingService(f"comfy.cli_args.args.{name}")


MEMBERS: dict[str, Any] = {
    "InterruptProcessingException": running.InterruptProcessingException,
    "interrupt_current_processing": running.interrupt_current_processing,
    "processing_interrupted": running.processing_interrupted,
    "throw_exception_if_processing_interrupted": running.throw_exception_if_processing_interrupted,
    **dict.fromkeys(("get_torch_device", "text_encoder_device", "vae_device"), host.torch_device),
    **dict.fromkeys(
        ("intermediate_device", "text_encoder_offload_device", "unet_offload_device", "vae_offload_device"), cpu
    ),
    "get_autocast_device": get_autocast_device,
    "get_torch_device_name": str,
    "is_device_type": is_device_type,
    "is_device_cpu": lambda device: is_device_type(device, "cpu"),
    "is_device_cuda": lambda device: is_device_type(device, "cuda"),
    "is_device_mps": lambda device: is_device_type(device, "mps"),
    "soft_empty_cache": soft_empty_cache,
    "unload_all_models": unload_all_models,
    "cleanup_models": unload_all_models,
}
LIVE = {"OOM_EXCEPTION": out_of_memory}
