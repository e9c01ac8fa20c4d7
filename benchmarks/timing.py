"""A table of times of two programs that do the same, and on a GPU of their memory.

Not here: what is timed (`dense`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Table"]


@dataclass(frozen=True)
class Table:
    """Times both sides in turns and prints the best of each.

    Args:
        cuda: whether they run on a GPU; then memory is measured too.
        rounds: how often.
    """

    cuda: bool
    rounds: int

    def head(self, what: str, threads: int) -> None:
        """Say what is timed and where, and name the columns."""
        machine = f"{threads} threads, {torch.backends.cpu.get_cpu_capability()}"
        machine = torch.cuda.get_device_name() if self.cuda else machine
        unit = "milliseconds" if self.cuda else "seconds"
        print(f"{what}; {machine}, torch {torch.__version__}; best of {self.rounds}, {unit}.\n")
        print("| what | public code | ours | ratio | goal |" + self.cuda * " public, MB | ours, MB |")
        print("|---|---:|---:|---:|---:|" + self.cuda * "---:|---:|")

    def row(
        self,
        what: str,
        public: Callable[[], Any] | None,
        ours: Callable[[], Any],
        goal: float | None = None,
        share: float = 1.0,
    ) -> None:
        """Time both, for a share of the rounds."""
        best, peak = [float("inf"), float("inf")], [0.0, 0.0]
        for _ in range(max(1, round(self.rounds * share))):
            for side, call in enumerate((public, ours)):
                if call is not None:
                    seconds, megabytes = self._measure(call)
                    best[side], peak[side] = min(best[side], seconds), max(peak[side], megabytes)
        times = [f"{seconds * (1000 if self.cuda else 1):.3f}" for seconds in best]
        shown = ("-", "-") if public is None else (times[0], f"{best[0] / best[1]:.2f}")
        memory = f" {'-' if public is None else f'{peak[0]:.0f}'} | {peak[1]:.0f} |"
        print(f"| {what} | {shown[0]} | {times[1]} | {shown[1]} | {goal or '-'} |" + self.cuda * memory, flush=True)

    def _measure(self, call: Callable[[], Any]) -> tuple[float, float]:
        """Seconds, and megabytes on a GPU."""
        if not self.cuda:
            started = time.perf_counter()
            call()
            return time.perf_counter() - started, 0.0
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        torch.cuda.synchronize()
        started = time.perf_counter()
        call()
        torch.cuda.synchronize()
        return time.perf_counter() - started, (torch.cuda.max_memory_allocated() - before) / 2**20
