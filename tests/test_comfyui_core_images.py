"""Core nodes of images and masks against ComfyUI's own classes: the same calls, compared bit for bit."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comfyui_oracle import Call, array, ask, write_inputs
from conftest import import_nodes
from PIL import Image

from llmseg.errors import InputError

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI checkout"),
]

METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
SHAPES = {
    **{"rgb": (2, 12, 17, 3), "rgba": (2, 12, 17, 4), "small": (3, 5, 7, 3), "small_rgba": (1, 6, 5, 4)},
    **{"tall": (1, 31, 9, 3), "wide": (1, 4, 40, 3), "square": (1, 8, 8, 3), "grey": (1, 6, 6, 1), "dot": (1, 1, 1, 3)},
    **{"mask": (2, 12, 17), "masks": (3, 5, 7), "one": (5, 7), "tall_mask": (1, 31, 9), "square_mask": (1, 8, 8)},
    **{"two": (2, 5, 7), "strip": (1, 1, 9)},
}
IMAGES = ["rgb", "rgba", "small", "tall", "wide", "square", "dot"]
MASKS = ["mask", "masks", "one", "tall_mask", "square_mask", "strip"]
PLACES = [(0, 0), (3, 2), (12, 8), (16, 11), (17, 12), (30, 0), (0, 30), (16384, 16384), (-2, 0), (0, -3), (-1, -1)]
EDGES = [(0, 0, 0, 0), (5, 0, 0, 0), (0, 3, 0, 2), (8, 16, 24, 8), (1, 1, 1, 1)]
# Where 0.8 fails and ours answers: outside of the destination, RGB over RGBA, crops to nothing, masks by lanczos,
# a mask alone for several images.
WIDER = {
    "MaskComposite",
    "ImageCompositeMasked",
    "ResizeImageMaskNode",
    "ImageBatch",
    "BatchImagesNode",
    "JoinImageWithAlpha",
}
# Where 0.8 answers images without pixels, but only by the method `area`.
EMPTY = {"ImageScaleBy", "ImageScaleToTotalPixels", "ResizeImageMaskNode"}


def arrays() -> dict[str, np.ndarray]:
    """Random values somewhat beyond 0..1, some of them exact; colours of 8 bits."""
    rng = np.random.default_rng(0)
    made = {name: rng.random(shape, dtype=np.float32) * 1.4 - 0.2 for name, shape in SHAPES.items()}
    for values in made.values():
        values[rng.random(values.shape) < 0.1] = 0.5
        values[rng.random(values.shape) < 0.1] = 1.0
    colours = rng.integers(0, 3, (2, 12, 17, 3)).astype(np.float32) / np.float32(255)
    return {**made, "colours": colours, "hard": (made["mask"] > 0.6).astype(np.float32)}


Calls = Iterator[Call]


def loading(files: list[str]) -> Calls:
    for name in files:
        yield "LoadImageOutput", {"image": name}
        for channel in ("alpha", "red", "green", "blue", "luminance"):
            yield "LoadImageMask", {"image": name, "channel": channel}
    yield "LoadImageOutput", {"image": "saved.png [output]"}


def scaling() -> Calls:
    for name, method in itertools.product(IMAGES, METHODS):
        for factor in (0.01, 0.1, 0.37, 1.0, 2.5):
            yield "ImageScaleBy", {"image": array(name), "upscale_method": method, "scale_by": factor}
        for area, steps in ((0.01, 1), (0.01, 7), (0.013, 64), (0.01, 256)):
            inputs = {"image": array(name), "upscale_method": method, "megapixels": area}
            yield "ImageScaleToTotalPixels", {**inputs, "resolution_steps": steps}
    kinds: list[dict[str, Any]] = [{"resize_type": "scale by multiplier", "multiplier": m} for m in (0.01, 0.3, 1.7)]
    for side in (0, 1, 5, 20):
        kinds += [{"resize_type": "scale longer dimension", "longer_size": side}]
        kinds += [{"resize_type": "scale shorter dimension", "shorter_size": side}]
        kinds += [{"resize_type": "scale width", "width": side}, {"resize_type": "scale height", "height": side}]
    for crop in ("disabled", "center"):
        kinds += [{"resize_type": "match size", "match": array(name), "crop": crop} for name in ("small", "mask")]
        for width, height in ((0, 0), (0, 5), (6, 0), (5, 9), (20, 3), (1, 30)):
            kinds += [{"resize_type": "scale dimensions", "width": width, "height": height, "crop": crop}]
    kinds += [{"resize_type": "scale total pixels", "megapixels": area} for area in (0.01, 0.0101)]
    batches = [name for name in (*IMAGES, *MASKS) if name != "one"]  # 0.8 takes the rows of a mask alone for masks
    for name, kind, method in itertools.product(batches, kinds, METHODS):
        bars = kind.get("height") == 30 and kind.get("crop") == "center"
        if bars and method == "lanczos" and name in ("wide", "square"):
            continue  # 0.8 cuts everything away, and Pillow paints black
        yield "ResizeImageMaskNode", {"input": array(name), "resize_type": kind, "scale_method": method}


def editing() -> Calls:
    for name in [*IMAGES, "grey"]:
        image = {"image": array(name)}
        yield "ImageInvert", image
        yield "GetImageSize", image
        yield "SplitImageWithAlpha", image
        for channel in ("red", "green", "blue", "alpha"):
            yield "ImageToMask", {**image, "channel": channel}
        for x, y in PLACES:
            yield "ImageCrop", {**image, "width": 6, "height": 5, "x": x, "y": y}
        for first, length in itertools.product((0, 1, 2, 4095, -1), (1, 2, 4096)):
            yield "ImageFromBatch", {**image, "batch_index": first, "length": length}
        for amount in (1, 3):
            yield "RepeatImageBatch", {**image, "amount": amount}
        for edges, feathering in itertools.product(EDGES, (0, 1, 2, 3, 5, 40)):
            borders = dict(zip(("left", "top", "right", "bottom"), edges, strict=True))
            yield "ImagePadForOutpaint", {**image, **borders, "feathering": feathering}
    for colour in (0, 0x010203, 0xFFFFFF, 0x808080, 0x0100FE):
        yield "EmptyImage", {"width": 5, "height": 3, "batch_size": 2, "color": colour}
        yield "ImageColorToMask", {"image": array("rgb"), "color": colour}
    for red, green, blue in itertools.product(range(3), repeat=3):
        yield "ImageColorToMask", {"image": array("colours"), "color": red << 16 | green << 8 | blue}


def masks() -> Calls:
    for value in (0.0, 0.3, 0.5, 1.0):
        yield "SolidMask", {"value": value, "width": 3, "height": 5}
    for name in [*MASKS, "hard"]:
        mask = {"mask": array(name)}
        yield "InvertMask", mask
        for value in (0.0, 0.3, 0.5, 1.0):
            yield "ThresholdMask", {**mask, "value": value}
        for x, y in PLACES:
            yield "CropMask", {**mask, "x": x, "y": y, "width": 6, "height": 5}
        for left, top in ((0, 0), (1, 2), (5, 0), (0, 7), (7, 5), (16384, 16384)):
            yield "FeatherMask", {**mask, "left": left, "top": top, "right": 0, "bottom": 0}
        for expand, tapered in itertools.product((0, 1, 2, 5, 30, -1, -2, -5, -30), (True, False)):
            yield "GrowMask", {**mask, "expand": expand, "tapered_corners": tapered}


def combining() -> Calls:
    operations = ["multiply", "add", "subtract", "and", "or", "xor"]
    pairs = [("mask", "two"), ("mask", "one"), ("one", "strip"), ("masks", "one"), ("mask", "masks"), ("strip", "mask")]
    for (below, above), (x, y), operation in itertools.product(pairs, PLACES, operations):
        inputs = {"destination": array(below), "source": array(above), "x": x, "y": y}
        yield "MaskComposite", {**inputs, "operation": operation}
    layers = [("rgb", "small"), ("small", "rgb"), ("rgb", "small_rgba"), ("rgba", "small_rgba"), ("rgba", "small")]
    for (below, above), (x, y), resized in itertools.product(layers, PLACES, (False, True)):
        inputs = {"destination": array(below), "source": array(above), "x": x, "y": y, "resize_source": resized}
        yield "ImageCompositeMasked", inputs
        for name in ("mask", "masks", "one"):
            yield "ImageCompositeMasked", {**inputs, "mask": array(name)}
    for name, mask in itertools.product([*IMAGES, "grey"], MASKS):
        yield "JoinImageWithAlpha", {"image": array(name), "alpha": array(mask)}
    for first, second in itertools.product([*IMAGES, "grey"], repeat=2):
        yield "ImageBatch", {"image1": array(first), "image2": array(second)}
        for third in ("rgba", "tall"):
            members = {f"image{number}": array(name) for number, name in enumerate((first, second, third))}
            yield "BatchImagesNode", {"images": members}


@dataclass
class Oracle:
    """What ComfyUI answered, and what it was asked."""

    folder: Path
    calls: list[Call]
    answers: list[dict[str, Any]]
    records: dict[str, Any]
    given: dict[str, np.ndarray]

    def fill(self, value: Any) -> Any:
        """Inputs of a call with fresh tensors in place of their names."""
        if isinstance(value, dict):
            if list(value) == ["array"]:
                return torch.from_numpy(self.given[value["array"]].copy())
            return {key: self.fill(each) for key, each in value.items()}
        return value

    def of(self, key: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Inputs and answer of every call of a class."""
        for (called, inputs), answer in zip(self.calls, self.answers, strict=True):
            if called == key:
                yield inputs, answer


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """Run ComfyUI's classes once."""
    folder = tmp_path_factory.mktemp("comfyui")
    for name in ("input", "output", "temp", "ours"):
        (folder / name).mkdir()
    files = write_inputs(folder / "input")
    Image.new("RGBA", (4, 3), (9, 99, 199, 50)).save(folder / "output" / "saved.png")
    given = arrays()
    asked = [*loading(files), *scaling(), *editing(), *masks(), *combining()]
    asked += [("MaskPreview", {"mask": array(name)}) for name in ("mask", "one")]
    keys = list(import_nodes("core").CORE_NODES)
    return Oracle(folder, asked, *ask(folder, asked, given, keys), given)


