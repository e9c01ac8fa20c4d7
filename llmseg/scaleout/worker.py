"""One worker: it builds what the command builds, keeps its model in memory, and runs one image after the other.

Not here: what is computed before (`beforehand`), the manifest, which only the command writes (`engine`).
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..batch import BatchImage, ImageSlot
from ..batch_runs import BatchRun, Outcome, hash_image
from ..commands import FAILED, WarningHandler
from ..errors import LLMSegError
from ..graph import StoredResult
from ..manifest import Record
from ..runner import Job, Runner, RunnerSettings
from .reports import Recorder, Report

__all__ = ["Task", "Worker"]

TRIES = 3  # of an image that its worker does not survive


@dataclass(frozen=True)
class Task:
    """All that a worker needs; it holds no key but what is in a URL.

    Args:
        root: the module whose `load_nodes` loads the nodes.
        settings: of the runner.
        job: the workflow.
        slot: where an image goes.
        images: all of the batch.
        done: content of images that need not run, by number.
        known: results by node id that the command has computed.
        batch: where results go; not opened.
        folder: the current one of the command.
        mark: of this batch alone.
    """

    root: str
    settings: RunnerSettings
    job: Job
    slot: ImageSlot
    images: Sequence[BatchImage]
    done: Mapping[int, str]
    known: Mapping[str, StoredResult]
    batch: BatchRun
    folder: Path
    mark: str


class Worker:
    """What Ray makes in each process and calls with numbers of images.

    Args:
        held: the reference of a `Task`, in a list so that Ray does not fetch it into its own messages.
    """

    def __init__(self, held: Sequence[Any]) -> None:
        self._held = held
        self._recorder = Recorder()
        self._task: Task | None = None
        self._runner: Runner | None = None

    def __call__(self, rows: Mapping[str, Any]) -> dict[str, Any]:
        """Run images.

        Args:
            rows: "number", of each image.

        Returns:
            "number", and the packed "report" of each.
        """
        numbers = [int(number) for number in rows["number"]]
        return {"number": numbers, "report": [self._report(number).pack() for number in numbers]}

    def _report(self, number: int) -> Report:
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):  # nothing of it goes to Ray's logs
            try:
                task, runner = self._open()
                outcome, record = self._run(task, runner, number)
            except LLMSegError as error:
                return Report(refused=str(error), printed=printed.getvalue())
        return Report(outcome, record, self._recorder.take(), printed.getvalue())

    def _open(self) -> tuple[Task, Runner]:
        """Build the runner, at the first image: what is wrong with it is then told like all else."""
        if self._task is None or self._runner is None:
            self._task = task = _fetch(self._held)
            # Ray puts the folder of the command's file on the path, where our modules would pass for others.
            sys.path[:] = [path for path in sys.path if path != str(Path(__file__).parent.parent)]
            if task.folder.is_dir():
                os.chdir(task.folder)
            logging.getLogger("llmseg").addHandler(WarningHandler(self._recorder.warning))
            nodes = importlib.import_module(task.root).load_nodes()
            # Never undone: the process ends with the batch.
            self._runner = Runner(nodes, task.settings, self._recorder, ExitStack(), task.known)
            self._runner.check_device()
        return self._task, self._runner

    def _run(self, task: Task, runner: Runner, number: int) -> tuple[Outcome | None, Record | None]:
        """Run one image, unless it was done before."""
        image = task.images[number].moved(task.batch.place.work)
        digest = hash_image(image)
        if digest and task.done.get(number) == digest:
            image.drop()
            return None, None
        attempt = _Attempts(task.batch.place.work / f"run-{task.mark}", number)  # goes with the other folders of runs
        if not attempt.begin():
            dead = Outcome(FAILED, error=f"the worker died {TRIES} times while it ran; expected an image that fits.")
            return task.batch.make(image, digest, lambda *_: dead)
        try:
            return task.batch.make(
                image, digest, lambda one, folder: runner.run_image(task.job, task.slot, one, folder)
            )
        finally:
            attempt.end()


class _Attempts:
    """Marks on the disk of the tries of one image, which stay where the worker is killed.

    Ray starts a worker again as often as it dies, and gives it the same image.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.paths = [folder / f"{number}-{attempt}" for attempt in range(TRIES)]

    def begin(self) -> bool:
        """Whether the image may be tried."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.paths:
            if not path.exists():
                path.touch()
                return True
        return False

    def end(self) -> None:
        """The worker has survived."""
        for path in self.paths:
            path.unlink(missing_ok=True)


def _fetch(held: Sequence[Any]) -> Task:
    import ray

    task: Task = ray.get(held[0])
    return task
