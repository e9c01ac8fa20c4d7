"""Names of the files that a node saves: tokens, numbers and the place where they go.

Not here: the folders themselves and the guard around them (`host`).
Source: ComfyUI 0.8 `folder_paths.get_save_image_path`; that a number also ends at a dot is newer.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SaveTarget:
    """Where a node may write: `folder / filename(0)`, `filename(1)` and so on.

    Args:
        folder: exists, and lies inside its root.
        stem: start of each name; may hold `%batch_num%`.
        counter: number of the first file.
        subfolder: `folder` as seen from the root; empty for the root itself.
        kind: the root, as the user interface names it.
    """

    folder: Path
    stem: str
    counter: int
    subfolder: str
    kind: str

    def filename(self, index: int, extension: str = ".png") -> str:
        """Name of the file for image `index` of a batch, as ComfyUI spells it."""
        stem = self.stem.replace("%batch_num%", str(index))
        return f"{stem}_{self.counter + index:05}_{extension}"


def fill_tokens(prefix: str, width: int, height: int) -> str:
    """Replace %width%, %height% and the parts of the local time."""
    now = time.localtime()
    values = {
        "width": str(width),
        "height": str(height),
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    return re.sub("%(" + "|".join(values) + ")%", lambda token: values[token[1]], prefix)


def next_number(folder: Path, stem: str) -> int:
    """One more than the highest `<stem>_<number>` in the folder, case folded where the system does."""
    start = os.path.normcase(stem)
    numbers = [0]
    for entry in folder.iterdir():
        head, rest = entry.name[: len(stem)], entry.name[len(stem) :]
        number = re.match(r"_([0-9]+)(?=[_.]|$)", rest)
        if number and os.path.normcase(head) == start:
            numbers.append(int(number[1]))
    return max(numbers) + 1
