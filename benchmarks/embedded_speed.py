"""How long from nothing but imports to the labels of one 512 x 512 scene, and in how much memory?

    python -m benchmarks.embedded_speed --font NotoColorEmoji.ttf --look TwemojiMozilla.ttf

Loading the embedded model, encoding 52 classes with all their kinds, and segmenting, in the model's own way and
without overlap of the windows; the best and the median of several runs, each in a process of its own. Peak memory
is the growth over what the imports took.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.world.scenes import random_scene
from tools.world.sprites import render_sprites

from .conditions import parse_options

RUNS = 7
SIDE = 512
SEED = 4_000_000
STRIDES = {"windows of the model's own": -1, "windows without overlap": 64}
PROBE = """
import json, sys, time
import numpy as np, torch
from PIL import Image
import llmseg.assembly, llmseg.encoder, llmseg.labels, llmseg.library, llmseg.pipeline
from benchmarks.world import full_lists, make_expansion
from llmseg.assembly import assemble_classes
from llmseg.labels import label_pixels
from llmseg.patch_features import build_patch_features
from llmseg.scores import score_image
from llmseg.text_bank import build_text_bank
from llmseg.refinement import refine_maps
import regex, safetensors.torch
picture = np.asarray(Image.open(sys.argv[1]))
try:
    from resource import RUSAGE_SELF, getrusage
    peak = lambda: getrusage(RUSAGE_SELF).ru_maxrss / 1024
except ImportError:  # Windows tells no peak this way
    peak = lambda: float("nan")
before, started = peak(), time.perf_counter()
encoder = llmseg.encoder.load_encoder(sys.argv[2])
loaded = time.perf_counter()
bank = build_text_bank(encoder, make_expansion(full_lists()))
phrased = time.perf_counter()
image = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
features = build_patch_features(encoder, image, stride=int(sys.argv[3]))
seen = time.perf_counter()
labels = label_pixels(refine_maps(assemble_classes(score_image(features, bank)), image)).labels
done = time.perf_counter()
print(json.dumps({"load": loaded - started, "text": phrased - loaded, "image": seen - phrased,
                  "labels": done - seen, "all": done - started, "memory": peak() - before}))
"""


def main() -> None:
    """Print seconds by part, and megabytes."""
    options = parse_options(__doc__, 1)
    scene = random_scene(SEED, render_sprites(options.font, options.look), SIDE, SIDE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.png"
        scene.image.save(path)
        print(f"One {SIDE} x {SIDE} scene, {RUNS} runs; seconds after the imports, memory in MB over them.")
        for title, stride in STRIDES.items():
            command = [sys.executable, "-c", PROBE, str(path), options.model, str(stride)]
            runs = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(RUNS)]
            print(f"\n| {title} | best | median |\n|---|---:|---:|")
            for part in runs[0]:
                values = [run[part] for run in runs]
                print(f"| {part} | {min(values):.2f} | {statistics.median(values):.2f} |")


if __name__ == "__main__":
    main()
