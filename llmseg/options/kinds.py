"""What an option is: one name of a table, or a number with limits.

Not here: the options.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["AUTO", "AUTO_NUMBER", "CUSTOM", "Choice", "Number", "table"]

AUTO = "auto"  # a choice left to the model's own defaults
AUTO_NUMBER = -1  # the same for a number
CUSTOM = "custom"  # a choice that a person spells out elsewhere


@dataclass(frozen=True)
class Choice:
    """One name out of a table.

    Args:
        names: name -> one line that says what it is.
        default: the name offered first.
        tooltip: what the choice decides.
        auto: whether `AUTO` (the model's own default) may be chosen too.
    """

    names: Mapping[str, str]
    default: str
    tooltip: str
    auto: bool = False

    @property
    def choices(self) -> list[str]:
        """All names in the order shown to people, `AUTO` first where it is allowed."""
        return [AUTO, *self.names] if self.auto else list(self.names)

    @property
    def help(self) -> str:
        """The tooltip followed by one line per name."""
        lines = [f"{AUTO}: the model's own default"] if self.auto else []
        lines += [f"{name}: {text}" for name, text in self.names.items()]
        return "\n".join([self.tooltip, *lines])


@dataclass(frozen=True)
class Number:
    """A number with limits; `AUTO_NUMBER` (-1) is the model's own default where `minimum` is -1."""

    default: float
    minimum: float
    maximum: float
    step: float
    tooltip: str


def table(**names: str) -> Mapping[str, str]:
    """The rows of a choice, in the order shown."""
    return MappingProxyType(names)
