"""Pictures in, results out. Every file appears whole or not at all.

    NAME_overlay.png      the picture with its classes and a legend
    NAME_labels.png       one label per pixel, with a palette; 255 (65535) is unknown
    NAME_classes.json     names, colours and areas of the labels
    NAME_mask_dog.png     white where the class is; one file per class
    NAME_coco.json        the same in COCO's form, run-length encoded
    NAME_areas.csv        area, confidence and number of regions of each class

Not here: drawing (`rendering`).
"""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .coco import labels_to_coco
from .errors import InputError
from .options import OPACITY
from .palette import UNKNOWN_COLOUR
from .region_tables import count_regions, format_regions
from .rendering import overlay_image
from .store import json_bytes, write_atomic
from .types import LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

__all__ = [
    "classes_to_json",
    "image_to_tensor",
    "label_image",
    "list_label_files",
    "png_bytes",
    "read_image",
    "safe_name",
    "write_labels",
    "write_result",
]

LABELS_SUFFIX, CLASSES_SUFFIX = "_labels.png", "_classes.json"
PALETTE_CLASSES = 255  # 8-bit label files keep the value 255 for unknown


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture as RGB, turned upright as its EXIF says. uint8 [H,W,3]

    Raises:
        InputError: missing, not a picture, damaged, or of absurd size.
    """
    import numpy as np
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return np.asarray(_to_rgb(ImageOps.exif_transpose(image)))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"{str(path)!r} is too large ({error}); expected at most {Image.MAX_IMAGE_PIXELS} pixels.", place="image"
        ) from error
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises each of them for damaged files
        detail = getattr(error, "strerror", None) or "not a readable picture"
        raise InputError(
            f"cannot read {str(path)!r}: {detail}; expected a PNG, JPEG or WebP.", place="image"
        ) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would cut off at 255
        image = Image.fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8))
    return image.convert("RGB")


def image_to_tensor(array: NDArray[np.uint8]) -> Tensor:
    """uint8 [H,W,3] -> float32 in 0..1 [1,3,H,W]"""
    import torch

    return torch.tensor(array, dtype=torch.float32).permute(2, 0, 1)[None] / 255


def label_image(result: LabelMap, index: int = 0) -> Image.Image:
    """The labels of one image as a picture: 8-bit with a palette, 16-bit beyond 255 classes."""
    import numpy as np
    from PIL import Image

    labels = result.labels[index].cpu().numpy()
    if len(result.names) > PALETTE_CLASSES:
        return Image.fromarray(np.where(labels < 0, 65535, labels).astype(np.uint16))
    image = Image.fromarray(np.where(labels < 0, 255, labels).astype(np.uint8), mode="P")
    colours = [*result.palette, *[(0, 0, 0)] * (255 - len(result.palette)), UNKNOWN_COLOUR]
    image.putpalette([part for colour in colours for part in colour])
    return image


def classes_to_json(result: LabelMap, index: int = 0) -> dict[str, Any]:
    """What the numbers in a label file mean."""
    labels = result.labels[index]
    height, width = labels.shape
    pixels = labels[labels >= 0].bincount(minlength=len(result.names)).tolist()
    return {
        "schema": 1,
        "size": [width, height],
        "unknown": 65535 if len(result.names) > PALETTE_CLASSES else 255,
        "classes": [
            {
                "label": label,
                "name": name,
                "colour": list(result.palette[label]),
                "pixels": pixels[label],
            }
            for label, name in enumerate(result.names)
        ],
    }


def write_result(
    result: LabelMap,
    image: NDArray[np.uint8],
    folder: Path,
    name: str,
    *,
    index: int = 0,
    opacity: float = OPACITY.default,
) -> list[Path]:
    """Write the overlay and everything that `write_labels` writes; returns the paths in that order.

    Raises:
        InputError: the folder cannot be written.
    """
    _check_name(name)
    overlay = folder / f"{name}_overlay.png"
    write_atomic(overlay, png_bytes(overlay_image(result, image, index, opacity)))
    return [overlay, *write_labels(result, folder, name, index=index)]


def write_labels(
    result: LabelMap,
    folder: Path,
    name: str,
    *,
    index: int = 0,
    masks: bool = True,
    coco: bool = False,
    areas: bool = False,
) -> list[Path]:
    """Write labels, classes and, if asked, one mask per class, COCO's JSON and a table; the paths in that order.

    Raises:
        InputError: the folder cannot be written, or `name` is more than a name.
    """
    files = list_label_files(result, name, index=index, masks=masks, coco=coco, areas=areas)
    for file, make in files.items():
        write_atomic(folder / file, make())
    return [folder / file for file in files]


def list_label_files(
    result: LabelMap, name: str, *, index: int = 0, masks: bool = True, coco: bool = False, areas: bool = False
) -> dict[str, Callable[[], bytes]]:
    """The names of the files that `write_labels` writes, in its order, and what makes the content of each.

    Raises:
        InputError: `name` is more than a name.
    """
    _check_name(name)
    files: dict[str, Callable[[], bytes]] = {
        f"{name}{LABELS_SUFFIX}": lambda: png_bytes(label_image(result, index)),
        f"{name}{CLASSES_SUFFIX}": lambda: json_bytes(classes_to_json(result, index)),
    }
    taken: set[str] = set()
    for label, class_name in enumerate(result.names if masks else ()):
        mask = _free_name(f"{name}_mask_{safe_name(class_name)}", taken)
        files[f"{mask}.png"] = partial(_mask_bytes, result, index, label)
    if coco:
        files[f"{name}_coco.json"] = partial(_coco_bytes, result, index, f"{name}{LABELS_SUFFIX}")
    if areas:
        files[f"{name}_areas.csv"] = partial(_area_bytes, result, index)
    return files


def _mask_bytes(result: LabelMap, index: int, label: int) -> bytes:
    import numpy as np
    from PIL import Image

    labels = result.labels[index].cpu().numpy()
    return png_bytes(Image.fromarray(np.where(labels == label, 255, 0).astype(np.uint8)))


def _coco_bytes(result: LabelMap, index: int, file: str) -> bytes:
    return (json.dumps(labels_to_coco(result, index, file), ensure_ascii=True) + "\n").encode()


def _area_bytes(result: LabelMap, index: int) -> bytes:
    one = replace(result, labels=result.labels[index, None], confidence=result.confidence[index, None])
    return format_regions(count_regions(one, range(len(result.names))), "csv").encode("utf-8")


def png_bytes(image: Image.Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()


def safe_name(text: str) -> str:
    """A class name as part of a file name on any system: letters, digits, `-` and `_`.

    >>> safe_name("../traffic light")
    'traffic_light'
    """
    return re.sub(r"[^\w-]+", "_", text).strip("_")[:60] or "class"


def _check_name(name: str) -> None:
    if not name or Path(name).name != name:
        raise InputError(f"{name!r}; expected the start of a file name, without a folder.", place="name")


def _free_name(stem: str, taken: set[str]) -> str:
    number, candidate = 2, stem
    while candidate.casefold() in taken:  # "Dog/" and "dog" are one file on Windows
        number, candidate = number + 1, f"{stem}_{number}"
    taken.add(candidate.casefold())
    return candidate
