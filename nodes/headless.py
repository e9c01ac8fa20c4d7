"""What the runner decides for the nodes where no ComfyUI runs.

Not here: asking it (`host`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from llmseg.writer import BackgroundWriter

if TYPE_CHECKING:
    from .lookahead import Lookahead


@dataclass(frozen=True)
class HeadlessHost:
    """What the runner decides for the nodes.

    Args:
        input_folder: root of every file that a workflow reads.
        output_folder: root of every file that a workflow writes.
        temp_folder: root of previews.
        device: a torch device name.
        on_progress: called with (done, total) of the running node; what it raises stops the node.
        save_metadata: whether images carry the prompt and the workflow.
        trusted_files: files that the person typed on the command line, as the workflow now names
            them; the only ones that may lie outside the roots.
        workflow_folder: where the workflow lies; None where it comes from a stream.
        network: whether language models may be asked, a name in `options.NETWORK`; empty for what the
            user's configuration says.
        writer: writes files beside the nodes; None where each is written before its node ends.
        lookahead: knows the images that come next; None where there is one run.
        fetched_files: where the copy of each URL is that the person typed, by what the workflow calls it.
    """

    input_folder: Path
    output_folder: Path
    temp_folder: Path
    device: str = "cpu"
    on_progress: Callable[[int, int], None] | None = None
    save_metadata: bool = True
    trusted_files: frozenset[Path] = frozenset()
    workflow_folder: Path | None = None
    network: str = ""
    writer: BackgroundWriter | None = None
    lookahead: Lookahead | None = None
    fetched_files: Mapping[str, Path] = field(default_factory=dict)
