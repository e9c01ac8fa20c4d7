"""Does the engine compute what the published code computes? The public code and ours on the same random weights.

    LLMSEG_SCLIP=FOLDER LLMSEG_NACLIP=FOLDER ... python -m benchmarks.fidelity [METHOD ...]

Each variable names a checkout: LLMSEG_SCLIP, _NACLIP, _CLEARCLIP (MaskCLIP too), _GEM, _SURGERY, _ITACLIP, _SCCLIP,
_RESCLIP; a method without one is skipped and says so. Both sides get the same seeded ViT-B/16 weights, the same
resized picture, and as queries the k-means centres of the picture's own patch features, so that many labels occur and
neighbours compete. Compared are all cosines at the original size, and the labels.

Not here: the public code's side (`reference`), what both sides are given (`reference_inputs`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import interpolate

from llmseg.assembly import assemble_classes
from llmseg.encoder import Encoder, load_encoder
from llmseg.labels import label_pixels
from llmseg.patch_features import build_patch_features
from llmseg.refinement import refine_scores
from llmseg.scores import score_image
from llmseg.types import ClassList, ClassName, PatchFeatures, TextBank

from .reference_inputs import GRID, PATCH, Case, draw_picture, find_centres, random_weights, read_case, write_case

THREADS = 2
LARGEST_DIFFERENCE = 1e-4  # of a cosine
LEAST_EQUAL = 99.99  # per cent of the pixels
LEAST_LABELS = 20
# Resized and "original" sizes, height first. The windows of `odd` start between patches.
PICTURES = {
    "landscape": ((336, 448), (375, 500)),
    "portrait": ((448, 336), (500, 375)),
    "odd": ((336, 504), (375, 562)),
    "large": ((448, 597), (375, 500)),
    "square": ((336, 336), (375, 375)),
}
# How these methods resize position embeddings; all others do it as DINO does.
POSITIONS: Mapping[str, Mapping[str, Any]] = {
    "gem": {"mode": "bicubic", "antialias": True},
    "surgery": {"mode": "bilinear"},
}
VARIABLES = {
    name: f"LLMSEG_{name.upper()}"
    for name in ("sclip", "naclip", "clearclip", "gem", "surgery", "itaclip", "scclip", "resclip")
} | {"maskclip": "LLMSEG_CLEARCLIP"}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        method: a name in `attention.ATTENTION`.
        picture: a name in `PICTURES`.
        queries, classes: how many.
        window, stride, pamr: as in `Case`.
        their_positions: whether our weights hold position embeddings that were resized in the method's own way.
    """

    method: str
    picture: str
    queries: int = 64
    classes: int = 64
    window: int = 224
    stride: int = 112
    pamr: int = 0
    their_positions: bool = False

    @property
    def known(self) -> bool:
        """Whether the engine means to differ: all its methods share DINO's way to resize position embeddings."""
        return self.method in POSITIONS and not self.window and not self.their_positions

    @property
    def layout(self) -> str:
        """Windows, refinement and the number of queries, for people."""
        windows = f"{self.window} every {self.stride}" if self.window else "whole"
        merged = "" if self.queries == self.classes else f", {self.queries} queries of {self.classes} classes"
        positions = ", their positions" if self.their_positions else ""
        return windows + merged + positions + (f", PAMR {self.pamr}" if self.pamr else "")


def rows(method: str) -> Iterator[Row]:
    """What one method is compared on."""
    # ResCLIP refines every window in its first pass, which is slow in the public code.
    plain = Row(method, "landscape", *((32, 32) if method == "resclip" else (64, 64)))
    yield from (replace(plain, picture=picture) for picture in ("landscape", "portrait", "odd"))
    if method in ("sclip", "naclip"):
        yield replace(plain, queries=171, classes=21)
    if method == "naclip":
        yield from (replace(plain, picture=picture, window=0) for picture in ("landscape", "portrait"))
        yield from (replace(plain, picture=picture, pamr=10) for picture in ("landscape", "portrait"))
    if method == "itaclip":
        yield replace(plain, stride=28)
    if method == "clearclip":
        yield replace(plain, picture="large", window=448, stride=224)
    if method in POSITIONS:
        whole = replace(plain, picture="square", window=0)
        yield from (whole, replace(whole, their_positions=True))


