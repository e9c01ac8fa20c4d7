"""Our masks, boxes and tables in ComfyUI's own nodes: a real server gives what the headless run gives."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import import_nodes
from PIL import Image

from benchmarks.comfyui import ComfyServer, comfyui_server
from llmseg.run import main

ROOT = Path(__file__).parent.parent
SCENES = ("park", "night", "harbour")
SIZE = (192, 256)
CORNER = {"x": 120, "y": 144, "width": 12, "height": 16}  # of the latent masks: small enough to be printed whole

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI checkout"),
]
Prompt = dict[str, Any]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("comfyui")


@pytest.fixture(scope="module")
def server(output: Path) -> Iterator[ComfyServer]:
    """A ComfyUI server whose custom_nodes hold this repository."""
    packs = Path(os.environ["COMFYUI_PATH"], "custom_nodes")
    if not any(path.resolve() == ROOT for path in packs.iterdir()):
        pytest.skip("custom_nodes of COMFYUI_PATH does not hold this repository")
    with comfyui_server(output) as running:
        yield running


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def label(count: int) -> Prompt:
    """`image`: so many scenes in one batch; `labels`: what is in them."""
    segment = {"class_names": "dog, ball, grass, sky, building", "model": "embedded", "library": "auto"}
    segment |= {"mode": "auto", "threshold": 0.3, "min_area": 0.0}
    prompt = {f"scene{number}": node("LLMSegExampleImage", scene=SCENES[number]) for number in range(count)}
    last = ["scene0", 0]
    for number in range(1, count):
        prompt[f"batch{number}"] = node("ImageBatch", image1=last, image2=[f"scene{number}", 0])
        last = [f"batch{number}", 0]
    prompt["labels"] = node("LLMSegSegment", image=last, **segment)
    prompt["colour"] = node("EmptyImage", width=SIZE[1], height=SIZE[0], batch_size=1, color=0xFF8000)
    prompt["plain"] = node("RepeatImageBatch", image=last, amount=1)
    return prompt


def show_masks(count: int) -> Prompt:
    """Every way to get a mask of ours, through ComfyUI's nodes of masks and images into files."""
    labels, image = ["labels", 0], ["plain", 0]
    prompt = label(count)
    prompt["one"] = node("LLMSegSelectMask", label_map=labels, class_name="grass")
    prompt["absent"] = node("LLMSegSelectMask", label_map=labels, class_name="ball")
    prompt["union"] = node("LLMSegMaskBatch", label_map=labels, class_names="dog, sky", masks="union")
    prompt["each"] = node("LLMSegMaskBatch", label_map=labels, class_names="dog, grass", masks="each")
    prompt["list"] = node("LLMSegClassMasks", label_map=labels)
    prompt["grown"] = node("GrowMask", mask=["one", 0], expand=5, tapered_corners=True)
    both = {"destination": ["grown", 0], "source": ["union", 0], "x": 7, "y": 3, "operation": "subtract"}
    prompt["less"] = node("MaskComposite", **both)
    prompt["twice"] = node("RepeatImageBatch", image=image, amount=2)
    paste = {"source": ["colour", 0], "x": 0, "y": 0, "resize_source": False}
    prompt["painted"] = node("ImageCompositeMasked", destination=image, mask=["union", 0], **paste)
    prompt["paired"] = node("ImageCompositeMasked", destination=["twice", 0], mask=["each", 0], **paste)
    for name in ("one", "absent", "union", "each", "grown", "less", "list"):
        prompt[f"{name} seen"] = node("MaskToImage", mask=[name, 0])
        prompt[f"{name} saved"] = node("SaveImage", images=[f"{name} seen", 0], filename_prefix=f"masks{count}/{name}")
    for name in ("painted", "paired"):
        prompt[f"{name} saved"] = node("SaveImage", images=[name, 0], filename_prefix=f"masks{count}/{name}")
    return prompt


def tell(count: int) -> Prompt:
    """What is told in words and numbers, as text."""
    labels = ["labels", 0]
    filters = {"label_map": labels, "class_names": "", "min_area": 0.001}
    prompt = label(count)
    prompt["boxes"] = node("LLMSegBoxes", **filters, regions="component", limit=100, bbox_layout="xyxy")
    prompt["table"] = node("LLMSegTable", **filters, format="json")
    segs = {"regions": "class", "limit": 100, "crop_factor": 3.0, "image": ["plain", 0]}
    prompt["segs"] = node("LLMSegToSEGS", **filters, **segs)
    outputs = [("boxes", 0), ("boxes", 1), ("boxes", 2), ("table", 0), ("segs", 0)]
    for name, number in outputs:
        prompt[f"{name} {number}"] = node("PreviewAny", source=[name, number])
    return prompt


