"""The stand-ins of `nodes/core` against ComfyUI's own classes, on the same random inputs.

Needs a checkout named by COMFYUI_PATH whose requirements the running Python meets; its classes run
in a second process, started once, so that none of its modules is imported here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comfyui_oracle import write_inputs

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI checkout"),
]

METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
SIZES = [(5, 9), (20, 3), (0, 6), (8, 0), (0, 0), (16, 12)]
SCALES = [[method, *size, crop] for method in METHODS for size in SIZES for crop in ("disabled", "center")]
VALUES: list[Any] = ["a\nb", 3, -0.5, 1e300, True, None, [1, {"ü": None}], {"b": 1, "a": float("nan")}]
PROMPT = {"1": {"class_type": "Größe", "inputs": {"x": 0.1}}}
EXTRA = {"workflow": {"nodes": []}, "other": [1]}
PREFIXES = ["x", "x", "sub/x_%width%x%height%", "n%batch_num%", "./a/../x"]

# Runs inside the checkout: reads `job.json` and `in.npz` in its argument, writes `out.npz` and `out.json`.
SCRIPT = """
import json, sys
from pathlib import Path
folder = Path(sys.argv.pop())
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import numpy as np, torch
import folder_paths, nodes
from comfy_extras.nodes_mask import MaskToImage
from comfy_extras.nodes_preview_any import PreviewAny
folder_paths.set_input_directory(str(folder / "input"))
folder_paths.set_output_directory(str(folder / "theirs"))
folder_paths.set_temp_directory(str(folder / "temp"))
job = json.loads((folder / "job.json").read_text())
given = {key: torch.from_numpy(value) for key, value in np.load(folder / "in.npz").items()}
arrays, texts = {}, {}
for name in job["files"]:
    image, mask = nodes.LoadImage().load_image(name)
    arrays["image:" + name], arrays["mask:" + name] = image.numpy(), mask.numpy()
    texts["changed:" + name] = nodes.LoadImage.IS_CHANGED(name)
for index, row in enumerate(job["scales"]):
    for channels in (3, 4):
        (scaled,) = nodes.ImageScale().upscale(given["image"][..., :channels], *row)
        arrays[f"scale:{index}:{channels}"] = scaled.numpy()
for shape in ("mask", "one_mask"):
    arrays["grey:" + shape] = MaskToImage.execute(given[shape]).args[0].numpy()
texts["saved"] = [nodes.SaveImage().save_images(given["image"][..., :3], prefix, job["prompt"], job["extra"])["ui"]
                  for prefix in job["prefixes"]]
texts["rgba"] = nodes.SaveImage().save_images(given["image"], "rgba")["ui"]
texts["preview"] = nodes.PreviewImage().save_images(given["image"][..., :3], prompt=job["prompt"])["ui"]
texts["any"] = [PreviewAny().main(value)["ui"]["text"] for value in job["values"]]
np.savez(folder / "out.npz", **arrays)
(folder / "out.json").write_text(json.dumps(texts))
"""


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Any, dict[str, np.ndarray]]:
    """Run ComfyUI's classes once: the folder, its texts, its arrays and the arrays given to it."""
    folder = tmp_path_factory.mktemp("comfyui")
    for name in ("input", "ours", "theirs", "temp"):
        (folder / name).mkdir()
    files = write_inputs(folder / "input")
    rng = np.random.default_rng(0)
    image = rng.random((2, 12, 17, 4), dtype=np.float32) * 1.2 - 0.1
    given = {"image": image, "mask": rng.random((2, 5, 7), dtype=np.float32)}
    given["one_mask"] = given["mask"][0]
    np.savez(folder / "in.npz", **given)  # type: ignore[arg-type]
    job = {"files": files, "scales": SCALES, "values": VALUES, "prompt": PROMPT, "extra": EXTRA, "prefixes": PREFIXES}
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    done = subprocess.run(command, cwd=os.environ["COMFYUI_PATH"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    texts = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    return folder, texts, dict(np.load(folder / "out.npz")), given


@pytest.fixture
def ours(nodes: Any, theirs: Any) -> Any:
    """Our classes, on a host with the same folders."""
    host, folder = nodes("host"), theirs[0]
    before = host.use_headless(host.HeadlessHost(folder / "input", folder / "ours", folder / "temp"))
    yield nodes("core").CORE_NODES
    host.use_headless(before)


def same(mine: torch.Tensor, other: np.ndarray, what: str) -> None:
    """Bit for bit, as nothing in these nodes is approximate."""
    assert (mine.dtype, mine.shape) == (torch.float32, other.shape), what
    assert np.array_equal(mine.numpy(), other), what


def test_load_image(ours: Any, theirs: Any) -> None:
    _, texts, arrays, _ = theirs
    names = [key.removeprefix("image:") for key in arrays if key.startswith("image:")]
    assert len(names) == 20
    for name in names:
        image, mask = ours["LoadImage"]().load_image(name)
        same(image, arrays[f"image:{name}"], name)
        same(mask, arrays[f"mask:{name}"], name)
        assert ours["LoadImage"].IS_CHANGED(name) == texts[f"changed:{name}"]


@pytest.mark.parametrize("channels", [3, 4])
def test_image_scale(ours: Any, theirs: Any, channels: int) -> None:
    _, _, arrays, given = theirs
    image = torch.from_numpy(given["image"])[..., :channels]
    for index, row in enumerate(SCALES):
        same(ours["ImageScale"]().upscale(image, *row)[0], arrays[f"scale:{index}:{channels}"], str(row))


def test_mask_to_image(ours: Any, theirs: Any) -> None:
    _, _, arrays, given = theirs
    for shape in ("mask", "one_mask"):
        same(ours["MaskToImage"]().mask_to_image(torch.from_numpy(given[shape]))[0], arrays[f"grey:{shape}"], shape)


def test_save_image_writes_the_same_files(ours: Any, theirs: Any) -> None:
    folder, texts, _, given = theirs
    image = torch.from_numpy(given["image"])
    save = ours["SaveImage"]
    saved = [save().save_images(image[..., :3], prefix, PROMPT, EXTRA)["ui"] for prefix in PREFIXES]
    assert saved == texts["saved"]
    assert save().save_images(image, "rgba")["ui"] == texts["rgba"]
    mine = sorted(path.relative_to(folder / "ours") for path in (folder / "ours").rglob("*.png"))
    assert mine == sorted(path.relative_to(folder / "theirs") for path in (folder / "theirs").rglob("*.png"))
    for path in mine:
        assert (folder / "ours" / path).read_bytes() == (folder / "theirs" / path).read_bytes()


def test_preview_image_writes_the_same_pixels(ours: Any, theirs: Any) -> None:
    folder, texts, _, given = theirs
    mine = ours["PreviewImage"]().save_images(torch.from_numpy(given["image"])[..., :3], prompt=PROMPT)["ui"]["images"]
    for one, other in zip(mine, texts["preview"]["images"], strict=True):
        assert (one["type"], one["subfolder"]) == (other["type"], other["subfolder"])
        assert len(one["filename"]) == len(other["filename"])
        first, second = ((folder / "temp" / image["filename"]).read_bytes() for image in (one, other))
        assert first == second


def test_preview_any(ours: Any, theirs: Any) -> None:
    mine = [list(ours["PreviewAny"]().main(value)["ui"]["text"]) for value in VALUES]
    assert mine == theirs[1]["any"]
