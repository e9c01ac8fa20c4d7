"""One image of a batch after the other, so that a run that is killed goes on where it was.

The files of an image are made in a folder of this computer and moved into their place, each whole, when all of them are
there; then a line in the manifest says so. What a crash leaves behind without a line is made again, under the
same names.

Not here: all of them (`local_batch`, `scaleout`), running one prompt (`runner`), which images (`batch`), where to
(`places`), the lines (`manifest`).
"""

from __future__ import annotations

import json
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from .addresses import Location
from .batch import COPY, BatchImage, ImageSlot
from .commands import DONE, FAILED, PARTLY
from .errors import InputError
from .files import CLASSES_SUFFIX
from .manifest import Manifest, Record
from .places import open_place
from .store import content_hash, file_hash, file_stamp
from .writer import BackgroundWriter

if TYPE_CHECKING:
    from .graph import RunResult

__all__ = ["BatchRun", "Finish", "Outcome", "Run", "hash_image", "hash_workflow"]

AHEAD = 4  # images whose content is read before their turn
READERS = 4  # of images that come from afar, which takes its time


class Outcome(NamedTuple):
    """What a run of one image came to: the exit code it would have alone, what ran, and why it failed."""

    code: int
    result: RunResult | None = None
    error: str = ""


STATUS = {DONE: "done", PARTLY: "partly"}  # of an exit code; failed, where it is another one
Run = Callable[[BatchImage, Path], Outcome]
Finish = Callable[[], tuple[Outcome, "Record"]]
Started = tuple[Outcome, Finish]


def hash_workflow(prompt: Mapping[str, Any], slot: ImageSlot, version: str, targets: Sequence[str] | None) -> str:
    """What an image's results depend on beside the image; not on titles, nor on the order of nodes.

    Args:
        prompt: the API form, everything set.
        slot: where the image goes.
        version: of this program.
        targets: the output nodes that run; None for all.
    """
    nodes = {
        node_id: {
            "class_type": record["class_type"],
            "inputs": {
                key: value
                for key, value in record["inputs"].items()
                if (node_id, key) != (slot.node_id, slot.input_name)
            },
        }
        for node_id, record in prompt.items()
    }
    return content_hash(version, slot.node_id, slot.swapped, nodes, None if targets is None else sorted(targets))


