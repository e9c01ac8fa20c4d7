"""An evaluation that is killed at random moments and goes on: what is computed twice, and whether anything is lost.

    python -m benchmarks.evaluation_resume --font NotoColorEmoji.ttf --look TwemojiMozilla.ttf

Draws scenes that no training has seen into a data set of kind `folder`, measures four columns on it, kills the process
again and again, lets it end, and holds the stored counts against those of a run that nobody disturbed. What was
computed is counted in the stored lines: each stands for one image under one column.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tools.world.sprites import render_sprites

from .conditions import parse_options
from .world import COARSE, NAMES, scenes

KILLS = 8
LONGEST = 30  # images that a process may finish before it is killed
COLUMNS = (
    "--set",
    "scales=one",
    "--set",
    "refiner=none",
)  # and the default: class names alone, the list, its placebo, shuffled lists


def main() -> None:
    """Draw, kill, resume and count."""
    options = parse_options(__doc__, count=200)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "data", options)
        killed, halves = kill_often(folder, options)
        seconds = finish(folder, "broken", options)
        counted = count(folder / "broken")
        begun = time.perf_counter()
        finish(folder, "whole", options, fresh=True)
        whole = time.perf_counter() - begun
        same = read(folder / "broken") == read(folder / "whole")
    total = sum(counted.values())
    print(f"{options.scenes} scenes, 4 columns, model {options.model}, one scale, not refined; {len(killed)} kills.\n")
    print("| what | number |\n|---|---:|")
    print(f"| images finished before each kill | {', '.join(map(str, killed))} |")
    print(f"| columns that the image under way had already | {', '.join(map(str, halves))} |")
    print(f"| counts wanted (images x columns) | {options.scenes * 4} |")
    print(f"| counts stored, over all runs | {total} |")
    print(f"| of them more than once | {sum(number > 1 for number in counted.values())} |")
    print(f"| missing | {options.scenes * 4 - len(counted)} |")
    print(f"| equal to an unbroken run, every number | {'yes' if same else 'NO'} |")
    print(f"| seconds of the last run, of the unbroken one | {seconds:.0f}, {whole:.0f} |")


def draw(folder: Path, options: object) -> None:
    """Scenes as images, label pictures and class names."""
    font, look, number = (getattr(options, name) for name in ("font", "look", "scenes"))
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for position, scene in enumerate(scenes(render_sprites(font, look), number)):
        labels = COARSE[torch.from_numpy(scene.labels.astype(np.int64))].numpy().astype(np.uint8)
        scene.image.save(folder / "images" / f"{position:03}.png")
        Image.fromarray(labels).save(folder / "labels" / f"{position:03}.png")
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")


def start(folder: Path, output: str, options: object, cache: str) -> subprocess.Popen[str]:
    """The command; features go to a folder of their own."""
    command = [
        sys.executable,
        "-m",
        "llmseg.evaluate",
        "folder",
        str(folder / "data"),
        "--output",
        str(folder / output),
    ]
    command += ["--model", str(getattr(options, "model")), "--json", "--no-report", *COLUMNS]  # noqa: B009
    environment = {**os.environ, "LLMSEG_DATA": str(folder / cache)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


def kill_often(folder: Path, options: object) -> tuple[list[int], list[int]]:
    """Images finished before each kill, and columns that the image under way had already."""
    chooser = random.Random(0)
    finished: list[int] = []
    halves: list[int] = []
    for _ in range(KILLS):
        process = start(folder, "broken", options, "cache")
        assert process.stdout is not None
        wanted, done = chooser.randint(1, LONGEST), 0
        for line in process.stdout:
            done += bool(json.loads(line).get("computed"))
            if done == wanted:
                break
        time.sleep(chooser.uniform(0, 1.5))  # into one of the next images
        process.kill()
        process.wait()
        stored = len(count(folder / "broken"))
        finished.append(stored // 4 - sum(finished))
        halves.append(stored % 4)
        if process.returncode == 0:
            break
    return finished, halves


def finish(folder: Path, output: str, options: object, fresh: bool = False) -> float:
    """Let a run come to its end; gives its seconds."""
    begun = time.perf_counter()
    process = start(folder, output, options, "fresh" if fresh else "cache")
    assert process.stdout is not None
    events = [json.loads(line) for line in process.stdout]
    assert process.wait() == 0, events[-1]
    return time.perf_counter() - begun


def count(output: Path) -> Counter[tuple[str, str]]:
    """How often each image of each column was stored."""
    found: Counter[tuple[str, str]] = Counter()
    for path in (output / "columns").glob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            try:
                found[path.name, json.loads(line)["sample"]] += 1
            except ValueError:  # cut off by a kill
                continue
    return found


def read(output: Path) -> dict[str, list[bytes]]:
    """The stored lines of each column, in the order of the images."""
    return {path.name: sorted(path.read_bytes().splitlines()) for path in (output / "columns").glob("*.jsonl")}


if __name__ == "__main__":
    main()
