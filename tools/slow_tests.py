"""Write `tests/slow.txt`: the test functions that take too long for the fast suite.

    LLMSEG_TESTS=all python -m pytest --durations=0 > durations.txt
    python -m tools.slow_tests durations.txt

A function counts with all its cases, with what is set up for them. `tests/conftest.py` marks what stands in the file
as `slow`, so that `python -m pytest` takes under two minutes on two cores; with LLMSEG_TESTS=all, as in CI, all run.

Not here: tests that are marked `slow` by hand, because they take minutes or need more than a clone has.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

FILE = Path(__file__).parent.parent / "tests" / "slow.txt"
LINE = re.compile(r"\s*([\d.]+)s (?:call|setup|teardown) +tests/([\w/]+\.py::\w+)")
MOST_SECONDS = 0.15


def main() -> None:
    """Read what pytest printed, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("durations", type=Path, help="what pytest --durations=0 printed")
    parser.add_argument("--most", type=float, default=MOST_SECONDS, help=f"seconds (default: {MOST_SECONDS})")
    options = parser.parse_args()
    with options.durations.open(encoding="utf-8") as lines:
        taken = add_up(lines)
    slow = sorted(name for name, seconds in taken.items() if seconds > options.most)
    FILE.write_text("".join(f"{name}\n" for name in slow), encoding="utf-8")
    rest = sum(taken.values()) - sum(taken[name] for name in slow)
    print(f"{len(slow)} of {len(taken)} functions are slow; the others take {rest:.0f} s together")


def add_up(lines: Iterable[str]) -> Counter[str]:
    """Seconds of each function, as `file.py::function`."""
    taken: Counter[str] = Counter()
    for line in lines:
        if found := LINE.match(line):
            taken[found[2]] += float(found[1])
    return taken


if __name__ == "__main__":
    main()
