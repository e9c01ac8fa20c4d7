"""Tests of `forbidden.py`: it finds what it is for, under any name, and nothing else."""

from __future__ import annotations

import pytest
from forbidden import find_forbidden


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("eval('1')", "eval"),
        ("x = exec", "exec"),
        ("import builtins as b; b.eval('1')", "builtins.eval"),
        ("from builtins import exec as run", "builtins.exec"),
        ("__import__('os')", "__import__"),
        ("import os; os.system('x')", "os.system"),
        ("import os as o; f = o.popen", "os.popen"),
        ("from os import execvp", "os.execvp"),
        ("import subprocess", "import subprocess"),
        ("from subprocess import run as r", "import subprocess"),
        ("import asyncio; asyncio.create_subprocess_shell('x')", "asyncio.create_subprocess_shell"),
        ("import importlib; importlib.import_module('pickle')", "import pickle"),
        ("def f():\n    import marshal", "import marshal"),
        ("from pickle import loads", "import pickle"),
        ("import torch; torch.load(p)", "torch.load without weights_only=True"),
        ("import torch as t; t.load(p, weights_only=False)", "torch.load without weights_only=True"),
        ("from torch import load; load(p, weights_only=w)", "torch.load without weights_only=True"),
        ("import numpy as np; np.load(p)", "numpy.load without allow_pickle=False"),
    ],
)
def test_the_reader_finds(source: str, what: str) -> None:
    assert what in [line.split(": ", 1)[1] for line in find_forbidden(source)]


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "'eval(1) and os.system'  # exec(",
        "import re; re.compile('a')",
        "import torch; torch.compile(m); m.compile()",
        "import torch; torch.load(p, weights_only=True)",
        "import json; json.load(f)",
        "import os; os.replace(a, b)",
        "from . import code; from .code import pickle",
        "self.exec(1)",
    ],
)
def test_the_reader_lets_pass(source: str) -> None:
    assert find_forbidden(source) == []
