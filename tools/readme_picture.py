"""Make the README's picture: a scene, its labels from class names alone, and with subclasses.

python -m tools.readme_picture
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from llmseg import overlay_image, segment
from llmseg.examples import load_example
from llmseg.files import png_bytes
from llmseg.palette import INK, PAPER
from llmseg.store import write_atomic

TARGET = Path(__file__).parent.parent / "docs" / "park.png"
NAMES = "building, sky, grass, dog, flower, ball, tree, car"
SCALE, MARGIN, CAPTION = 2, 16, 40


def main() -> None:
    """Write docs/park.png."""
    scene = load_example("park")
    panels = [("the picture", Image.fromarray(scene))]
    for caption, expansion in (("class names alone", "off"), ("class names and subclasses", "auto")):
        panels.append((caption, overlay_image(segment(Image.fromarray(scene), NAMES, expansion), scene)))
    size = [(panel.width * SCALE, panel.height * SCALE) for _, panel in panels]
    width = sum(w for w, _ in size) + MARGIN * (len(panels) + 1)
    canvas = Image.new("RGB", (width, size[0][1] + CAPTION + MARGIN), PAPER)
    draw, font, left = ImageDraw.Draw(canvas), ImageFont.load_default(20), MARGIN
    for (caption, panel), scaled in zip(panels, size, strict=True):
        canvas.paste(panel.resize(scaled, Image.Resampling.LANCZOS), (left, CAPTION))
        draw.text((left, CAPTION / 2), caption, fill=INK, font=font, anchor="lm")
        left += scaled[0] + MARGIN
    write_atomic(TARGET, png_bytes(canvas))


if __name__ == "__main__":
    main()
