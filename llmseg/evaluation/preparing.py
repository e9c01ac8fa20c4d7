"""Columns made ready to run: their phrases found and encoded, their stored counts read.

Not here: running (`experiments`), which phrases (`vocabularies`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..backbone import Backbone
from ..background import add_background
from ..encoder import Encoder
from ..errors import InputError, LLMSegError, located
from ..store import content_hash, write_json
from ..text_bank import build_text_bank
from ..types import Expansion, TextBank
from .columns import Column
from .stored_counts import SCHEMA, CountsFile
from .vocabularies import Vocabulary, expand_column, phrases_in_use

if TYPE_CHECKING:
    from .datasets import Dataset

__all__ = ["Material", "Prepared", "Preparer"]

FOLDER = "columns"
TEXTS = ("templates", "include_names", "custom_templates", "background", "negatives")  # what vectors depend on


@dataclass(frozen=True)
class Material:
    """What an experiment is made of.

    Args:
        dataset: images with truth.
        encoder: the model.
        published: names by class of a protocol.
        backbone: for attention "proxyclip" and refiner "lposs".
    """

    dataset: Dataset
    encoder: Encoder
    published: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    backbone: Backbone | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """What phrases are taken from."""
        return Vocabulary(self.dataset.classes, self.encoder.library, self.encoder.knows, self.published)


@dataclass(frozen=True, eq=False)  # tensors are not compared
class Prepared:
    """A column whose phrases are known and encoded.

    Args:
        column: the way to segment.
        expansion: its phrases, as the person asked for them.
        bank: their vectors, those of a background and of negatives too.
        file: the counts that are stored.
    """

    column: Column
    expansion: Expansion
    bank: TextBank
    file: CountsFile


class Preparer:
    """Makes columns ready; equal phrases are encoded once, equal columns share their file.

    Args:
        material: data set and model.
        folder: where counts are stored.
    """

    def __init__(self, material: Material, folder: Path) -> None:
        self.material, self.folder = material, folder / FOLDER
        self._banks: dict[str, TextBank] = {}
        self._files: dict[str, CountsFile] = {}

    def prepare(self, columns: Sequence[Column]) -> list[Prepared]:
        """Find and encode the phrases of columns, and read what is stored of them.

        Raises:
            InputError: every problem of every column, one a line.
        """
        prepared, problems = [], []
        for column in columns:
            try:
                with located(column.name):
                    expansion = expand_column(self.material.vocabulary, column.expansion, column.count, column.seed)
                    prepared.append(self.prepare_one(column, expansion))
            except LLMSegError as error:
                problems += str(error).splitlines()
        if problems:
            raise InputError("\n".join(problems))
        return prepared

    def prepare_one(self, column: Column, expansion: Expansion) -> Prepared:
        """A column under phrases that are known already.

        Raises:
            InputError: phrases, templates or an attention that the model cannot use.
        """
        options, encoder = column.options, self.material.encoder
        encoder.method(options.attention)
        texts = {name: getattr(options, name) for name in TEXTS}
        slot = content_hash(texts, phrases_in_use(expansion))
        if slot not in self._banks:
            full = add_background(expansion, options.background, options.negatives, known=encoder.knows)
            self._banks[slot] = build_text_bank(
                encoder, full, options.templates, options.include_names, options.custom_templates
            )
        return Prepared(column, expansion, self._banks[slot], self._open(column, expansion))

    def _open(self, column: Column, expansion: Expansion) -> CountsFile:
        """The file of a column, found by all that its counts depend on beside the images; its name is not."""
        dataset, encoder, backbone = self.material.dataset, self.material.encoder, self.material.backbone
        made_by = {
            "dataset": dataset.name,
            "classes": [[entry.name, entry.role] for entry in dataset.classes.classes],
            "model": [encoder.identity, str(encoder.image_dtype), asdict(encoder.defaults)],
            **({"backbone": backbone.identity} if backbone is not None else {}),
            "options": asdict(column.options),
            "rules": asdict(column.rules),
            "phrases": phrases_in_use(expansion),
        }
        key = content_hash(SCHEMA, made_by)[:32]
        if key not in self._files:
            path = self.folder / f"{key}.jsonl"
            self._files[key] = CountsFile(path, len(dataset.classes.classes))
            described = path.with_suffix(".json")
            if not described.is_file():
                write_json(described, {"name": column.name, "expansion": column.expansion, **made_by})
        return self._files[key]
