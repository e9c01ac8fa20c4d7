"""`nodes` and `node_helpers`: the registry, and the few core classes that packs build upon.

Not here: the classes themselves (`core`).
Source: ComfyUI 0.8 `nodes.py`, `node_helpers.py`, restated.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from .. import core, host
from ..core import saving
from ..core.reading import even_if_truncated
from . import running

if TYPE_CHECKING:
    from torch import Tensor

MAX_RESOLUTION = 16384  # pixels of a side


class SaveImage(saving.SaveImage):
    """The core class with the attributes by which packs turn it into a preview or another format."""

    type = "output"
    prefix_append = ""
    compress_level = saving.SaveImage.COMPRESS_LEVEL

    def __init__(self) -> None:
        super().__init__()
        self.output_dir = str(getattr(host.headless(), f"{self.type}_folder").absolute())

    def save_images(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Write the files where `type` says."""
        self.suffix, self.ROOT, self.COMPRESS_LEVEL = self.prefix_append, self.type, self.compress_level
        return super().save_images(*args, **kwargs)


class PreviewImage(SaveImage):
    """The same for the temporary folder."""

    type = "temp"
    compress_level = saving.PreviewImage.COMPRESS_LEVEL
    INPUT_TYPES = saving.PreviewImage.INPUT_TYPES

    def __init__(self) -> None:
        super().__init__()
        self.prefix_append = saving.PreviewImage().suffix


def node_members(classes: dict[str, type], display_names: dict[str, str]) -> dict[str, Any]:
    """What `nodes` holds: every core class that is here, the registry itself, and two constants."""
    return {
        **{node.__name__: node for node in core.CORE_NODES.values()},
        "SaveImage": SaveImage,
        "PreviewImage": PreviewImage,
        "MAX_RESOLUTION": MAX_RESOLUTION,
        "NODE_CLASS_MAPPINGS": classes,
        "NODE_DISPLAY_NAME_MAPPINGS": display_names,
        "EXTENSION_WEB_DIRS": {},  # some packs add to these two, for a browser that is not there
        "LOADED_MODULE_DIRS": {},
        "before_node_execution": running.throw_exception_if_processing_interrupted,
        "interrupt_processing": running.interrupt_current_processing,
    }


def image_alpha_fix(destination: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """Give two batches the same number of channels: an opaque fourth one, or fewer of the second.

    Args:
        destination: [B,H,W,C]
        source: [B,H,W,C']
    """
    from torch.nn.functional import pad

    if destination.shape[-1] > source.shape[-1]:
        # As in ComfyUI it is the first that grows, although it is the one with more.
        destination = pad(destination, (0, 1))
        destination[..., -1] = 1.0
    return destination, source[..., : destination.shape[-1]]


HELPERS = {
    "pillow": even_if_truncated,
    "hasher": lambda: hashlib.sha256,
    "image_alpha_fix": image_alpha_fix,
}