@pytest.fixture
def ours(theirs: Oracle) -> Iterator[dict[str, Any]]:
    """Our classes, on a host with the same folders, but for temporary files."""
    host = import_nodes("host")
    before = host.use_headless(host.HeadlessHost(*(theirs.folder / name for name in ("input", "output", "ours"))))
    yield import_nodes("core").CORE_NODES
    host.use_headless(before)


def call(made: Any, inputs: dict[str, Any]) -> Any:
    return getattr(made(), made.FUNCTION)(**inputs)


COMPARED = {  # class, and in how many calls ComfyUI answers
    **{"LoadImageMask": 90, "LoadImageOutput": 18, "ImageScaleBy": 110, "ImageScaleToTotalPixels": 70},
    **{"ResizeImageMaskNode": 1800, "ImageInvert": 8, "GetImageSize": 8, "SplitImageWithAlpha": 8, "ImageToMask": 20},
    **{"ImageCrop": 88, "ImageFromBatch": 120, "RepeatImageBatch": 16, "ImagePadForOutpaint": 240, "EmptyImage": 5},
    **{"ImageColorToMask": 32, "SolidMask": 4, "InvertMask": 7, "ThresholdMask": 28, "CropMask": 77},
    **{"FeatherMask": 42, "GrowMask": 126, "MaskComposite": 180, "ImageCompositeMasked": 150},
    **{"JoinImageWithAlpha": 40, "ImageBatch": 40, "BatchImagesNode": 80},
}


