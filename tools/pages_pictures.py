"""Make the pictures of the help pages by running the quickstart with one thing changed at a time.

    python -m tools.pages_pictures [NAME ...]

Every picture is panels without words: what they show stands beside them, in the language of the page.

Not here: running (`pages_bench`), the pages (`pages`), thumbnails and the README's picture (`pictures`).
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from llmseg.palette import PAPER, make_palette
from llmseg.rendering import draw_overlay
from llmseg.store import write_atomic

from .pages_bench import Bench, image_of

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "web" / "docs" / "pictures"
MOST_BYTES = 60_000
WIDTH, GAP = 640, 6  # a help panel is hardly wider
COLD, WARM = (24, 28, 48), (255, 214, 64)  # of a heat map


def scenes(bench: Bench) -> list[Image.Image]:
    """All packaged scenes."""
    return [bench.scene(ExampleImage__scene=scene) for scene in ("park", "harbour", "night", "table")]


def expand(bench: Bench) -> list[Image.Image]:
    """Class names alone; with subclasses."""
    return [bench.overlay(Expand__library=library) for library in ("off", "auto")]


def encode_text(bench: Bench) -> list[Image.Image]:
    """Two names for the whole picture; the same with surroundings."""
    names = {"ClassNames__text": "dog, car, tree"}
    return [bench.overlay(**names, EncodeText__background=each) for each in ("listed", "surroundings")]


def encode_image(bench: Bench) -> list[Image.Image]:
    """Coarse patches; fine ones."""
    return [bench.overlay(Refine__refiner="none", EncodeImage__resize=side) for side in (96, -1)]


def score(bench: Bench) -> list[Image.Image]:
    """The picture, and where two of its phrases fit."""
    maps = bench.value("Score")
    heat = [_heat(maps.phrase_scores(0)[list(maps.bank.phrases).index(name)].numpy()) for name in ("poodle", "taxi")]
    return [bench.scene(), *heat]


def assemble(bench: Bench) -> list[Image.Image]:
    """Three modes."""
    return [bench.overlay(Assemble__mode=mode) for mode in ("off", "paper", "auto")]


def refine(bench: Bench) -> list[Image.Image]:
    """Part of the picture: patches as they are; sharpened."""
    box = (8, 20, 168, 140)
    return [bench.overlay(Refine__refiner=each).crop(box) for each in ("none", "bilateral")]


def superpixels(bench: Bench) -> list[Image.Image]:
    """A picture in pieces; patches as they are; one class for each piece."""
    table = {"ClassNames__text": "fruit, vegetable, dessert, fast food, drink, wood", "ExampleImage__scene": "table"}
    more = {"image": ["ExampleImage", 0], "count": 150, "compactness": 30.0}
    masks = bench.value("Superpixels", more=more, **table)
    scene = np.asarray(bench.scene(ExampleImage__scene="table"))
    pieces = Image.fromarray(draw_overlay(scene, masks.argmax(0).numpy(), make_palette(len(masks)), 0.3))
    maps = bench.overlay(**table, Refine__refiner="none")
    return [pieces, maps, bench.overlay(**table, Refine__refiner="regions", Refine__regions=masks)]


def label(bench: Bench) -> list[Image.Image]:
    """Every pixel labelled; only the sure ones; how sure."""
    overlays = [bench.overlay(Label__threshold=least) for least in (0.0, 0.8)]
    return [*overlays, _mask(bench.value("Label", 1))]


def select_mask(bench: Bench) -> list[Image.Image]:
    """The picture; the dog."""
    return [bench.scene(), _mask(bench.value("SelectMask", more={"label_map": ["Label", 0], "class_name": "dog"}))]


def class_masks(bench: Bench) -> list[Image.Image]:
    """Masks of the first four classes."""
    names = {"ClassNames__text": "dog, car, tree, sky, grass, building"}
    more = {"label_map": ["Label", 0]}
    shown = ("dog", "car", "tree", "sky")
    return [_mask(bench.value("SelectMask", more={**more, "class_name": name}, **names)) for name in shown]


def mask_batch(bench: Bench) -> list[Image.Image]:
    """Two masks; one of both."""
    more = {"label_map": ["Label", 0], "class_names": "dog, car"}
    each, union = (bench.value("MaskBatch", more={**more, "masks": masks}) for masks in ("each", "union"))
    return [_mask(each[:1]), _mask(each[1:]), _mask(union)]


def to_segs(bench: Bench) -> list[Image.Image]:
    """Boxes and crops in the picture."""
    more = {"label_map": ["Label", 0], "class_names": "dog, car", "regions": "component", "min_area": 0.01}
    (_, segs) = bench.value("ToSEGS", more={**more, "limit": 100, "crop_factor": 2.0})
    scene = bench.scene()
    drawn = _boxes(scene, [(seg.bbox, "") for seg in segs], [seg.crop_region for seg in segs])
    return [drawn, *(scene.crop(seg.crop_region) for seg in segs[:2])]


def boxes(bench: Bench) -> list[Image.Image]:
    """Boxes around three classes."""
    more = {"label_map": ["Label", 0], "class_names": "dog, car, tree, building", "regions": "component"}
    found = bench.value("Boxes", more={**more, "min_area": 0.005, "limit": 100, "bbox_layout": "xyxy"})
    sides = [
        ((box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]), box["label"]) for box in found[0]
    ]
    return [_boxes(bench.scene(), sides)]


def evaluate(bench: Bench) -> list[Image.Image]:
    """What is found by class names alone; the mistakes."""
    names = {"ClassNames__text": "bird, building, aircraft, tree, night, grass", "ExampleImage__scene": "night"}
    names["Assemble__mode"] = "off"
    more = {"label_map": ["Label", 0], "truth": ["ExampleImage", 1], "format": "text"}
    mistakes = bench.value("Evaluate", 2, more=more, **names)
    found, scene = bench.overlay(**names), bench.scene(ExampleImage__scene="night")
    return [found, Image.fromarray(draw_overlay(np.asarray(scene), mistakes.labels[0].numpy(), mistakes.palette))]


def overlay(bench: Bench) -> list[Image.Image]:
    """With a legend."""
    return [bench.overlay(Overlay__legend=True)]


def explain(bench: Bench) -> list[Image.Image]:
    """Winning phrases; confidence."""
    more = {"label_map": ["Label", 0], "image": ["ExampleImage", 0], "opacity": 0.55}
    return [image_of(bench.value("Explain", slot, more=more)) for slot in (0, 2)]


def segment(bench: Bench) -> list[Image.Image]:
    """The picture; what the node finds."""
    more = {"image": ["ExampleImage", 0], "class_names": "dog, car, tree, grass, sky", "model": "embedded"}
    more |= {"library": "auto", "mode": "auto", "threshold": 0.0, "min_area": 0.0}
    return [bench.scene(), image_of(bench.value("Segment", 1, more=more))]


PICTURES_OF: dict[str, Callable[[Bench], list[Image.Image]]] = {
    "scenes": scenes,
    "expand": expand,
    "encode_text": encode_text,
    "encode_image": encode_image,
    "score": score,
    "assemble": assemble,
    "refine": refine,
    "superpixels": superpixels,
    "label": label,
    "select_mask": select_mask,
    "class_masks": class_masks,
    "mask_batch": mask_batch,
    "to_segs": to_segs,
    "boxes": boxes,
    "overlay": overlay,
    "evaluate": evaluate,
    "explain": explain,
    "segment": segment,
}
ROWS = {"scenes": 2, "class_masks": 2, "explain": 2}  # others have one


def main(arguments: list[str] | None = None) -> int:
    """Write the pictures that are named; without names all of them."""
    parser = argparse.ArgumentParser(prog="python -m tools.pages_pictures", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *PICTURES_OF])
    names = parser.parse_args(arguments).names or list(PICTURES_OF)
    bench = Bench()
    for name in names:
        write_atomic(PICTURES / f"{name}.jpg", _jpeg_bytes(_sheet(PICTURES_OF[name](bench), ROWS.get(name, 1))))
    return 0


def _mask(masks: Any) -> Image.Image:
    """The first of a batch, white on black. [B,H,W]"""
    return Image.fromarray((masks[0].numpy() * 255).round().astype(np.uint8)).convert("RGB")


def _heat(scores: NDArray[np.float32]) -> Image.Image:
    """A map from its lowest to its highest value, patch by patch. [h,w]"""
    share = (scores - scores.min()) / (scores.max() - scores.min())
    colours = np.array(COLD) * (1 - share[..., None]) + np.array(WARM) * share[..., None]
    return Image.fromarray(colours.astype(np.uint8)).resize((256, 192), Image.Resampling.NEAREST)


def _boxes(scene: Image.Image, boxes: Sequence[Any], around: Sequence[Any] = ()) -> Image.Image:
    """Boxes with their names, and thin ones around them, on a picture twice as large."""
    canvas = scene.resize((scene.width * 2, scene.height * 2), Image.Resampling.LANCZOS)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    for sides in around:
        draw.rectangle([2 * side for side in sides], outline=PAPER, width=1)
    for sides, name in boxes:
        left, top, right, bottom = (2 * side for side in sides)
        draw.rectangle((left, top, right, bottom), outline=WARM, width=3)
        if name:
            place = (left, max(top - 15, 0))
            draw.rectangle(draw.textbbox(place, name, font), fill=COLD)
            draw.text(place, name, WARM, font)
    return canvas


def _sheet(panels: Sequence[Image.Image], rows: int) -> Image.Image:
    """Panels in rows as wide as a help panel."""
    each = len(panels) // rows
    strips = [_row(panels[start : start + each]) for start in range(0, len(panels), each)]
    canvas = Image.new("RGB", (WIDTH, sum(strip.height + GAP for strip in strips) - GAP), PAPER)
    top = 0
    for strip in strips:
        canvas.paste(strip, (0, top))
        top += strip.height + GAP
    return canvas


def _row(panels: Sequence[Image.Image]) -> Image.Image:
    """Panels of one height beside each other."""
    room = WIDTH - GAP * (len(panels) - 1)
    height = round(room / sum(panel.width / panel.height for panel in panels))
    canvas, left = Image.new("RGB", (WIDTH, height), PAPER), 0
    for panel in panels:
        width = round(height * panel.width / panel.height)
        canvas.paste(panel.resize((width, height), Image.Resampling.LANCZOS), (left, 0))
        left += width + GAP
    return canvas


def _jpeg_bytes(picture: Image.Image) -> bytes:
    """As good as the limit allows."""
    for quality in (88, 82, 75, 65, 55):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= MOST_BYTES:
            return buffer.getvalue()
    raise RuntimeError(f"more than {MOST_BYTES} bytes")


if __name__ == "__main__":
    sys.exit(main())
