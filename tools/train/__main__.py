"""Command line of the training; see the package for the command.

Not here: anything but options.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from llmseg.errors import InputError, LLMSegError
from tools.world.sprites import render_sprites

from .export import export_model
from .recipe import Recipe
from .trainer import Trainer


def main(arguments: list[str] | None = None) -> int:
    """Train, or go on training; 0 done, 1 failed."""
    options = _parse(arguments)
    try:
        _train(options)
    except LLMSegError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.train", description="Train the embedded model.")
    parser.add_argument("--font", type=Path, required=True, help="Noto Color Emoji font file")
    parser.add_argument("--look", type=Path, action="append", default=[], help="further font (COLR), repeatable")
    parser.add_argument("--output", type=Path, required=True, help="folder for checkpoints, log and model")
    parser.add_argument("--minutes", type=float, default=120, help="budget of the whole training (default: 120)")
    parser.add_argument("--snapshot", type=float, action="append", default=[], help="minute to keep, repeatable")
    parser.add_argument("--resume", type=Path, help="checkpoint to go on from (default: last.pt in the folder)")
    parser.add_argument("--seed", type=int, default=0, help="of everything (default: 0)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="default: cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of torch on the CPU")
    parser.add_argument("--workers", type=int, default=0, help="processes that make scenes (default: 0)")
    parser.add_argument("--no-compile", action="store_true", help="where there is no C++ compiler; half as fast")
    return parser.parse_args(arguments)


def _train(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    recipe = replace(Recipe(), seed=options.seed)
    sprites = render_sprites(options.font, options.look)
    options.output.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(recipe, sprites, options.output, options.device, options.workers, not options.no_compile)
    start = options.resume or options.output / "last.pt"
    if start.is_file():
        trainer.resume(start)
    elif options.resume:
        raise InputError(f"no file {start.as_posix()!r}; expected a checkpoint.", place="--resume")
    trainer.run(options.minutes, tuple(options.snapshot))
    export_model(options.output / "last.pt", options.output / "embedded.safetensors", recipe)


if __name__ == "__main__":
    sys.exit(main())
