"""A workflow over many images, so that a run that is killed goes on where it was.

The files of an image are made in a folder below `OUTPUT/.llmseg` and moved into their place, each whole, when all of
them are there; then a line in the manifest says so. What a crash leaves behind without a line is made again, under the
same names.

Not here: running one prompt (`run`), which images and where to (`batch`), the lines (`manifest`).
"""

from __future__ import annotations

import json
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from .batch import MANIFEST, OWN_FOLDER, BatchImage, ImageSlot
from .commands import DONE, INTERRUPTED, PARTLY
from .errors import InputError
from .files import CLASSES_SUFFIX
from .manifest import Manifest, Record
from .reporting import Reporter
from .store import content_hash, file_hash, try_lock

if TYPE_CHECKING:
    from .graph import RunResult

__all__ = ["BatchRun", "Outcome", "hash_workflow", "run_batch"]

AHEAD = 4  # images whose content is read before their turn


class Outcome(NamedTuple):
    """What a run of one image came to: the exit code it would have alone, what ran, and why it failed."""

    code: int
    result: RunResult | None = None
    error: str = ""


STATUS = {DONE: "done", PARTLY: "partly"}  # of an exit code; failed, where it is another one
Run = Callable[[BatchImage, Path], Outcome]
Tell = Callable[["RunResult | None", Path], None]


def run_batch(batch: BatchRun, images: Sequence[BatchImage], run: Run, reporter: Reporter, tell: Tell) -> int:
    """Run every image that is due; one that fails does not stop the others. Gives the exit code.

    Args:
        batch: the output folder and what is done in it.
        images: all of them.
        run: runs one image and writes everything below the folder that it is given.
        reporter: is told of each.
        tell: is given what ran and the folder where its files are now; None where nothing ran.
    """
    codes: dict[Path, int] = {}
    total, start, skipped = len(images), time.perf_counter(), 0
    for number, (image, digest, is_due) in enumerate(batch.look_through(images), 1):
        if not is_due:
            skipped += 1
            continue
        per_image = (time.perf_counter() - start) / len(codes) if codes else None
        reporter.image(image.path, number, total, per_image)
        outcome = batch.process(image, digest, run)
        tell(outcome.result, batch.output / image.place)
        codes[image.path] = outcome.code
        if outcome.code == INTERRUPTED:
            return INTERRUPTED
    bad = [path for path, code in codes.items() if code != DONE]
    if skipped:
        reporter.skipped(skipped, total)
    if bad and total > 1:
        reporter.failure(f"{len(bad)} of {total} images failed: {', '.join(map(str, bad))}")
    return DONE if not bad else codes[bad[0]] if len(set(codes.values())) == 1 and not skipped else PARTLY


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
        output: the output folder.
        workflow: hash of what runs.
        resume: whether images that are done are left out.
    """

    def __init__(self, output: Path, workflow: str, resume: bool) -> None:
        self.output, self.workflow, self.resume = output, workflow, resume
        self._own = output / OWN_FOLDER

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder, and leave nothing half done in it.

        Raises:
            InputError: another run holds it, or it cannot be written.
        """
        lock = try_lock(self._own / "lock")
        if lock is None:
            problem = f"another run writes into {str(self.output)!r}; expected a folder of its own."
            raise InputError(problem, place="output")
        try:
            self._clear()
            self.manifest = Manifest(self.output / MANIFEST)
            yield
        finally:
            self._clear()
            lock.release()
            shutil.rmtree(self._own, ignore_errors=True)

    def look_through(self, images: Sequence[BatchImage]) -> Iterator[tuple[BatchImage, str, bool]]:
        """Each image, the hash of its content, which is read a little before its turn, and whether it is to run."""
        with ThreadPoolExecutor(1) as reader:
            ahead: deque[tuple[BatchImage, Future[str]]] = deque()
            rest = iter(images)
            while True:
                ahead.extend((image, reader.submit(_hash, image.path)) for image in islice(rest, AHEAD - len(ahead)))
                if not ahead:
                    return
                image, future = ahead.popleft()
                digest = future.result()
                yield image, digest, not (self.resume and self.manifest.finished(image.path, digest, self.workflow))

    def process(self, image: BatchImage, digest: str, run: Run) -> Outcome:
        """Run one image, put its files in place and write its line."""
        staging = self._own / f"run-{uuid4().hex}"
        staging.mkdir(parents=True)
        start = time.perf_counter()
        outcome = run(image, staging)
        seconds = time.perf_counter() - start
        names = sorted(path.relative_to(staging) for path in staging.rglob("*") if path.is_file())
        classes = _read_classes(staging, names)
        self._place(staging, image, names, replaces=outcome.code == DONE)
        self.manifest.append(
            Record(
                image=str(image.path),
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
        )
        return outcome

    def _place(self, staging: Path, image: BatchImage, names: Sequence[Path], replaces: bool) -> None:
        """Move the files of an image where they belong; what an earlier run of it left beside them goes if asked."""
        target = self.output / image.place
        earlier = self.manifest.records.get(str(image.path)) if replaces else None
        new = {(image.place / name).as_posix() for name in names}
        try:
            for name in names:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (staging / name).replace(target / name)
            for old in set(earlier.files if earlier is not None else ()) - new:
                _inside(self.output, old).unlink(missing_ok=True)
        except OSError as error:
            problem = f"cannot put results into {str(target)!r}: {error.strerror}; expected a writable folder."
            raise InputError(problem, place="output") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _clear(self) -> None:
        for folder in self._own.glob("run-*"):
            shutil.rmtree(folder, ignore_errors=True)


def _hash(path: Path) -> str:
    """SHA-256 of a file, empty where it cannot be read; its loader will say why."""
    try:
        return file_hash(path)
    except OSError:
        return ""


def _inside(folder: Path, name: str) -> Path:
    """A file that the manifest names, which anybody may have edited.

    Raises:
        OSError: outside of the folder.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise OSError(0, f"{name!r} of the manifest leaves it")
    return path


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
