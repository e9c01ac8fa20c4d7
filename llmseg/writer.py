"""Files that are encoded and written beside the work of whoever gives them, one after the other, in that order.

Where a file will be an empty one stands at once, so that nobody else takes its name; so this is for folders that
nobody looks into before `wait`.

Not here: writing one file (`store`), which files (`files`, the nodes).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from .errors import InputError
from .store import write_atomic

__all__ = ["BackgroundWriter"]

T = TypeVar("T")


class BackgroundWriter:
    """A thread that writes. To be closed, or used in a `with` statement."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="llmseg-writer")
        self._files: list[Future[None]] = []

    def write(self, path: Path, make: Callable[[], bytes]) -> None:
        """Write a file soon; what goes wrong is raised by `wait`.

        Args:
            path: of the file; its folder must be there.
            make: gives the content, in the other thread.

        Raises:
            InputError: no file can be made there.
        """
        try:
            path.touch()
        except OSError as error:
            problem = f"cannot write {str(path)!r}: {error.strerror}; expected a writable folder."
            raise InputError(problem, place="output") from error
        self._files.append(self._pool.submit(_write, path, make))

    def do(self, work: Callable[[], T]) -> Future[T]:
        """Do something after everything that was given before."""
        return self._pool.submit(work)

    def written(self) -> Callable[[], None]:
        """Take the files that were given since the last call; answers what waits for them and raises what failed."""
        files, self._files = self._files, []

        def wait() -> None:
            for file in files:
                file.result()

        return wait

    def wait(self) -> None:
        """Wait for every file that was given and not taken by `written`.

        Raises:
            Exception: what making or writing the first of the failed ones raised.
        """
        for file in self._files:
            file.result()

    def __enter__(self) -> BackgroundWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._pool.shutdown()
        except BaseException:  # told once more to stop
            self._pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write(path: Path, make: Callable[[], bytes]) -> None:
    try:
        write_atomic(path, make())
    except BaseException:
        path.unlink(missing_ok=True)  # the empty one
        raise
