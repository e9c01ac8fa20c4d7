"""What `import llmseg` offers, and what it costs."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import llmseg

ROOT = Path(llmseg.__file__).parent
HEAVY = ("torch", "numpy", "PIL", "open_clip", "networkx", "openai")
# The stages whose code is torch itself; everything else is imported without it.
TORCH_MODULES = ("dense", "vit")
MODULES = sorted(path.stem for path in ROOT.glob("*.py") if path.stem not in ("__init__", "run"))


def loaded_after(statement: str) -> set[str]:
    """Heavy packages that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent, timeout=60
    )
    return set(done.stdout.split())


def test_exports_are_sorted() -> None:
    assert llmseg.__all__ == sorted(llmseg.__all__)
    assert len(set(llmseg.__all__)) == len(llmseg.__all__)
    assert dir(llmseg) == llmseg.__all__


@pytest.mark.parametrize("name", [name for name in llmseg.__all__ if name != "__version__"])
def test_export_is_public_where_it_is_defined(name: str) -> None:
    value = getattr(llmseg, name)
    home = importlib.import_module(f"llmseg.{llmseg._HOMES[name]}")
    assert name in home.__all__
    assert value is getattr(home, name)


@pytest.mark.parametrize("name", MODULES)
def test_module_lists_what_it_offers(name: str) -> None:
    module = importlib.import_module(f"llmseg.{name}")
    assert module.__all__ == sorted(module.__all__, key=lambda item: (not item.isupper(), not item[0].isupper(), item))
    missing = [item for item in module.__all__ if not hasattr(module, item)]
    assert missing == []


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError) as caught:
        llmseg.segmnet  # noqa: B018
    assert str(caught.value) == "module 'llmseg' has no attribute 'segmnet'"


def test_version_is_a_release_number() -> None:
    assert [part.isdigit() for part in llmseg.__version__.split(".")] == [True] * 3


@pytest.mark.parametrize("statement", ["import llmseg", "import llmseg.options", "from llmseg import parse_names"])
def test_import_is_free(statement: str) -> None:
    assert loaded_after(statement) == set()


def test_stages_are_imported_without_torch() -> None:
    names = [name for name in MODULES if name not in TORCH_MODULES]
    assert loaded_after("\n".join(f"import llmseg.{name}" for name in names)) <= {"networkx"}, (
        "which is light, and orders graphs"
    )


def test_probe_sees_a_heavy_import() -> None:
    assert "numpy" in loaded_after("import numpy")
