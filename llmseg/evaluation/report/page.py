"""The page: one HTML file that needs nothing else, on paper, on a phone, in the dark.

Not here: what its sections say (`overview`, `details`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources

from .details import write_classes, write_confusions, write_notes, write_phrases, write_sheets
from .digest import Digest
from .findings import describe_title
from .overview import write_overview
from .plots import can_plot
from .sheets import Sheet
from .wording import escape

__all__ = ["write_page"]

NO_PLOTS = '<p class="note">Without figures: matplotlib is not installed. <code>pip install llmseg[report]</code></p>'
IN_HEAD = ("model", "protocol", "version")  # facts that stand below the title


def write_page(digest: Digest, sheets: Sequence[Sheet]) -> str:
    """The whole document.

    Args:
        digest: what it says.
        sheets: pictures; none where there are none.
    """
    plots = can_plot()
    sections = [
        ("summary", "Summary", write_overview(digest, plots)),
        ("classes", "Classes", write_classes(digest, plots)),
        ("confusions", "Confusions", write_confusions(digest, plots)),
        *([("images", "Images", write_sheets(sheets))] if sheets else []),
        ("phrases", "Phrases", write_phrases(digest)),
        ("notes", "Notes", write_notes(digest)),
    ]
    links = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in sections)
    body = "".join(f'<section id="{key}"><h2>{title}</h2>{content}</section>' for key, title, content in sections)
    facts = digest.results.facts
    told = " · ".join(f"{key} {facts[key]}" for key in IN_HEAD if facts.get(key))
    return (
        f"{_head(describe_title(digest))}<body>"
        f'<header class="top"><h1>{escape(describe_title(digest))}</h1><p class="muted">{escape(told)}</p></header>'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>'
        f"<main>{'' if plots else NO_PLOTS}{body}</main>"
        f"<footer><p>Made by LLMSeg.</p></footer><script>{_read('page.js')}</script></body></html>\n"
    )


def _head(title: str) -> str:
    """With a policy that lets no other script run and nothing be fetched, whatever a name in the page is."""
    digest = base64.b64encode(hashlib.sha256(_read("page.js").encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_read('page.css')}</style></head>"
    )


def _read(name: str) -> str:
    """One of the page's own files."""
    file = resources.files("llmseg").joinpath("data").joinpath("report").joinpath(name)
    return file.read_text(encoding="utf-8").replace("\r\n", "\n")
