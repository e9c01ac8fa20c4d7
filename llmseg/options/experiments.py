"""Options of experiments: what is compared.

Not here: data sets and protocols, running (`llmseg.evaluation`).
"""

from __future__ import annotations

from .kinds import Choice, table

__all__ = ["CONTROL", "PRESET"]

CONTROL = Choice(
    table(
        placebo="as many phrases as a class's list has, of its name and neutral words such as photo and scene",
        shuffled="every class with the list of another",
        aliases="other names for the class that people wrote down, and no subclass",
        published="the names that the protocol was published with",
    ),
    default="placebo",
    tooltip="Phrases that stand beside a list to judge it by; placebo:voc21 follows another list than auto.",
)

PRESET = Choice(
    table(
        paper="superclass only, subclasses only, both; 0 to 20 subclasses; templates; modes; placebo, shuffled lists",
        expansion="class names alone, the list, its placebo, shuffled lists",
    ),
    default="expansion",
    tooltip="Columns that are compared often.",
)
