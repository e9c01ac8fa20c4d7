"""What ComfyUI shows of a label map on the node itself; a headless run shows and writes nothing.

Not here: what the files hold (`llmseg.hovering`), what the user interface makes of them (`web/viewer.js`).
Source: ComfyUI 0.8 `execution.py` (`ui`), `comfy.utils.ProgressBar`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llmseg.hovering import SIDE, describe_pixels
from llmseg.store import content_hash, write_atomic
from llmseg.types import LabelMap

from . import host, progress

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

PREVIEWS = 32  # images of a batch that are shown; all of them come out
LOOK_EVERY = 1.0  # seconds from one image shown meanwhile to the next


def report_images(count: int) -> Callable[[int, Image.Image], None]:
    """A callback (images done, the last of them) that drives a progress bar.

    ComfyUI shows an image of a batch that takes long. Not the last one, which its page would go on showing.
    """
    if not host.in_comfyui():
        steps = progress.report_steps()
        return lambda done, _: steps(done, count)
    bar = host.comfy_module("comfy.utils").ProgressBar(count)
    shown = time.monotonic()

    def report(done: int, picture: Image.Image) -> None:
        nonlocal shown
        due = done < count and time.monotonic() - shown >= LOOK_EVERY
        shown = time.monotonic() if due else shown
        bar.update_absolute(done, count, ("JPEG", picture, SIDE) if due else None)

    return report


def show(outputs: tuple[Any, ...], shown: LabelMap, result: LabelMap, pictures: Tensor) -> Any:
    """What a node gives back: its outputs, and in ComfyUI also previews that tell what is under the pointer.

    Args:
        outputs: of the node.
        shown: the labels that were drawn.
        result: the classes, confidences and phrases behind them.
        pictures: drawn from `shown`. [B,3,H,W]
    """
    if not host.in_comfyui():
        return outputs
    height, width = pictures.shape[2:]
    target = host.save_target("llmseg/preview", "temp", width, height)
    place = {"subfolder": target.subfolder, "type": target.kind}
    images, hovers = [], []
    for index in range(min(PREVIEWS, len(pictures))):
        hover = describe_pixels(shown, result, pictures, index)
        names = []
        for content in (hover.preview, hover.map):
            # Named by their content, so that no browser shows an old one.
            names.append(f"llmseg_{content_hash(content)[:24]}.png")
            write_atomic(target.folder / names[-1], content)
        images.append({"filename": names[0], **place})
        hovers.append({"map": {"filename": names[1], **place}, **hover.table})
    return {"ui": {"images": images, "llmseg": hovers}, "result": outputs}
