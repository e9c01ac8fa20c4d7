"""What does a text bank cost, in the way of public evaluators and in ours?

    python -m benchmarks.text

The public way is a loop over the names, as in SCLIP's constructor: the eighty sentences of a name are padded to 77
tokens, encoded, normalised, averaged, normalised. It runs here on this project's own text tower, so that nothing but
the way differs. The tower has the size of ViT-B/16's and seeded random weights, on which its time does not depend.
Both ways are told in seconds of CPU, which other programs disturb less than those of the clock.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from llmseg.clip_config import ClipConfig, TowerConfig
from llmseg.encoder import Encoder
from llmseg.library import library_classes, library_names, load_library
from llmseg.models.weights import ClipWeights
from llmseg.templates import TEMPLATES, fill_templates
from llmseg.text_bank import build_text_bank
from llmseg.text_cache import store_vectors, text_key
from llmseg.tokenizer import VOCABULARY_SIZE
from llmseg.types import ClassExpansion, ClassName, Expansion, Phrase
from llmseg.vit import Clip

RUNS = 1
THREADS = 2
SET = "openai80"
CLASSES, PHRASES = 171, 1710  # as many classes as COCO-Stuff has, of ten phrases each
NAMES = {
    "the 20 of VOC": list(library_classes("voc21").names[1:]),
    "20 of four and five words": [
        f"{kind} {thing}"
        for kind in ("weathered wooden", "large stainless steel", "old red brick", "small folding")
        for thing in ("dining table", "railway bridge", "shopping street", "bicycle shed", "coffee machine")
    ],
}
VOC = NAMES["the 20 of VOC"]
PROBE = "import json, benchmarks.text as text; print(json.dumps(text.time_large_bank(text.random_encoder())))"


def main() -> None:
    """Print seconds and ratios, then what the second bank and the second process cost."""
    torch.set_num_threads(THREADS)
    encoder = random_encoder()
    print(f"{len(TEMPLATES[SET])} templates, {THREADS} threads, least of {RUNS} runs.\n")
    print(f"| names | tokens of a sentence | the public way | ours | ratio | {PHRASES} names, public | ours |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    public = least_cpu(partial(encode_publicly, encoder, VOC))
    for title, names in NAMES.items():
        ours = least_cpu(partial(build_afresh, encoder, names))
        minutes = " | ".join(f"{seconds * PHRASES / len(names) / 60:.0f} min" for seconds in (public, ours))
        tokens = mean_tokens(encoder, names)
        print(f"| {title} | {tokens:.1f} | {public:.0f} s | {ours:.0f} s | {public / ours:.1f} | {minutes} |")
    difference = encode_publicly(encoder, VOC[:2]) - build_afresh(encoder, VOC[:2])
    print(f"\nLargest difference of a vector's number: {difference.abs().max():.1e}.\n")
    print_kept(encoder)


def random_encoder() -> Encoder:
    """A text tower of ViT-B/16's size beside an image tower of none to speak of."""
    config = ClipConfig(
        vision=TowerConfig(width=64, layers=1, heads=1, hidden=64),
        text=TowerConfig(width=512, layers=12, heads=8, hidden=2048),
        image_size=32, patch_size=16, context_length=77, vocab_size=VOCABULARY_SIZE, embed_dim=512,
        activation="quickgelu",
    )  # fmt: skip
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Clip(config).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    state = {name: torch.randn(shape, generator=generator) * 0.02 for name, shape in shapes.items()}
    state |= {name: tensor + 1 for name, tensor in state.items() if ".ln_" in name and name.endswith("weight")}
    return Encoder(ClipWeights(name="random", identity="random", config=config, state=state))


def encode_publicly(encoder: Encoder, names: Sequence[str]) -> Tensor:
    """Name by name, every sentence padded to all that the tower reads. [C,D]"""
    vectors = []
    with torch.no_grad():
        for name in names:
            tokens = encoder.tokenizer(fill_templates(name, TEMPLATES[SET]), encoder.tokenizer.context_length)
            embeddings = normalize(encoder.module.encode_text(tokens), dim=-1)
            vectors.append(normalize(embeddings.mean(0), dim=-1))
    return torch.stack(vectors)


def build_afresh(encoder: Encoder, names: Sequence[str]) -> Tensor:
    """Our own bank with nothing in memory or on disk; what it writes is part of the time. [C,D]"""
    encoder.phrase_cache.clear()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LLMSEG_DATA"] = folder
        return build_text_bank(encoder, make_expansion([[name] for name in names]), SET).name_embeddings


def make_expansion(lists: Sequence[Sequence[str]]) -> Expansion:
    """Classes of a name and its phrases."""
    return Expansion(tuple(ClassExpansion(ClassName(name), tuple(map(Phrase, phrases))) for name, *phrases in lists))


def least_cpu(work: Callable[[], object]) -> float:
    """Seconds of CPU, all threads together, of the run that took least."""
    seconds = []
    for _ in range(RUNS):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


def mean_tokens(encoder: Encoder, names: Sequence[str]) -> float:
    """Tokens of a sentence, start and end included."""
    sentences = [sentence for name in names for sentence in fill_templates(name, TEMPLATES[SET])]
    return sum(len(encoder.tokenizer.encode(sentence)) + 2 for sentence in sentences) / len(sentences)


def print_kept(encoder: Encoder) -> None:
    """What a bank costs whose vectors lie on disk or in memory. Random ones: only their number matters."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LLMSEG_DATA"] = folder
        phrases = [phrase for each in large_lists() for phrase in each]
        vectors = normalize(torch.randn(len(phrases), encoder.embed_dim), dim=-1)
        store_vectors(text_key(encoder.text_identity, TEMPLATES[SET]), dict(zip(phrases, vectors, strict=True)))
        command = [sys.executable, "-c", PROBE]
        runs = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(RUNS)]
    print(f"| a bank of {PHRASES} phrases, {len(TEMPLATES[SET])} templates | seconds by the clock |\n|---|---:|")
    for number, title in enumerate(("first of a process, vectors on disk", "second of the process, vectors in memory")):
        print(f"| {title} | {min(run[number] for run in runs):.2f} |")


def time_large_bank(encoder: Encoder) -> list[float]:
    """Seconds of a first and of a second bank, for which the tower need not be asked."""
    encoder.module.token_embedding.register_forward_hook(_refuse)
    expansion = make_expansion(large_lists())
    stamps = [time.perf_counter()]
    for _ in range(2):
        build_text_bank(encoder, expansion, SET)
        stamps.append(time.perf_counter())
    return [after - before for before, after in itertools.pairwise(stamps)]


def _refuse(*_: object) -> None:
    raise AssertionError("a phrase was encoded")


def large_lists() -> list[list[str]]:
    """`CLASSES` names with their phrases, `PHRASES` in all, no two alike, out of the shipped libraries."""
    entries = [entry for name in library_names() for entry in load_library(name).classes]
    texts = dict.fromkeys(text for entry in entries for text in (entry.class_name.name, *entry.kept))
    chosen = list(texts)[:PHRASES]
    return [chosen[start::CLASSES] for start in range(CLASSES)]


if __name__ == "__main__":
    main()
