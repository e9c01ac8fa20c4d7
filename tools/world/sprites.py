"""Draw every fine name of the vocabulary with colour emoji fonts: one look a font.

A look is kept at 128 pixels and its halves, so that small drawings are averages and not samples.

Not here: the composition of scenes. Sources of the drawings: Noto Color Emoji (SIL Open Font License 1.1), on
Debian ``/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf`` of the package fonts-noto-color-emoji; Twemoji
(CC-BY 4.0), on Debian ``/usr/lib/firefox-esr/fonts/TwemojiMozilla.ttf`` of the package firefox-esr.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

from llmseg.errors import InputError

from .vocabulary import FINE, Fine

__all__ = [
    "SPRITE_SIZE",
    "Sprite",
    "Sprites",
    "load_font",
    "make_sprite",
    "render_layers",
    "render_sprite",
    "render_sprites",
]

SPRITE_SIZE = 128  # pixels, side of the largest level
SMALLEST_LEVEL = 16
STRIKE = 109  # the only bitmap size in Noto Color Emoji
WIDEST = 140  # a wider drawing is a sequence that the font could not join into one
BGRA = 7  # FreeType's pixel mode of a coloured bitmap
PACKAGE_HINT = "Install a Noto Color Emoji font (Debian: fonts-noto-color-emoji) and give its path."


class Sprite(NamedTuple):
    """One look of one drawing: squares of 128, 64, 32 and 16 pixels. RGBA"""

    levels: tuple[Image.Image, ...]

    def at_least(self, size: int) -> Image.Image:
        """The smallest level that is not smaller than `size`, else the largest. RGBA"""
        return next((level for level in reversed(self.levels) if level.width >= size), self.levels[0])


Sprites = Mapping[str, tuple[Sprite, ...]]  # fine name -> its looks, the first font's first


def load_font(path: Path) -> ImageFont.FreeTypeFont:
    """Open the emoji font.

    Raises:
        InputError: no such font, not a colour bitmap font, or a Pillow without text shaping.
    """
    if not features.check("raqm"):
        problem = f"this Pillow has no {'raqm'!r}; expected text shaping, which joins emoji sequences."
        raise InputError(f"{problem} Install Pillow from its published wheels.", place="--font")
    try:
        return ImageFont.truetype(path, STRIKE, layout_engine=ImageFont.Layout.RAQM)
    except OSError as error:
        problem = f"cannot read {path.as_posix()!r} at {STRIKE} px; expected a colour emoji font file."
        raise InputError(f"{problem} {PACKAGE_HINT}", place="--font") from error


def render_sprite(fine: Fine, font: ImageFont.FreeTypeFont) -> Image.Image:
    """One drawing, centred on a transparent square of `SPRITE_SIZE` pixels. RGBA

    Raises:
        InputError: the font has no such drawing, or draws its parts side by side.
    """
    canvas = Image.new("RGBA", (400, 160), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((10, 10), fine.emoji, font=font, embedded_color=True)
    box = canvas.getbbox()
    width = 0 if box is None else box[2] - box[0]
    if box is None or width > WIDEST:
        problem = f"draws {fine.name!r} ({fine.emoji}) {width} px wide; expected one drawing of 1..{WIDEST} px."
        raise InputError(f"{problem} {PACKAGE_HINT}", place="--font")
    return _square(canvas.crop(box))


def render_layers(font_path: Path) -> dict[str, Image.Image]:
    """The drawings of a font of coloured layers (COLR), by fine name; sequences are left out. RGBA squares

    Pillow takes the size of such a drawing from its empty base glyph, so FreeType is asked directly.

    Raises:
        InputError: freetype-py is not installed, or no such font.
    """
    try:
        import freetype
    except ImportError as error:
        raise InputError("freetype-py is missing. Run: pip install freetype-py", place="--look") from error
    try:
        face = freetype.Face(str(font_path))
    except freetype.FT_Exception as error:
        raise InputError(f"cannot read {font_path.as_posix()!r}; expected a font file.", place="--look") from error
    face.set_pixel_sizes(0, SPRITE_SIZE)
    drawings = {}
    for fine in FINE:
        letters = fine.emoji.replace("\ufe0f", "")  # the variation selector changes nothing here
        glyph = face.get_char_index(letters) if len(letters) == 1 else 0
        if glyph:
            face.load_glyph(glyph, freetype.FT_LOAD_COLOR | freetype.FT_LOAD_RENDER)
            bitmap = face.glyph.bitmap
            if bitmap.pixel_mode == BGRA:
                rows = np.array(bitmap.buffer, np.uint8).reshape(bitmap.rows, bitmap.pitch)
                pixels = rows[:, : bitmap.width * 4].reshape(bitmap.rows, bitmap.width, 4)
                drawings[fine.name] = _square(Image.fromarray(np.ascontiguousarray(pixels[..., [2, 1, 0, 3]])))
    return drawings


def make_sprite(square: Image.Image) -> Sprite:
    """A drawing and its halves."""
    levels = [square]
    while levels[-1].width > SMALLEST_LEVEL:
        half = levels[-1].width // 2
        levels.append(square.resize((half, half), Image.Resampling.LANCZOS))
    return Sprite(tuple(levels))


def render_sprites(font_path: Path, looks: Sequence[Path] = ()) -> dict[str, tuple[Sprite, ...]]:
    """Every drawing by fine name, in the order of the vocabulary.

    Args:
        font_path: Noto Color Emoji, which has all of them.
        looks: further fonts (COLR), each adding the drawings that it has.
    """
    font = load_font(font_path)
    others = [render_layers(path) for path in looks]
    return {
        fine.name: tuple(
            make_sprite(square)
            for square in (render_sprite(fine, font), *(other[fine.name] for other in others if fine.name in other))
        )
        for fine in FINE
    }


def _square(drawing: Image.Image) -> Image.Image:
    box = drawing.getbbox()
    drawing = drawing if box is None else drawing.crop(box)
    side = max(drawing.size)
    square = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    square.paste(drawing, ((side - drawing.width) // 2, (side - drawing.height) // 2))
    return square.resize((SPRITE_SIZE, SPRITE_SIZE), Image.Resampling.LANCZOS)
