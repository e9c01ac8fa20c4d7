"""Write the help pages and the names that ComfyUI shows, in every language, from what the nodes declare.

    python -m tools.pages            write what is stale, say what is missing
    python -m tools.pages --check    write nothing

English stands in the nodes and, on each page, between its first paragraph and MARKER; everything else is written
here: that paragraph, what stands below MARKER, web/docs/<node>/zh.md and locales/. Chinese stands in pages_zh.json,
keyed by the English that it translates, so that a sentence that changes is missed there at once.

Not here: reading nodes (`pages_nodes`), laying out (`pages_format`), pictures (`pages_pictures`).
Sources: docs.comfy.org on node help (docs/<node>/<locale>.md, then docs/<node>.md) and on locales.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from llmseg.run import load_nodes
from llmseg.store import write_atomic

from .pages_format import PICTURE, categories, definition, format_json, format_page
from .pages_nodes import Node, describe_pack
from .pages_words import Translation, Words

ROOT = Path(__file__).parent.parent
DOCS, LOCALES = Path("web/docs"), Path("locales")
PICTURES = DOCS / "pictures"
CHINESE = Path(__file__).parent / "pages_zh.json"
MARKER, WRITTEN = (  # on a page that people write in; on one that they do not
    "<!-- What follows, and the first paragraph, are written by `python -m tools.pages`. -->",
    "<!-- Written by `python -m tools.pages`, from the English page and from tools/pages_zh.json. -->",
)


def main(arguments: list[str] | None = None) -> int:
    """Write or check; 1 if anything is left for a person to do."""
    parser = argparse.ArgumentParser(prog="python -m tools.pages", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    files, problems = build()
    for path in [path for path, text in files.items() if _read(ROOT / path) != text]:
        if check:
            problems.append(f"{path.as_posix()}: is stale. Run: python -m tools.pages")
        else:
            write_atomic(ROOT / path, files[path].encode())
    print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


def build() -> tuple[dict[Path, str], list[str]]:
    """What each file is to hold, and a line for everything that only a person can mend."""
    pack = describe_pack(load_nodes())
    own = {name: own_part(_read(ROOT / DOCS / f"{name}.md")) for name in pack}
    chinese = Translation(CHINESE, "zh")
    files: dict[Path, str] = {}
    for words in (Words(), chinese):
        folder = LOCALES / words.language
        files[folder / "nodeDefs.json"] = format_json({key: definition(node, words) for key, node in pack.items()})
        files[folder / "main.json"] = format_json({"nodeCategories": categories(pack.values(), words)})
        for name, node in pack.items():
            english = words.language == "en"
            path = DOCS / f"{name}.md" if english else DOCS / name / f"{words.language}.md"
            files[path] = format_page(node, own[name], pack.values(), MARKER if english else WRITTEN, words)
    unwritten = [f"{(DOCS / name).as_posix()}.md: has no part of its own." for name in own if not own[name]]
    return files, unwritten + _strangers(pack.values(), own.values()) + chinese.problems()


def own_part(page: str) -> str:
    """The hand-written part of a page; empty where there is none yet."""
    head, marker, _ = page.partition(MARKER)
    return (head.partition("\n\n")[2] if marker else page).strip()


def _strangers(pack: Iterable[Node], own: Iterable[str]) -> list[str]:
    """Pages of no node, pictures of no page, and pages whose picture is not there."""
    names = {node.name for node in pack}
    pages = {path.stem if path.is_file() else path.name for path in (ROOT / DOCS).glob("LLMSeg*")}
    shown = {found["file"] for text in own for found in re.finditer(PICTURE, text)}
    there = {f"{PICTURES.name}/{path.name}" for path in (ROOT / PICTURES).iterdir()}
    problems = [f"{(DOCS / name).as_posix()}: no node has this name." for name in sorted(pages - names)]
    problems += [f"{(DOCS / file).as_posix()}: on no page." for file in sorted(there - shown)]
    return problems + [f"{(DOCS / file).as_posix()}: is not there." for file in sorted(shown - there)]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


if __name__ == "__main__":
    sys.exit(main())
