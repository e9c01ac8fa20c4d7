"""What a registry, an installer and a reader get: complete metadata, safe code, valid files, pictures of a fair size.

Not here: what nodes declare besides texts (`test_node_schemas`), what saved workflows count on (`test_schema_snapshot`),
archives (`test_archives`).
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, import_nodes
from forbidden import find_forbidden
from PIL import Image

import llmseg

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACK = import_nodes()
OURS: dict[str, Any] = PACK.NODE_CLASS_MAPPINGS
ALIASES: dict[str, tuple[str, ...]] = import_nodes("search").SEARCH_ALIASES
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMFY = PROJECT["tool"]["comfy"]
CODE = [ROOT / "__init__.py", *sorted((ROOT / "llmseg").rglob("*.py")), *sorted((ROOT / "nodes").rglob("*.py"))]
SCRIPTS = sorted((ROOT / "web").rglob("*.js"))
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
JSONS = [
    path for folder in ("llmseg", "workflows", "locales", "web") for path in sorted((ROOT / folder).rglob("*.json"))
]
LANGUAGES = ("en", "zh")
MOST_THUMBNAIL = 200_000  # bytes


def test_version_is_equal_everywhere() -> None:
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert {PROJECT["project"]["version"], llmseg.__version__, PACK.VERSION, newest[1]} == {llmseg.__version__}
    assert re.fullmatch(r"\d+\.\d+\.\d+", llmseg.__version__)


def test_the_name_is_one_that_the_registry_takes() -> None:
    name = PROJECT["project"]["name"]
    assert re.fullmatch(r"[a-z](?:[._-]?[a-z0-9])*", name)
    assert len(name) < 100
    assert "comfyui" not in name


def test_the_project_is_described() -> None:
    project = PROJECT["project"]
    assert project["description"]
    assert project["license"] == "Apache-2.0"
    assert project["requires-python"] == ">=3.10"
    assert (ROOT / project["readme"]).is_file()
    assert all((ROOT / name).is_file() for name in project["license-files"])
    assert all(url.startswith("https://") for url in project["urls"].values())


def test_classifiers_say_every_system_and_no_accelerator() -> None:
    """The registry ignores all if one is wrong; a list of accelerators would warn people without one of them."""
    classifiers = PROJECT["project"]["classifiers"]
    assert [each for each in classifiers if each.startswith("Operating System")] == [
        "Operating System :: OS Independent"
    ]
    assert [each for each in classifiers if each.startswith("Environment ::")] == []


def test_the_fields_for_the_registry_are_complete() -> None:
    assert set(COMFY) == {"PublisherId", "DisplayName", "Icon", "Banner", "requires-comfyui", "includes"}
    assert re.fullmatch(r"[a-z0-9-]+", COMFY["PublisherId"])
    assert COMFY["DisplayName"] == "LLMSeg"
    assert re.fullmatch(r">=\d+\.\d+\.\d+", COMFY["requires-comfyui"])
    assert all((ROOT / included).exists() for included in COMFY["includes"])


def test_the_icon_is_a_square_of_at_most_400_pixels() -> None:
    with Image.open(_local(COMFY["Icon"])) as icon:
        assert icon.format == "PNG"
        assert icon.width == icon.height <= 400
        assert icon.convert("RGBA").getpixel((0, 0))[3] == 0, "its corners are round"


def test_the_banner_is_21_to_9() -> None:
    path = _local(COMFY["Banner"])
    with Image.open(path) as banner:
        assert banner.width * 9 == banner.height * 21
    assert path.stat().st_size < 500_000


def _local(address: str) -> Path:
    """The file of the repository behind an address, or behind a path that is no address yet."""
    return ROOT / "assets" / address.rsplit("/", 1)[-1]


def test_what_the_host_owns_is_not_pinned() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    needed = [re.split(r"\s*[#;]", line)[0] for line in lines]
    assert {"torch", "numpy"} <= set(needed)
    assert [line for line in needed if re.search(r"==|<|~=|@", line)] == []


@pytest.mark.parametrize("name", OURS)
def test_every_node_input_and_output_is_explained(name: str) -> None:
    node = OURS[name]
    declared = node.INPUT_TYPES()
    texts = [node.DESCRIPTION, *getattr(node, "OUTPUT_TOOLTIPS", ())]
    texts += [
        options["tooltip"] for group in ("required", "optional") for _, options in declared.get(group, {}).values()
    ]
    assert len(getattr(node, "OUTPUT_TOOLTIPS", ())) == len(node.RETURN_TYPES)
    for text in texts:
        sentence = text.splitlines()[0]  # the choices of a list stand below it
        assert len(sentence) >= 8, text
        assert sentence.endswith("."), text


def test_every_node_has_words_that_people_search_for() -> None:
    assert set(ALIASES) == set(OURS)
    for name, aliases in ALIASES.items():
        title = PACK.NODE_DISPLAY_NAME_MAPPINGS[name]
        assert list(aliases) == OURS[name].SEARCH_ALIASES
        assert len(set(aliases)) == len(aliases) >= 3, name
        assert all(alias == alias.lower().strip() and alias != title.lower() for alias in aliases), name


@pytest.mark.parametrize("path", JSONS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_json_files_are_valid(path: Path) -> None:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names), "a name stands twice"
        return dict(pairs)

    def number(text: str) -> float:
        raise AssertionError(f"{text} is no JSON")

    json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once, parse_constant=number)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_template_has_a_thumbnail(path: Path) -> None:
    thumbnail = path.with_suffix(".jpg")
    assert thumbnail.stat().st_size < MOST_THUMBNAIL
    with Image.open(thumbnail) as picture:
        assert picture.format == "JPEG"
        assert min(picture.size) >= 256
        assert len(picture.convert("L").getcolors() or range(257)) > 16, "it shows something"


def test_no_thumbnail_is_left_without_its_template() -> None:
    assert {path.stem for path in (ROOT / "workflows").glob("*.jpg")} <= {path.stem for path in WORKFLOWS}


# One program is started: Python itself, isolated, for a search that may take forever (`nodes/core/regexes.py`).
EXCUSED = {"nodes/core/regexes.py": ["import subprocess"]}


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_shipped_code_is_safe(path: Path) -> None:
    found = [line.split(": ", 1)[1] for line in find_forbidden(path.read_text(encoding="utf-8"))]
    assert found == EXCUSED.get(path.relative_to(ROOT).as_posix(), [])


def test_the_one_program_that_is_started_is_python_without_packages() -> None:
    source = (ROOT / "nodes" / "core" / "regexes.py").read_text(encoding="utf-8")
    assert re.findall(r"subprocess\.(\w+)\(", source) == ["run"]
    assert 'command = [sys.executable, "-I", "-S", "-W", "ignore", str(Path(matching.__file__))]' in source
    assert "shell=" not in source


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_shipped_scripts_are_safe(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert re.findall(r"\beval\s*\(|\bnew Function\b|\.(?:inner|outer)HTML\b|document\.write|https?://", source) == []


DOCS, LOCALES = ROOT / "web" / "docs", ROOT / "locales"
needs_docs = pytest.mark.skipif(not DOCS.is_dir(), reason="the help pages are not written yet (web/docs)")
needs_locales = pytest.mark.skipif(not LOCALES.is_dir(), reason="the translations are not written yet (locales)")
CHINESE = re.compile("[\u4e00-\u9fff]")


def inputs(name: str) -> list[str]:
    declared = OURS[name].INPUT_TYPES()
    return [*declared.get("required", {}), *declared.get("optional", {})]


@needs_docs
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", OURS)
def test_every_node_has_a_help_page(name: str, language: str) -> None:
    page = DOCS / f"{name}.md" if language == "en" else DOCS / name / f"{language}.md"
    text = page.read_text(encoding="utf-8")
    assert [each for each in inputs(name) if f"`{each}`" not in text] == []
    assert bool(CHINESE.search(text)) == (language == "zh")
    for picture in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text):
        assert (DOCS / picture).is_file(), "the page finds pictures from here, in every language"


@needs_docs
def test_every_help_page_has_its_node() -> None:
    assert {path.stem for path in DOCS.glob("*.md")} == set(OURS)
    assert {path.parent.name for path in DOCS.glob("*/*.md")} <= set(OURS)


@needs_docs
def test_pictures_of_the_help_pages_are_small() -> None:
    pictures = [path for path in DOCS.rglob("*") if path.suffix in (".jpg", ".png")]
    assert pictures
    assert max(path.stat().st_size for path in pictures) < MOST_THUMBNAIL


@needs_locales
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", OURS)
def test_every_node_is_told_in_both_languages(name: str, language: str) -> None:
    told = json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))[name]
    assert set(told["inputs"]) == set(inputs(name))
    outputs = told.get("outputs", {})
    assert set(outputs) == {str(index) for index in range(len(OURS[name].RETURN_TYPES))}
    for each in (*told["inputs"].values(), *outputs.values()):
        assert each["name"].strip()
        assert bool(CHINESE.search(each["tooltip"])) == (language == "zh"), each
    assert bool(CHINESE.search(told["description"])) == (language == "zh")
    assert told["display_name"].strip()
    assert language != "en" or told["display_name"] == PACK.NODE_DISPLAY_NAME_MAPPINGS[name]


@needs_locales
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_translation_is_left_without_its_node(language: str) -> None:
    told = json.loads((LOCALES / language / "main.json").read_text(encoding="utf-8"))
    parts = {part for node in OURS.values() for part in node.CATEGORY.split("/")}
    assert parts == set(told["nodeCategories"])
    definitions = json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))
    assert set(definitions) == set(OURS)
