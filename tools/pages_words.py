"""Sentences of the nodes in one language: as they stand, or by the table of a translator.

A line of choices, "name: what it is", keeps its name; only what it is gets translated.

Not here: where sentences come from (`pages_nodes`) and go to (`pages_format`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

SECTIONS = {
    "headings": "words of every page",
    "categories": "parts of CATEGORY",
    "titles": "display names",
    "names": "names of inputs and outputs",
    "lines": "lines of descriptions and tooltips",
    "pages": "paragraphs, captions and lines of examples, as far as these have words",
}


class Words:
    """English: everything as it is."""

    language = "en"

    def word(self, section: str, english: str) -> str:
        """What stands for a sentence, or for a word, of a section."""
        return english

    def example(self, line: str) -> str:
        """What stands for a line of an example; many are the same everywhere."""
        return line

    def problems(self) -> list[str]:
        """A line for all that is missing, or of no more use."""
        return []


class Translation(Words):
    """Another language, by a file of English -> translated, by section. It remembers what was asked."""

    def __init__(self, path: Path, language: str) -> None:
        self.language, self.path = language, path
        self.table: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
        self.asked: dict[str, set[str]] = {section: set() for section in SECTIONS}

    def word(self, section: str, english: str) -> str:
        """As above; English where the table has nothing."""
        self.asked[section].add(english)
        return self.table[section].get(english, english)

    def example(self, line: str) -> str:
        """As above."""
        found: Mapping[str, str] = self.table["pages"]
        return self.word("pages", line) if line in found else line

    def problems(self) -> list[str]:
        """Missing first, then unused, section by section."""
        missing, unused = [], []
        for section, asked in self.asked.items():
            found = self.table[section]
            place = f"{self.path.name}, {section}"
            missing += [f"{place}: no {self.language} for {line!r}." for line in sorted(asked - set(found))]
            unused += [f"{place}: {line!r} is said nowhere any more." for line in found if line not in asked]
        return missing + unused
