"""What code that others install may not do, found in its syntax tree: run text, start programs, unpickle.

Names are followed through imports and their aliases; a method that is merely called `eval`, as every torch module
has, is none. Not here: which files are shipped (`test_packaging`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
UNPICKLES = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "pickletools"}
STARTS = {"subprocess", "pip", "ensurepip", "pty", "commands", "runpy", "code", "codeop", "ctypes"}
OF_OS = {"system", "popen", "startfile", "fork", "forkpty", "posix_spawn", "posix_spawnp"}
OTHERS = {"asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "torch.hub.load", "torch.jit.load"}
LOADERS = {  # call -> the one argument that makes it safe, the value that it needs
    "torch.load": ("weights_only", True),
    "numpy.load": ("allow_pickle", False),
}


def find_forbidden(source: str) -> list[str]:
    """One line for each forbidden thing in a Python source: its line number and what it is."""
    tree = ast.parse(source)
    names = dict(_imported(tree))
    found = {(node.lineno, what) for node in ast.walk(tree) for what in _judge(node, names)}
    return [f"{line}: {what}" for line, what in sorted(found)]


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each name that an import binds, with what it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.asname is not None
                yield alias.asname or alias.name.split(".")[0], alias.name if whole else alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def _judge(node: ast.AST, names: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (f"import {alias.name}" for alias in node.names if _module(alias.name))
    elif isinstance(node, ast.ImportFrom) and not node.level:
        if _module(node.module or ""):
            yield f"import {node.module}"
        yield from (name for alias in node.names if _forbidden(name := f"{node.module}.{alias.name}"))
    elif isinstance(node, ast.Name | ast.Attribute) and _forbidden(name := _full_name(node, names)):
        yield name
    elif isinstance(node, ast.Call):
        name = _full_name(node.func, names)
        if name in LOADERS:
            needed, value = LOADERS[name]
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            if not (isinstance(given.get(needed), ast.Constant) and given[needed].value is value):
                yield f"{name} without {needed}={value}"
        elif name == "importlib.import_module" and node.args and isinstance(node.args[0], ast.Constant):
            yield from (f"import {node.args[0].value}" for _ in [0] if _module(str(node.args[0].value)))


def _full_name(node: ast.AST, names: dict[str, str]) -> str:
    """`o.system` after `import os as o` -> os.system; empty where a value and not a name stands before the dot."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = _full_name(node.value, names)
        return f"{base}.{node.attr}" if base else ""
    return ""


def _module(name: str) -> bool:
    return name.split(".")[0] in UNPICKLES | STARTS


def _forbidden(name: str) -> bool:
    base, _, last = name.rpartition(".")
    if base in ("os", "posix", "nt"):
        return last in OF_OS or last.startswith(("exec", "spawn"))
    return (base in ("", "builtins", "__builtins__") and last in RUNS_TEXT) or name in OTHERS
