"""Choose the engine's defaults for the embedded model, on scenes that no other benchmark reports.

    python -m benchmarks.calibration --font NotoColorEmoji.ttf --look TwemojiMozilla.ttf

Settings are ranked by the mean of full and half lists, so that a mode that only works with complete
lists does not win. The scenes are made on the spot from seeds of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmseg.encoder import Encoder, load_encoder
from llmseg.evaluation import mean_iou
from llmseg.options import ATTENTION, INCLUDE_NAMES, SCALES
from llmseg.templates import TEMPLATES
from tools.world.scenes import Scene
from tools.world.sprites import render_sprites

from .conditions import parse_options
from .world import (
    CALIBRATION_SEED,
    Ask,
    Condition,
    Setting,
    build_banks,
    full_lists,
    make_expansion,
    measure,
    partial_lists,
    scenes,
)  # fmt: skip

HALVES = 2
EDGES = tuple((colour, distance) for colour in (0.03, 0.05, 0.1, 0.15) for distance in (1.0, 3.0, 5.0))
WINDOWS = ((48, 24), (64, 64), (64, 48), (64, 32), (96, 96), (96, 72), (96, 48), (128, 64))
SETTINGS = (
    Setting("off"),
    Setting("paper", 1.0),
    Setting("paper", 0.05),
    *(Setting("blend", t, w) for t in (0.05, 0.02) for w in (0.25, 0.5)),
    *(Setting("lme", t) for t in (0.1, 0.05, 0.03, 0.02, 0.01, 0.005)),
    Setting("max"),
)


def main() -> None:
    """Print one table per question, best first."""
    options = parse_options(__doc__, 100)
    sprites = render_sprites(options.font, options.look)
    pictures = list(scenes(sprites, options.scenes, CALIBRATION_SEED))
    encoder = load_encoder(options.model)
    print(f"{options.scenes} scenes, seeds from {CALIBRATION_SEED}; mIoU in %, half = mean of {HALVES} draws\n")
    _print_scales(encoder, pictures)
    _print_edges(encoder, pictures)
    _print_attention(encoder, pictures)
    _print_modes(encoder, pictures)
    _print_windows(encoder, pictures)


def _print_scales(encoder: Encoder, pictures: Sequence[Scene]) -> None:
    bank = build_banks(encoder, {"full": Condition(make_expansion(full_lists()))})["full"]
    asked = {scales: Ask(bank, Setting("max", scales=scales)) for scales in SCALES.names}
    _print_ranking("| scales | mIoU |\n|---|---:|", _scores(encoder, pictures, asked))


def _print_edges(encoder: Encoder, pictures: Sequence[Scene]) -> None:
    bank = build_banks(encoder, {"full": Condition(make_expansion(full_lists()), "auto")})["full"]
    asked = {f"{colour} | {distance}": Ask(bank, Setting(edges=(colour, distance))) for colour, distance in EDGES}
    asked |= {"not refined | -": Ask(bank, Setting(refiner="none"))}
    _print_ranking("| colour | distance | mIoU |\n|---:|---:|---:|", _scores(encoder, pictures, asked))


def _print_attention(encoder: Encoder, pictures: Sequence[Scene]) -> None:
    full = {"full": Condition(make_expansion(full_lists()))}
    asked = {
        f"{attention} | {templates}": Ask(
            build_banks(encoder, full, templates)["full"], Setting("max", attention=attention)
        )
        for attention in ATTENTION.names
        if attention != "proxyclip"  # which needs a backbone, and none knows these scenes
        for templates in TEMPLATES
    }
    _print_ranking("| attention | templates | mIoU |\n|---|---|---:|", _scores(encoder, pictures, asked))


def _print_modes(encoder: Encoder, pictures: Sequence[Scene]) -> None:
    lists = [full_lists(), *(partial_lists(0.5, seed) for seed in range(HALVES))]
    asked = {}
    for include in INCLUDE_NAMES.names:
        wanted = {str(number): Condition(make_expansion(each), include) for number, each in enumerate(lists)}
        banks = build_banks(encoder, wanted)
        for setting in SETTINGS:
            for number, bank in banks.items():
                asked[f"{_describe(setting)} | {include} / {number}"] = Ask(bank, setting)
    scores = _scores(encoder, pictures, asked)
    means = {}
    for name in dict.fromkeys(key.split(" / ")[0] for key in scores):
        full, *halves = (scores[f"{name} / {number}"] for number in range(len(lists)))
        half = sum(halves) / len(halves)
        means[f"{name} | {full:.1f} | {half:.1f}"] = (full + half) / 2
    head = (
        "| mode | temperature | name_weight | include_names | full | half | mean |\n|---|---:|---:|---|---:|---:|---:|"
    )
    _print_ranking(head, means)


def _print_windows(encoder: Encoder, pictures: Sequence[Scene]) -> None:
    bank = build_banks(encoder, {"full": Condition(make_expansion(full_lists()), "auto")})["full"]
    asked = {f"{window} | {stride}": Ask(bank, Setting(window=window, stride=stride)) for window, stride in WINDOWS}
    _print_ranking("| window | stride | mIoU |\n|---:|---:|---:|", _scores(encoder, pictures, asked))


def _scores(encoder: Encoder, pictures: Sequence[Scene], asked: Mapping[str, Ask]) -> dict[str, float]:
    counts = measure(encoder, pictures, asked)
    return {name: 100 * mean_iou(counts[name].total()) for name in asked}


def _describe(setting: Setting) -> str:
    shown = ["-" if number < 0 else f"{number:g}" for number in (setting.temperature, setting.name_weight)]
    return f"{setting.mode} | {shown[0]} | {shown[1]}"


def _print_ranking(head: str, scores: Mapping[str, float]) -> None:
    print(head)
    for name, score in sorted(scores.items(), key=lambda item: -item[1]):
        print(f"| {name} | {score:.1f} |")
    print()


if __name__ == "__main__":
    main()
