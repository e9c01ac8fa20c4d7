"""Write the lists of class names that the page of ComfyUI offers, from the shipped libraries.

    python -m tools.web_presets

A test tells when `web/presets.json` is not what this writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmseg.library import library_classes, library_names
from llmseg.options import LIBRARY
from llmseg.store import write_atomic
from llmseg.types import ClassName

PATH = Path(__file__).parent.parent / "web" / "presets.json"


def main() -> None:
    """Write the file."""
    write_atomic(PATH, presets_bytes())


def presets_bytes() -> bytes:
    """The whole file."""
    presets: list[dict[str, Any]] = [
        {"name": name, "about": LIBRARY.names[name], "classes": ", ".join(map(_spell, library_classes(name).classes))}
        for name in library_names()
    ]
    return (json.dumps({"schema": 1, "presets": presets}, ensure_ascii=False, indent=1) + "\n").encode()


def _spell(entry: ClassName) -> str:
    """A class as people type it; a sense that commas would cut apart is left out."""
    name = f"{entry.name} ({entry.sense})" if entry.sense and not set(entry.sense) & set(",;|()") else entry.name
    return " | ".join((name, *entry.aliases))


if __name__ == "__main__":
    main()
