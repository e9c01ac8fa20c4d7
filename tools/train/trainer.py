"""The loop: batches in, weights and a log out; stops and resumes without losing more than a minute.

Time counts as seconds spent in the loop, over all runs; a budget is minutes of it.

Not here: what is optimised (`objective`), the file that ships (`export`).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from tools.world.sprites import Sprites

from .batches import Batch, Batches, token_ids
from .objective import global_loss, local_loss
from .recipe import Recipe, Stage, model_config
from .towers import PATHS, Towers, new_clip

__all__ = ["Trainer"]

LOG_EVERY = 25  # steps
SAVE_EVERY = 60.0  # seconds
MOST_STEPS = 1_000_000
LARGEST_GRADIENT = 1.0  # norm, of everything that AdamW moves
PATCH = 8

Encode = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class _Numbered(Dataset[Batch]):
    """Batches by number, for worker processes."""

    def __init__(self, batches: Batches, recipe: Recipe, first: int, scenes: int) -> None:
        self.batches, self.first = batches, first
        self.stages: list[Stage] = []
        for draw in np.random.default_rng((recipe.seed, 2)).random(MOST_STEPS)[first:]:
            self.stages.append(recipe.stage(scenes, draw))
            scenes += self.stages[-1].batch

    def __len__(self) -> int:
        return len(self.stages)

    def __getitem__(self, index: int) -> Batch:
        return self.batches.make(self.first + index, self.stages[index])


@dataclass
class Progress:
    """How far a training is; part of every checkpoint."""

    step: int = 0
    scenes: int = 0
    seconds: float = 0.0
    log: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """One training.

    Args:
        recipe: every number.
        sprites: the drawings.
        folder: where checkpoints and the log go.
        device: "cpu" or "cuda".
        workers: processes that make batches; 0 makes them in this one.
        compiled: whether torch may compile the image tower, which needs a C++ compiler.
    """

    def __init__(
        self, recipe: Recipe, sprites: Sprites, folder: Path, device: str, workers: int = 0, compiled: bool = True
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder, self.device, self.workers = recipe, folder, device, workers
        self.batches = Batches(sprites, recipe.seed)
        clip = new_clip(model_config(len(token_ids()) + 1), recipe.seed)
        self.towers = Towers(clip, recipe.first_scale).to(device)
        self.average = {name: tensor.detach().clone() for name, tensor in self.towers.named_parameters()}
        self.optimisers = self._make_optimisers()
        self.progress = Progress()
        self._encode: Encode = torch.compile(self.towers.image, dynamic=False) if compiled else self.towers.image

    def run(self, minutes: float, snapshots: tuple[float, ...] = ()) -> None:
        """Train until the budget is spent.

        Args:
            minutes: the budget, minutes already spent in earlier runs included.
            snapshots: minutes at which a checkpoint is kept under a name of its own.
        """
        budget, saved, kept = minutes * 60, time.perf_counter(), set[float]()
        recent: list[dict[str, float]] = []
        for batch in self._stream():
            factor = self.recipe.rate_factor(self.progress.step, self.progress.seconds / budget)
            recent.append(self._step(batch, factor))
            self._count(batch)
            self.progress.seconds += time.perf_counter() - self._waited_since
            self._waited_since = time.perf_counter()
            if self.progress.step % LOG_EVERY == 0:
                self._log(recent, factor)
                recent = []
            for minute in snapshots:
                if self.progress.seconds >= minute * 60 and minute not in kept:
                    kept.add(minute)
                    if self.progress.seconds < minute * 60 + 60:
                        self.save(f"at_{minute:g}_minutes.pt")
            if time.perf_counter() - saved > SAVE_EVERY:
                self.save()
                saved = time.perf_counter()
            if self.progress.seconds >= budget:
                break
        self.save()

    def save(self, name: str = "last.pt") -> None:
        """Write a checkpoint; the file is there whole or not at all."""
        path = self.folder / name
        state = {
            "towers": self.towers.state_dict(),
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "progress": vars(self.progress),
        }
        partial = path.with_suffix(".part")
        torch.save(state, partial)
        partial.replace(path)
        lines = "".join(json.dumps(entry) + "\n" for entry in self.progress.log)
        (self.folder / "log.jsonl").write_text(lines, encoding="utf-8")

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.towers.load_state_dict(state["towers"])
        for name, tensor in state["average"].items():
            self.average[name].copy_(tensor)
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.progress = Progress(**state["progress"])

    def _make_optimisers(self) -> list[torch.optim.Optimizer]:
        recipe = self.recipe
        named = list(self.towers.named_parameters())
        matrices = [tensor for name, tensor in named if "resblocks" in name and tensor.ndim == 2]
        tables = [tensor for name, tensor in named if "resblocks" not in name and tensor.ndim > 1]
        vectors = [tensor for _, tensor in named if tensor.ndim < 2]
        groups = [{"params": tables, "weight_decay": recipe.decay}, {"params": vectors, "weight_decay": 0.0}]
        return [
            torch.optim.Muon(matrices, lr=recipe.matrix_rate, weight_decay=recipe.decay),
            torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98)),
        ]

    def _stream(self) -> DataLoader[Batch]:
        data = _Numbered(self.batches, self.recipe, self.progress.step, self.progress.scenes)
        context = "spawn" if self.workers else None
        self._waited_since = time.perf_counter()
        return DataLoader(data, batch_size=None, num_workers=self.workers, multiprocessing_context=context)

    def _step(self, batch: Batch, factor: float) -> dict[str, float]:
        batch = Batch(*(tensor.to(self.device, non_blocking=True) for tensor in batch))
        for optimiser, rate in zip(self.optimisers, (self.recipe.matrix_rate, self.recipe.rate), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
            optimiser.zero_grad(set_to_none=True)
        parts = self._losses(batch)
        recipe = self.recipe
        loss = (
            recipe.global_weight * parts["global"]
            + recipe.local_weight * parts["presence"]
            + recipe.hard_weight * parts["competition"]
            + recipe.path_weight
            * (recipe.local_weight * parts["path_presence"] + recipe.hard_weight * parts["path_competition"])
        )
        loss.backward()
        nn.utils.clip_grad_norm_([p for g in self.optimisers[1].param_groups for p in g["params"]], LARGEST_GRADIENT)
        for optimiser in self.optimisers:
            optimiser.step()
        keep = min(recipe.averaging, (self.progress.step + 1) / (self.progress.step + 10))
        with torch.no_grad():
            for name, tensor in self.towers.named_parameters():
                self.average[name].lerp_(tensor, 1 - keep)
        return {name: float(value.detach()) for name, value in parts.items()}

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        recipe, towers = self.recipe, self.towers
        random = np.random.default_rng((recipe.seed, self.progress.step, 1))
        side = batch.images.shape[1] // PATCH
        free = towers.clip.visual.side - side
        corner = (int(random.integers(free + 1)), int(random.integers(free + 1)))
        path = PATHS[random.integers(len(PATHS))]
        with torch.autocast(self.device, torch.bfloat16):
            out, before = self._encode(self._normalise(batch.images), towers.positions(side, corner))
            read = towers.read_out(out)
            half = len(before) // 2  # the second way on half of the pictures: a tenth of the time saved
            second = towers.read_out(towers.second_way(before[:half], path)[:, 1:])
            captions, phrases = towers.text(batch.captions), towers.text(batch.phrases)
        global_scale = towers.clip.logit_scale.exp().clamp(max=recipe.most_scale)
        scale = towers.local_scale.exp().clamp(max=recipe.most_scale)
        presence, competition = local_loss(read[:, 1:], phrases, scale, batch, recipe)
        part = batch._replace(holds=batch.holds[:half], told=batch.told[:half])
        path_presence, path_competition = local_loss(second, phrases, scale, part, recipe)
        return {
            "global": global_loss(read[:, 0], captions, global_scale, batch.same),
            "presence": presence,
            "competition": competition,
            "path_presence": path_presence,
            "path_competition": path_competition,
        }

    def _normalise(self, images: Tensor) -> Tensor:
        mean = torch.tensor(self.recipe.mean, device=images.device).view(3, 1, 1)
        std = torch.tensor(self.recipe.std, device=images.device).view(3, 1, 1)
        return (images.permute(0, 3, 1, 2).float() / 255 - mean) / std

    def _count(self, batch: Batch) -> None:
        self.progress.step += 1
        self.progress.scenes += len(batch.images)

    def _log(self, recent: list[dict[str, float]], factor: float) -> None:
        progress = self.progress
        entry = {"step": progress.step, "scenes": progress.scenes, "seconds": round(progress.seconds, 1)}
        # Fewer than LOG_EVERY steps after a resumption, so the mean is over those there are.
        entry |= {name: round(sum(parts[name] for parts in recent) / len(recent), 4) for name in recent[0]}
        entry |= {"rate": round(factor, 4), "local_scale": round(float(self.towers.local_scale.exp().detach()), 2)}
        progress.log.append(entry)
        print(" ".join(f"{name} {value:g}" for name, value in entry.items()), file=sys.stderr, flush=True)
