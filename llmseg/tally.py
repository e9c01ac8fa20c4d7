"""What became of the images of a batch so far, and what is said of it; whoever runs them.

Not here: running them (`local_batch`, `scaleout`), what a person sees (`reporting`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .batch import BatchImage
from .batch_runs import Outcome
from .commands import DONE, FAILED, PARTLY
from .reporting import Reporter

if TYPE_CHECKING:
    from .graph import RunResult

__all__ = ["Tally", "Tell"]

# Given what ran, None where nothing did, and the image, None where it was for all of them; its files are in place.
Tell = Callable[["RunResult | None", BatchImage | None], None]


class Tally:
    """What became of the images of a batch so far, whoever runs them.

    Args:
        total: how many images there are.
        reporter: is told of them.
    """

    def __init__(self, total: int, reporter: Reporter) -> None:
        self.total, self.reporter = total, reporter
        self.skipped = 0
        self._shown = 0
        self._codes: dict[str, int] = {}
        self._start = time.perf_counter()

    def skip(self) -> None:
        """An image was done before."""
        self.skipped += 1

    def show(self, image: BatchImage, number: int) -> None:
        """Name an image, the `number`-th of all, and how fast the others went."""
        per_image = (time.perf_counter() - self._start) / self._shown if self._shown else None
        self._shown += 1
        self.reporter.image(image.name, number, self.total, per_image)

    def settle(self, image: BatchImage, outcome: Outcome, tell: Tell) -> None:
        """An image is done: say so, and count it."""
        if outcome.code == FAILED and outcome.result is None and outcome.error:  # it never came to a node
            self.reporter.failure(outcome.error)
        tell(outcome.result, image)
        self.count(image, outcome.code)

    def count(self, image: BatchImage, code: int) -> None:
        """An image is done; `code` is the exit code that it would have alone."""
        self._codes[image.name] = code

    def finish(self) -> int:
        """List what failed; gives the exit code of all."""
        bad = [name for name, code in self._codes.items() if code != DONE]
        if self.skipped:
            self.reporter.skipped(self.skipped, self.total)
        if bad and self.total > 1:
            self.reporter.failure(f"{len(bad)} of {self.total} images failed: {', '.join(bad)}")
        if not bad:
            return DONE
        return self._codes[bad[0]] if len(set(self._codes.values())) == 1 and not self.skipped else PARTLY
