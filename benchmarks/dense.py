"""How fast is the engine beside the public code? One 500 x 375 picture, ViT-B/16, two threads or a GPU.

    LLMSEG_NACLIP=FOLDER python -m benchmarks.dense [--rounds 5] [--device cuda] [--dtype float16 bfloat16]

LLMSEG_NACLIP names a checkout of NACLIP's public code; its segmentor runs unchanged on the same random weights, the
same picture and the same vectors for phrases, in turns with ours in one process, and the best of all rounds counts.
Without a checkout only our own times are printed. With 1,710 phrases the public merge would need 219 GB, so there
it is timed up to its logits, and ours to the labels all the same. On a GPU the public code loads its tower in float16,
the picture lies there already, and memory is what PyTorch holds at most over what it held before.

Not here: whether both compute the same (`fidelity`), text (`text`), growth with size (`scaling`).
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from llmseg.assembly import assemble_classes
from llmseg.encoder import Encoder, load_encoder
from llmseg.labels import label_pixels
from llmseg.options import DTYPE
from llmseg.pamr import pamr
from llmseg.patch_features import build_patch_features
from llmseg.scores import score_image
from llmseg.types import ClassList, ClassName, PatchFeatures, TextBank

from .reference_inputs import draw_picture, random_weights
from .reference_models import build_segmentor
from .reference_stubs import Sample, install_stubs
from .timing import Table

THREADS = 2
SIZE, RESIZED = (375, 500), (336, 448)
WINDOW, STRIDE = 224, 112
PHRASES = ((21, 21), (171, 171), (1710, 171))  # phrases and classes
DTYPES = {"cpu": ("float32", "bfloat16"), "cuda": ("float16", "bfloat16")}  # the parts are timed in the first one
GOALS = {"encoder": 1.06, "after 171": 3, "after 1710": 2, "PAMR": 15, "fast 21": 3, "fast 171": 4, "fast 1710": 12}


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=DTYPES, default="cpu")
    parser.add_argument("--dtype", nargs="+", choices=DTYPE.names, help="number formats of our image tower")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    weights, picture = random_weights(), draw_picture(*RESIZED).to(options.device)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.safetensors"
        save_file(weights, path)
        encoders = {
            dtype: load_encoder(str(path), activation="quickgelu", device=options.device, dtype=dtype)
            for dtype in options.dtype or DTYPES[options.device]
        }
    theirs = _load_public(weights, options.device) if os.environ.get("LLMSEG_NACLIP") else None
    table = Table(options.device == "cuda", options.rounds)
    what = (
        f"One picture of {SIZE[1]} x {SIZE[0]}, encoded at {RESIZED[1]} x {RESIZED[0]}, parts in {next(iter(encoders))}"
    )
    table.head(what, THREADS)
    with torch.no_grad():
        _compare_parts(theirs, next(iter(encoders.values())), picture, table)
        _compare_fast(theirs, encoders, picture, table)


class Public:
    """The public segmentor, whole or after its encoder."""

    def __init__(self, segmentor: Any) -> None:
        self.segmentor = segmentor
        self.encode = segmentor.net.encode_image

    def prepare(self, picture: Tensor, bank: TextBank) -> Tensor:
        """Give it phrases; the picture as it wants it. [1,3,h,w]"""
        vectors = bank.embeddings.to(self.segmentor.dtype)
        self.segmentor.query_features, self.segmentor.query_idx = vectors, bank.class_index
        self.segmentor.num_queries = len(bank.phrases)
        numbers = self.segmentor.data_preprocessor
        mean, std = (picture.new_tensor(values, dtype=torch.float32) for values in (numbers.mean, numbers.std))
        return ((picture.float() - mean.view(3, 1, 1)) / std.view(3, 1, 1))[None]

    def windows(self, image: Tensor) -> list[Tensor]:
        """Its features of all windows, one at a time."""
        found: list[Tensor] = []

        def keep(crop: Tensor, **options: Any) -> Tensor:
            found.append(self.encode(crop, **options))
            return found[-1]

        self.segmentor.net.encode_image = keep
        self.segmentor.forward_slide(image, STRIDE, WINDOW)
        self.segmentor.net.encode_image = self.encode
        return found

    def after(self, image: Tensor, windows: list[Tensor], merge: bool) -> None:
        """All that follows the encoder, or up to the logits at the original size."""
        left = iter([features.clone() for features in windows])
        self.segmentor.net.encode_image = lambda *_, **__: next(left)
        logits = self.segmentor.forward_slide(image, STRIDE, WINDOW)
        logits = interpolate(logits, size=SIZE, mode="bilinear", align_corners=False)
        if merge:
            self.segmentor.postprocess_result(logits, [Sample(SIZE)])
        self.segmentor.net.encode_image = self.encode


def _compare_parts(theirs: Public | None, encoder: Encoder, picture: Tensor, table: Table) -> None:
    images = picture[None].float() / 255
    banks = [_bank(encoder, *counts) for counts in PHRASES]
    features = _encode(encoder, images)
    if theirs is None:
        table.row("encoder, 6 windows", None, lambda: _encode(encoder, images))
    else:
        image = theirs.prepare(picture, banks[0])
        windows = theirs.windows(image)
        table.row(
            "encoder, 6 windows",
            lambda: [theirs.encode(crop, return_all=True) for crop in _crops(image)],
            lambda: _encode(encoder, images),
            GOALS["encoder"],
        )
    for bank in banks:
        count, classes = len(bank.phrases), len(bank.classes.classes)
        merge = count == classes
        what = f"after the encoder, {count} phrases" + ("" if merge else " (public: up to its logits)")
        public = None
        if theirs is not None:
            image = theirs.prepare(picture, bank)
            public = _later(theirs.after, image, windows, merge)
        table.row(what, public, _later(_label, features, bank), GOALS.get(f"after {count}"))
    maps = score_image(features, banks[1]).phrase_scores(0)
    guide = interpolate(images, size=SIZE, mode="bilinear", align_corners=False)
    public = None if theirs is None else (lambda: theirs.segmentor.pamr(guide, maps[None]))
    table.row("PAMR, 171 maps", public, lambda: pamr(maps, guide[0]), GOALS["PAMR"], share=0.5)


def _compare_fast(theirs: Public | None, encoders: dict[str, Encoder], picture: Tensor, table: Table) -> None:
    images = picture[None].float() / 255
    for counts in PHRASES:
        for dtype, encoder in encoders.items():
            bank = _bank(encoder, *counts)
            public = None
            if theirs is not None:
                image = theirs.prepare(picture, bank)
                public = _later(_whole_public, theirs, image, counts[0] == counts[1])
            goal = GOALS[f"fast {counts[0]}"] if dtype != "float32" else None
            what = f"fast: whole image, {dtype}, {counts[0]} phrases; public: all of it, sliding"
            table.row(what, public, _later(_fast, encoder, images, bank), goal)


def _whole_public(theirs: Public, image: Tensor, merge: bool) -> None:
    theirs.after(image, theirs.windows(image), merge)


def _fast(encoder: Encoder, images: Tensor, bank: TextBank) -> Tensor:
    features = build_patch_features(encoder, images, attention="naclip", window=0, resize=0, scales="one")
    return label_pixels(assemble_classes(score_image(_as_original(features), bank, "fast"), "softmax_max")).labels


def _encode(encoder: Encoder, images: Tensor) -> PatchFeatures:
    options = {"attention": "naclip", "window": WINDOW, "stride": STRIDE, "resize": 0, "scales": "one"}
    return _as_original(build_patch_features(encoder, images, layout="published", **options))  # type: ignore[arg-type]


def _as_original(features: PatchFeatures) -> PatchFeatures:
    return replace(features, size=SIZE)


def _label(features: PatchFeatures, bank: TextBank) -> Tensor:
    return label_pixels(assemble_classes(score_image(features, bank, "exact"), "softmax_max")).labels


def _bank(encoder: Encoder, count: int, classes: int) -> TextBank:
    """Random unit vectors: their values do not change the time."""
    vectors = torch.randn(count, encoder.embed_dim, generator=torch.Generator().manual_seed(count))
    vectors = normalize(vectors, dim=-1).to(encoder.device)
    class_index = torch.arange(count, device=encoder.device) * classes // count
    names = vectors[torch.arange(classes) * count // classes]
    class_list = ClassList(tuple(ClassName(f"class {number}") for number in range(classes)))
    return TextBank(vectors, class_index, names, class_list, tuple(map(str, range(count))), "", encoder.identity)


def _crops(image: Tensor) -> list[Tensor]:
    height, width = image.shape[-2:]
    return [
        image[:, :, top : top + WINDOW, left : left + WINDOW]
        for top in range(0, height - WINDOW + 1, STRIDE)
        for left in range(0, width - WINDOW + 1, STRIDE)
    ]


def _load_public(weights: dict[str, Tensor], device: str) -> Public:
    sys.path.insert(0, os.environ["LLMSEG_NACLIP"])
    install_stubs()
    model = importlib.import_module("naclip").NACLIP

    def build(**options: Any) -> Any:
        return model(**(options | {"device": torch.device(device)}))

    return Public(build_segmentor(build, weights, slide_crop=WINDOW, slide_stride=STRIDE, pamr_steps=10))


def _later(call: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    return lambda: call(*arguments)


if __name__ == "__main__":
    main()