@pytest.mark.parametrize("key", COMPARED)
def test_same_results(ours: Any, theirs: Oracle, key: str) -> None:
    answered = 0
    for inputs, answer in theirs.of(key):
        if "error" in answer:
            with suppress(InputError) if key in WIDER else pytest.raises(InputError):
                call(ours[key], theirs.fill(inputs))
            continue
        if key in EMPTY and any(isinstance(value, np.ndarray) and not value.size for value in answer["values"]):
            with pytest.raises(InputError, match="expected at least 1 x 1"):
                call(ours[key], theirs.fill(inputs))
            continue
        answered += 1
        values = call(ours[key], theirs.fill(inputs))
        for mine, other in zip(values, answer["values"], strict=True):
            if isinstance(other, np.ndarray):
                assert (mine.dtype, mine.shape) == (torch.float32, other.shape), inputs
                assert np.array_equal(mine.numpy(), other), inputs
            else:
                assert mine == other, inputs
    assert answered >= COMPARED[key]


@pytest.mark.parametrize(("right", "bottom"), [(1, 2), (5, 0), (0, 7), (7, 5), (16384, 16384)])
def test_feather_at_the_other_edges_is_the_mirror_image(ours: Any, theirs: Oracle, right: int, bottom: int) -> None:
    """0.8 counts these edges from the wrong end; a mask turned around shows what was meant."""
    for inputs, answer in theirs.of("FeatherMask"):
        if (inputs["left"], inputs["top"]) == (right, bottom):
            mask = theirs.fill(inputs["mask"]).flip((-1, -2))
            (faded,) = ours["FeatherMask"]().execute(mask, 0, 0, right, bottom)
            assert np.array_equal(faded.flip((-1, -2)).numpy(), answer["values"][0])


