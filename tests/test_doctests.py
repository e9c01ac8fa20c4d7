"""Every example in a docstring does what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import llmseg

ROOT = Path(llmseg.__file__).parent
MODULES = sorted(
    ".".join(("llmseg", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples_to_run() -> None:
    finder = doctest.DocTestFinder()
    names = ("llmseg.names", "llmseg.templates", "llmseg.expansion_text", "llmseg.files")
    counts = [sum(len(test.examples) for test in finder.find(importlib.import_module(name))) for name in names]
    assert all(counts)
