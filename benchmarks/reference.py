"""Run the public code of one method on prepared cases, in a process of its own.

    python -m benchmarks.reference METHOD CHECKOUT WEIGHTS.safetensors CASES RESULTS

Every checkout has top-level modules called `clip`, `pamr` or `prompts`, so two cannot share a process. `fidelity`
starts this once per method: each file of the folder CASES gives one of the same name in RESULTS, with the cosines at
the original size ("scores" [K,H,W]) and the labels ("labels" [H,W]).

Not here: what a checkout is asked to do (`reference_models`).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from .reference_inputs import read_case
from .reference_models import RUNNERS
from .reference_stubs import install_stubs

__all__ = ["main"]

THREADS = 2


def main() -> None:
    """Run every case."""
    method, checkout, weights, cases, results = sys.argv[1:]
    torch.set_num_threads(THREADS)
    sys.path.insert(0, checkout)
    install_stubs()
    state = load_file(weights)
    for path in sorted(Path(cases).glob("*.safetensors")):
        with torch.no_grad():
            scores, labels = RUNNERS[method](state, read_case(path))
        tensors = {"scores": scores.float().contiguous(), "labels": labels.long().contiguous()}
        save_file(tensors, Path(results) / path.name)


if __name__ == "__main__":
    main()
