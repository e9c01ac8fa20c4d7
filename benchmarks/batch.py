"""A folder of images through a workflow, against a bare loop over the model alone.

    python -m benchmarks.batch                       the embedded model, 200 images
    python -m benchmarks.batch --model vit           a ViT-B/16 of random weights
    python -m benchmarks.batch --images 2000 --only command --scales one    whether memory grows
    python -m benchmarks.batch --only ray            two workers of Ray, where it is installed

The loop does nothing but the image tower, on images that are in memory already: over the windows, and over them and
the whole picture, which mode `blend`, that of models nobody calibrated, weighs phrases by. The command reads files,
scores, assembles, refines, labels and writes, and its time is that of the whole process, start and loading included.
With workers of Ray the time is again that of the whole process: Ray is started and ended, and each worker loads the
model.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from llmseg.encoder import Encoder, load_encoder
from llmseg.examples import benchmark_scenes
from llmseg.files import image_to_tensor
from llmseg.patch_features import build_patch_features

NAMES = "dog, car, tree, building, ball, flower, bird, boat, grass, sky, water, night"
VIT_SIDE = 448  # pixels; the embedded model's scenes have their own size
FILE = "random_vit.safetensors"
WORKERS = 2
WITH_WHOLE = ("blend", "paper")  # modes that weigh phrases by the whole picture


def main() -> None:
    """Measure one model and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=("embedded", "vit"), default="embedded")
    parser.add_argument("--images", type=int, default=200, help="how many images (default: 200)")
    parser.add_argument("--only", choices=("loop", "command", "ray"), help="one of them (default: all that can run)")
    parser.add_argument("--scales", default="auto", help="as in the options (default: the model's own)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = _place_model(folder) if options.model == "vit" else "embedded"
        pictures = _draw(folder / "images", options.images, VIT_SIDE if options.model == "vit" else 0)
        threads = torch.get_num_threads()
        what = f"{options.images} images, model {options.model}, scales {options.scales}"
        print(f"{what}; torch {torch.__version__}, {threads} threads\n")
        print("| what | seconds | images/s | peak memory, MB |\n|---|---:|---:|---:|")
        if options.only in (None, "loop"):
            windows, whole = _loop(folder, model, pictures, options.scales)
            _row("loop over the image tower, windows alone", options.images, (windows, math.nan))
            if whole:
                _row("the same, and the whole picture", options.images, (windows + whole, math.nan))
        if options.only in (None, "command"):
            _row("python -m llmseg.run --images", options.images, _command(folder, model, options.scales))
        if options.only == "ray" or (options.only is None and importlib.util.find_spec("ray") is not None):
            engine = ["--engine", "ray", "--jobs", str(WORKERS)]
            seconds, _ = _command(folder, model, options.scales, *engine)
            _row(" ".join(["python -m llmseg.run --images", *engine]), options.images, (seconds, math.nan))


def _row(what: str, images: int, measured: tuple[float, float]) -> None:
    seconds, megabytes = measured
    memory = "-" if math.isnan(megabytes) else f"{megabytes:.0f}"
    print(f"| {what} | {seconds:.1f} | {images / seconds:.2f} | {memory} |", flush=True)


def _draw(folder: Path, count: int, side: int) -> list[Path]:
    """Packaged scenes, each with one pixel of its own: equal files would be computed once."""
    folder.mkdir()
    scenes, paths = benchmark_scenes(), []
    for number in range(count):
        image = scenes[number % len(scenes)][0].copy()
        image[0, 0] = (number % 256, number // 256, 7)
        picture = Image.fromarray(image)
        paths.append(folder / f"{number:05}.png")
        (picture.resize((side, side)) if side else picture).save(paths[-1])
    return paths


def _place_model(folder: Path) -> str:
    """A CLIP ViT-B/16 in OpenAI's layout; numbers do not change the time."""
    from llmseg.clip_config import ClipConfig, TowerConfig
    from llmseg.vit import Clip

    torch.manual_seed(0)
    clip = Clip(ClipConfig(TowerConfig(768, 12, 12, 3072), TowerConfig(512, 12, 8, 2048), 224, 16, 77, 49408, 512))
    state = {name: torch.randn_like(tensor) * 0.02 for name, tensor in clip.state_dict().items()}
    (folder / "models").mkdir()
    save_file(state, folder / "models" / FILE)
    os.environ["LLMSEG_MODELS"] = str(folder / "models")
    return FILE


def _loop(folder: Path, model: str, paths: list[Path], scales: str) -> tuple[float, float]:
    """Seconds of the tower alone: over all windows of each image, and over the whole images where the mode needs it."""
    encoder: Encoder = load_encoder(model, folders=[folder / "models"])
    images = [image_to_tensor(np.asarray(Image.open(path).convert("RGB"))) for path in paths]
    build_patch_features(encoder, images[0], scales=scales).see_whole()
    windows, whole = 0.0, 0.0
    for image in images:
        start = time.perf_counter()
        features = build_patch_features(encoder, image, scales=scales)
        windows += time.perf_counter() - start
        if encoder.defaults.mode in WITH_WHOLE:
            start = time.perf_counter()
            features.see_whole()
            whole += time.perf_counter() - start
    return windows, whole


def _command(folder: Path, model: str, scales: str, *engine: str) -> tuple[float, float]:
    """The whole process, and its peak of memory where the system tells it."""
    (folder / "workflow.json").write_text(json.dumps(_workflow(model, scales)), encoding="utf-8")
    command = [sys.executable, "-m", "llmseg.run", str(folder / "workflow.json"), "--images", str(folder / "images")]
    name = "ray" if engine else "out"  # neither finds what the other one stored
    environment = {**os.environ, "LLMSEG_DATA": str(folder / f"data_{name}")}
    start = time.perf_counter()
    subprocess.run(
        [*command, "--output", str(folder / name), *engine], check=True, capture_output=True, env=environment
    )
    seconds = time.perf_counter() - start
    assert len((folder / name / "manifest.jsonl").read_text(encoding="utf-8").splitlines()) == len(
        list((folder / "images").iterdir())
    )
    try:
        import resource  # not on Windows
    except ImportError:
        return seconds, float("nan")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # kilobytes; bytes on macOS
    return seconds, peak / (2**20 if sys.platform == "darwin" else 2**10)


def _workflow(model: str, scales: str) -> dict[str, object]:
    """Names to labels, and the label files of each image."""

    def node(class_type: str, **inputs: object) -> dict[str, object]:
        return {"class_type": class_type, "inputs": inputs}

    image = {"attention": "auto", "window": -1, "stride": -1, "resize": -1, "scales": scales}
    assemble = {"mode": "auto", "temperature": -1, "name_weight": -1}
    return {
        "1": node("LLMSegClassNames", text=NAMES, preset="custom"),
        "2": node("LLMSegExpand", class_names=["1", 0], library="auto"),
        "3": node("LLMSegLoadEncoder", model=model, activation="auto"),
        "4": node("LLMSegEncodeText", encoder=["3", 0], expansion=["2", 0], templates="auto", include_names="auto"),
        "5": node("LoadImage", image="x.png"),
        "6": node("LLMSegEncodeImage", encoder=["3", 0], image=["5", 0], **image),
        "7": node("LLMSegScore", patch_features=["6", 0], text_bank=["4", 0]),
        "8": node("LLMSegAssemble", score_maps=["7", 0], **assemble),
        "9": node("LLMSegRefine", class_maps=["8", 0], image=["5", 0], refiner="auto"),
        "10": node("LLMSegLabel", class_maps=["9", 0], threshold=0.0, min_area=0.0),
        "11": node("LLMSegSaveLabels", label_map=["10", 0], filename_prefix="labels", masks=False),
    }


if __name__ == "__main__":
    main()
