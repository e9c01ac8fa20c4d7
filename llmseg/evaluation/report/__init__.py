"""What a person wants to read of an experiment: one page, the same as text, and tables for programs.

    wording             numbers and names, and names that are meant to be read as something else
    digest, findings    what is said, in numbers and in sentences
    tables              CSV and Markdown
    confusions, plots, sheets, markup     pieces of a page
    overview, details, page, writing      the page, and everything into a folder

Not here: measuring, judging, running experiments.
"""

from __future__ import annotations

from .sheets import Pictures
from .writing import write_report

__all__ = ["Pictures", "write_report"]
