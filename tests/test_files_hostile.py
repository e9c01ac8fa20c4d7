"""Pictures from strangers, for `files.read_image`: read right, or refused with one line."""

from __future__ import annotations

import io
import random
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from llmseg.errors import InputError
from llmseg.files import read_image

HEIGHT, WIDTH = 20, 31
PICTURE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
FORMATS = ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "TGA", "ICO"]


def saved(path: Path, array: NDArray[Any], mode: str | None = None) -> Path:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)
    return path


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG that claims a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def test_plain_picture(tmp_path: Path) -> None:
    array = read_image(saved(tmp_path / "x.png", PICTURE))
    assert array.dtype == np.uint8
    assert np.array_equal(array, PICTURE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_picture_is_turned_upright(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PICTURE).save(tmp_path / "x.png", exif=exif)
    upright = {
        1: PICTURE,
        2: PICTURE[:, ::-1],
        3: PICTURE[::-1, ::-1],
        4: PICTURE[::-1],
        5: PICTURE.transpose(1, 0, 2),
        6: np.rot90(PICTURE, -1),
        7: PICTURE[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(PICTURE, 1),
    }
    assert np.array_equal(read_image(tmp_path / "x.png"), upright[orientation])


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_16_bit_grey_keeps_its_tones(name: str, tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    array = read_image(saved(tmp_path / name, grey))
    assert array.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(array.astype(float) * 257 - grey[..., None]).max() <= 129


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("x.tif" if mode in ("CMYK", "YCbCr") else "x.png")
    expected = Image.fromarray(PICTURE).convert(mode).convert("RGB")
    assert np.array_equal(read_image(saved(path, PICTURE, mode)), np.asarray(expected))


def test_colours_under_transparency_are_kept(tmp_path: Path) -> None:
    alpha = np.concatenate([PICTURE, np.zeros((HEIGHT, WIDTH, 1), dtype=np.uint8)], axis=2)
    assert np.array_equal(read_image(saved(tmp_path / "x.png", alpha)), PICTURE)


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(PICTURE).quantize(16)
    image.save(tmp_path / "x.png", transparency=3)
    assert np.array_equal(read_image(tmp_path / "x.png"), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    "data",
    [b"", b"dog, car", b"\x89PNG\r\n\x1a\n", b"<svg/>", png_header(8, 8), b"GIF89a", b"\0" * 1000],
    ids=["empty", "text", "signature", "svg", "header", "gif", "zeros"],
)
def test_file_that_is_no_picture(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_image(path)
    assert str(caught.value) == (
        f"image: cannot read {str(path)!r}: not a readable picture; expected a PNG, JPEG or WebP."
    )


def test_missing_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    with pytest.raises(InputError) as caught:
        read_image(path)
    assert str(caught.value) == (
        f"image: cannot read {str(path)!r}: No such file or directory; expected a PNG, JPEG or WebP."
    )


@pytest.mark.parametrize("name", [".", "a\0b", "x" * 5000])
def test_path_that_is_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^image: cannot read .*; expected a PNG, JPEG or WebP\.$"):
        read_image(tmp_path / name)


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_picture_of_absurd_size(side: int, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png_header(side, side) + b"\0\0\0\x0aIDAT" + b"\0" * 10)
    with pytest.raises(InputError) as caught:
        read_image(path)
    text = str(caught.value)
    assert text.startswith(f"image: {str(path)!r} is too large (Image size ({side * side} pixels) exceeds limit of ")
    assert text.endswith(f"; expected at most {Image.MAX_IMAGE_PIXELS} pixels.")


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Cut short, or some bytes changed, often near the start where the sizes are."""
    if chance.random() < 0.3:
        return data[: chance.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(chance.choice([1, 2, 5, 20])):
        changed[chance.randrange(min(len(data), chance.choice([60, 300, len(data)])))] = chance.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_pictures_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, kind, **({"exif": exif} if kind in ("PNG", "JPEG", "WEBP", "TIFF") else {}))
    chance, path, refused = random.Random(1), tmp_path / "x.img", 0
    for _ in range(60):
        path.write_bytes(damaged(buffer.getvalue(), chance))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Pillow's own remarks on damaged tags
            try:
                array = read_image(path)
            except InputError:
                refused += 1
            else:
                assert array.dtype == np.uint8
                assert array.shape[2:] == (3,)
    assert refused > 0
