"""Tests of `nodes/core`: each stand-in against an obvious twin, a case by hand and a failure."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from llmseg.errors import InputError


def node(nodes: Any, key: str) -> Any:
    """A fresh instance of a core node."""
    return nodes("core").CORE_NODES[key]()


def random_pixels(height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def load(nodes: Any, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    images, masks = node(nodes, "LoadImage").load_image(name)
    assert images.dtype == masks.dtype == torch.float32
    return images, masks


def test_every_input_is_explained_and_limited(nodes: Any, host: Any) -> None:
    core = nodes("core")
    assert list(core.CORE_NODES) == list(core.CORE_DISPLAY_NAMES)
    for key, made in core.CORE_NODES.items():
        declared = made.INPUT_TYPES()
        assert callable(getattr(made(), made.FUNCTION)), key
        assert made.CATEGORY, key
        assert made.DESCRIPTION.endswith("."), key
        assert len(made.RETURN_TYPES) == len(getattr(made, "OUTPUT_TOOLTIPS", ())), key
        for name, (_, options) in declared["required"].items():
            assert options["tooltip"].endswith("."), (key, name)
            if {"min", "default"} <= set(options):
                assert options["min"] <= options["default"] <= options["max"], (key, name)


def test_load_rgba_gives_inverted_alpha(nodes: Any, host: Any, tmp_path: Path) -> None:
    pixels = random_pixels(3, 5, 4)
    Image.fromarray(pixels).save(tmp_path / "input" / "x.png")
    images, masks = load(nodes, "x.png")
    assert images.shape == (1, 3, 5, 3)
    for y in range(3):
        for x in range(5):
            assert images[0, y, x].tolist() == pytest.approx((pixels[y, x, :3] / 255.0).tolist(), abs=1e-7)
            assert masks[0, y, x].item() == pytest.approx(1 - pixels[y, x, 3] / 255.0, abs=1e-6)


@pytest.mark.parametrize(("mode", "grey"), [("RGB", (9, 9, 9)), ("L", 9), ("P", 0), ("1", 1)])
def test_load_without_alpha_gives_64_by_64_zeros(nodes: Any, host: Any, tmp_path: Path, mode: str, grey: Any) -> None:
    Image.new(mode, (5, 3), grey).save(tmp_path / "input" / "x.png")
    images, masks = load(nodes, "x.png")
    assert images.shape == (1, 3, 5, 3)
    assert masks.shape == (1, 64, 64)
    assert masks.max() == 0


def test_load_palette_with_transparency(nodes: Any, host: Any, tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    image.save(tmp_path / "input" / "x.png", transparency=1)
    images, masks = load(nodes, "x.png")
    assert masks.tolist() == [[[0.0, 1.0]]]
    assert (images * 255).round().tolist() == [[[[10, 20, 30], [40, 50, 60]]]]


def test_load_animated_gif_is_a_batch(nodes: Any, host: Any, tmp_path: Path) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    first, *rest = [Image.new("RGB", (6, 4), colour) for colour in colours]
    first.save(tmp_path / "input" / "x.gif", save_all=True, append_images=rest)
    images, masks = load(nodes, "x.gif")
    assert images.shape == (3, 4, 6, 3)
    assert masks.shape == (3, 64, 64)
    assert (images[:, 0, 0] * 255).round().int().tolist() == [list(colour) for colour in colours]


def test_load_skips_frames_of_another_size(nodes: Any, host: Any, tmp_path: Path) -> None:
    first, *rest = [Image.new("RGB", size, grey) for size, grey in (((6, 4), 10), ((4, 6), 20), ((6, 4), 30))]
    first.save(tmp_path / "input" / "x.tiff", save_all=True, append_images=rest)
    images, _ = load(nodes, "x.tiff")
    assert (images[:, 0, 0, 0] * 255).round().tolist() == [10, 30]


def test_load_mixed_alpha_gives_masks_of_one_size(nodes: Any, host: Any, tmp_path: Path) -> None:
    opaque, clear = Image.new("RGB", (6, 4), "red"), Image.new("RGBA", (6, 4), (0, 0, 0, 51))
    opaque.save(tmp_path / "input" / "x.tiff", save_all=True, append_images=[clear])
    _, masks = load(nodes, "x.tiff")
    assert masks.shape == (2, 4, 6)
    assert masks[:, 0, 0].tolist() == pytest.approx([0.0, 0.8])


def test_load_takes_only_the_first_view_of_a_stereo_picture(nodes: Any, host: Any, tmp_path: Path) -> None:
    left, right = Image.new("RGB", (6, 4), "red"), Image.new("RGB", (6, 4), "blue")
    left.save(tmp_path / "input" / "x.mpo", save_all=True, append_images=[right])
    images, _ = load(nodes, "x.mpo")
    assert images.shape == (1, 4, 6, 3)
    assert images[0, 0, 0].round().tolist() == [1, 0, 0]


def test_load_turns_the_image_as_exif_says(nodes: Any, host: Any, tmp_path: Path) -> None:
    pixels = random_pixels(2, 3, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise
    Image.fromarray(pixels).save(tmp_path / "input" / "x.png", exif=exif)
    images, _ = load(nodes, "x.png")
    assert (images[0] * 255).round().byte().numpy().tolist() == np.rot90(pixels, -1).tolist()


def test_load_reads_a_truncated_file(nodes: Any, host: Any, tmp_path: Path) -> None:
    from PIL import ImageFile

    buffer = io.BytesIO()
    Image.fromarray(random_pixels(40, 30, 3)).save(buffer, format="JPEG")
    (tmp_path / "input" / "x.jpg").write_bytes(buffer.getvalue()[:-300])
    images, _ = load(nodes, "x.jpg")
    assert images.shape == (1, 40, 30, 3)
    assert images[0, 0].max() > 0
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_load_says_what_it_cannot_read(nodes: Any, host: Any, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "input" / "x.png").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load(nodes, "x.png")
    kind = type(caught.value.__cause__).__name__
    assert str(caught.value) == (f"image: cannot read 'x.png' ({kind}); expected a whole image file of a usual size.")


def test_load_refuses_a_decompression_bomb(
    nodes: Any, host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (100, 100)).save(tmp_path / "input" / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="DecompressionBombError"):
        load(nodes, "x.png")


def test_load_validates_and_notices_changes(nodes: Any, host: Any, tmp_path: Path) -> None:
    made = nodes("core").CORE_NODES["LoadImage"]
    (tmp_path / "output" / "x.png").write_bytes(b"abc")
    assert made.VALIDATE_INPUTS("x.png [output]") is True
    assert made.VALIDATE_INPUTS(None) is True
    assert made.VALIDATE_INPUTS("x.png") == "no file 'x.png'; expected an image in the input folder."
    leaves = "path '../x.png' leaves the input folder; expected a file inside it."
    assert made.VALIDATE_INPUTS("../x.png") == leaves
    assert made.IS_CHANGED("x.png [output]") == hashlib.sha256(b"abc").hexdigest()
    (tmp_path / "input" / "b.webp").write_bytes(b"")
    assert made.INPUT_TYPES()["required"]["image"][0] == ["b.webp"]


def test_save_truncates_and_carries_the_workflow(nodes: Any, host: Any, tmp_path: Path) -> None:
    images = torch.tensor([-0.5, 0.999, 2.0, 0.5]).view(2, 1, 2, 1).expand(2, 1, 2, 3)
    prompt, extra = {"1": {"class_type": "Ä"}}, {"workflow": {"nodes": []}, "more": 1}
    shown = node(nodes, "SaveImage").save_images(images, "a/%width%x%height%", prompt, extra)
    first, second = shown["ui"]["images"]
    assert first == {"filename": "2x1_00001_.png", "subfolder": "a", "type": "output"}
    assert second["filename"] == "2x1_00002_.png"
    with Image.open(tmp_path / "output" / "a" / first["filename"]) as file:
        assert (file.mode, list(np.array(file)[0, :, 0])) == ("RGB", [0, 254])
        texts = file.text  # type: ignore[attr-defined]
        assert list(texts) == ["prompt", "workflow", "more"]
        assert texts["prompt"] == '{"1": {"class_type": "\\u00c4"}}'
        assert json.loads(texts["workflow"]) == {"nodes": []}
    with Image.open(tmp_path / "output" / "a" / second["filename"]) as file:
        assert list(np.array(file)[0, :, 0]) == [255, 127]
    again = node(nodes, "SaveImage").save_images(images, "a/2x1")
    assert again["ui"]["images"][0]["filename"] == "2x1_00003_.png"


def test_save_round_trips_through_load(nodes: Any, host: Any) -> None:
    pixels = random_pixels(4, 7, 4)
    images = torch.from_numpy((pixels.astype(np.float32) + 0.25) / 255)[None]
    shown = node(nodes, "SaveImage").save_images(images, "x")
    loaded, masks = load(nodes, shown["ui"]["images"][0]["filename"] + " [output]")
    assert (loaded[0] * 255).round().byte().numpy().tolist() == pixels[..., :3].tolist()
    assert ((1 - masks[0]) * 255).round().byte().numpy().tolist() == pixels[..., 3].tolist()


def test_save_without_metadata_or_outside(nodes: Any, host: Any, tmp_path: Path) -> None:
    host.use_headless(dataclasses.replace(host.use_headless(None), save_metadata=False))
    images = torch.zeros(1, 2, 3, 3)
    node(nodes, "SaveImage").save_images(images, "x", {"1": {}})
    with Image.open(tmp_path / "output" / "x_00001_.png") as file:
        assert "prompt" not in file.info
    with pytest.raises(InputError, match=r"path '\.\./x' leaves the output folder"):
        node(nodes, "SaveImage").save_images(images, "../x")


def test_preview_goes_to_the_temporary_folder(nodes: Any, host: Any, tmp_path: Path) -> None:
    made = node(nodes, "PreviewImage")
    (shown,) = made.save_images(torch.zeros(1, 2, 3, 3))["ui"]["images"]
    assert shown["type"] == "temp"
    assert shown["filename"].startswith("ComfyUI_temp_")
    assert len(shown["filename"]) == len("ComfyUI_temp_abcde_00001_.png")
    assert (tmp_path / "temp" / shown["filename"]).is_file()
    assert list(made.INPUT_TYPES()["required"]) == ["images"]


def nearest_exact(image: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """Twin: the source pixel under the middle of each target pixel."""
    out = torch.empty(image.shape[0], height, width, image.shape[3])
    for y in range(height):
        for x in range(width):
            source_y = int((y + 0.5) * image.shape[1] / height)
            source_x = int((x + 0.5) * image.shape[2] / width)
            out[:, y, x] = image[:, source_y, source_x]
    return out


def bilinear(image: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """Twin: four neighbours, half-pixel centres, edges repeated."""
    old_height, old_width = image.shape[1:3]
    out = torch.empty(image.shape[0], height, width, image.shape[3])
    for y in range(height):
        for x in range(width):
            v = min(max((y + 0.5) * old_height / height - 0.5, 0), old_height - 1)
            u = min(max((x + 0.5) * old_width / width - 0.5, 0), old_width - 1)
            y0, x0 = int(v), int(u)
            y1, x1 = min(y0 + 1, old_height - 1), min(x0 + 1, old_width - 1)
            top = image[:, y0, x0] * (1 - u + x0) + image[:, y0, x1] * (u - x0)
            low = image[:, y1, x0] * (1 - u + x0) + image[:, y1, x1] * (u - x0)
            out[:, y, x] = top * (1 - v + y0) + low * (v - y0)
    return out


@pytest.mark.parametrize("size", [(3, 2), (11, 9), (7, 4)])
@pytest.mark.parametrize("twin", [nearest_exact, bilinear])
def test_scale_equals_the_twin(nodes: Any, twin: Any, size: tuple[int, int]) -> None:
    image = torch.rand(2, 4, 7, 3, generator=torch.Generator().manual_seed(0))
    method = twin.__name__.replace("_", "-")
    (scaled,) = node(nodes, "ImageScale").upscale(image, method, *size, "disabled")
    torch.testing.assert_close(scaled, twin(image, *size), atol=1e-5, rtol=0)


def test_scale_area_is_the_mean_of_blocks(nodes: Any) -> None:
    image = torch.rand(2, 4, 6, 3)
    (scaled,) = node(nodes, "ImageScale").upscale(image, "area", 3, 2, "disabled")
    blocks = image.view(2, 2, 2, 3, 2, 3).mean(dim=(2, 4))
    torch.testing.assert_close(scaled, blocks)


def test_scale_lanczos_goes_through_eight_bits(nodes: Any) -> None:
    image = torch.rand(2, 4, 7, 3) * 1.2 - 0.1
    (scaled,) = node(nodes, "ImageScale").upscale(image, "lanczos", 5, 9, "disabled")
    for one, result in zip(image, scaled, strict=True):
        bytes_ = (one * 255).clamp(0, 255).floor().byte().numpy()
        wanted = np.array(Image.fromarray(bytes_).resize((5, 9), Image.Resampling.LANCZOS))
        assert (result * 255).round().byte().numpy().tolist() == wanted.tolist()


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"])
def test_scale_knows_every_method(nodes: Any, method: str) -> None:
    assert method in node(nodes, "ImageScale").INPUT_TYPES()["required"]["upscale_method"][0]
    flat = torch.full((2, 4, 7, 3), 0.2)
    (scaled,) = node(nodes, "ImageScale").upscale(flat, method, 5, 3, "center")
    torch.testing.assert_close(scaled, torch.full((2, 3, 5, 3), 0.2), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("wanted", "shape"),
    [((0, 0), (4, 6)), ((0, 2), (2, 3)), ((9, 0), (6, 9)), ((0, 1), (1, 2)), ((1, 0), (1, 1))],
)
def test_scale_fills_in_a_side_of_zero(nodes: Any, wanted: tuple[int, int], shape: tuple[int, int]) -> None:
    image = torch.rand(2, 4, 6, 3)
    (scaled,) = node(nodes, "ImageScale").upscale(image, "bilinear", *wanted, "disabled")
    assert scaled.shape == (2, *shape, 3)
    assert (scaled is image) == (wanted == (0, 0))


def test_scale_cuts_the_middle_out(nodes: Any) -> None:
    image = torch.arange(10.0).view(1, 1, 10, 1).expand(1, 4, 10, 3)
    (scaled,) = node(nodes, "ImageScale").upscale(image, "nearest-exact", 4, 4, "center")
    assert scaled[0, 0, :, 0].tolist() == [3, 4, 5, 6]
    (scaled,) = node(nodes, "ImageScale").upscale(image.transpose(1, 2), "nearest-exact", 4, 4, "center")
    assert scaled[0, :, 0, 0].tolist() == [3, 4, 5, 6]
    (scaled,) = node(nodes, "ImageScale").upscale(image, "nearest-exact", 1, 1000, "center")
    assert scaled.shape == (1, 1000, 1, 3)  # ComfyUI cuts everything away here and fails


@pytest.mark.parametrize("shape", [(4, 6), (2, 4, 6)])
def test_mask_becomes_three_equal_channels(nodes: Any, shape: tuple[int, ...]) -> None:
    mask = torch.rand(shape)
    (image,) = node(nodes, "MaskToImage").mask_to_image(mask)
    assert image.shape == ((1, *shape, 3) if len(shape) == 2 else (*shape, 3))
    for channel in range(3):
        assert torch.equal(image[..., channel].reshape(shape), mask)


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no text")


circular: list[Any] = []
circular.append(circular)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        ("a\nb", "a\nb"),
        (3, "3"),
        (0.5, "0.5"),
        (True, "True"),
        ({"a": [1, "ü"]}, '{\n    "a": [\n        1,\n        "\\u00fc"\n    ]\n}'),
        (
            {
                1,
            },
            "{1}",
        ),
        (circular, "[[...]]"),
        (Mute(), "source exists, but could not be serialized."),
    ],
)
def test_preview_any_shows_text(nodes: Any, value: object, text: str) -> None:
    assert node(nodes, "PreviewAny").main(value) == {"ui": {"text": (text,)}}
