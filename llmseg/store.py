"""Files that appear whole or not at all, names made from content, and the user's own folders.

Every module that writes a file writes it through `write_atomic`; every cache key is a
`content_hash`; what two processes must not do at once is done under `try_lock`.

Not here: what the files mean (`files`, `expansion`, `llm.stored`).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = [
    "content_hash",
    "file_hash",
    "file_stamp",
    "is_file",
    "is_folder",
    "json_bytes",
    "read_text",
    "trim_folder",
    "try_lock",
    "user_folder",
    "write_atomic",
    "write_json",
]

APPLICATION = "llmseg"
DATA_VARIABLE = "LLMSEG_DATA"

SHOWN_PATH = 200  # characters of a path in a message
TEXT_LIMIT = 64 * 2**20  # bytes; a class list or an expansion is far below, a mistake far above


def content_hash(*parts: object) -> str:
    """SHA-256 of the parts, as 64 hex digits; bytes as they are, all else as canonical JSON."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
        digest.update(b"b" if isinstance(part, bytes) else b"j")  # b'1' is not 1
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, as hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file that is never seen half done: a temporary file beside it, then a rename.

    Raises:
        InputError: the folder cannot be made or the file cannot be written.
    """
    # Opened with "x", not by tempfile, whose files nobody else may read.
    try:
        temporary = path.with_name(f".{path.name[:40]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:  # ValueError: a NUL or a surrogate in the path
        raise InputError(
            f"cannot write {_shown(path)}: {getattr(error, 'strerror', None) or error}; expected a writable folder.",
            place="output",
        ) from error


def write_json(path: Path, value: object) -> None:
    """Write a value as indented UTF-8 JSON with a final newline."""
    write_atomic(path, json_bytes(value))


def json_bytes(value: object) -> bytes:
    """A value as indented UTF-8 JSON with a final newline."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")  # a lone surrogate becomes JSON's own escape


def file_stamp(path: Path) -> tuple[int, ...] | None:
    """What changes with a file's content, short of reading it; None where it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size


def is_file(path: Path) -> bool:
    """Whether a file is there; not, where the system does not even look: too long a name, a folder that is closed."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """The same of a folder."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def read_text(path: Path, *, place: str) -> str:
    """Read a UTF-8 text file, a byte order mark allowed.

    Raises:
        InputError: missing, too large or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(TEXT_LIMIT + 1)
        if len(data) > TEXT_LIMIT:
            raise InputError(
                f"{str(path)!r} has {path.stat().st_size} bytes; expected at most {TEXT_LIMIT}.", place=place
            )
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} is not UTF-8 text; expected a text file.", place=place) from error
    except (OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {str(path)!r}: {detail}; expected a text file.", place=place) from error


def user_folder(kind: str) -> Path:
    """The user's own folder for what this program keeps; it may not exist yet.

    Args:
        kind: config, or data: the folder that `LLMSEG_DATA` names, else the platform's.
    """
    if kind == "data" and os.environ.get(DATA_VARIABLE):
        return Path(os.environ[DATA_VARIABLE])
    import platformdirs

    folder = platformdirs.user_data_path if kind == "data" else platformdirs.user_config_path
    return folder(APPLICATION, appauthor=False)


def try_lock(path: Path) -> BaseFileLock | None:
    """Lock a file against other processes and threads, or answer None where somebody else holds it.

    The lock ends with `release()`, and with the process however that ends.

    Raises:
        InputError: the folder cannot be made or the file cannot be opened.
    """
    from filelock import FileLock, Timeout

    # The mode is what a usual umask leaves anyway; said openly, it spares a probe of the folder for every lock.
    lock = FileLock(path, mode=0o644, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        return None
    except OSError as error:
        raise InputError(
            f"cannot lock {_shown(path)}: {error.strerror}; expected a writable folder.", place="store"
        ) from error
    return lock


def trim_folder(folder: Path, limit: int) -> None:
    """Remove the files that were written longest ago, at any depth, until the rest has at most `limit` bytes.

    For caches: what another process adds or removes meanwhile, or what cannot be removed, is left to the next time.
    """
    files = []
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with suppress(OSError):
                stat = path.lstat()
                files.append((stat.st_mtime_ns, path, stat.st_size))
    excess = sum(size for *_, size in files) - limit
    for _, path, size in sorted(files):
        if excess <= 0:
            break
        with suppress(OSError):
            path.unlink(missing_ok=True)
            excess -= size


def _shown(path: Path) -> str:
    text = str(path)
    return repr(text if len(text) <= SHOWN_PATH else "..." + text[-SHOWN_PATH:])
