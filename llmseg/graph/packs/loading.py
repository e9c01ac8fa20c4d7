"""Node packs of other people: what they register, added to a registry as ComfyUI adds it.

A pack is a program: whoever names its folder runs its code, its `prestartup_script.py` first, as in
ComfyUI; a workflow cannot name one. Unlike there, what lies in a folder of packs and nowhere says that
it is one is not run. What a pack prints while it is imported goes to standard error.

Not here: finding and importing (`modules`), what a pack lacks (`problems`), the services of a
host, which the caller puts in place before.

Sources: the ComfyUI server (``nodes.py``, ``main.py``), restated.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...errors import InputError, LLMSegError, located
from ..definitions import NodeDefinition
from .modules import apart, find_packs, import_pack, mentions_nodes, normal, run_early
from .problems import one_line

__all__ = ["Loading", "Pack", "find_packs", "load_pack", "load_packs"]

LISTED_NAMES = 5  # class names that one line can carry
V1_MEMBERS = ("INPUT_TYPES", "RETURN_TYPES", "FUNCTION")  # the others have defaults


@dataclass(frozen=True)
class Pack:
    """What one pack offers.

    Args:
        name: its folder, or its file without `.py`.
        path: the folder or the file.
        classes: the V1 classes by their keys.
        display_names: titles of some of them.
        problems: one for each class that had to be left out.
    """

    name: str
    path: Path
    classes: Mapping[str, type]
    display_names: Mapping[str, str]
    problems: Sequence[LLMSegError] = ()


@dataclass
class Loading:
    """What `load_packs` did: the packs, and everything that was left out, one line each."""

    packs: list[Pack] = field(default_factory=list)
    problems: list[LLMSegError] = field(default_factory=list)


def load_packs(
    folders: Sequence[Path], classes: MutableMapping[str, type], display_names: MutableMapping[str, str]
) -> Loading:
    """Load every pack and add its classes to a registry; a broken one among many does not stop the others.

    As in ComfyUI, names that are registered already stay, and of two packs with one name the later wins.

    Args:
        folders: each one pack, or a folder of packs.
        classes: the registry. It grows pack by pack, so that each pack sees those before it.
        display_names: its titles, likewise.

    Raises:
        InputError: a folder without packs, or one that is a pack itself and cannot be loaded.
    """
    found = {path: path == folder for folder in map(normal, folders) for path in find_packs(folder)}
    silent = [path for path, named in found.items() if not named and not mentions_nodes(path)]
    problem = (
        "nowhere says NODE_CLASS_MAPPINGS, so it was not run; expected a node pack. Name its own folder to run it."
    )
    loading = Loading(problems=[InputError(problem, place=f"pack {path.name!r}") for path in silent])
    core, owners = frozenset(classes), dict[str, Pack]()
    with redirect_stdout(sys.stderr):
        paths = [path for path in found if path not in silent]
        for path in paths:
            loading.problems += run_early(path)
        for path in paths:
            try:
                pack = _load_beside(path, [pack.path for pack in loading.packs], classes)
            except InputError as error:
                if found[path]:
                    raise
                loading.problems.append(error)
                continue
            loading.packs.append(pack)
            loading.problems += [*pack.problems, *_name_problems(pack, core, owners)]
            _register(pack, core, classes, display_names)
            owners |= dict.fromkeys(pack.classes, pack)
    return loading


def load_pack(path: Path) -> Pack:
    """Import one pack and read what it registers. A pack that was loaded before is imported anew.

    Args:
        path: a folder with `__init__.py`, or a `.py` file.

    Raises:
        InputError: it cannot be imported, or it does not register V1 classes.
    """
    path = normal(path)
    name = path.stem if path.is_file() else path.name
    with located(f"pack {name!r}"):
        module = import_pack(path)
        mappings = getattr(module, "NODE_CLASS_MAPPINGS", None)
        if mappings is None:
            if hasattr(module, "comfy_entrypoint"):
                raise InputError("has V3 nodes only (comfy_entrypoint); expected NODE_CLASS_MAPPINGS with V1 classes.")
            raise InputError("has no NODE_CLASS_MAPPINGS; expected a dictionary of V1 classes.")
        if not isinstance(mappings, Mapping):
            kind = type(mappings).__name__
            raise InputError(f"NODE_CLASS_MAPPINGS is of type {kind}; expected a dictionary of V1 classes.")
    titles = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None)
    classes, problems = _accept(name, mappings)
    known = {key: title for key, title in titles.items() if key in classes} if isinstance(titles, Mapping) else {}
    return Pack(name, path, classes, {key: str(title) for key, title in known.items()}, problems)


def _load_beside(path: Path, others: Collection[Path], classes: MutableMapping[str, type]) -> Pack:
    """Load one of several packs; what it writes into the registry itself counts as its own, and is taken out again."""
    before = dict(classes)
    try:
        with apart(path, others):
            pack = load_pack(path)
        written = {name: node for name, node in classes.items() if before.get(name) is not node}
    finally:
        classes.clear()
        classes.update(before)
    more, problems = _accept(pack.name, {name: node for name, node in written.items() if name not in pack.classes})
    return replace(pack, classes={**pack.classes, **more}, problems=[*pack.problems, *problems])


def _accept(pack: str, mappings: Mapping[Any, Any]) -> tuple[dict[str, type], list[LLMSegError]]:
    """The classes that follow the V1 protocol, told where they come from, and what is wrong with the others."""
    classes: dict[str, type] = {}
    problems: list[LLMSegError] = []
    for key, node in mappings.items():
        try:
            _check_class(key, node)
            node.RELATIVE_PYTHON_MODULE = f"custom_nodes.{pack}"
            classes[key] = node
        except LLMSegError as error:
            problem = f"{one_line(error.problem)} It is left out."
            problems.append(InputError(problem, place=f"pack {pack!r}, {error.place}"))
        except Exception as error:  # foreign code: a metaclass, a property, a number where a tuple should be
            problem = f"{one_line(f'{type(error).__name__}: {error}')}; expected a V1 class. It is left out."
            problems.append(InputError(problem, place=f"pack {pack!r}, class {str(key)!r}"))
    return classes, problems


def _check_class(key: object, node: object) -> None:
    place = f"class {key!r}"
    if not isinstance(key, str):
        raise InputError("its name is not a text; expected one.", place=place)
    if not isinstance(node, type):
        raise InputError(f"is an object of type {type(node).__name__}; expected a class.", place=place)
    if hasattr(node, "define_schema") or hasattr(node, "GET_SCHEMA"):
        raise InputError("is written for the V3 protocol; expected a V1 class.", place=place)
    missing = next((name for name in V1_MEMBERS if not hasattr(node, name)), None)
    if missing is not None:
        raise InputError(f"has no {missing}; expected a V1 class.", place=place)
    NodeDefinition.from_class(key, node)


def _name_problems(pack: Pack, core: Collection[str], owners: Mapping[str, Pack]) -> list[LLMSegError]:
    """Says which names of a pack are taken, by the runner or by an earlier pack."""
    problems, place = [], f"pack {pack.name!r}"
    taken = [name for name in pack.classes if name in core]
    if taken:
        problem = f"{_listed(taken)} of the runner, which no pack can replace; expected other names. Left out."
        problems.append(InputError(problem, place=place))
    twice = [name for name in pack.classes if name in owners]
    if twice:
        others = " and ".join(dict.fromkeys(repr(owners[name].name) for name in twice))
        problem = f"{_listed(twice)} of pack {others} too; expected other names. Those of {pack.name!r} are used."
        problems.append(InputError(problem, place=place))
    return list[LLMSegError](problems)


def _register(
    pack: Pack, core: Collection[str], classes: MutableMapping[str, type], display_names: MutableMapping[str, str]
) -> None:
    for name, node in pack.classes.items():
        if name not in core:
            classes[name] = node
            display_names.pop(name, None)  # the title of an earlier pack's class
            if name in pack.display_names:
                display_names[name] = pack.display_names[name]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED_NAMES} more" if len(names) > LISTED_NAMES else ""
    return ", ".join(map(repr, names[:LISTED_NAMES])) + more + (" are nodes" if len(names) > 1 else " is a node")
