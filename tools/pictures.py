"""Make the README's picture and the thumbnails of the workflows.

    python -m tools.pictures

The picture: a scene, its labels from class names alone, and with subclasses. A thumbnail: what the workflow
itself saves, beside it under its name, where ComfyUI's template browser looks.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from llmseg import overlay_image, segment
from llmseg.examples import load_example
from llmseg.files import png_bytes
from llmseg.palette import INK, PAPER
from llmseg.run import main as run
from llmseg.store import write_atomic

ROOT = Path(__file__).parent.parent
README_PICTURE = ROOT / "docs" / "park.png"
NAMES = "building, sky, grass, dog, flower, ball, tree, car"
SCALE, MARGIN, CAPTION = 2, 16, 40
# Workflow -> start of the name of the saved image that tells what it does.
THUMBNAILS = {
    "quickstart": "quickstart/overlay",
    "paper_step_by_step": "paper/3_phrases_that_won",
    "published_order": "published/overlay",
}
THUMBNAIL_SIZE = (480, 360)


def main() -> None:
    """Write docs/park.png and workflows/*.jpg."""
    write_atomic(README_PICTURE, png_bytes(readme_picture()))
    for workflow, saved in THUMBNAILS.items():
        write_atomic(ROOT / "workflows" / f"{workflow}.jpg", _jpeg_bytes(thumbnail(workflow, saved)))


def readme_picture() -> Image.Image:
    """Three panels in a row under their captions."""
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
    return canvas


def thumbnail(workflow: str, saved: str) -> Image.Image:
    """What a workflow saves, at the size of a thumbnail."""
    with tempfile.TemporaryDirectory() as folder:
        if run([str(ROOT / "workflows" / f"{workflow}.json"), "--output", folder]):
            raise RuntimeError(f"the workflow {workflow!r} failed")
        (path,) = Path(folder).glob(f"{saved}*.png")
        with Image.open(path) as picture:
            return picture.convert("RGB").resize(THUMBNAIL_SIZE, Image.Resampling.LANCZOS)


def _jpeg_bytes(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
