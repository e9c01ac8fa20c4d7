"""Results into a folder: the page, the text, the tables.

Not here: what stands in them (`page`, `tables`).
"""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError
from ...store import write_atomic
from ..results import Results
from .digest import digest_results
from .page import write_page
from .sheets import Pictures, build_sheets
from .tables import CSV_FILES, write_csv, write_markdown

__all__ = ["write_report"]


def write_report(results: Results, folder: Path, pictures: Pictures | None = None) -> list[Path]:
    """Write `report.html`, which needs no other file, `report.md`, and the CSV files; each is replaced whole.

    Args:
        results: of an experiment.
        folder: made where it is missing.
        pictures: gives the images of the contact sheets; None for a report without.

    Returns:
        The files, the page first.

    Raises:
        InputError: no column or no image, or the folder cannot be written.
    """
    if not results.columns or not results.samples:
        counted = f"{len(results.columns)} columns of {len(results.samples)} images"
        raise InputError(f"{counted}; expected at least one of each.", place="results")
    digest = digest_results(results)
    sheets = build_sheets(digest, pictures) if pictures is not None else []
    texts = {"report.html": write_page(digest, sheets), "report.md": write_markdown(digest)}
    texts |= {name: write_csv(digest, name) for name in CSV_FILES}
    for name, text in texts.items():
        # A file name of another encoding comes as surrogates, which no file can hold.
        write_atomic(folder / name, text.encode("utf-8", "backslashreplace"))
    return [folder / name for name in texts]
