"""Fetch weights by name: by the hub's own client, or from where their authors put them; only when somebody asks.

A file appears whole or not at all, with a record of what it must be beside it. What came of a transfer that broke off
is kept, and the next one goes on from there.

Not here: where weights come from (`catalogue`), where they are kept (`downloads`). Source: huggingface_hub 2.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .. import __version__
from ..errors import InputError, ModelError
from ..store import file_hash, try_lock, write_json
from .catalogue import Source
from .downloads import check_whole, find_weights, read_record, record_path

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["HUB", "URL", "fetch_weights"]

HUB, URL = "hub", "url"
# What else a model needs whose towers and tokenizer are a library's.
COMPANIONS = (
    "open_clip_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "tokenizer.model",
    "spiece.model",
)
SHA256 = 64  # hex digits; small files of the hub have a shorter tag
RANGE_REFUSED = 416


def fetch_weights(
    source: Source,
    folder: Path,
    *,
    origin: str = HUB,
    replace: bool = False,
    offline: str = "",
    say: Callable[[str], None] = print,
) -> Path:
    """Put the weights of a name into a folder; from a cache of this computer if they are in one.

    Args:
        source: as from `catalogue.find_source`.
        folder: is made where it does not exist.
        origin: `HUB` or `URL`.
        replace: whether a file that is there already makes way, and caches are not believed.
        offline: why the network may not be used; empty where it may.
        say: takes a line on what is done.

    Returns:
        `folder/NAME--TAG.safetensors`, or a file in `folder/NAME--TAG/` for a model of a library.

    Raises:
        InputError: nothing to fetch there, or a folder that cannot be written.
        ModelError: not reachable, broken off, or not what it should be.
    """
    found = None if replace else find_weights(source, [folder])
    if found is not None and folder in found.parents:
        _confirm(source, found, say)
        return found
    if found is None and offline:
        raise ModelError(f"{source.name!r} cannot be fetched: {offline}.", place="model")
    staging = folder / f".{source.stem}.part"
    lock = _lock(source, staging)
    try:
        if found is not None:
            file, record = _from_cache(source, staging, found, say)
        else:
            file, record = _from_hub(source, staging, say) if origin == HUB else _from_url(source, staging, say)
        target = _settle(source, folder, file, record)
    finally:
        lock.release()
    shutil.rmtree(staging, ignore_errors=True)
    return target


def _lock(source: Source, staging: Path) -> BaseFileLock:
    """Make the folder that things come into, for one program at a time."""
    try:
        staging.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make {str(staging)!r}: {error.strerror}; expected a writable folder.", place="to"
        ) from error
    if (lock := try_lock(staging / "lock")) is None:
        raise ModelError(
            f"another program is fetching {source.name!r} into {staging.parent}; wait for it.", place="model"
        )
    return lock


def _confirm(source: Source, path: Path, say: Callable[[str], None]) -> None:
    """Hold a file that is there already against its record."""
    wanted = str(read_record(path).get("sha256", ""))
    if not wanted:
        say(f"{path} is there already; nobody wrote down what it must be. Fetch it anew with --replace.")
    elif file_hash(path) != wanted:
        raise ModelError(
            f"{path} is partial or was changed; expected SHA-256 {wanted[:12]}... "
            f"Run: python -m llmseg.models get {source.name} --replace",
            place="model",
        )
    else:
        say(f"{path} is there already, and whole")


def _settle(source: Source, folder: Path, file: Path, record: dict[str, Any]) -> Path:
    """Move what has come to its place: the record first, so that no file is ever without."""
    record |= {"name": source.name, "size": file.stat().st_size, "sha256": file_hash(file)}
    if source.vit:
        target = folder / f"{source.stem}{file.suffix}"
    else:
        target = folder / source.stem / file.name
        target.parent.mkdir(exist_ok=True)
        for name in COMPANIONS:
            if (file.parent / name).is_file():
                (file.parent / name).replace(target.parent / name)
    write_json(record_path(target), record)
    return file.replace(target)


def _from_cache(source: Source, staging: Path, cached: Path, say: Callable[[str], None]) -> tuple[Path, dict[str, Any]]:
    say(f"taking {cached}")
    published = source.sha256 if cached.name == PurePosixPath(source.url).name else ""
    if not published and len(cached.resolve().name) == SHA256:  # the hub's cache calls a content by its hash
        published = cached.resolve().name
    check_whole(cached, file_hash(cached), published, source.name)
    _check_room(staging, cached.stat().st_size)
    for path in (cached, *(() if source.vit else map(cached.with_name, COMPANIONS))):
        if path.is_file():
            shutil.copyfile(path, staging / path.name)
    return staging / cached.name, {"source": str(cached), "revision": ""}


def _from_hub(source: Source, staging: Path, say: Callable[[str], None]) -> tuple[Path, dict[str, Any]]:
    if not source.repository:
        raise InputError(f"{source.name!r} is not on the hub; expected --from url.", place="from")
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, utils
    from huggingface_hub.errors import EntryNotFoundError

    try:
        for name in source.files:
            try:
                meta = get_hf_file_metadata(hf_hub_url(source.repository, name))
                break
            except EntryNotFoundError:
                continue
        else:
            raise ModelError(f"{source.repository} holds none of {', '.join(source.files)}.", place="hub")
        revision, size, etag = meta.commit_hash, meta.size or 0, meta.etag or ""
        headers: dict[str, str] = utils.build_hf_headers()  # type: ignore[attr-defined]
        if urlsplit(meta.location).netloc != urlsplit(hf_hub_url(source.repository, name)).netloc:
            headers.pop("authorization", None)  # a token is for the hub alone
        say(f"fetching {name}, {_megabytes(size)}, from {source.repository} at {revision}")
        part = staging / f"{etag[:16] or 'unknown'}.{name}.part"  # of another revision nothing is kept
        _transfer(meta.location, part, size, etag if len(etag) == SHA256 else "", headers)
        for companion in () if source.vit else COMPANIONS:
            with suppress(EntryNotFoundError):
                hf_hub_download(source.repository, companion, revision=revision, local_dir=staging)
    except (ModelError, InputError):
        raise
    except Exception as error:  # the hub's client, its HTTP library and the system raise many kinds
        raise _broken_off(source, f"{source.repository} on the hub", error) from error
    _check_content(part, size, etag if len(etag) == SHA256 else "", source.repository)
    return part.replace(staging / name), {"source": f"hub:{source.repository}/{name}", "revision": revision}


def _from_url(source: Source, staging: Path, say: Callable[[str], None]) -> tuple[Path, dict[str, Any]]:
    if not source.url or not source.vit:  # open_clip cannot open what its authors publish for other towers
        raise InputError(f"{source.name!r} has no address that is of use; expected --from hub.", place="from")
    name = PurePosixPath(source.url).name
    part = staging / f"{name}.part"  # no model file to whoever lists them
    if not source.sha256:  # nobody could tell whether what comes now belongs to what came then
        part.unlink(missing_ok=True)
    say(f"fetching {name}, at most {_megabytes(source.size)}, from {source.url}")
    try:
        _transfer(source.url, part, 0, source.sha256, {"user-agent": f"llmseg/{__version__}"})
    except Exception as error:  # as above
        raise _broken_off(source, source.url, error) from error
    _check_content(part, 0, source.sha256, source.url)
    return part.replace(staging / name), {"source": source.url, "revision": ""}


def _transfer(url: str, part: Path, size: int, sha256: str, headers: dict[str, str]) -> None:
    """Append to `part` what it lacks, by the hub's client, which tries again where a transfer breaks off.

    Its `hf_hub_download` would do the same but forget everything when the program ends.
    """
    from huggingface_hub.file_download import http_get

    have = part.stat().st_size if part.is_file() else 0
    if have and sha256 and file_hash(part).startswith(sha256):
        return
    have = 0 if size and have >= size else have  # it is not the beginning of this file
    _check_room(part.parent, size - have)
    with part.open("r+b" if have else "wb") as file:
        file.seek(have)
        try:
            http_get(url, file, resume_size=have, headers=headers, expected_size=size or None)
        except Exception as error:
            if getattr(getattr(error, "response", None), "status_code", None) != RANGE_REFUSED:
                raise
            file.truncate(0)  # longer than the file is: nothing of it can be meant
            raise


def _check_content(file: Path, size: int, sha256: str, source: str) -> None:
    """Refuse, and remove, what is not what its source says."""
    found, digest = file.stat().st_size, file_hash(file)
    if (size and found != size) or not digest.startswith(sha256):
        file.unlink()
        raise ModelError(
            f"what came from {source} has {found} bytes and SHA-256 {digest[:12]}...; expected "
            f"{size or 'any number of'} bytes and {sha256[:12] or 'any hash'}. It was removed; fetch it again.",
            place="model",
        )


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise ModelError(
            f"{folder} has room for {_megabytes(free)}; expected {_megabytes(size)}. Choose another folder by --to.",
            place="to",
        )


def _broken_off(source: Source, where: str, error: BaseException) -> ModelError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return ModelError(
        f"cannot fetch {source.name!r} from {where}: {reason}. What has come is kept; run the same command to go on.",
        place="model",
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size else "an unknown size"
