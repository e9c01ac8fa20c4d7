"""The files that ComfyUI's page loads, as far as they can be judged without a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from llmseg.library import library_classes, library_names
from llmseg.names import parse_names
from tools import web_presets

WEB = Path(__file__).parent.parent / "web"
SCRIPTS = sorted(WEB.glob("*.js"))
SENTENCE = re.compile(r'(?:^|\? |: )"([^"]+)"')  # of a call, or of its two alternatives


def test_presets_are_the_shipped_libraries() -> None:
    assert web_presets.PATH.read_bytes() == web_presets.presets_bytes(), "run: python -m tools.web_presets"
    presets = json.loads(web_presets.PATH.read_text(encoding="utf-8"))["presets"]
    assert [preset["name"] for preset in presets] == list(library_names())
    for preset in presets:
        typed, shipped = parse_names(preset["classes"]), library_classes(preset["name"])
        assert [(entry.name, entry.aliases) for entry in typed.classes] == [
            (entry.name, entry.aliases) for entry in shipped.classes
        ]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_reach_nothing_but_this_server_and_run_no_text(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not re.search(
        r"https?://|\beval\b|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write", source
    )
    for name in re.findall(r'from "\./([^"]+)"', source):
        assert (WEB / name).is_file()


def test_scripts_name_nodes_that_exist() -> None:
    from conftest import import_nodes

    named = set(re.findall(r"LLMSeg[A-Z]\w+", (WEB / "llmseg.js").read_text(encoding="utf-8")))
    assert named
    assert named <= set(import_nodes().NODE_CLASS_MAPPINGS)


def test_every_sentence_of_the_scripts_is_translated_and_no_other() -> None:
    sources = {path.name: path.read_text(encoding="utf-8") for path in SCRIPTS}
    table = sources.pop("words.js").split("const CHINESE = {")[1].split("};")[0]
    translated = {key or word for key, word in re.findall(r'^  (?:"([^"]+)"|(\w+)):', table, re.M)}
    said = {
        sentence
        for source in sources.values()
        for call in re.split(r"\bsay\(", source)[1:]
        for sentence in SENTENCE.findall(call.splitlines()[0])
    }
    assert said | {"unknown"} == translated
    for english, chinese in re.findall(r'^  "([^"]+)": "([^"]+)"', table, re.M):
        assert sorted(re.findall(r"\{\d\}", english)) == sorted(re.findall(r"\{\d\}", chinese)), english
