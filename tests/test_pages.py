"""Help pages and locales say what the nodes say, in both languages, and the examples on them are true."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import import_nodes
from PIL import Image

from llmseg import segment
from llmseg.examples import load_example
from llmseg.exchange import list_boxes
from llmseg.expansion import expand_with
from llmseg.expansion_edits import edit_expansion
from llmseg.expansion_text import format_expansion
from llmseg.names import parse_names
from llmseg.region_tables import count_regions
from llmseg.regions import choose_classes, find_regions
from tools.pages import DOCS, LOCALES, MARKER, PICTURES, ROOT, build, main, own_part
from tools.pages_format import FENCE, definition, format_page, split_blocks
from tools.pages_nodes import Node, describe_pack
from tools.pages_words import SECTIONS, Translation, Words

PACK = import_nodes()
NODES: dict[str, Any] = PACK.NODE_CLASS_MAPPINGS
REMEDY = "Run: python -m tools.pages"


class Two:
    """A node with a bit of everything."""

    DESCRIPTION = "Takes a {thing} | an alias."
    CATEGORY = "llmseg/text"
    RETURN_TYPES = ("LLMSEG_TEXT_BANK", "STRING")
    RETURN_NAMES = ("bank", "table")
    OUTPUT_TOOLTIPS = ("All vectors.", "One a line.")
    OUTPUT_IS_LIST = (False, True)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        mode = (["auto", "max"], {"default": "auto", "tooltip": "How.\nauto: as it likes\nmax: the best"})
        share = ("FLOAT", {"default": 0.5, "min": 0, "max": 1, "step": 0.1, "tooltip": "How much."})
        return {"required": {"mode": mode}, "optional": {"share": share}}


def two() -> Node:
    mappings = {"NODE_CLASS_MAPPINGS": {"LLMSegTwo": Two}, "NODE_DISPLAY_NAME_MAPPINGS": {"LLMSegTwo": "Two"}}
    return describe_pack(SimpleNamespace(**mappings))["LLMSegTwo"]


def test_nothing_is_stale_and_nothing_is_missing() -> None:
    files, problems = build()
    stale = [path.as_posix() for path, text in files.items() if (ROOT / path).read_text(encoding="utf-8") != text]
    assert problems == []
    assert stale == [], REMEDY


def test_check_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (ROOT / DOCS).rglob("*.md")}
    assert main(["--check"]) == 0
    assert capsys.readouterr().err == ""
    assert {path: path.stat().st_mtime_ns for path in (ROOT / DOCS).rglob("*.md")} == before


@pytest.mark.parametrize("language", ["en", "zh"])
def test_locales_name_everything(language: str) -> None:
    stored = json.loads((ROOT / LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))
    assert set(stored) == set(NODES)
    for name, node in NODES.items():
        declared = node.INPUT_TYPES()
        entry = stored[name]
        assert entry["display_name"]
        assert entry["description"]
        assert list(entry["inputs"]) == [*declared["required"], *declared.get("optional", {})]
        assert list(entry.get("outputs", {})) == [str(place) for place in range(len(node.RETURN_TYPES))]
        for each in [*entry["inputs"].values(), *entry.get("outputs", {}).values()]:
            assert each["name"]
            assert each["tooltip"]
    shown = json.loads((ROOT / LOCALES / language / "main.json").read_text(encoding="utf-8"))["nodeCategories"]
    assert set(shown) == {part for node in NODES.values() for part in node.CATEGORY.split("/")}


def test_english_locale_is_what_the_nodes_say() -> None:
    stored = json.loads((ROOT / LOCALES / "en" / "nodeDefs.json").read_text(encoding="utf-8"))
    tooltip = stored["LLMSegEncodeText"]["inputs"]["custom_templates"]["tooltip"]
    assert "with {'{'}{'}'} for the phrase or {'{'}a{'}'} for an owl" in tooltip
    assert stored["LLMSegClassNames"]["description"].endswith("an alias is written sofa {'|'} couch.")


def test_chinese_is_chinese() -> None:
    stored = json.loads((ROOT / LOCALES / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
    texts = [text for entry in stored.values() for text in (entry["display_name"], entry["description"])]
    texts += [each["tooltip"] for entry in stored.values() for each in entry["inputs"].values()]
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in text) for text in texts)


def test_a_page_in_english() -> None:
    page = format_page(two(), "Own words\nin two lines.", [two()], "<!-- here -->", Words())
    assert page == (
        "Takes a {thing} | an alias.\n\nOwn words\nin two lines.\n\n<!-- here -->\n\n## Inputs\n\n"
        "- `mode` (COMBO, default `auto`): How.\n  - `auto`: as it likes\n  - `max`: the best\n"
        "- `share` (FLOAT, 0 … 1, default `0.5`, optional): How much.\n\n"
        "## Outputs\n\n- `bank` (LLMSEG_TEXT_BANK): All vectors.\n- `table` (STRING, a list): One a line.\n"
    )


def test_a_definition_is_shown_as_it_is_by_the_message_format() -> None:
    assert definition(two(), Words()) == {
        "display_name": "Two",
        "description": "Takes a {'{'}thing{'}'} {'|'} an alias.",
        "inputs": {
            "mode": {"name": "mode", "tooltip": "How.\nauto: as it likes\nmax: the best"},
            "share": {"name": "share", "tooltip": "How much."},
        },
        "outputs": {
            "0": {"name": "bank", "tooltip": "All vectors."},
            "1": {"name": "table", "tooltip": "One a line."},
        },
    }


def test_a_changed_sentence_without_translation_is_found(tmp_path: Path) -> None:
    table: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    table["lines"] = {"How.": "怎样。", "What it was.": "从前。"}
    path = tmp_path / "words.json"
    path.write_text(json.dumps(table), encoding="utf-8")
    words = Translation(path, "zh")
    assert words.word("lines", "How.") == "怎样。"
    assert words.word("lines", "What it is.") == "What it is."
    assert words.problems() == [
        "words.json, lines: no zh for 'What it is.'.",
        "words.json, lines: 'What it was.' is said nowhere any more.",
    ]


def test_examples_are_whole_blocks_and_paragraphs_single_lines() -> None:
    own = "A line\nand more.\n\n```\none\n\ntwo\n```\n\nEnd."
    assert list(split_blocks(own)) == ["A line and more.", "```\none\n\ntwo\n```", "End."]


def test_the_own_part_of_a_page() -> None:
    assert own_part(f"First.\n\nOwn.\n\nMore.\n\n{MARKER}\n\n## Inputs") == "Own.\n\nMore."
    assert own_part("A page from before there was a marker.\n") == "A page from before there was a marker."
    assert own_part(f"First.\n\n{MARKER}\n") == ""


@pytest.mark.parametrize("path", sorted((ROOT / PICTURES).iterdir()), ids=lambda path: path.stem)
def test_pictures_are_small_and_of_a_panels_width(path: Path) -> None:
    data = path.read_bytes()
    assert len(data) < 60 * 1024
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert picture.format == "JPEG"
        assert picture.width == 640


@pytest.mark.parametrize("name", NODES)
def test_every_page_has_an_example_of_some_lines(name: str) -> None:
    assert 3 <= len(example(name)) <= 8


# --- what the examples say ---


def example(name: str) -> list[str]:
    """Lines of the first example of a page."""
    own = own_part((ROOT / DOCS / f"{name}.md").read_text(encoding="utf-8"))
    first: str = own.split(FENCE)[1]
    return first.strip("\n").split("\n")


def after(lines: list[str], start: str, count: int) -> str:
    """What stands in a column: from the line that starts with a word, so many lines."""
    first = next(number for number, line in enumerate(lines) if line.startswith(start))
    indent = len(lines[first]) - len(lines[first][len(start) :].lstrip())
    return "\n".join(line[indent:] for line in lines[first : first + count])


def test_example_of_class_names() -> None:
    *typed, gives = example("LLMSegClassNames")
    names = parse_names("\n".join(typed)).names
    assert gives == "→ " + ", ".join(f"{number} {name}" for number, name in enumerate(names))


def test_example_of_expand() -> None:
    lines = example("LLMSegExpand")
    classes = parse_names(after(lines, "class_names:", 1))
    assert format_expansion(expand_with(classes, after(lines, "library:", 1), "")) == after(lines, "table:", 3)


def test_example_of_edit_expansion() -> None:
    lines = example("LLMSegEditExpansion")
    before = expand_with(parse_names("dog, car"), "emoji", "")
    assert format_expansion(before) == after(lines, "before:", 2)
    edited = format_expansion(edit_expansion(before, after(lines, "edits:", 2)))
    assert [line.split("  #")[0] for line in edited.split("\n")] == after(lines, "after:", 2).split("\n")


@pytest.mark.slow
def test_figures_of_the_park() -> None:
    lines = example("LLMSegSegment")
    result = segment(Image.fromarray(load_example("park")), after(lines, "class_names:", 1))
    area = result.area()
    told = {name: float(share) for share, name in re.findall(r"([\d.]+)%  (\w+)", "\n".join(lines))}
    assert told == pytest.approx({name: 100 * area[name] for name in told}, abs=0.1)
    assert set(told) == set(area)

    rows = {row.name: row for row in count_regions(result, choose_classes(result, ""), min_area=0.001)}
    for share, confidence, count, name in (line.split() for line in example("LLMSegTable")[2:]):
        assert float(share.rstrip("%")) == pytest.approx(100 * rows[name].share, abs=0.1)
        assert float(confidence) == pytest.approx(rows[name].confidence, abs=0.02)
        assert int(count) == rows[name].regions

    found = find_regions(result, choose_classes(result, "dog, car"), "component", min_area=0.001, limit=100)
    told_boxes = re.findall(r"(\w+) ([\d.]+) at x (\d+), y (\d+), (\d+) x (\d+)", "\n".join(example("LLMSegBoxes")))
    boxes = list_boxes(found)[0]
    assert [box["label"] for box in boxes] == [told[0] for told in told_boxes]
    for (_, *figures), box in zip(told_boxes, boxes, strict=True):
        keys = ("score", "x", "y", "width", "height")
        assert [float(each) for each in figures] == pytest.approx([box[key] for key in keys], abs=2)
