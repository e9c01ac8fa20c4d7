"""Label maps of six small images under three columns, with names that are meant to be read as something else."""

from __future__ import annotations

from typing import Any

import torch

from llmseg.evaluation.columns import Column
from llmseg.evaluation.counting import count_image
from llmseg.evaluation.results import ColumnResult, Results
from llmseg.label_files import label_map
from llmseg.types import UNKNOWN, ClassList, ClassName, LabelMap

HOSTILE = ("<script>alert(1)</script>", 'a|b "quoted" \'$x_1$', "=1+1", "\u202e犬\U0001f415", "nowhere")


class Maps:
    """Seeded label maps of six images under three columns: one that errs often, one seldom, and a control."""

    def __init__(self, names: tuple[str, ...] = HOSTILE, images: int = 6, size: tuple[int, int] = (20, 30)) -> None:
        generator = torch.Generator().manual_seed(3)
        self.names, self.samples = names, tuple(f"street/<{n}>" for n in range(images))
        self.truths, self.found = {}, {}
        for sample in self.samples:
            truth = torch.randint(4, (4, 5), generator=generator).repeat_interleave(5, 0).repeat_interleave(6, 1)
            truth = truth[: size[0], : size[1]].clone()
            truth[0, :3] = UNKNOWN
            self.truths[sample] = truth
            for column, errors in (("names", 0.5), ("kinds", 0.2), ("placebo <i>", 0.5)):
                wrong = torch.rand(truth.shape, generator=generator) < errors
                other = torch.randint(-1, 4, truth.shape, generator=generator)
                self.found[sample, column] = torch.where(wrong, other, truth.clamp(min=0))

    def results(self, columns: int = 3, **facts: str) -> Results:
        kinds = {"names": Column("names", "off"), "kinds": Column("kinds", "auto")}
        kinds["placebo <i>"] = Column("placebo <i>", "placebo")
        winners = {self.names[0]: {self.names[0]: 30, "<b>bold</b>": 70}, self.names[2]: {"@cmd": 5}}
        listed = []
        for name in list(kinds)[:columns]:
            pairs = ((self.found[sample, name], self.truths[sample]) for sample in self.samples)
            counts = tuple(count_image(found, truth, len(self.names)) for found, truth in pairs)
            listed.append(ColumnResult(kinds[name], counts, winners))
        classes = ClassList(tuple(ClassName(name) for name in self.names))
        return Results("small & odd", classes, self.samples, tuple(listed), {"model": "m<1>", **facts})

    def image(self, sample: str) -> Any:
        generator = torch.Generator().manual_seed(self.samples.index(sample))
        return torch.randint(256, (*self.truths[sample].shape, 3), generator=generator, dtype=torch.uint8).numpy()

    def truth(self, sample: str) -> LabelMap:
        return label_map(self.truths[sample].numpy(), self.names)

    def labels(self, sample: str, column: str) -> LabelMap:
        return label_map(self.found[sample, column].numpy(), self.names)
