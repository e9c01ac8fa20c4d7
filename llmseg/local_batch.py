"""A batch in this process: every image that is due, in order.

The files of an image are written and put in place by another thread while the next one runs.

Not here: one image (`batch_runs`), many processes (`scaleout`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from .batch import BatchImage
from .batch_runs import BatchRun, Finish, Outcome, Run
from .commands import INTERRUPTED
from .reporting import Reporter
from .tally import Tally, Tell
from .writer import BackgroundWriter

__all__ = ["run_batch"]

MOST_WAITING = 1  # images whose files are written while the next one runs


def run_batch(
    batch: BatchRun, images: Sequence[BatchImage], run: Run, reporter: Reporter, tell: Tell, writer: BackgroundWriter
) -> int:
    """Run every image that is due, one after the other; one that fails does not stop the others. Gives the exit code.

    The files of an image are written and put in place while the next one runs.

    Args:
        batch: the output folder and what is done in it.
        images: all of them.
        run: runs one image and writes everything below the folder that it is given.
        reporter: is told of each.
        tell: is given what ran and the image when its files are in place.
        writer: is given the files by whatever `run` runs.
    """
    tally = Tally(len(images), reporter)
    waiting: deque[tuple[BatchImage, Future[Outcome]]] = deque()

    def settle(most: int) -> None:
        """Wait until the files of at most so many images are still to be put in place."""
        while len(waiting) > most:
            image, finished = waiting.popleft()
            tally.settle(image, finished.result(), tell)

    for number, (image, digest, is_due) in enumerate(batch.look_through(images), 1):
        if not is_due:
            tally.skip()
            continue
        tally.show(image, number)
        outcome, finish = batch.start(image, digest, run, writer)
        waiting.append((image, writer.do(partial(_close, batch, finish))))
        settle(0 if outcome.code == INTERRUPTED else MOST_WAITING)
        if outcome.code == INTERRUPTED:
            return INTERRUPTED
    settle(0)
    return tally.finish()


def _close(batch: BatchRun, finish: Finish) -> Outcome:
    """Put the files of an image in place and write its line."""
    outcome, record = finish()
    batch.commit(record)
    return outcome
