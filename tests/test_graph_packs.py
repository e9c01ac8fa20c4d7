"""Tests of `graph/packs.py`, `pack_modules.py`, `pack_problems.py`: small packs on disk, loaded for real."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llmseg.errors import InputError
from llmseg.graph.packs.loading import find_packs, load_pack, load_packs

NODE = """
class Node:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    ORIGIN = {origin!r}

    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"value": ("INT", {{"default": 3}})}}}}

    def run(self, value):
        return (value,)
"""
MAPPINGS = (
    "\nNODE_CLASS_MAPPINGS = {{{key!r}: Node}}\nNODE_DISPLAY_NAME_MAPPINGS = {{{key!r}: {title!r}, 'other': 'x'}}\n"
)

Write = Callable[[str, Mapping[str, str]], Path]


def simple(key: str, origin: str = "", title: str = "A title") -> str:
    return NODE.format(origin=origin) + MAPPINGS.format(key=key, title=title)


@pytest.fixture(autouse=True)
def same_modules() -> Iterator[None]:
    """What packs import and put on the path ends with the test."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.path[:] = path


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a pack below tmp_path/custom_nodes."""

    def write_pack(name: str, files: Mapping[str, str]) -> Path:
        folder = tmp_path / "custom_nodes" / name
        for inner, text in files.items():
            (folder / inner).parent.mkdir(parents=True, exist_ok=True)
            (folder / inner).write_text(text, encoding="utf-8")
        return folder

    return write_pack


def load_all(
    *folders: Path, core: Mapping[str, type] | None = None
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """The registry, its titles, and the problems as text."""
    classes, titles = dict(core or {}), dict[str, str]()
    loading = load_packs(folders, classes, titles)
    return classes, titles, [str(problem) for problem in loading.problems]


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_pack(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pack_is_imported_under_the_name_that_comfyui_gives_it(write: Write) -> None:
    folder = write(
        "My.Pack-1",
        {
            "__init__.py": "from .inner.node import *\nfrom .inner.node import NODE_CLASS_MAPPINGS\nNAME = __name__\n",
            "inner/__init__.py": "",
            "inner/node.py": "from ..deep import ORIGIN\n" + simple("A"),
            "deep.py": "ORIGIN = 'deep'\n",
        },
    )
    pack = load_pack(folder)
    name = str(folder).replace(".", "_x_")
    assert (pack.name, pack.path, list(pack.classes)) == ("My.Pack-1", folder, ["A"])
    assert vars(sys.modules[name])["NAME"] == name
    assert pack.classes["A"].__module__ == f"{name}.inner.node"
    assert pack.classes["A"].RELATIVE_PYTHON_MODULE == "custom_nodes.My.Pack-1"


def test_titles_are_those_of_the_classes_of_the_pack(write: Write) -> None:
    assert load_pack(write("p", {"__init__.py": simple("A", title="Ä")})).display_names == {"A": "Ä"}
    text = simple("A") + "NODE_DISPLAY_NAME_MAPPINGS = None\n"
    assert load_pack(write("q", {"__init__.py": text})).display_names == {}


def test_single_file_is_a_pack(write: Write) -> None:
    file = write(".", {"one.v2.py": simple("A")}) / "one.v2.py"
    pack = load_pack(file)
    assert (pack.name, pack.classes["A"].RELATIVE_PYTHON_MODULE) == ("one.v2", "custom_nodes.one.v2")
    assert pack.classes["A"].__module__ == str(file)[: -len(".py")]


def test_pack_is_imported_anew_each_time(write: Write) -> None:
    folder = write("p", {"__init__.py": "from .node import *\n", "node.py": simple("A", "first")})
    assert load_pack(folder).classes["A"].ORIGIN == "first"
    os.utime(write("p", {"node.py": simple("A", "the second")}) / "node.py", (1, 1))
    assert load_pack(folder).classes["A"].ORIGIN == "the second"


def test_root_holds_packs_in_sorted_order(write: Write) -> None:
    for name in ("b", "a", "c.disabled", "__pycache__", "not_a_pack"):
        write(name, {"notes.txt" if name == "not_a_pack" else "__init__.py": simple(name)})
    (write("__pycache__", {}) / "__init__.py").unlink()
    root = write(".", {"z.py": simple("z"), "y.py.disabled": simple("y"), "script.py": "raise SystemExit('ran')\n"})
    assert [path.name for path in find_packs(root)] == ["a", "b", "z.py"]
    classes, _, problems = load_all(root)
    assert (list(classes), problems) == (["a", "b", "z"], [])


def test_what_does_not_say_that_it_is_a_pack_is_not_run(write: Write, tmp_path: Path) -> None:
    write("package", {"__init__.py": f"open({str(tmp_path / 'ran')!r}, 'w')\n", "prestartup_script.py": "1 / 0\n"})
    root = write("p", {"__init__.py": simple("A")}).parent
    classes, _, problems = load_all(root)
    assert (list(classes), (tmp_path / "ran").exists()) == (["A"], False)
    assert problems == [
        "pack 'package': nowhere says NODE_CLASS_MAPPINGS, so it was not run; expected a node pack. "
        "Name its own folder to run it."
    ]
    with pytest.raises(InputError, match="has no NODE_CLASS_MAPPINGS"):
        load_all(root / "package")
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["missing", "empty", "file.txt"])
def test_folder_without_packs(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_all(tmp_path / name)
    assert str(caught.value) == (
        f"nodes: no node pack in {str(tmp_path / name)!r}; "
        "expected a folder with __init__.py, a .py file, or a folder that holds such packs."
    )


def test_one_broken_pack_does_not_stop_the_others(write: Write) -> None:
    write("a", {"__init__.py": simple("A")})
    write("b", {"__init__.py": "NODE_CLASS_MAPPINGS = {}\nraise ValueError('no\\nway')\n"})
    root = write("c", {"__init__.py": simple("C")}).parent
    classes, _, problems = load_all(root)
    assert list(classes) == ["A", "C"]
    assert problems == ["pack 'b': ValueError: no way (__init__.py, line 2); expected a pack that can be imported."]
    with pytest.raises(InputError, match="pack 'b': ValueError"):  # named itself, it is what the person wants
        load_all(root / "b")


BROKEN: dict[str, tuple[str, str]] = {
    "a part of ComfyUI": (
        "import latent_preview\n",
        "needs ComfyUI's 'latent_preview', which a headless run does not have; "
        "expected a pack that needs only the V1 protocol, folder_paths and progress.",
    ),
    "a package": (
        "import nowhere_to_be_found.x\n",
        "needs the Python package 'nowhere_to_be_found', which is not installed; "
        "expected one that provides it. Install it with pip.",
    ),
    "a part of a package": (
        "import json.nowhere\n",
        "needs the module 'json.nowhere', which the installed 'json' does not have; expected another version.",
    ),
    "a name of a package": (
        "from json import nowhere\n",
        f"ImportError: cannot import name 'nowhere' from 'json' ({__import__('json').__file__}) (__init__.py, line 1); "
        "expected a pack that can be imported.",
    ),
    "a file of its own": ("from .sub import x\n", "its own module 'sub' is missing; expected a whole pack."),
    "syntax": (
        "x = 1\ndef f(:\n",
        f"__init__.py, line 2: invalid syntax; expected code for Python {sys.version_info[0]}.{sys.version_info[1]}.",
    ),
    "exit": (
        "import sys\nsys.exit(1)\n",
        "ends the program while it is imported (__init__.py, line 2); expected a pack that can be imported.",
    ),
    "no registration": ("x = 1\n", "has no NODE_CLASS_MAPPINGS; expected a dictionary of V1 classes."),
    "None": ("NODE_CLASS_MAPPINGS = None\n", "has no NODE_CLASS_MAPPINGS; expected a dictionary of V1 classes."),
    "V3 only": (
        "async def comfy_entrypoint(): ...\n",
        "has V3 nodes only (comfy_entrypoint); expected NODE_CLASS_MAPPINGS with V1 classes.",
    ),
    "a list": (
        "NODE_CLASS_MAPPINGS = []\n",
        "NODE_CLASS_MAPPINGS is of type list; expected a dictionary of V1 classes.",
    ),
    "terminal codes": (
        "raise RuntimeError('\\x1b[2J' + 'a' * 500)\n",
        "RuntimeError: \\x1b[2J" + "a" * (200 - 21) + "... (__init__.py, line 1); expected a pack that can be imported.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_pack_that_cannot_be_used(write: Write, case: str) -> None:
    text, problem = BROKEN[case]
    folder = write("p", {"__init__.py": text})
    assert refusal(folder) == f"pack 'p': {problem}"


def test_pack_that_fails_leaves_no_modules(write: Write) -> None:
    folder = write("p", {"__init__.py": "from . import a\n1 / 0\n", "a.py": ""})
    assert "ZeroDivisionError" in refusal(folder)
    assert [name for name in sys.modules if name.startswith(str(folder))] == []


def test_missing_package_of_a_pack_with_requirements(write: Write) -> None:
    folder = write("p", {"__init__.py": "from .a import *\n", "a.py": "import nowhere_x\n", "requirements.txt": "x"})
    assert refusal(folder) == (
        "pack 'p': needs the Python package 'nowhere_x', which is not installed; expected what its requirements "
        f'list. Run: python -m pip install -r "{folder / "requirements.txt"}"'
    )


def test_comfy_entrypoint_does_not_matter_where_there_is_a_mapping(write: Write) -> None:
    text = "NODE_CLASS_MAPPINGS = {}\ndef comfy_entrypoint():\n    raise ValueError\n"
    assert load_pack(write("p", {"__init__.py": text})).classes == {}


BAD_CLASSES = {
    "object": ("3", "is an object of type int; expected a class."),
    "no type": ("type('N', (), {'INPUT_TYPES': 1, 'FUNCTION': 'x'})", "has no RETURN_TYPES; expected a V1 class."),
    "V3": ("type('N', (Node,), {'define_schema': 1})", "is written for the V3 protocol; expected a V1 class."),
    "inputs fail": (
        "type('N', (Node,), {'INPUT_TYPES': classmethod(lambda cls: 1 / 0)})",
        "INPUT_TYPES failed with ZeroDivisionError('division by zero'); expected a dictionary.",
    ),
    "built in": ("type('M', (type,), {'__setattr__': None})('N', (Node,), {})", None),
}


@pytest.mark.parametrize("case", BAD_CLASSES)
def test_class_that_is_none_is_left_out(write: Write, case: str) -> None:
    text, problem = BAD_CLASSES[case]
    pack = load_pack(write("p", {"__init__.py": simple("A") + f"NODE_CLASS_MAPPINGS['B'] = {text}\n"}))
    assert list(pack.classes) == ["A"]
    (line,) = map(str, pack.problems)
    assert line.startswith("pack 'p', class 'B': ")
    assert line.endswith(" It is left out.")
    assert problem is None or line == f"pack 'p', class 'B': {problem} It is left out."


def test_core_nodes_stay(write: Write) -> None:
    core = {"LoadImage": int}
    text = simple("LoadImage") + "NODE_CLASS_MAPPINGS['Mine'] = Node\n"
    classes, titles, problems = load_all(write("p", {"__init__.py": text}), core=core)
    assert (classes["LoadImage"], list(classes), titles) == (int, ["LoadImage", "Mine"], {})
    assert problems == [
        "pack 'p': 'LoadImage' is a node of the runner, which no pack can replace; expected other names. Left out."
    ]


def test_of_two_packs_the_later_wins(write: Write) -> None:
    write("a", {"__init__.py": simple("A", "a", "of a")})
    root = write("b", {"__init__.py": simple("A", "b") + "NODE_DISPLAY_NAME_MAPPINGS = {}\n"}).parent
    classes, titles, problems = load_all(root)
    assert (classes["A"].ORIGIN, titles) == ("b", {})
    assert problems == ["pack 'b': 'A' is a node of pack 'a' too; expected other names. Those of 'b' are used."]


def test_pack_sees_the_packs_before_it_and_cannot_touch_the_core(write: Write) -> None:
    core: dict[str, Any] = {"Core": int}
    registry: dict[str, Any] = dict(core)
    sys.modules["registry_of_this_test"] = type(sys)("registry_of_this_test")
    sys.modules["registry_of_this_test"].__dict__["table"] = registry
    direct = (
        "from registry_of_this_test import table\nSEEN = list(table)\ntable['Direct'] = Node\ntable['Core'] = Node\n"
    )
    write("a", {"__init__.py": simple("A")})
    root = write("b", {"__init__.py": simple("B") + direct + "del table['A']\n"}).parent
    loading = load_packs([root], registry, {})
    assert sys.modules[str(root / "b")].SEEN == ["Core", "A"]
    assert (registry["Core"], list(registry)) == (int, ["Core", "A", "B", "Direct"])
    assert registry["Direct"].RELATIVE_PYTHON_MODULE == "custom_nodes.b"
    assert [str(problem) for problem in loading.problems] == [
        "pack 'b': 'Core' is a node of the runner, which no pack can replace; expected other names. Left out."
    ]


def test_helpers_of_equal_names_do_not_mix(write: Write) -> None:
    on_path = "import sys\nfrom pathlib import Path\nsys.path.{how}\nimport helpers_x.inner\nfrom .local import NAME\n"
    here = "str(Path(__file__).parent)"
    for name, how in (("a", f"append({here})"), ("b", f"append({here})"), ("c", f"insert(0, {here})")):
        text = on_path.format(how=how) + simple(name) + "Node.ORIGIN = (helpers_x.inner.NAME, NAME)\n"
        helpers = {
            "helpers_x/__init__.py": "",
            "helpers_x/inner.py": f"NAME = {name!r}\n",
            "local.py": f"NAME = {name!r}\n",
        }
        root = write(name, {"__init__.py": text, **helpers}).parent
    write(
        "d", {"__init__.py": "import helpers_x.inner\n" + simple("d") + "Node.ORIGIN = (helpers_x.inner.NAME,) * 2\n"}
    )
    classes, _, problems = load_all(root)
    assert {name: node.ORIGIN for name, node in classes.items()} == {
        "a": ("a", "a"),
        "b": ("b", "b"),
        "c": ("c", "c"),
        "d": ("a", "a"),  # one without files of that name is given another pack's, as in ComfyUI
    }
    assert problems == []


def test_prestartup_scripts_run_before_any_pack(write: Write) -> None:
    early = "import os\nos.environ['EARLY'] = os.environ.get('EARLY', '') + 'b'\n"
    write("a", {"__init__.py": simple("A") + "import os\nNode.ORIGIN = os.environ.get('EARLY')\n"})
    write("b", {"__init__.py": simple("B"), "prestartup_script.py": early})
    root = write("c", {"__init__.py": simple("C"), "prestartup_script.py": "1 / 0\n"}).parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARLY", "")
        classes, _, problems = load_all(root)
    assert (classes["A"].ORIGIN, list(classes)) == ("b", ["A", "B", "C"])
    assert problems == [
        "pack 'c', prestartup_script.py: ZeroDivisionError: division by zero (prestartup_script.py, line 1); "
        "expected a pack that can be imported."
    ]


def test_what_packs_print_goes_to_standard_error(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"__init__.py": simple("A") + "print('hello')\n", "prestartup_script.py": "print('early')\n"}
    load_all(write("p", files))
    assert tuple(capsys.readouterr()) == ("", "early\nhello\n")


def test_links_and_relative_paths(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write("p", {"__init__.py": simple("A")}).parent
    monkeypatch.chdir(root / "p")
    assert find_packs(Path()) == [root / "p"]
    assert find_packs(Path("..")) == [root / "p"]
    try:
        (root / "link").symlink_to(root / "p", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert load_pack(root / "link").classes["A"].RELATIVE_PYTHON_MODULE == "custom_nodes.link"
