"""Make the README's pictures and the thumbnails of the workflows.

    python -m tools.pictures                        docs/park.png and workflows/*.jpg
    python -m tools.pictures --screenshots FOLDER   docs/pictures/*.jpg, from what tests/test_browser_workflows.py
                                                    took when LLMSEG_SCREENSHOTS named the folder

The first picture: a scene, its labels from class names alone, and with subclasses. A thumbnail: what the workflow
itself saves, beside it under its name, where ComfyUI's template browser looks.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Sequence
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
# Workflow -> starts of the names of the saved images that tell what it does.
THUMBNAILS = {
    "quickstart": ("quickstart/overlay",),
    "paper_step_by_step": ("paper/3_phrases_that_won",),
    "compare_names": ("compare_names/1_names_only", "compare_names/2_subclasses"),
    "edit_expansion": ("edit_expansion/before", "edit_expansion/after"),
    "replace_class": ("replace_class/sky",),
    "batch_of_images": ("batch_of_images/overlay", "batch_of_images/bird_00003"),
    "evaluation": ("evaluation/1_names_only", "evaluation/2_subclasses"),
    "published_order": ("published/overlay",),
    "region_masks": ("region_masks/1_patches", "region_masks/2_regions"),
    "local_clip": ("local_clip/overlay",),
    "llm_expansion": ("llm_expansion/overlay",),
}
INSTEAD = {"local_clip": ("--set", "Load CLIP Encoder.model=embedded")}  # of a file that has to be fetched
THUMBNAIL_WIDTH = 560
SCENE_SIZE = (256, 192)
SHOWN = ("quickstart", "compare_names")  # workflows whose screenshots are in the README
SHOWN_WIDTH = 1280


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER")
    folder = parser.parse_args().screenshots
    if folder is not None:
        (ROOT / "docs" / "pictures").mkdir(exist_ok=True)
        for name in SHOWN:
            with Image.open(folder / f"{name}_run.png") as picture:
                small = _to_width(picture.convert("RGB"), SHOWN_WIDTH)
            write_atomic(ROOT / "docs" / "pictures" / f"{name}.jpg", _jpeg_bytes(small))
        return
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


def thumbnail(workflow: str, saved: Sequence[str]) -> Image.Image:
    """What a workflow saves, at the width of a thumbnail: pictures with a legend one below the other, others by two."""
    with tempfile.TemporaryDirectory() as folder:
        if run([str(ROOT / "workflows" / f"{workflow}.json"), "--output", folder, *INSTEAD.get(workflow, ())]):
            raise RuntimeError(f"the workflow {workflow!r} failed")
        pictures = []
        for start in saved:
            for path in sorted(Path(folder).glob(f"{start}*.png")):
                with Image.open(path) as picture:
                    pictures.append(picture.convert("RGB"))
    return _to_width(_in_rows(pictures), THUMBNAIL_WIDTH)


def _in_rows(pictures: Sequence[Image.Image]) -> Image.Image:
    """One picture of all, which have one size."""
    width, height = pictures[0].size
    columns = 2 if len(pictures) > 1 and pictures[0].size == SCENE_SIZE else 1
    rows = -(-len(pictures) // columns)
    canvas = Image.new("RGB", (width * columns, height * rows), PAPER)
    for number, picture in enumerate(pictures):
        canvas.paste(picture, (number % columns * width, number // columns * height))
    return canvas


def _to_width(picture: Image.Image, width: int) -> Image.Image:
    return picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)


def _jpeg_bytes(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
