"""Stand-ins for what the public code imports but the comparison does not need.

Base classes, registries and containers of mmsegmentation, modules that draw, and CUDA calls on a machine without
it. None of them computes anything, so every number of a reference is made by the checkout and by torch.

Not here: the models (`reference_models`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import packaging.version
from torch import Tensor, nn

__all__ = ["Sample", "install_stubs", "without_cuda"]


class BaseSegmentor(nn.Module):
    """mmsegmentation's base class: keeps the normalisation that a segmentor asks for."""

    def __init__(self, data_preprocessor: Any) -> None:
        super().__init__()
        self.data_preprocessor = data_preprocessor


class Registry:
    """A registry that registers nothing."""

    def register_module(self) -> Callable[[type], type]:
        """Give the decorator that leaves a class as it is."""
        return lambda registered: registered


class Sample:
    """mmsegmentation's record of one picture and its result."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.metainfo = {"ori_shape": size}
        self.results: dict[str, Any] = {}

    def set_data(self, results: dict[str, Any]) -> None:
        """Keep what a segmentor found."""
        self.results |= results


def _rearrange(maps: Tensor, pattern: str, w: int, h: int) -> Tensor:
    # einops is asked for exactly one reshape.
    assert pattern == "b (w h) c -> b c w h"
    return maps.unflatten(1, (w, h)).permute(0, 3, 1, 2)


def _leave_labels(labels: Any, operation: Any, kernel: Any) -> Any:
    # ITACLIP closes label numbers as if they were grey levels: an artefact, left out on both sides.
    return labels


_STUBS: dict[str, dict[str, Any]] = {
    "mmseg.models.segmentors": {"BaseSegmentor": BaseSegmentor},
    "mmseg.models.data_preprocessor": {"SegDataPreProcessor": SimpleNamespace},
    "mmseg.registry": {"MODELS": Registry()},
    "mmengine.structures": {"PixelData": SimpleNamespace},
    "matplotlib.pyplot": {},
    "einops": {"rearrange": _rearrange},
    "cv2": {"MORPH_RECT": 0, "MORPH_CLOSE": 3, "getStructuringElement": lambda *_: None, "morphologyEx": _leave_labels},
    "BLIP.models.blip_retrieval": {"blip_retrieval": None},
    "pkg_resources": {"packaging": packaging},
}


def install_stubs() -> None:
    """Put the stand-ins into `sys.modules`, installed packages or not, so that every machine runs the same."""
    for name, members in _STUBS.items():
        parent: ModuleType | None = None
        for depth, part in enumerate(parts := name.split("."), 1):
            path = ".".join(parts[:depth])
            module = sys.modules.setdefault(path, ModuleType(path))
            module.__path__ = []  # a package, so that its parts can be imported
            if parent is not None:
                setattr(parent, part, module)
            parent = module
        sys.modules[name].__dict__.update(members)


@contextmanager
def without_cuda() -> Iterator[None]:
    """Let `.cuda()` and `.to(torch.device("cuda"))` leave things where they are."""
    cuda, to = Tensor.cuda, nn.Module.to
    Tensor.cuda = lambda self, *_, **__: self
    nn.Module.to = lambda self, *_, **__: self
    try:
        yield
    finally:
        Tensor.cuda, nn.Module.to = cuda, to
