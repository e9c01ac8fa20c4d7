"""Draw the loss curves of trainings, and print a table of them.

    python -m tools.train.curve benchmarks/results/training/*.jsonl --picture benchmarks/results/training.png

Not here: the log itself (`trainer`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from llmseg.palette import INK, PAPER, make_palette

TERMS = ("global", "presence", "competition", "path_presence", "path_competition")
SIZE, MARGIN = (960, 480), 56
ROWS = 12  # of the table
LOWEST, HIGHEST = -1.0, 8.0  # losses above are cut off; only the first minute has them
SMOOTH = 8  # entries that a point of a curve averages

Log = list[dict[str, float]]


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", type=Path, nargs="+", help="log.jsonl of a training; the first is the table")
    parser.add_argument("--picture", type=Path, required=True, help="PNG to write")
    options = parser.parse_args()
    logs = [read_log(path) for path in options.logs]
    draw_curves(logs).save(options.picture)
    print_table(logs[0])


def read_log(path: Path) -> Log:
    """One entry per 25 steps."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def print_table(log: Log) -> None:
    """Evenly spaced entries of a log."""
    print("| minute | scenes | " + " | ".join(TERMS) + " | local scale |\n|" + "---:|" * (len(TERMS) + 3))
    for number in range(1, ROWS + 1):
        last = len(log) * number // ROWS
        chosen, entry = log[max(0, last - SMOOTH) : last], log[last - 1]
        means = " | ".join(f"{_mean(chosen, term):.2f}" for term in TERMS)
        print(f"| {entry['seconds'] / 60:.0f} | {entry['scenes']:,.0f} | {means} | {entry['local_scale']:.1f} |")


def draw_curves(logs: Sequence[Log]) -> Image.Image:
    """Loss over minutes, a colour per term; the second and later logs are dotted."""
    canvas = Image.new("RGB", SIZE, PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(15)
    last = max(log[-1]["seconds"] for log in logs)
    width, height = SIZE[0] - 2 * MARGIN, SIZE[1] - 2 * MARGIN

    def place(seconds: float, loss: float) -> tuple[float, float]:
        return MARGIN + width * seconds / last, MARGIN + height * (HIGHEST - min(loss, HIGHEST)) / (HIGHEST - LOWEST)

    for loss in range(0, int(HIGHEST) + 1, 2):
        draw.line([place(0, loss), place(last, loss)], fill="#d8d8d8")
        draw.text((MARGIN - 8, place(0, loss)[1]), str(loss), fill=INK, font=font, anchor="rm")
    for minute in range(0, int(last / 60) + 1, 10):
        draw.text((place(minute * 60, LOWEST)[0], SIZE[1] - MARGIN + 8), str(minute), fill=INK, font=font, anchor="mt")
    draw.text((SIZE[0] / 2, SIZE[1] - 8), "minutes", fill=INK, font=font, anchor="mb")
    for number, (term, colour) in enumerate(zip(TERMS, make_palette(len(TERMS)), strict=True)):
        for log in logs:
            points = [place(log[i]["seconds"], _mean(log[max(0, i - SMOOTH) : i + 1], term)) for i in range(len(log))]
            if log is logs[0]:
                draw.line(points, fill=colour, width=2)
            else:
                draw.point([(x + dx, y + dy) for x, y in points for dx in (0, 1) for dy in (0, 1)], fill=colour)
        draw.text((SIZE[0] - MARGIN, MARGIN + 20 * number), term, fill=colour, font=font, anchor="rm")
    return canvas


def _mean(entries: Log, term: str) -> float:
    return sum(entry[term] for entry in entries) / len(entries)


if __name__ == "__main__":
    main()
