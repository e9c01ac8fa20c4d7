"""What can be typed after `python -m llmseg.evaluate`.

Not here: what it does (`evaluate`), inputs of columns (`grid`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .. import __version__
from ..options import DATASET, PRESET, PROTOCOL
from .inputs import INPUTS

__all__ = ["read_arguments"]

PROGRAM = "python -m llmseg.evaluate"
DESCRIPTION = """\
Measure ways to segment against each other on a data set with truth.

A column is one way to segment: phrases and settings. The first one is the baseline that the others are judged
against. What is counted is stored: the same command again goes on where it was, another column costs only itself."""
EPILOG = f"""\
inputs of columns: {", ".join(INPUTS)}
expansion is off, a library, the path of a lock file, or placebo, shuffled, aliases, published
exit codes: 0 done, 1 nothing could be counted, 2 bad usage, 3 some images failed, 130 interrupted"""


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; ends the program on bad usage."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("dataset", metavar="DATASET", help=f"one of {', '.join(DATASET.names)}")
    add("root", metavar="ROOT", nargs="?", type=Path, help="folder of the data set; embedded needs none")
    add("--output", type=Path, required=True, metavar="DIR", help="where counts and the report go")
    add(
        "--split",
        default="",
        metavar="NAME",
        help="part of the data set (default: the one that figures are published of)",
    )
    add("--labels", type=Path, metavar="DIR", help="of data set folder: where the label pictures are")
    add("--classes", type=Path, metavar="FILE", help="of data set folder: what the numbers mean")
    add("--images", type=_at_least(1), metavar="N", help="only the first N images")
    add("--version", action="version", version=f"llmseg {__version__}")
    _add_columns(parser)
    _add_judging(parser)
    _add_running(parser)
    return parser.parse_args(arguments)


def _add_columns(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is compared").add_argument
    add("--protocol", default="", metavar="NAME", help=f"settings of a published figure: {_some(PROTOCOL.names)}")
    add("--set", action="append", default=[], metavar="INPUT=VALUE", help="a setting of all columns; repeatable")
    add(
        "--vary",
        action="append",
        default=[],
        metavar="INPUT=A,B,...",
        help="a column of each value; several make a grid; repeatable",
    )
    add(
        "--column",
        action="append",
        default=[],
        metavar="'NAME: INPUT=VALUE ...'",
        help="one column, written out; repeatable",
    )
    presets = "; ".join(f"{name}: {text}" for name, text in PRESET.names.items())
    add("--preset", action="append", default=[], metavar="NAME", help=f"{presets} (default: {PRESET.default})")
    add("--baseline", default="", metavar="NAME", help="the column that others are judged against (default: the first)")


def _add_judging(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is looked into").add_argument
    add(
        "--calibration",
        type=_at_least(1),
        default=0,
        metavar="N",
        help="set N images aside; lists that do harm there are switched off in one more column, judged on the others",
    )
    add(
        "--auto-off",
        default="",
        metavar="NAME",
        help="the column that this is done to (default: the first with a list)",
    )
    add(
        "--leave-one-out",
        default="",
        metavar="CLASS,...",
        help="which phrase of these classes does harm; hurt: of all classes that the column hurts",
    )
    add("--no-report", action="store_true", help="only count and print; write no report")


def _add_running(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how it runs").add_argument
    add(
        "--model",
        default="",
        metavar="NAME",
        help="embedded, a name or a file (default: the protocol's, else embedded)",
    )
    add("--backbone", metavar="FILE", help="a DINO's weights, for attention proxyclip and refiner lposs")
    add("--device", default="cpu", metavar="DEVICE", help="torch device, such as cpu, cuda or mps (default: cpu)")
    add("--features", type=_gibibytes, default=8.0, metavar="GIB", help="disk for encoded images (default: 8; 0: none)")
    add("--offline", action="store_true", help="no network: model files at hand")
    add("--json", action="store_true", help="one JSON event a line on standard output")
    add("--debug", action="store_true", help="show tracebacks")


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join([*listed[:3], "..."])


def _at_least(smallest: int) -> Callable[[str], int]:
    """A whole number, as argparse wants it."""

    def read(text: str) -> int:
        if not text.isdecimal() or len(text) > 9 or int(text) < smallest:
            raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from {smallest}")
        return int(text)

    return read


def _gibibytes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 2**20:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number of GiB from 0")
    return value
