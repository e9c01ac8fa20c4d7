"""What many test modules need: the folder of nodes under its private name, and a headless host."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "llmseg_nodes"  # `import nodes` would mean ComfyUI's own module in the other host


def import_nodes(module: str = "") -> ModuleType:
    """Import the folder of nodes, or one module of it, by path."""
    if PACKAGE not in sys.modules:
        folder, init = ROOT / "nodes", ROOT / "nodes" / "__init__.py"
        if init.is_file():
            spec = importlib.util.spec_from_file_location(PACKAGE, init, submodule_search_locations=[str(folder)])
            assert spec is not None
            assert spec.loader is not None
            package = sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(package)
        else:
            package = sys.modules[PACKAGE] = ModuleType(PACKAGE)
            package.__path__ = [str(folder)]
    return importlib.import_module(f"{PACKAGE}.{module}" if module else PACKAGE)


@pytest.fixture
def nodes() -> Callable[[str], ModuleType]:
    """Give a module of the nodes folder by its name, such as `host` or `core.loading`."""
    return import_nodes


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Any]:
    """The `host` module, headless, with `input`, `output` and `temp` below `tmp_path`."""
    module = import_nodes("host")
    folders = [tmp_path / root for root in ("input", "output", "temp")]
    for folder in folders:
        folder.mkdir()
    before = module.use_headless(module.HeadlessHost(*folders))
    yield module
    module.use_headless(before)
