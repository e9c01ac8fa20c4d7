"""Draw the pack's icon and banner, as a registry shows them.

    python -m tools.branding

The icon: patches on one side, classes with sharp edges on the other. The banner: a packaged scene, part of it as it is
and part as LLMSeg labels it. Both use the palette of the overlays, and nothing that is not in the package.

Not here: the README's picture and the thumbnails (`pictures`).
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from llmseg import LabelMap, segment
from llmseg.examples import load_example
from llmseg.files import png_bytes
from llmseg.palette import INK, PAPER, make_palette
from llmseg.store import write_atomic

ASSETS = Path(__file__).parent.parent / "assets"
FINE = 4  # the icon is drawn so many times larger and averaged, the banner half of it
LEAN = 0.12  # how far lines lean, as a share of their height

ICON = 400  # pixels, a side
PATCHES = 8  # along a side
SKY, SUN, HILL, MEADOW = range(4)
ICON_COLOURS = (1, 3, 5, 2)  # places in the palette

BANNER = (1680, 720)  # 21:9
SCENE, NAMES = "park", "building, sky, grass, dog, flower, ball, tree, car"
PANEL = 763  # where the words' side ends
SPLIT = 1105  # where the picture ends and its labels begin
OPACITY = 0.7
TAGS = {"sky": (1270, 60), "building": (1452, 92), "car": (1216, 300), "flower": (1578, 368), "ball": (1246, 520)}
TAGS |= {"grass": (1440, 640)}
LINES = (
    "Name things in pictures.",
    "Segmentation without training, by language models,",
    "in ComfyUI and from a shell.",
)


def main() -> None:
    """Write assets/icon.png and assets/banner.jpg."""
    small = icon()
    write_atomic(ASSETS / "icon.png", png_bytes(small))
    write_atomic(ASSETS / "banner.jpg", _jpeg_bytes(banner(small)))


def icon() -> Image.Image:
    """A landscape, patch by patch on the left and by class on the right. RGBA, square"""
    side = ICON * FINE
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side
    classes = np.full(x.shape, SKY)
    classes[(x - 0.5) ** 2 + (y - 0.42) ** 2 < 0.25**2] = SUN
    classes[y > 0.73 - 0.13 * np.sin(4.2 * x - 2.1)] = HILL
    classes[y > 0.80 + 0.055 * np.sin(4.6 * x + 0.5)] = MEADOW
    palette = make_palette(len(ICON_COLOURS) + 2)
    colours = np.array([palette[place] for place in ICON_COLOURS], float)
    sharp = colours[classes]
    sharp[_edges(classes, 9 * FINE)] = PAPER
    pixels = _join(_patches(classes, colours, x, y), sharp, x - (0.5 + LEAN * (0.5 - y)), 0.011)
    picture = _image(pixels).convert("RGBA")
    shape = Image.new("L", (side, side))
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, side - 1, side - 1), side * 0.22, fill=255)
    picture.putalpha(shape)
    return picture.resize((ICON, ICON), Image.Resampling.BOX)


def banner(small: Image.Image) -> Image.Image:
    """Words on the left, the scene and its labels on the right. RGB, 21:9

    Args:
        small: the icon.
    """
    scene = load_example(SCENE)
    result = segment(Image.fromarray(scene), NAMES)
    canvas = _scene_panel(scene, result)
    colours = dict(zip(result.names, result.palette, strict=True))
    for name, centre in TAGS.items():
        _draw_tag(canvas, name, centre, colours[name])
    mark = small.resize((152, 152), Image.Resampling.LANCZOS)
    canvas.paste(mark, (84, 174), mark)
    draw = ImageDraw.Draw(canvas)
    # The one font that Pillow brings has no bold face; a stroke of its own colour makes one.
    draw.text((268, 250), "LLMSeg", PAPER, ImageFont.load_default(104), anchor="lm", stroke_width=2, stroke_fill=PAPER)
    for line, (top, size) in zip(LINES, ((414, 46), (494, 25), (532, 25)), strict=True):
        draw.text((84, top), line, PAPER if size > 40 else (176, 180, 188), ImageFont.load_default(size), anchor="lm")
    return canvas


def _scene_panel(scene: NDArray[np.uint8], result: LabelMap) -> Image.Image:
    """The banner without words: dark, then the scene, then its labels with smooth edges."""
    width, height = (side * FINE // 2 for side in BANNER)
    size = (height * 4 // 3, height)
    photo = np.full((height, width, 3), INK, float)
    calm = Image.fromarray(scene).filter(ImageFilter.MedianFilter(3))  # its grain would become spots
    photo[:, width - size[0] :] = np.asarray(calm.resize(size, Image.Resampling.LANCZOS))
    labels = np.zeros((height, width), int)
    labels[:, width - size[0] :] = _enlarge(result.labels[0].numpy(), len(result.names), size)
    labelled = photo * (1 - OPACITY) + np.array(result.palette, float)[labels] * OPACITY
    labelled[_edges(labels, 9)] = PAPER
    x = np.arange(width)[None] * BANNER[0] / width + LEAN * (np.arange(height)[:, None] * BANNER[1] / height - 360)
    photo[x < PANEL] = INK
    pixels = _join(photo, labelled, x - SPLIT, 4)
    return _image(pixels).resize(BANNER, Image.Resampling.BOX)


def _enlarge(labels: NDArray[np.int64], count: int, size: tuple[int, int]) -> NDArray[np.int64]:
    """Labels at a larger size, stairs and specks smoothed away. [H,W]"""
    layers = []
    for label in range(count):
        layer = Image.fromarray((labels == label).astype(np.uint8) * 255)
        smooth = layer.filter(ImageFilter.MedianFilter(5)).filter(ImageFilter.GaussianBlur(0.8))
        layers.append(np.asarray(smooth.resize(size, Image.Resampling.BICUBIC)))
    enlarged: NDArray[np.int64] = np.stack(layers).argmax(0)
    return enlarged


def _draw_tag(canvas: Image.Image, name: str, centre: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """A name on paper beside a dot of its colour, drawn large and averaged like everything else."""
    font = ImageFont.load_default(24 * FINE)
    width, height, dot = round(font.getlength(name)) + 64 * FINE, 40 * FINE, 7 * FINE
    tag = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(tag)
    draw.rounded_rectangle((0, 0, width - 1, height - 1), height / 2, fill=PAPER)
    draw.ellipse((20 * FINE - dot, height / 2 - dot, 20 * FINE + dot, height / 2 + dot), fill=colour)
    draw.text((38 * FINE, height / 2), name, INK, font, anchor="lm")
    tag = tag.resize((width // FINE, height // FINE), Image.Resampling.BOX)
    canvas.paste(tag, (centre[0] - tag.width // 2, centre[1] - tag.height // 2), tag)


def _patches(classes: NDArray[Any], colours: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Every patch in the colour of its most frequent class, some lighter than others. [H,W,3]"""
    patch = (y * PATCHES).astype(int) * PATCHES + (x * PATCHES).astype(int)
    counts = [np.bincount(patch[classes == label], minlength=PATCHES**2) for label in range(len(colours))]
    shade = np.random.default_rng(3).uniform(0.86, 1.1, PATCHES**2)
    pixels = (colours[np.argmax(counts, 0)] * shade[:, None])[patch]
    across, down = x * PATCHES % 1, y * PATCHES % 1
    pixels[np.minimum(np.minimum(across, 1 - across), np.minimum(down, 1 - down)) < 0.035] *= 0.75
    return pixels


def _join(left: NDArray[Any], right: NDArray[Any], beyond: NDArray[Any], half: float) -> NDArray[Any]:
    """Two pictures at a line of paper; `beyond` is how far each pixel lies to the right of it. [H,W,3]"""
    pixels = np.where(beyond[..., None] < 0, left, right)
    pixels[np.abs(beyond) < half] = PAPER
    return pixels


def _edges(labels: NDArray[Any], width: int) -> NDArray[np.bool_]:
    """Where two labels meet, as lines of a width in pixels. [H,W]"""
    edges = np.zeros(labels.shape, np.uint8)
    edges[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edges[1:] |= labels[1:] != labels[:-1]
    return np.asarray(Image.fromarray(edges).filter(ImageFilter.MaxFilter(width | 1))) > 0


def _image(pixels: NDArray[Any]) -> Image.Image:
    return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))


def _jpeg_bytes(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