def run_headless(prompt: Prompt, folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The event that ends the run."""
    path = folder / "prompt.json"
    path.write_text(json.dumps(prompt), encoding="utf-8")
    capsys.readouterr()
    assert main([str(path), "--output", str(folder), "--temp-dir", str(folder / "temp"), "--json"]) == 0
    done: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert done["event"] == "done"
    return done


@pytest.mark.parametrize("count", [1, 3])
def test_masks_go_through_the_nodes_of_comfyui(
    count: int, server: ComfyServer, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.run(show_masks(count))
    done = run_headless(show_masks(count), tmp_path, capsys)
    files = sorted(path.name for path in (tmp_path / f"masks{count}").iterdir())
    assert files == sorted(path.name for path in (output / f"masks{count}").iterdir())
    # Six single batches, two of twice as many, and one for each of five classes.
    assert len(files) == len(done["files"]) == (6 + 2 * 2 + 5) * count
    for name in files:
        ours, theirs = (np.asarray(Image.open(root / f"masks{count}" / name)) for root in (tmp_path, output))
        assert ours.shape == (*SIZE, 3)
        assert np.array_equal(ours, theirs), name


def test_a_painted_class_is_exactly_its_mask(server: ComfyServer, output: Path) -> None:
    """In what the server wrote: each mask met its own image, and nothing else changed."""
    folder = output / "masks3"
    if not folder.is_dir():
        server.run(show_masks(3))

    def read(name: str, number: int) -> np.ndarray:
        return np.asarray(Image.open(folder / f"{name}_{number:05}_.png"))

    scenes = [Image.open(ROOT / "llmseg" / "data" / "world" / "examples" / f"{name}.png") for name in SCENES]
    pictures = [np.asarray(scene.convert("RGB")) for scene in scenes]
    for number in range(6):
        mask, painted = read("each", number + 1) == 255, read("paired", number + 1)
        wanted = np.where(mask, np.array([0xFF, 0x80, 0]), pictures[number % 3])
        assert np.array_equal(painted, wanted), number
    assert all(read("absent", number).max() == 0 for number in (2, 3)), "no ball by night, none in the harbour"


@pytest.mark.parametrize("count", [1, 3])
def test_boxes_segs_and_tables_say_the_same(
    count: int, server: ComfyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = server.run(tell(count))["outputs"]
    texts = [text for entry in shown.values() for text in entry.get("text", ())]  # nodes may show pictures too
    done = run_headless(tell(count), tmp_path, capsys)
    assert sorted(texts) == sorted(done["texts"])
    assert len(texts) == 4 + count  # one SEGS for each image
    boxes = json.loads(shown["boxes 0"]["text"][0])
    assert len(boxes) == count
    assert {box["label"] for box in boxes[0]} >= {"dog", "grass"}
    assert len(json.loads(shown["table 0"]["text"][0])["rows"]) >= 5 * count


@pytest.mark.parametrize("count", [1, 3])
def test_a_mask_marks_a_latent(count: int, server: ComfyServer) -> None:
    """`SetLatentNoiseMask` keeps exactly our values, one mask for each latent."""
    classes = {**import_nodes("core").CORE_NODES, **import_nodes().NODE_CLASS_MAPPINGS}
    prompt = label(count)
    prompt["mask"] = node("LLMSegSelectMask", label_map=["labels", 0], class_name="grass")
    prompt["cut"] = node("CropMask", mask=["mask", 0], **CORNER)
    sides = {"width": CORNER["width"] * 8, "height": CORNER["height"] * 8}
    prompt["empty"] = node("EmptyLatentImage", **sides, batch_size=count)
    prompt["marked"] = node("SetLatentNoiseMask", samples=["empty", 0], mask=["cut", 0])
    prompt["seen"] = node("PreviewAny", source=["marked", 0])
    (told,) = server.run(prompt)["outputs"]["seen"]["text"]

    values: dict[str, Any] = {}
    for name in list(prompt)[:-3]:
        given = prompt[name]["inputs"].items()
        inputs = {key: values[value[0]][0] if isinstance(value, list) else value for key, value in given}
        made = classes[prompt[name]["class_type"]]
        values[name] = getattr(made(), made.FUNCTION)(**inputs)
    (cut,) = values["cut"]
    assert cut.shape == (count, CORNER["height"], CORNER["width"])
    assert 0 < cut.mean() < 1
    assert f"'noise_mask': {cut[:, None]}" in told
    assert str(torch.zeros(count, 4, CORNER["height"], CORNER["width"])) in told
