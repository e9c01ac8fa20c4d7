"""Ray, started here or joined elsewhere, without its own noise; and how much of it each worker gets.

Not here: what workers do (`worker`), what they are given (`engine`).
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from ..errors import InputError, LLMSegError

__all__ = ["Share", "check_address", "connected", "import_ray", "share_out"]

STORE_BYTES = 256 * 2**20  # of a cluster of our own; nothing large travels
HOST_AND_PORT = re.compile(r"(?:ray://)?\[?([^/\[\]]+)\]?:(\d{1,5})")
KNOCK_SECONDS = 5.0
LONGEST_TEMPORARY = 40  # characters; Ray adds about 65, and a socket's path may have 103


@dataclass(frozen=True)
class Share:
    """What a worker gets of the cluster.

    Args:
        jobs: how many workers.
        cpus, gpus: of each.
    """

    jobs: int
    cpus: float
    gpus: float = 0.0


def import_ray(address: str) -> Any:
    """Ray and its data sets; nothing is reported to its makers.

    Args:
        address: of a cluster; empty for one of our own, into which nobody else gets.

    Raises:
        InputError: not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not address and not any(name.startswith("RAY_AUTH_") for name in os.environ):
        os.environ.update(
            RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32)
        )  # else it lies in the home folder
    try:
        import ray
        import ray.data
    except ImportError as error:
        problem = f"the package 'ray' cannot be used ({error}); expected Ray Data. Run: pip install llmseg[ray]"
        raise InputError(problem, place="--engine ray") from error
    return ray


@contextmanager
def connected(address: str, debug: bool) -> Iterator[Any]:
    """Ray, until the batch is over.

    Args:
        address: of a cluster, as Ray takes it; empty for one of our own on this machine.
        debug: whether what Ray has to say is shown, and its logs stay.

    Raises:
        InputError: no such cluster.
        LLMSegError: Ray gave up.
    """
    ray = import_ray(address)
    if not debug:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    quiet: dict[str, Any] = {"log_to_driver": debug, "logging_level": logging.INFO if debug else logging.CRITICAL}
    folder = None if address else _short_folder()
    with _silence(debug):
        try:
            with nullcontext() if debug else _native_silence():
                _start(ray, address, folder, quiet)
            for name in ("ray", "ray.data"):
                logging.getLogger(name).setLevel(quiet["logging_level"])
            yield ray
        except ray.exceptions.RayError as error:
            lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            raise LLMSegError(f"the workers gave up: {lines[-1].strip()}", place="ray") from error
        finally:
            ray.shutdown()
            if folder is not None and not debug:
                shutil.rmtree(folder.parent, ignore_errors=True)


def _start(ray: Any, address: str, folder: Path | None, quiet: Mapping[str, Any]) -> None:
    if folder is not None:
        own = {"_temp_dir": str(folder), "object_store_memory": STORE_BYTES, "include_dashboard": False}
        ray.init(address="local", **own, **quiet)
        return
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        first: BaseException = error
        while first.__cause__ is not None:
            first = first.__cause__
        reason = (str(first).splitlines() or [type(first).__name__])[0].partition(". ")[0]
        problem = (
            f"cannot join the Ray cluster at {address!r}: {reason}; expected one of this Ray's version, and its token."
        )
        raise InputError(problem, place="--address") from error


def check_address(address: str) -> None:
    """Knock at a cluster: Ray itself would try for minutes.

    Raises:
        InputError: nobody is there.
    """
    match = HOST_AND_PORT.fullmatch(address)
    if match is None and address not in ("", "auto"):
        raise _no_cluster(address)
    if match is not None:
        try:
            socket.create_connection((match[1], int(match[2])), timeout=KNOCK_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise _no_cluster(address) from error


def _no_cluster(address: str) -> InputError:
    problem = f"no Ray cluster answers at {address!r}; expected host:port of a running one, or auto."
    return InputError(problem, place="--address")


@contextmanager
def _silence(debug: bool) -> Iterator[None]:
    """Ray prints of its workers' deaths on standard output, which is for results."""
    if debug:
        with redirect_stdout(sys.stderr):
            yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):  # noqa: PTH123
        yield


@contextmanager
def _native_silence() -> Iterator[None]:
    """What is not Python says on standard error, past any `redirect_stderr`, which level its logs have."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _short_folder() -> Path:
    """A folder for the sockets and logs of a cluster of our own; nobody else may look into it."""
    usual = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    if os.name != "nt" and len(usual) > LONGEST_TEMPORARY:
        usual = "/tmp"
    with suppress(OSError):
        return Path(tempfile.mkdtemp(prefix="llmseg-", dir=usual), "ray")  # Ray opens its own folder to everybody
    raise InputError(f"cannot make a folder in {usual!r}; expected a writable one. Set RAY_TMPDIR.", place="ray")


def share_out(ray: Any, jobs: int | None, device: str, images: int) -> Share:
    """Divide the machines of the cluster among workers.

    Args:
        ray: connected.
        jobs: how many workers a person wants; None for one a GPU or, without, one for two cores.
        device: a torch device name.
        images: how many there are to run; more workers than that are of no use.

    Raises:
        InputError: a GPU is asked for where there is none, or a certain one.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    gpus = [int(node.get("GPU", 0)) for node in nodes] if device.startswith("cuda") else []
    if device.startswith("cuda:"):
        problem = f"{device!r}; expected cuda with --engine ray: Ray gives each worker its GPU."
        raise InputError(problem, place="device")
    if gpus and not any(gpus):
        raise InputError(f"{device!r}, and the Ray cluster has no GPU; expected one, or --device cpu.", place="device")
    usual = sum(gpus) if gpus else 1 if device != "cpu" else sum(count // 2 for count in cpus)
    wanted = max(1, min(jobs or usual, images))
    return Share(wanted, _share(wanted, cpus), _share(wanted, gpus, whole=1) if gpus else 0.0)


def _share(jobs: int, amounts: Sequence[int], whole: int = 10**6) -> float:
    """The largest whole share, up to `whole`, of which the machines hold one for each worker; else a fraction."""
    most = min(max(amounts, default=0), whole)
    for share in range(most, 0, -1):
        if sum(amount // share for amount in amounts) >= jobs:
            return float(share)
    return 1 / ceil(jobs / max(1, sum(amounts)))
