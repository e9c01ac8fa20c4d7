"""Draw every fine name of the vocabulary with a colour emoji font.

Not here: the composition of scenes. Source of the drawings: Noto Color Emoji (SIL Open Font License 1.1),
on Debian ``/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf`` of the package fonts-noto-color-emoji.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, features

from llmseg.errors import InputError

from .vocabulary import FINE, Fine

__all__ = ["SPRITE_SIZE", "load_font", "render_sprite", "render_sprites"]

SPRITE_SIZE = 96  # pixels; the model was trained on drawings stored at this size
STRIKE = 109  # the only bitmap size in the font
WIDEST = 140  # a wider drawing is a sequence that the font could not join into one
PACKAGE_HINT = "Install a Noto Color Emoji font (Debian: fonts-noto-color-emoji) and give its path."


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
    drawing = canvas.crop(box)
    side = max(drawing.size)
    square = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    square.paste(drawing, ((side - drawing.width) // 2, (side - drawing.height) // 2))
    return square.resize((SPRITE_SIZE, SPRITE_SIZE), Image.Resampling.LANCZOS)


def render_sprites(font_path: Path) -> dict[str, Image.Image]:
    """Every drawing by fine name, in the order of the vocabulary."""
    font = load_font(font_path)
    return {fine.name: render_sprite(fine, font) for fine in FINE}
