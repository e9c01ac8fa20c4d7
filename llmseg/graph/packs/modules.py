"""Node packs on disk: which there are, and their import under the names that ComfyUI gives them.

Not here: what a pack registers (`packs`), what it lacks (`problems`).

Sources: the ComfyUI server (``nodes.py``, ``main.py``), restated.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from types import ModuleType

from ...errors import InputError, LLMSegError
from .problems import explain, module_name

__all__ = ["apart", "find_packs", "import_pack", "mentions_nodes", "normal", "run_early"]

MAIN_FILE = "__init__.py"
EARLY_FILE = "prestartup_script.py"
MARKS = (b"NODE_CLASS_MAPPINGS", b"comfy_entrypoint")  # one of them stands in every pack
MOST_FILES = 1000  # that are searched for a mark


def normal(path: Path) -> Path:
    """The absolute path, links not followed: the name of a pack is that of its link."""
    return Path(os.path.normpath(path.absolute()))


def find_packs(folder: Path) -> list[Path]:
    """The packs that a path means, sorted: one folder or file, or all those in a folder like custom_nodes.

    Raises:
        InputError: there are none.
    """
    folder = normal(folder)
    if _is_pack(folder):
        return [folder]
    try:
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise InputError(
            f"cannot read {str(folder)!r} ({error.strerror}); expected a folder.", place="nodes"
        ) from error
    found = [path for path in inside if path.suffix != ".disabled" and _is_pack(path)]
    packs = [path for path in found if path.is_dir() or mentions_nodes(path)]
    if not packs:
        wanted = f"a folder with {MAIN_FILE}, a .py file, or a folder that holds such packs"
        raise InputError(f"no node pack in {str(folder)!r}; expected {wanted}.", place="nodes")
    return packs


def _is_pack(path: Path) -> bool:
    return (path / MAIN_FILE).is_file() if path.is_dir() else path.suffix == ".py" and path.is_file()


def mentions_nodes(path: Path) -> bool:
    """Whether a pack says anywhere that it is one.

    What merely lies in the same folder, a script say, must not be run to find out.
    """
    files = [path] if path.is_file() else [path / MAIN_FILE, *islice(path.rglob("*.py"), MOST_FILES)]
    for file in files:
        with suppress(OSError):
            text = file.read_bytes()
            if any(mark in text for mark in MARKS):
                return True
    return False


def import_pack(path: Path) -> ModuleType:
    """Import the module of a pack; one that was imported before is imported anew.

    Raises:
        InputError: it cannot be imported.
    """
    name = module_name(path)
    _forget(name)
    module = _new_module(name, path if path.is_file() else path / MAIN_FILE)
    sys.modules[name] = module  # its own relative imports look it up
    try:
        _execute(module)
    except (Exception, SystemExit) as error:
        _forget(name)
        raise InputError(explain(error, path)) from error
    return module


def run_early(path: Path) -> list[LLMSegError]:
    """Run what a pack wants done before any pack is imported; if that fails, the pack may still work."""
    script = path / EARLY_FILE
    if path.is_dir() and script.is_file():
        try:
            _execute(_new_module(str(script.with_suffix("")), script))
        except (Exception, SystemExit) as error:
            return [InputError(explain(error, path), place=f"pack {path.name!r}, {EARLY_FILE}")]
    return []


@contextmanager
def apart(path: Path, others: Collection[Path]) -> Iterator[None]:
    """While one pack is imported, hide what the others imported by bare names that it has files for too.

    Packs put their folder on `sys.path` and `import helpers`; the second one would be given the first one's.
    """
    folders = [str(other) for other in others if other.is_dir()]
    theirs = tuple(map(module_name, others))

    def is_theirs(file: object) -> bool:
        return isinstance(file, str) and any(file == folder or file.startswith(folder + os.sep) for folder in folders)

    def is_hidden(name: str, module: object) -> bool:
        top = name.partition(".")[0]
        if name.startswith(theirs) or not is_theirs(getattr(module, "__dict__", {}).get("__file__")):
            return False
        return (path / f"{top}.py").is_file() or (path / top).is_dir()

    hidden = {name: module for name, module in sys.modules.items() if is_hidden(name, module)}
    entries = [entry for entry in sys.path if hidden and is_theirs(entry)]
    for name in hidden:
        del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if entry not in entries]
    try:
        yield
    finally:
        sys.modules.update(hidden)
        sys.path += entries


def _forget(name: str) -> None:
    for loaded in [key for key in sys.modules if key == name or key.startswith(name + ".")]:
        del sys.modules[loaded]


def _new_module(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    return importlib.util.module_from_spec(spec)


def _execute(module: ModuleType) -> None:
    assert module.__spec__ is not None
    assert module.__spec__.loader is not None
    module.__spec__.loader.exec_module(module)
