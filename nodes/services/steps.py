"""`comfy.utils` and the progress of `comfy_api`: bars, resizing, and no more.

Not here: who shows the steps (`host.HeadlessHost.on_progress`), the resizing itself (`core.scaling`).
Source: ComfyUI 0.8 `comfy/utils.py` and `comfy_api/latest/__init__.py`, restated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llmseg.errors import InputError

from .. import host
from ..core import scaling
from .running import throw_exception_if_processing_interrupted

if TYPE_CHECKING:
    from torch import Tensor

Hook = Callable[..., Any]  # (value, total, preview, node_id=...)


def tell_host(value: float, total: float, preview: object = None, node_id: object = None) -> None:
    """Tell the host how far the running node is; this is also where a run that shall end ends."""
    throw_exception_if_processing_interrupted()
    report = host.headless().on_progress
    if report is not None:
        report(value, total)  # type: ignore[arg-type]


class Utilities:
    """What `comfy.utils` holds; the hook that bars report to lasts as long as this."""

    def __init__(self) -> None:
        self.hook: Hook | None = tell_host
        self.LIVE: dict[str, Callable[[], Any]] = {"PROGRESS_BAR_HOOK": lambda: self.hook}

    def set_progress_bar_global_hook(self, function: Hook | None) -> None:
        """Let bars that are made from now on report to somebody else; None for nobody."""
        self.hook = function

    def members(self) -> dict[str, Any]:
        """The functions, and a class of bars that know the hook."""
        utilities = self

        class ProgressBar(_ProgressBar):
            """A bar that reports to the hook of the time when it was made."""

            def __init__(self, total: float, node_id: object = None) -> None:
                super().__init__(total, utilities.hook, node_id)

        return {
            "ProgressBar": ProgressBar,
            "PROGRESS_BAR_ENABLED": True,
            "set_progress_bar_enabled": lambda enabled: None,  # it only concerns bars in a terminal
            "set_progress_bar_global_hook": self.set_progress_bar_global_hook,
            "common_upscale": common_upscale,
            "lanczos": lambda samples, width, height: common_upscale(samples, width, height, "lanczos", "disabled"),
            "repeat_to_batch_size": repeat_to_batch_size,
        }


class _ProgressBar:
    """Counts the steps of one node.

    Args:
        total: the number of steps.
        hook: told about every step; None for nobody.
        node_id: handed on.
    """

    def __init__(self, total: float, hook: Hook | None, node_id: object) -> None:
        self.total = total
        self.current: float = 0
        self.hook = hook
        self.node_id = node_id

    def update_absolute(self, value: float, total: float | None = None, preview: object = None) -> None:
        """Say how many steps are done."""
        if total is not None:
            self.total = total
        self.current = min(value, self.total)
        if self.hook is not None:
            self.hook(self.current, self.total, preview, node_id=self.node_id)

    def update(self, value: float) -> None:
        """Add steps."""
        self.update_absolute(self.current + value)


def common_upscale(samples: Tensor, width: int, height: int, upscale_method: str, crop: str) -> Tensor:
    """Resize, optionally cut to the target's shape first.

    Args:
        samples: images, or videos, channels first. [B,C,H,W] or [B,C,T,H,W]
        width: in pixels.
        height: in pixels.
        upscale_method: a name in `scaling.METHODS`.
        crop: center, or disabled for stretching.

    Returns:
        [B,C,height,width] or [B,C,T,height,width]

    Raises:
        InputError: another method.
    """
    if upscale_method not in scaling.METHODS:
        problem = f"unknown method {upscale_method!r}; expected one of {', '.join(scaling.METHODS)}."
        raise InputError(problem, place="upscale_method")
    if samples.ndim > 4:
        frames = samples.movedim(2, 1)  # [B,T,C,H,W]
        scaled = common_upscale(frames.reshape(-1, *frames.shape[2:]), width, height, upscale_method, crop)
        return scaled.reshape(*frames.shape[:2], *scaled.shape[1:]).movedim(1, 2)
    images = samples.movedim(1, -1)
    if crop == "center":
        images = scaling.crop_to_shape(images, width, height)
    return scaling.resize(images, width, height, upscale_method).movedim(-1, 1)


def repeat_to_batch_size(tensor: Tensor, batch_size: int, dim: int = 0) -> Tensor:
    """Repeat a batch from its start, or cut it, until it has this size along `dim`."""
    times = [1] * tensor.ndim
    times[dim] = -(-batch_size // tensor.shape[dim])
    return (tensor.repeat(times) if times[dim] > 1 else tensor).narrow(dim, 0, batch_size)


class _Execution:
    async def set_progress(
        self,
        value: float,
        max_value: float,
        node_id: str | None = None,
        preview_image: object = None,
        ignore_size_limit: bool = False,
    ) -> None:
        """Tell the host how far the running node is."""
        tell_host(value, max_value)


class _SyncExecution:
    def set_progress(self, value: float, max_value: float, *args: Any, **kwargs: Any) -> None:
        """The same, to be called from functions that are not asynchronous."""
        tell_host(value, max_value)


class ComfyAPI:
    """What V1 nodes use of ComfyUI's public API."""

    execution = _Execution()


class ComfyAPISync:
    """The same for functions that are not asynchronous."""

    execution = _SyncExecution()


API_MEMBERS = {"ComfyAPI": ComfyAPI, "ComfyAPISync": ComfyAPISync}