class BatchRun:
    """One batch into one output folder, which it has for itself meanwhile.

    Args:
        output: the output folder, or its URL.
        workflow: hash of what runs.
        resume: whether images that are done are left out.
    """

    def __init__(self, output: Location, workflow: str, resume: bool) -> None:
        self.output, self.workflow, self.resume = output, workflow, resume
        self.place = open_place(output)
        self._ended = False  # then nothing more is written down: folders of runs go
        self.upcoming: list[BatchImage] = []  # that are known to be due after the one whose turn it is

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder, and leave nothing half done in it.

        Raises:
            InputError: another run holds it, or it cannot be written.
        """
        lock = self.place.try_hold()
        if lock is None:
            problem = f"another run writes into {str(self.output)!r}; expected a folder of its own."
            raise InputError(problem, place="output")
        try:
            self._ended = False
            self._clear()
            self.manifest = Manifest(self.place)
            try:
                yield
            except BaseException:
                with suppress(InputError):  # what ended the batch is the one to be told
                    self.place.finish()
                raise
            self.place.finish()
        finally:
            self._ended = True
            self._clear()
            lock.release()
            shutil.rmtree(self.place.work, ignore_errors=True)

    def look_through(self, images: Sequence[BatchImage]) -> Iterator[tuple[BatchImage, str, bool]]:
        """Each image, the hash of its content, which is read a little before its turn, and whether it is to run."""
        with ThreadPoolExecutor(READERS if any(image.remote for image in images) else 1) as reader:
            ahead: deque[tuple[BatchImage, Future[_Read]]] = deque()
            rest = iter(images)
            while True:
                ahead.extend((image, reader.submit(_read, image)) for image in islice(rest, AHEAD - len(ahead)))
                if not ahead:
                    return
                image, future = ahead.popleft()
                stamp, digest = future.result()
                if image.remote is None and stamp != file_stamp(image.path):  # it has changed since
                    digest = hash_image(image)
                is_due = self._is_due(image, digest)
                if not is_due:
                    image.drop()
                known = ((other, read.result().digest) for other, read in ahead if read.done())
                self.upcoming = [other for other, read in known if self._is_due(other, read)]
                yield image, digest, is_due

    def _is_due(self, image: BatchImage, digest: str) -> bool:
        return not (self.resume and self.manifest.finished(image.name, digest, self.workflow))

    def make(self, image: BatchImage, digest: str, run: Run) -> tuple[Outcome, Record]:
        """Run one image and put its files in place; its line is still to be written, maybe by another process."""
        return self.start(image, digest, run)[1]()

    def start(self, image: BatchImage, digest: str, run: Run, writer: BackgroundWriter | None = None) -> Started:
        """Run one image.

        Args:
            image: which.
            digest: hash of its content, empty where it is not known yet.
            run: runs it.
            writer: who writes its files meanwhile; None where they are written when the run is over.

        Returns:
            What the run came to, and what puts the files in place when they are written: the outcome, which may have
            become a failure, and the line of the manifest.
        """
        staging = self.place.work / f"run-{uuid4().hex}"
        staging.mkdir(parents=True)
        start = time.perf_counter()
        ran, digest = _run(image, digest, run, staging)
        seconds = time.perf_counter() - start
        written = writer.written() if writer is not None else lambda: None

        def finish() -> tuple[Outcome, Record]:
            outcome = _wait_for(written, ran, image.name)
            names = sorted(path.relative_to(staging) for path in staging.rglob("*") if path.is_file())
            classes = _read_classes(staging, names)
            self._place(staging, image, names)
            return outcome, Record(
                image=image.name,
                place=image.place.as_posix(),
                sha256=digest,
                workflow=self.workflow,
                status=STATUS.get(outcome.code, "failed"),
                seconds=round(seconds, 3),
                files=tuple((image.place / name).as_posix() for name in names),
                classes=classes,
                error=outcome.error,
                finished=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            )

        return ran, finish

    def commit(self, record: Record) -> None:
        """Write the line of an image; where it is done, what an earlier run left beside its files goes before."""
        if self._ended:  # stopped twice: its folder may have been cleared under it
            return
        earlier = self.manifest.records.get(record.image) if record.status == STATUS[DONE] else None
        for old in sorted(set(earlier.files if earlier is not None else ()) - set(record.files)):
            self.place.remove(old)
        self.manifest.append(record)

    def _place(self, staging: Path, image: BatchImage, names: Sequence[Path]) -> None:
        """Move the files of an image where they belong."""
        try:
            self.place.put(staging, names, image.place)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _clear(self) -> None:
        for folder in (*self.place.work.glob("run-*"), *self.place.work.glob(f"{COPY}*")):
            shutil.rmtree(folder, ignore_errors=True)


class _Read(NamedTuple):
    """What a file was like when its hash was made."""

    stamp: tuple[int, ...] | None
    digest: str


def _read(image: BatchImage) -> _Read:
    return _Read(None if image.remote is not None else file_stamp(image.path), hash_image(image))


def hash_image(image: BatchImage) -> str:
    """SHA-256 of an image's content, which is fetched if need be; empty where it cannot be read.

    Whoever loads it will say why.
    """
    try:
        image.fetch()
        return file_hash(image.path)
    except (InputError, OSError):
        return ""


def _run(image: BatchImage, digest: str, run: Run, staging: Path) -> tuple[Outcome, str]:
    """What one run came to, and the hash of what it read: a second attempt may fetch what the first one could not."""
    try:
        image.fetch()
    except InputError as error:
        return Outcome(FAILED, error=str(error)), digest
    try:
        return run(image, staging), digest or hash_image(image)
    finally:
        image.drop()


def _wait_for(written: Callable[[], None], outcome: Outcome, name: str) -> Outcome:
    """What a run came to when its files are written: a failure where one of them could not be."""
    try:
        written()
    except Exception as error:  # what made the content may be a node of anybody
        if outcome.code != FAILED:  # at a node, which says more
            return Outcome(FAILED, error=f"{name}: {str(error) or type(error).__name__}")
    return outcome


def _read_classes(folder: Path, names: Sequence[Path]) -> dict[str, float]:
    """Share of each class, from the first of an image's files that tells it; other programs' files may be anything."""
    for name in names:
        if name.name.endswith(CLASSES_SUFFIX):
            try:
                listed = json.loads((folder / name).read_text(encoding="utf-8"))
                width, height = listed["size"]
                return {entry["name"]: round(entry["pixels"] / (width * height), 6) for entry in listed["classes"]}
            except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
                continue
    return {}
