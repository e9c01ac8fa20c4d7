"""ComfyUI's own node classes as an oracle: they run in a second process, started once for a list of calls.

Needs a checkout named by COMFYUI_PATH whose requirements the running Python meets. Also the image files that
`LoadImage` and its like treat each in its own way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MODULES = ["images", "mask", "post_processing", "compositing", "preview_any", "string", "primitive", "logic"]

# Runs inside the checkout: reads `job.json` and `in.npz` in its argument, writes `out.npz` and `out.json`.
SCRIPT = """
import json, sys
from pathlib import Path
folder = Path(sys.argv.pop())
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import utils.extra_config  # first, as in main.py: later another module takes the name `utils`
import importlib, types
import numpy as np, torch
import server, folder_paths, nodes
from comfy_api.latest import io
folder_paths.set_input_directory(str(folder / "input"))
folder_paths.set_output_directory(str(folder / "output"))
folder_paths.set_temp_directory(str(folder / "temp"))
job = json.loads((folder / "job.json").read_text())
given = dict(np.load(folder / "in.npz"))
classes, titles = dict(nodes.NODE_CLASS_MAPPINGS), dict(nodes.NODE_DISPLAY_NAME_MAPPINGS)
for name in job["modules"]:
    module = importlib.import_module("comfy_extras.nodes_" + name)
    classes |= getattr(module, "NODE_CLASS_MAPPINGS", {})
    titles |= getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", {})
    for made in vars(module).values():
        if isinstance(made, type) and issubclass(made, io.ComfyNode) and made is not io.ComfyNode:
            schema = made.GET_SCHEMA()
            classes[schema.node_id], titles[schema.node_id] = made, schema.display_name

def fill(value):
    if isinstance(value, dict):
        if list(value) == ["array"]:
            return torch.from_numpy(given[value["array"]].copy())
        return {key: fill(each) for key, each in value.items()}
    return value

def call(made, inputs):
    if issubclass(made, io.ComfyNode):
        # What the server fills in; the executor does so on a clone too.
        clone = type(made.__name__, (made,), {"hidden": types.SimpleNamespace(unique_id=None)})
        output = clone.execute(**inputs)
        return output.args, output.ui and output.ui.as_dict()
    output = getattr(made(), made.FUNCTION)(**inputs)
    return (output.get("result", ()), output.get("ui")) if isinstance(output, dict) else (output, None)

arrays, answers = {}, []
for number, (key, inputs) in enumerate(job["calls"]):
    try:
        values, ui = call(classes[key], fill(inputs))
    except Exception as error:
        answers.append({"error": f"{type(error).__name__}: {error}"})
        continue
    for index, value in enumerate(values):
        if isinstance(value, torch.Tensor):
            arrays[f"{number}:{index}"] = value.numpy()
    values = [None if isinstance(value, torch.Tensor) else value for value in values]
    answers.append({"values": values, "ui": ui})

def flag(made, name):
    return bool(getattr(made, name, False))

records = {}
for key in job["keys"]:
    if key in classes:
        made = classes[key]
        records[key] = {
            "inputs": made.INPUT_TYPES(), "outputs": list(made.RETURN_TYPES), "category": made.CATEGORY,
            "names": list(getattr(made, "RETURN_NAMES", None) or made.RETURN_TYPES), "title": titles.get(key) or key,
            "flags": [flag(made, name) for name in ("OUTPUT_NODE", "DEPRECATED", "EXPERIMENTAL", "INPUT_IS_LIST")],
        }
np.savez(folder / "out.npz", **arrays)
(folder / "out.json").write_text(json.dumps({"answers": answers, "records": records}))
"""

Call = tuple[str, dict[str, Any]]


def array(name: str) -> dict[str, str]:
    """Stands for a named array in the inputs of a call."""
    return {"array": name}


def ask(
    folder: Path, calls: Sequence[Call], arrays: Mapping[str, np.ndarray], keys: Sequence[str] = ()
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What ComfyUI's classes answer.

    Args:
        folder: holds `input`, `output` and `temp`.
        calls: class key and inputs; `array` names stand for tensors at any depth.
        arrays: those tensors.
        keys: classes whose declaration is wanted.

    Returns:
        For each call {"error"} or {"values", "ui"}, and the declaration of each key that ComfyUI has.
    """
    np.savez(folder / "in.npz", **arrays)  # type: ignore[arg-type]
    job = {"calls": calls, "keys": list(keys), "modules": MODULES}
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    done = subprocess.run(command, cwd=os.environ["COMFYUI_PATH"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    written = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    with np.load(folder / "out.npz") as out:
        for name in out.files:
            number, index = map(int, name.split(":"))
            written["answers"][number]["values"][index] = out[name]
    return written["answers"], written["records"]


def write_inputs(folder: Path) -> list[str]:
    """Write a file of every kind that LoadImage treats in its own way; answers their names."""
    rng = np.random.default_rng(1)
    pixels = {c: rng.integers(0, 256, (9, 14, c), dtype=np.uint8) for c in (2, 3, 4)}
    rgb, rgba = Image.fromarray(pixels[3]), Image.fromarray(pixels[4])
    sixteen = Image.fromarray(rng.integers(0, 65536, (9, 14), dtype=np.uint16))
    frames = [Image.fromarray(rng.integers(0, 256, (9, 14, 3), dtype=np.uint8)) for _ in range(3)]
    clear = [Image.fromarray(rng.integers(0, 256, (9, 14, 4), dtype=np.uint8)) for _ in range(3)]
    turned = Image.Exif()
    turned[0x0112] = 5
    rgb.save(folder / "rgb.png")
    rgba.save(folder / "rgba.png")
    Image.fromarray(pixels[2], mode=None).save(folder / "la.png")
    rgb.convert("L").save(folder / "grey.png")
    rgb.convert("1").save(folder / "bits.png")
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    rgb.quantize(16).save(folder / "palette.png")
    rgb.quantize(16).save(folder / "clear_palette.png", transparency=3)
    sixteen.save(folder / "sixteen.png")
    sixteen.convert("I").save(folder / "integer.tiff")
    rgb.save(folder / "turned.jpg", exif=turned)
    rgba.save(folder / "lossless.webp", lossless=True)
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    clear[0].save(folder / "moving.webp", save_all=True, append_images=clear[1:], lossless=True)
    clear[0].save(folder / "moving.png", save_all=True, append_images=clear[1:])
    frames[0].save(folder / "pages.tiff", save_all=True, append_images=[frames[1].resize((4, 4)), frames[2]])
    frames[0].save(folder / "stereo.mpo", save_all=True, append_images=frames[1:])
    whole = folder / "turned.jpg"
    (folder / "broken.jpg").write_bytes(whole.read_bytes()[:-120])
    (folder / "sub").mkdir()
    rgba.save(folder / "sub" / "x.png")
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return [*names, "sub/x.png", "sub/x.png [input]"]
