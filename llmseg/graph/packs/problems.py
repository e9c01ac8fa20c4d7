"""Why a pack of other people's nodes cannot be used here, in one plain line.

Not here: finding and loading packs (`packs`), the services that a caller puts in place for them.
"""

from __future__ import annotations

import re
import sys
import traceback
from pathlib import Path

from ..places import printable

__all__ = ["HOST_MODULES", "MissingService", "explain", "missing_service", "module_name", "one_line"]

# Top-level names that belong to ComfyUI while it runs.
HOST_MODULES = frozenset(
    [
        *("nodes", "execution", "server", "folder_paths", "node_helpers", "latent_preview", "protocol", "comfy"),
        *("comfy_extras", "comfy_execution", "comfy_api", "comfy_api_nodes", "comfy_config", "app", "utils"),
        *("api_server", "middleware", "main", "custom_nodes", "cuda_malloc", "comfyui_version"),
    ]
)
V3_NAMES = ("io", "IO", "ComfyExtension")  # what every pack of V3 nodes imports from comfy_api
LONGEST_REASON = 200  # characters of a foreign message


class MissingService(AttributeError):
    """Something of ComfyUI that a pack asks for and a headless run does not have.

    Args:
        name: in full, such as comfy.samplers.KSampler.
    """

    def __init__(self, name: str) -> None:
        super().__init__(missing_service(name))
        self.service = name


def missing_service(name: str) -> str:
    """The line about something of ComfyUI that is not here."""
    has = f"needs ComfyUI's {name!r}, which a headless run does not have"
    if name.startswith("comfy_api.") and name.rpartition(".")[2] in V3_NAMES:
        return f"is written for the V3 protocol and {has}; expected V1 classes."
    return f"{has}; expected a pack that needs only the V1 protocol, folder_paths and progress."


def module_name(path: Path) -> str:
    """The name that ComfyUI gives the module of a pack: its path, without dots if it is a folder."""
    return str(path.with_suffix("")) if path.is_file() else str(path).replace(".", "_x_")


def explain(error: BaseException, path: Path) -> str:
    """What is wrong with the pack at `path`, from what its import raised."""
    service = _service_of(error)
    if service:
        return missing_service(service)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing_module(error.name, path)
    if isinstance(error, SyntaxError):
        file, version = Path(error.filename or "?").name, ".".join(map(str, sys.version_info[:2]))
        return f"{file}, line {error.lineno or '?'}: {one_line(error.msg)}; expected code for Python {version}."
    if isinstance(error, SystemExit):
        return f"ends the program while it is imported{_where(error, path)}; expected a pack that can be imported."
    reason = one_line(f"{type(error).__name__}: {error}")
    return f"{reason}{_where(error, path)}; expected a pack that can be imported."


def one_line(text: str) -> str:
    """A foreign message as one printable line of limited length."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= LONGEST_REASON else line[:LONGEST_REASON] + "..."


def _service_of(error: BaseException) -> str:
    """The full name of the part of ComfyUI that is missing; empty if something else is wrong."""
    if isinstance(error, MissingService):
        return error.service
    if not isinstance(error, ImportError) or (error.name or "").partition(".")[0] not in HOST_MODULES:
        return ""
    if isinstance(error, ModuleNotFoundError):
        return str(error.name)
    if getattr(sys.modules.get(str(error.name)), "__file__", None) is not None:
        return ""  # somebody else's module of that name
    # Python 3.12 keeps the name; before, only the message has it.
    wanted = re.match(r"cannot import name '(\w+)'", str(error))
    return f"{error.name}.{wanted[1]}" if wanted else str(error.name)


def _missing_module(name: str, path: Path) -> str:
    own = module_name(path) + "."
    if name.startswith(own):
        return f"its own module {name[len(own) :]!r} is missing; expected a whole pack."
    top = name.partition(".")[0]
    if top != name and top in sys.modules:
        return f"needs the module {name!r}, which the installed {top!r} does not have; expected another version."
    requirements = path / "requirements.txt"
    missing = f"needs the Python package {top!r}, which is not installed"
    if requirements.is_file():
        return f'{missing}; expected what its requirements list. Run: python -m pip install -r "{requirements}"'
    return f"{missing}; expected one that provides it. Install it with pip."


def _where(error: BaseException, path: Path) -> str:
    """The last line of the pack's own code that took part."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(path):
            inner = Path(frame.filename).relative_to(path)
            return f" ({inner.as_posix() if inner.parts else path.name}, line {frame.lineno})"
    return ""