def main() -> None:
    """Print the table, and how far methods are from each other."""
    torch.set_num_threads(THREADS)
    methods = sys.argv[1:] or list(VARIABLES)
    print("| method | picture | windows | labels | deviation of cosines | largest difference | equal labels | goal |")
    print("|---|---|---|---:|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        weights = Path(folder) / "weights.safetensors"
        save_file(random_weights(), weights)
        encoder = load_encoder(str(weights), activation="quickgelu")
        for method in methods:
            if checkout := os.environ.get(VARIABLES[method]):
                _compare_method(encoder, method, checkout, weights)
            else:
                print(f"| {method} | - | {VARIABLES[method]} is not set | - | - | - | - | not compared |")
        _print_contrast(encoder)


def _compare_method(encoder: Encoder, method: str, checkout: str, weights: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cases, results = Path(folder) / "cases", Path(folder) / "results"
        cases.mkdir()
        results.mkdir()
        prepared = []
        for number, row in enumerate(rows(method)):
            ours = _with_their_positions(row, weights, Path(folder)) if row.their_positions else encoder
            case, features = _prepare(ours, row)
            write_case(case, cases / f"{number:02}.safetensors")
            prepared.append((row, ours, features))
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.reference", method, checkout]
        subprocess.run([*command, str(weights), str(cases), str(results)], check=True)
        for number, (row, ours, features) in enumerate(prepared):
            name = f"{number:02}.safetensors"
            _print_row(row, load_file(results / name), _segment(ours, row, read_case(cases / name), features))


def _with_their_positions(row: Row, weights: Path, folder: Path) -> Encoder:
    """Our engine with position embeddings as a method would resize them to the whole picture."""
    state, name = load_file(weights), "visual.positional_embedding"
    side = PICTURES[row.picture][0][0] // PATCH
    cls, table = state[name][:1], state[name][1:].T.reshape(1, -1, GRID, GRID)
    resized = interpolate(table, size=(side, side), **POSITIONS[row.method])
    path = folder / "resized.safetensors"
    save_file(state | {name: torch.cat([cls, resized.flatten(2)[0].T])}, path)
    return load_encoder(str(path), activation="quickgelu")


def _prepare(encoder: Encoder, row: Row) -> tuple[Case, PatchFeatures]:
    """A case whose queries are centres of the features that the method itself makes, and those features."""
    resized, size = PICTURES[row.picture]
    picture = draw_picture(*resized)
    # ResCLIP's features depend on the queries; NACLIP's are its first pass but for the borrowed maps.
    features = _encode(encoder, row, picture, "naclip" if row.method == "resclip" else row.method)
    queries = find_centres(features.levels[0].windows.flatten(0, -2), row.queries)
    index = torch.arange(row.queries) * row.classes // row.queries
    return Case(picture, size, queries, index, row.window, row.stride, row.pamr), features


def _encode(encoder: Encoder, row: Row, picture: Tensor, attention: str, bank: TextBank | None = None) -> PatchFeatures:
    return build_patch_features(
        encoder,
        picture[None].float() / 255,
        attention=attention,
        window=row.window,
        stride=row.stride,
        resize=0,
        scales="one",
        layout="published",
        text_bank=bank,
    )


def _segment(encoder: Encoder, row: Row, case: Case, features: PatchFeatures) -> dict[str, Tensor]:
    """Our cosines and labels at the original size."""
    bank = _bank(encoder, row, case.queries, case.class_index)
    if row.method == "resclip":
        features = _encode(encoder, row, case.picture, row.method, bank)
    scores = score_image(replace(features, size=case.size), bank, scoring="exact")
    if row.pamr:
        scores = refine_scores(scores, case.picture[None].float() / 255, "pamr")
    labels = label_pixels(assemble_classes(scores, "softmax_max")).labels[0]
    return {"scores": scores.phrase_scores(0), "labels": labels}


def _bank(encoder: Encoder, row: Row, queries: Tensor, class_index: Tensor) -> TextBank:
    return TextBank(
        embeddings=queries,
        class_index=class_index,
        name_embeddings=queries[torch.searchsorted(class_index, torch.arange(row.classes))],
        classes=ClassList(tuple(ClassName(f"class {number}") for number in range(row.classes))),
        phrases=tuple(f"query {number}" for number in range(row.queries)),
        templates="none",
        model=encoder.identity,
    )


def _print_row(row: Row, theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> None:
    difference = (theirs["scores"] - ours["scores"]).abs().max().item()
    equal = 100 * (theirs["labels"] == ours["labels"]).double().mean().item()
    labels = len(theirs["labels"].unique())
    deviation = theirs["scores"].flatten(1).std(1).mean().item()
    good = difference < LARGEST_DIFFERENCE and equal > LEAST_EQUAL and labels >= LEAST_LABELS
    goal = "yes" if good else "positions differ" if row.known else "**no**"
    (height, width), _ = PICTURES[row.picture]
    print(
        f"| {row.method} | {row.picture} {width} x {height} | {row.layout} | {labels} | {deviation:.3f} "
        f"| {difference:.1e} | {equal:.4f} % | {goal} |",
        flush=True,
    )


def _print_contrast(encoder: Encoder) -> None:
    """How much two methods differ at least: a comparison that could not tell them apart would show nothing."""
    picture = draw_picture(encoder.image_size, encoder.image_size)
    row = Row("vanilla", "square")
    queries = find_centres(_encode(encoder, row, picture, "vanilla").levels[0].windows.flatten(0, -2), row.queries)
    bank = _bank(encoder, row, queries, torch.arange(row.queries))
    seen = {name: _encode(encoder, row, picture, name, bank).levels[0].windows @ queries.T for name in VARIABLES}
    distances = {pair: (seen[pair[0]] - seen[pair[1]]).abs().max().item() for pair in combinations(seen, 2)}
    first, second = nearest = min(distances, key=distances.__getitem__)
    print(f"\nNearest methods, same window and queries: {first} and {second}, {distances[nearest]:.2f} at most.")


if __name__ == "__main__":
    main()
