"""Which attention runs on which kind of encoder, as a table.

    python -m benchmarks.encoders > benchmarks/results/encoders.md

Small random models of each kind, out of the tests, are given a landscape and a portrait picture. Needs
open_clip_torch, transformers and pytest.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path


def main() -> None:
    """Print the table."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from test_towers_table import draw_table

    print(draw_table(), end="")


if __name__ == "__main__":
    logging.disable()
    main()
