"""Images, truth and labels for a report, made again when they are asked for.

Not here: the report (`report`), the counts (`stored_counts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import lookup
from ..label_files import label_map
from ..types import LabelMap
from .experiments import Experiment
from .preparing import Prepared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["StoredPictures"]


class StoredPictures:
    """What a report shows, from features that are stored; an image costs no look at it, only a decision.

    Args:
        experiment: data set and model.
        prepared: the columns that may be asked for.
    """

    def __init__(self, experiment: Experiment, prepared: Sequence[Prepared]) -> None:
        self._experiment = experiment
        self._samples = {sample.name: sample for sample in experiment.material.dataset.samples}
        self._columns = {each.column.name: each for each in prepared}

    def image(self, sample: str) -> NDArray[np.uint8]:
        """An image of the data set. uint8 [H,W,3]

        Raises:
            UnknownNameError: no image of that name.
        """
        return lookup(self._samples, sample, place="sample").read_image()

    def truth(self, sample: str) -> LabelMap:
        """What is there. [1,H,W]

        Raises:
            UnknownNameError: no image of that name.
        """
        truth = lookup(self._samples, sample, place="sample").read_truth()
        return label_map(truth, self._experiment.material.dataset.classes.names)

    def labels(self, sample: str, column: str) -> LabelMap:
        """What a column finds. [1,H,W]

        Raises:
            UnknownNameError: no image or column of that name.
        """
        prepared = lookup(self._columns, column, place="column")
        return self._experiment.label(prepared, lookup(self._samples, sample, place="sample"))
