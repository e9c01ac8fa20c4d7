"""Columns over a data set: every image encoded once for all columns, every count stored as soon as it is there.

Not here: which columns there are (`grid`), their phrases (`vocabularies`), files (`stored_counts`, `feature_files`),
what follows from the counts (`verdicts`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..attention import ATTENTION
from ..errors import InputError, LLMSegError, located, lookup
from ..files import image_to_tensor
from ..options import AUTO
from ..patch_features import build_patch_features
from ..scores import score_image
from ..store import content_hash
from ..types import UNKNOWN, Expansion, LabelMap, PatchFeatures, TextBank
from .columns import Column
from .counting import count_image
from .deciding import decide_labels
from .feature_files import FeatureFiles
from .preparing import Material, Prepared, Preparer
from .results import ColumnResult, Results
from .stored_counts import CannotStore, StoredCounts, StoredImage, add_winners

if TYPE_CHECKING:
    from torch import Tensor

    from .datasets import Sample

__all__ = ["Experiment", "NothingCounted", "Step", "count_winners"]

ENCODING = ("attention", "window", "stride", "resize", "scales", "layout", "flips")  # what features depend on


@dataclass(frozen=True)
class Step:
    """What became of one image.

    Args:
        sample: its name.
        number, total: which of how many.
        computed: columns that were counted.
        seconds: of all images with anything to count so far, on average; None while there was none.
        error: why it is left out; empty where it is not.
    """

    sample: str
    number: int
    total: int
    computed: int
    seconds: float | None = None
    error: str = ""


class NothingCounted(InputError):
    """No image could be used."""


class Experiment:
    """Columns over one data set, under one model, with counts in one folder.

    Args:
        material: data set and model.
        folder: where counts are stored; the caller sees to it that no other process writes there.
        features: encodes images and keeps what it made.
        tell: is told of each image.

    Attributes:
        failures: why images are left out, by name.
    """

    def __init__(
        self,
        material: Material,
        folder: Path,
        features: FeatureFiles | None = None,
        tell: Callable[[Step], None] = lambda step: None,
    ) -> None:
        self.material = material
        self.features = features or FeatureFiles()
        self.failures: dict[str, str] = {}
        self._tell = tell
        self._preparer = Preparer(material, folder)
        self._identities: dict[str, str] = {}

    def prepare(self, columns: Sequence[Column]) -> list[Prepared]:
        """As `Preparer.prepare`."""
        return self._preparer.prepare(columns)

    def prepare_one(self, column: Column, expansion: Expansion) -> Prepared:
        """As `Preparer.prepare_one`."""
        return self._preparer.prepare_one(column, expansion)

    def run(self, prepared: Sequence[Prepared], samples: Sequence[Sample] | None = None) -> None:
        """Count every image under every column, but for what is stored; an image that cannot be used stops no other.

        Args:
            prepared: the columns.
            samples: the images; all by default.

        Raises:
            CannotStore: counts cannot be written.
        """
        wanted = self.material.dataset.samples if samples is None else samples
        samples = [sample for sample in wanted if sample.name not in self.failures]
        spent, worked = 0.0, 0
        for number, sample in enumerate(samples, 1):
            start, computed, error = time.perf_counter(), 0, ""
            try:
                with located(sample.name):
                    computed = self._run_sample(prepared, sample)
            except CannotStore:
                raise
            except (LLMSegError, OSError) as caught:
                error = self.failures[sample.name] = str(caught)
            except (RuntimeError, MemoryError) as caught:  # as torch and numpy run out of memory
                reason = (str(caught) or type(caught).__name__).splitlines()[0]
                error = self.failures[sample.name] = f"{sample.name}: {reason}"
            if computed:
                spent, worked = spent + time.perf_counter() - start, worked + 1
            pace = spent / worked if worked else None
            self._tell(Step(sample.name, number, len(samples), computed, pace, error))

    def _run_sample(self, prepared: Sequence[Prepared], sample: Sample) -> int:
        """Count one image; gives the number of columns that were not stored."""
        if sample.name not in self._identities:
            self._identities[sample.name] = sample.identity()
        identity = self._identities[sample.name]
        due = {each.file.path: each for each in prepared if each.file.find(sample.name, identity) is None}
        if not due:
            return 0
        image, truth = self._read(sample)
        classes = len(self.material.dataset.classes.classes)
        encoded: dict[str, PatchFeatures] = {}
        for each in due.values():
            result = self._label(each, image, encoded)
            labels = known_labels(result.labels[0].cpu(), classes)
            counts = count_image(labels, truth, classes)
            each.file.append(sample.name, StoredImage.pack(identity, counts, count_winners(result)))
        return len(due)

    def _read(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """Image in 0..1 [1,3,H,W] and truth [H,W].

        Raises:
            InputError: one of them cannot be read, or they differ in size.
        """
        import torch

        image, truth = image_to_tensor(sample.read_image()), torch.from_numpy(sample.read_truth())
        if image.shape[-2:] != truth.shape:
            sizes = " and ".join(f"{shape[1]} x {shape[0]}" for shape in (image.shape[-2:], truth.shape))
            raise InputError(f"image and truth are {sizes} pixels; expected one size.")
        return image, truth

    def label(self, prepared: Prepared, sample: Sample) -> LabelMap:
        """What a column finds in one image, of the classes of the data set. [1,H,W]"""
        found = self._label(prepared, image_to_tensor(sample.read_image()), {})
        return replace(found, labels=known_labels(found.labels, len(self.material.dataset.classes.classes)))

    def _label(self, prepared: Prepared, image: Tensor, encoded: dict[str, PatchFeatures]) -> LabelMap:
        """The labels of one image [1,3,H,W]; `encoded` holds its features by the way in which they were made."""
        options, bank = prepared.column.options, prepared.bank
        with located(prepared.column.name):
            way, looked_for = self._way(prepared)
            encoder, backbone = self.material.encoder, self.material.backbone
            models: dict[str, Any] = {"text_bank": looked_for, "backbone": backbone if _has_proxy(way) else None}
            slot = content_hash(way, id(looked_for))
            if slot not in encoded:
                encoded[slot] = self.features.get(
                    encoder, image, lambda: build_patch_features(encoder, image, **models, **way), **models, **way
                )
            scores = score_image(encoded[slot], bank, options.scoring)
            return decide_labels(scores, image, options, prepared.column.rules, backbone=backbone)

    def _way(self, prepared: Prepared) -> tuple[dict[str, Any], TextBank | None]:
        """How the image is encoded, and the phrases that an attention with feedback looks for."""
        way = {name: getattr(prepared.column.options, name) for name in ENCODING}
        defaults = self.material.encoder.defaults
        # So that what is asked for by name and what is the model's own share their features.
        way |= {name: getattr(defaults, name) for name in ("attention", "scales", "layout") if way[name] == AUTO}
        feedback = lookup(ATTENTION, way["attention"], place="attention").feedback
        return way, prepared.bank if feedback is not None else None

    def collect(
        self,
        prepared: Sequence[Prepared],
        samples: Sequence[Sample] | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> Results:
        """What is stored of the images that every column has.

        Raises:
            NothingCounted: there is no such image.
        """
        samples = self.material.dataset.samples if samples is None else samples
        names = [
            sample.name
            for sample in samples
            if sample.name not in self.failures and all(self._stored(each, sample.name) for each in prepared)
        ]
        if not names:
            reasons = next(iter(self.failures.values()), "there is none")
            raise NothingCounted(
                f"no image could be counted ({reasons}); expected at least one.", place=self.material.dataset.name
            )
        classes = self.material.dataset.classes
        columns = []
        for each in prepared:
            images = [each.file.images[name] for name in names]
            counts = StoredCounts(images, len(classes.classes))
            columns.append(ColumnResult(each.column, counts, add_winners(images)))
        return Results(self.material.dataset.name, classes, tuple(names), tuple(columns), dict(facts or {}))

    def _stored(self, prepared: Prepared, name: str) -> bool:
        identity = self._identities.get(name)
        return identity is not None and prepared.file.find(name, identity) is not None


def _has_proxy(way: Mapping[str, Any]) -> bool:
    return lookup(ATTENTION, way["attention"], place="attention").proxy is not None


def known_labels(labels: Tensor, classes: int) -> Tensor:
    """Labels of classes that the data set does not have, such as an added background, are unknown. [H,W]"""
    return labels.masked_fill(labels >= classes, UNKNOWN)


def count_winners(result: LabelMap) -> dict[str, dict[str, int]]:
    """Pixels that each phrase won, by class name; pixels of no class are nobody's."""
    width = len(result.phrases) + 1
    known = result.labels >= 0
    codes, counts = (result.labels * width + result.winning_phrase + 1)[known].unique(return_counts=True)
    winners: dict[str, dict[str, int]] = {}
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        name, phrase = result.names[code // width], code % width - 1
        text = name if phrase < 0 else result.phrases[phrase]
        own = winners.setdefault(name, {})
        own[text] = own.get(text, 0) + count  # the name may win as one of its phrases and by itself
    return winners
