"""Does expansion help, where, and more than the controls do? 500 scenes that nothing was chosen on.

    python -m benchmarks.conditions --font NotoColorEmoji.ttf --look TwemojiMozilla.ttf

52 classes: 42 superclasses and 10 backgrounds. The engine's defaults come from `calibration.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from llmseg.encoder import Encoder, load_encoder
from llmseg.evaluation import compare_miou, iou_per_class, mean_iou
from tools.world.sprites import render_sprites

from .world import (
    BUCKETS,
    CEILING,
    REFINED_CEILING,
    Ask,
    Condition,
    Counts,
    Setting,
    ask,
    build_banks,
    conditions,
    make_expansion,
    measure,
    partial_lists,
    scenes,
    share_groups,
)

COVERAGES = (0.0, 0.25, 0.5, 0.75, 1.0)
BASE, FULL = "class names", "subclasses"
PLAIN = {f"{name}, not refined": name for name in (BASE, FULL, "subclasses and names")}


def main() -> None:
    """Print every table."""
    options = parse_options(__doc__)
    sprites = render_sprites(options.font, options.look)
    encoder = load_encoder(options.model)
    ways = ask(build_banks(encoder, conditions() | coverages()))
    plain = {name: Ask(ways[full].bank, Setting(refiner="none")) for name, full in PLAIN.items()}
    counts = measure(encoder, scenes(sprites, options.scenes), ways | plain)
    _introduce(encoder, options.scenes)
    print_buckets(counts)
    print_differences(counts)
    print_coverage(counts)


def parse_options(description: str, count: int = 500) -> argparse.Namespace:
    """The options that all benchmarks on random scenes share."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--font", type=Path, required=True, help="Noto Color Emoji font file")
    parser.add_argument("--look", type=Path, action="append", default=[], help="further font (COLR), repeatable")
    parser.add_argument("--model", default="embedded", help="name or file (default: embedded)")
    parser.add_argument("--scenes", type=int, default=count, help=f"default: {count}")
    return parser.parse_args()


def coverages() -> dict[str, Condition]:
    """The same class lists, more and more complete, with the class names."""
    return {
        f"{share:.0%} of each list": Condition(make_expansion(partial_lists(share, 2)), "yes") for share in COVERAGES
    }


def _introduce(encoder: Encoder, count: int) -> None:
    defaults = encoder.defaults
    print(f"{count} scenes of 96 x 96 to 512 x 384, objects of 12 to 120 pixels; model {encoder.name}; mIoU in %.")
    print(
        f"Engine: {defaults.attention} attention, mode {defaults.mode}, temperature {defaults.temperature}, "
        f"windows of {defaults.window} every {defaults.stride}, scales {defaults.scales}, refiner {defaults.refiner}.\n"
    )


def print_buckets(counts: Mapping[str, Counts]) -> None:
    """mIoU by object size, and as a share of what the patch grid alone allows."""
    print("| condition |" + "".join(f" {bucket} |" for bucket in BUCKETS) + " share of the ceiling |")
    print("|---|" + "---:|" * (len(BUCKETS) + 1))
    best = mean_iou(counts[CEILING].total())
    for name in (*conditions(), *PLAIN, CEILING, REFINED_CEILING):
        row = [mean_iou(counts[name].total(bucket)) for bucket in BUCKETS]
        print(f"| {name} |" + "".join(f" {100 * value:.1f} |" for value in row) + f" {row[0] / best:.2f} |")


def print_differences(counts: Mapping[str, Counts]) -> None:
    """What the subclasses gain over names and controls, by how often training said the class word."""
    print("\nGain of `subclasses`, percentage points with 95 % intervals (paired bootstrap over images):\n")
    groups: dict[str, list[int] | None] = {"all classes": None, **share_groups()}
    print("| over |" + "".join(f" {group} |" for group in groups) + "\n|---|" + "---:|" * len(groups))
    for other in (BASE, "placebo: names with neutral words", "shuffled: another class's list"):
        cells = []
        for labels in groups.values():
            found = compare_miou(counts[FULL].per_image["all"], counts[other].per_image["all"], classes=labels)
            cells.append(f" {100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f}) |")
        print(f"| {other} |" + "".join(cells))


def print_coverage(counts: Mapping[str, Counts]) -> None:
    """mIoU of the classes of each share, by the completeness of their lists."""
    groups = share_groups()
    print("\nShare of captions that say the class word, by coverage of the list (with names):\n")
    print("| share |" + "".join(f" {coverage:.0%} |" for coverage in COVERAGES) + "\n|---|" + "---:|" * len(COVERAGES))
    for share, labels in groups.items():
        cells = []
        for coverage in COVERAGES:
            values = iou_per_class(counts[f"{coverage:.0%} of each list"].total())[labels]
            cells.append(f" {100 * float(values[~values.isnan()].mean()):.1f} |")
        print(f"| {share} |" + "".join(cells))


if __name__ == "__main__":
    main()
