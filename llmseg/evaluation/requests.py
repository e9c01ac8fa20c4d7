"""What a command line asks for: data set, columns and images, all of it checked before a model is loaded.

Not here: what can be typed (`arguments`), the form of columns (`grid`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from ..errors import InputError, LLMSegError, UnknownNameError, lookup
from ..models.weights import EMBEDDED
from ..options import AUTO
from .auto_off import split_samples
from .columns import Column
from .datasets import Dataset, open_dataset
from .grid import Asked, read_columns
from .protocols import PROTOCOLS, Protocol, name_classes

if TYPE_CHECKING:
    from .datasets import Sample

__all__ = ["HURT", "Request", "read_request", "split_names"]

HURT = "hurt"  # instead of the names of classes
PUBLISHED = "published"

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """What is to be done.

    Args:
        dataset: with the names that a protocol has for its classes.
        columns: the baseline first.
        calibration, reported: images that lists are judged on, and those that results are of.
        protocol: None where none was named.
        model: a name or a file.
    """

    dataset: Dataset
    columns: tuple[Column, ...]
    calibration: tuple[Sample, ...]
    reported: tuple[Sample, ...]
    protocol: Protocol | None
    model: str

    @property
    def published(self) -> Mapping[str, tuple[str, ...]]:
        """The protocol's names by class."""
        return self.protocol.phrases if self.protocol else {}


def read_request(options: argparse.Namespace) -> Request:
    """Check everything that can be checked without a model.

    Raises:
        InputError: every problem, one a line.
    """
    problems: list[str] = []

    def gather(find: Callable[[argparse.Namespace], T]) -> T | None:
        try:
            return find(options)
        except LLMSegError as error:
            problems.extend(str(error).splitlines())
            return None

    protocol, columns, dataset = gather(_find_protocol), gather(_find_columns), gather(_find_dataset)
    if problems or columns is None or dataset is None:
        raise InputError("\n".join(problems))
    calibration, reported = split_samples(dataset.samples, options.calibration)
    if protocol is not None:
        dataset = replace(dataset, classes=name_classes(protocol, dataset.classes))
    model = options.model or (protocol.model if protocol else EMBEDDED)
    return Request(dataset, columns, calibration, reported, protocol, model)


def split_names(listed: str) -> list[str]:
    """Names between commas."""
    return [name for each in listed.split(",") if (name := each.strip())]


def _find_protocol(options: argparse.Namespace) -> Protocol | None:
    if not options.protocol:
        return None
    protocol = lookup(PROTOCOLS, options.protocol, place="protocol")
    if protocol.dataset != options.dataset:
        raise InputError(
            f"{protocol.name!r} is for data set {protocol.dataset!r}; expected that one, not {options.dataset!r}.",
            place="protocol",
        )
    return protocol


def _find_columns(options: argparse.Namespace) -> tuple[Column, ...]:
    """The columns, the baseline first."""
    base, usual = _start(PROTOCOLS.get(options.protocol))
    asked = Asked(options.set, options.vary, options.column, options.preset, has_backbone=options.backbone is not None)
    columns = read_columns(base, asked, usual)
    names = {column.name: column for column in columns}
    for option, name in (("baseline", options.baseline), ("auto-off", options.auto_off)):
        if name:
            lookup(names, name, place=option)
    first = names.get(options.baseline, columns[0])
    return (first, *(column for column in columns if column is not first))


def _start(protocol: Protocol | None) -> tuple[Column, tuple[str, ...]]:
    """What columns are where nothing is said, and the expansions that are compared where no columns are asked for."""
    if protocol is None:
        return Column("base"), ()
    listed = AUTO if protocol.expansion in ("off", PUBLISHED) else protocol.expansion
    base = Column("base", listed, options=protocol.options, rules=protocol.rules)
    first = PUBLISHED if protocol.expansion == PUBLISHED and protocol.phrases else "off"
    return base, (first,) if protocol.options.mode == "off" else (first, listed)


def _find_dataset(options: argparse.Namespace) -> Dataset:
    dataset = open_dataset(
        options.dataset, options.root, split=options.split, labels=options.labels, classes=options.classes
    )
    dataset = replace(dataset, samples=dataset.samples[: options.images])
    if not dataset.samples:
        raise InputError("no image; expected at least one.", place="dataset")
    if options.calibration >= len(dataset.samples):
        problem = f"{options.calibration} of {len(dataset.samples)} images; expected fewer than there are."
        raise InputError(problem, place="calibration")
    known = {name.casefold(): name for name in dataset.classes.names}
    asked = [] if options.leave_one_out == HURT else split_names(options.leave_one_out)
    for name in asked:
        if name.casefold() not in known:
            raise UnknownNameError(name, known.values(), place="leave-one-out")
    return dataset