def test_mask_preview_writes_the_same_files(ours: Any, theirs: Oracle) -> None:
    for inputs, answer in theirs.of("MaskPreview"):
        prompt = {"prompt": {"1": {}}, "extra_pnginfo": {"workflow": {}}}
        ui = call(ours["MaskPreview"], {**theirs.fill(inputs), **prompt})["ui"]
        assert list(ui["animated"]) == answer["ui"]["animated"]
        for one, other in zip(ui["images"], answer["ui"]["images"], strict=True):
            assert {**one, "filename": ""} == {**other, "filename": ""}
            assert len(one["filename"]) == len(other["filename"])
            mine, file = theirs.folder / "ours" / one["filename"], theirs.folder / "temp" / other["filename"]
            assert mine.read_bytes() == file.read_bytes()


def bare(declared: Any) -> Any:
    """A declaration without its tooltips; a hidden input as plain text, tuples as JSON has them."""
    if isinstance(declared, dict):
        return {key: bare(value) for key, value in declared.items() if key != "tooltip"}
    return [bare(value) for value in declared] if isinstance(declared, (list, tuple)) else declared


def inputs_of(declared: Any) -> dict[str, list[tuple[str, Any, Any]]]:
    """Names, types and options of every group in order; no options are the same as empty ones."""
    groups = {}
    for group, inputs in bare(declared).items():
        specs = [[value] if isinstance(value, str) else value for value in inputs.values()]
        groups[group] = [(name, *spec, {})[:3] for name, spec in zip(inputs, specs, strict=True)]
    return {group: rows for group, rows in groups.items() if rows}


PASS_ON = ("SaveImage", "PreviewImage")  # later versions hand the images on, and files link to that output


def test_declarations(ours: Any, theirs: Oracle) -> None:
    titles = import_nodes("core").CORE_DISPLAY_NAMES
    for key, made in ours.items():
        record = theirs.records[key]
        mine, other = inputs_of(made.INPUT_TYPES()), inputs_of(record["inputs"])
        if key.startswith("LoadImage") and mine["required"][0][1] != "COMBO":  # the files of the day
            mine["required"][0], other["required"][0] = (each["required"][0][::2] for each in (mine, other))
        assert mine == other, key
        if key in PASS_ON:
            assert (made.RETURN_TYPES, record["outputs"]) == (("IMAGE",), [])
            continue
        assert list(made.RETURN_TYPES) == record["outputs"], key
        assert list(getattr(made, "RETURN_NAMES", made.RETURN_TYPES)) == record["names"], key
        assert (made.CATEGORY, titles[key]) == (record["category"], record["title"]), key
        flags = ("OUTPUT_NODE", "DEPRECATED", "EXPERIMENTAL", "INPUT_IS_LIST")
        assert [bool(getattr(made, flag, False)) for flag in flags] == record["flags"], key
