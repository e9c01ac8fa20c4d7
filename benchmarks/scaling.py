"""Time and memory of the engine against phrases, picture size and batch; a table and a plot.

    python -m benchmarks.scaling [--plot scaling.png] [--giant] [--device cuda] [--dtype float16]

Random ViT-B/16 weights, two threads or a GPU, windows of 224 without overlap; every pair of lines is a process of its
own. Memory is the growth of the peak over what imports and weights took, the exact line's includes the fast one's.
On a GPU it is what PyTorch holds there, kernels are warm, the best of three counts, and pictures lie on the host.
`--giant` adds a picture of 4,096 x 4,096 with 10,000 phrases.

Not here: the public code (`dense`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors.torch import save_file

from llmseg.options import DTYPE

from .reference_inputs import random_weights

COUNTS = (21, 171, 1710, 5000, 10_000)
SIDES = (224, 512, 1024, 2048)
GIANT = (4096, 10_000)  # side and phrases
SCORINGS = ("fast", "exact")
BATCHES = (1, 2, 4, 8)
CLASSES = 171  # at most: phrases share them
WINDOW = 224  # pixels, without overlap
PROBE = """
import json, sys, time
from resource import RUSAGE_SELF, getrusage
import torch
from torch.nn.functional import normalize
from llmseg.assembly import assemble_classes
from llmseg.encoder import load_encoder
from llmseg.labels import label_pixels
from llmseg.patch_features import build_patch_features
from llmseg.scores import score_image
from llmseg.types import ClassList, ClassName, TextBank
path, device, dtype = sys.argv[1:4]
side, count, batch, classes, window = map(int, sys.argv[4:])
cuda = device == "cuda"
torch.set_num_threads(2)
encoder = load_encoder(path, activation="quickgelu", device=device, dtype=dtype)
generator = torch.Generator().manual_seed(0)
vectors = normalize(torch.randn(count, 512, generator=generator), dim=-1).to(encoder.device)
names = tuple(ClassName(str(number)) for number in range(classes))
index = torch.arange(count, device=encoder.device) * classes // count
bank = TextBank(vectors, index, vectors[torch.arange(classes) * count // classes], ClassList(names),
                tuple(map(str, range(count))), "", encoder.identity)
images = torch.rand(batch, 3, side, side, generator=generator)
def encode(images):
    return build_patch_features(encoder, images, window=window, stride=window, resize=0, scales="one")
def label(scoring):
    label_pixels(assemble_classes(score_image(features, bank, scoring), "softmax_max"))
def best(call, *arguments):
    times, result = [], None
    for _ in range(3 if cuda else 1):
        del result
        torch.cuda.synchronize() if cuda else None
        started = time.perf_counter()
        result = call(*arguments)
        torch.cuda.synchronize() if cuda else None
        times.append(time.perf_counter() - started)
    return result, min(times)
def peak():
    return torch.cuda.max_memory_allocated() / 2**20 if cuda else getrusage(RUSAGE_SELF).ru_maxrss / 1024
features = encode(images[:1, :, :224, :224])
if cuda:
    label("fast"), label("exact")
    torch.cuda.reset_peak_memory_stats()
del features
before = peak()
features, image = best(encode, images)
for scoring in ("fast", "exact"):
    _, labels = best(label, scoring)
    print(json.dumps({"image": image, "labels": labels, "memory": peak() - before, "peak": peak()}), flush=True)
"""


class Point(NamedTuple):
    """One measurement: what was asked, and seconds and megabytes."""

    scoring: str
    side: int
    count: int
    batch: int
    image: float
    labels: float
    memory: float
    peak: float


def main() -> None:
    """Print tables, and draw them where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", type=Path, help="picture to draw; needs matplotlib")
    parser.add_argument("--giant", action="store_true", help="4,096 x 4,096 with 10,000 phrases; takes ten minutes")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--dtype", choices=DTYPE.choices, default=DTYPE.default, help="number format of the image tower"
    )
    options = parser.parse_args()
    where = (options.device, options.dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.safetensors"
        save_file(random_weights(), path)
        points = []
        print("| scoring | picture | phrases | batch | image, s | labels, s | memory, MB | peak in all, MB |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|")
        asked = [(512, count, 1) for count in COUNTS]
        asked += [(side, CLASSES, 1) for side in SIDES if side != 512]
        asked += [(224, CLASSES, batch) for batch in BATCHES[1:]]
        for each in asked:
            points += measure(path, where, *each)
        if options.giant:
            measure(path, where, *GIANT, 1)
    if options.plot:
        draw(points, options.plot)


def measure(path: Path, where: tuple[str, str], side: int, count: int, batch: int) -> list[Point]:
    """Both scorings, in a process of their own; the exact one comes second and its peak holds the other's."""
    numbers = (side, count, batch, min(count, CLASSES), WINDOW)
    command = [sys.executable, "-c", PROBE, str(path), *where, *map(str, numbers)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    points = []
    for scoring, line in zip(SCORINGS, lines, strict=True):
        point = Point(scoring, side, count, batch, **json.loads(line))
        digits = 2 if where[0] == "cpu" else 4
        seconds = f"{point.image:.{digits}f} | {point.labels:.{digits}f}"
        megabytes = f"{point.memory:.0f} | {point.peak:.0f}"
        print(f"| {scoring} | {side} x {side} | {count} | {batch} | {seconds} | {megabytes} |", flush=True)
        points.append(point)
    return points


def draw(points: Sequence[Point], path: Path) -> None:
    """Seconds and megabytes against phrases and against the side of the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(10, 7), layout="constrained")
    views: tuple[tuple[str, Callable[[Point], bool], Callable[[Point], int]], ...] = (
        ("phrases, 512 x 512", lambda p: p.side == 512, lambda p: p.count),
        ("side, 171 phrases", lambda p: p.count == CLASSES and p.batch == 1, lambda p: p.side),
    )
    for column, (title, chosen, value) in enumerate(views):
        seconds, megabytes = axes[:, column]
        for scoring in ("fast", "exact"):
            line = sorted((point for point in points if point.scoring == scoring and chosen(point)), key=value)
            at = [value(point) for point in line]
            seconds.loglog(at, [point.labels for point in line], "o-", label=f"labels, {scoring}")
            megabytes.semilogx(at, [point.memory for point in line], "o-", label=scoring)
            if scoring == "fast":
                seconds.loglog(at, [point.image for point in line], "s--", color="grey", label="image tower")
        seconds.set(title=f"seconds against {title}", ylabel="s")
        megabytes.set(title=f"memory against {title}", ylabel="MB over the weights", ylim=(0, None))
        for view in (seconds, megabytes):
            view.legend()
            view.grid(alpha=0.3)
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
