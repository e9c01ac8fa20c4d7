"""What a user interface is given, read back pixel by pixel."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from llmseg import hovering
from llmseg.hovering import describe_pixels, shrink
from llmseg.labels import label_phrases
from llmseg.palette import make_palette
from llmseg.rendering import draw_results
from llmseg.types import LabelMap


def random_result(size: tuple[int, int] = (9, 14), classes: int = 3, phrases: int = 5) -> LabelMap:
    chance = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, classes, (2, *size), generator=chance)
    winners = torch.randint(-1, phrases, (2, *size), generator=chance)
    return LabelMap(
        labels=labels,
        names=tuple(f"class {n}" for n in range(classes)),
        palette=make_palette(classes),
        confidence=torch.rand(2, *size, generator=chance),
        winning_phrase=torch.where(labels < 0, -1, winners),
        phrases=tuple(f"phrase {n}" for n in range(phrases)),
    )


def read(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)))


def tell(map_png: bytes, table: dict[str, Any], y: int, x: int) -> tuple[int, str, str, float]:
    """What the browser does: row, class, phrase and confidence of a pixel of the map."""
    red, green, blue = (int(part) for part in read(map_png)[y, x])
    row, name, phrase = table["cells"][red + 256 * green]
    return row, name, phrase, blue / 255


@pytest.mark.parametrize("by_phrase", [False, True])
def test_every_pixel_tells_its_class_phrase_and_confidence(by_phrase: bool) -> None:
    result = random_result()
    shown = label_phrases(result) if by_phrase else result
    pictures = draw_results(shown, torch.zeros(2, 3, 9, 14))
    hover = describe_pixels(shown, result, pictures, 1)
    assert hover.table["size"] == [14, 9]
    assert np.array_equal(read(hover.preview), (pictures[1] * 255).round().permute(1, 2, 0).numpy().astype(np.uint8))
    for y, x in np.ndindex(9, 14):
        row, name, phrase, sure = tell(hover.map, hover.table, y, x)
        label, winner = int(result.labels[1, y, x]), int(result.winning_phrase[1, y, x])
        assert name == ("unknown" if label < 0 else result.names[label])
        assert phrase == ("" if winner < 0 else result.phrases[winner])
        assert sure == pytest.approx(float(result.confidence[1, y, x]), abs=0.5 / 255 + 1e-6)
        drawn = int(shown.labels[1, y, x])
        assert hover.table["rows"][row]["name"] == ("unknown" if drawn < 0 else shown.names[drawn])
    shares = [row["share"] for row in hover.table["rows"]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert json.loads(json.dumps(hover.table)) == hover.table


def test_more_than_a_byte_of_cells() -> None:
    result = random_result((30, 40), classes=30, phrases=400)
    hover = describe_pixels(result, result, draw_results(result, torch.zeros(2, 3, 30, 40), legend=False))
    assert len(hover.table["cells"]) > 256
    _, name, phrase, _ = tell(hover.map, hover.table, 29, 39)
    assert name == result.names[int(result.labels[0, 29, 39])]
    assert phrase == result.phrases[int(result.winning_phrase[0, 29, 39])]


def test_more_cells_than_two_bytes_can_number_keep_their_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hovering, "CELLS", 6)
    result = random_result()
    hover = describe_pixels(result, result, draw_results(result, torch.zeros(2, 3, 9, 14), legend=False))
    assert len(hover.table["cells"]) == 4
    for y, x in np.ndindex(9, 14):
        label = int(result.labels[0, y, x])
        assert tell(hover.map, hover.table, y, x)[1:3] == ("unknown" if label < 0 else result.names[label], "")


def test_large_pictures_are_shown_small() -> None:
    labels = (torch.arange(2100) // 700)[None, None].expand(1, 40, 2100)
    result = LabelMap(labels, ("a", "b", "c"), make_palette(3), torch.ones(1, 40, 2100), torch.full_like(labels, -1))
    hover = describe_pixels(result, result, draw_results(result, torch.zeros(1, 3, 40, 2100)))
    preview, numbers = Image.open(io.BytesIO(hover.preview)), read(hover.map)
    assert preview.width == 1024
    assert numbers.shape == (14, 700, 3)
    assert hover.table["size"] == [1024, round(40 * 1024 / 2100)]
    assert [tell(hover.map, hover.table, 0, x)[1] for x in (100, 300, 600)] == ["a", "b", "c"]


def test_a_phrase_that_is_the_class_name_is_not_told_twice() -> None:
    labels = torch.zeros(1, 1, 2, dtype=torch.int64)
    result = LabelMap(labels, ("sky",), ((0, 0, 9),), torch.ones(1, 1, 2), torch.tensor([[[0, 1]]]), ("sky", "clouds"))
    hover = describe_pixels(result, result, torch.zeros(1, 3, 1, 2))
    assert [tell(hover.map, hover.table, 0, x)[1:3] for x in (0, 1)] == [("sky", ""), ("sky", "clouds")]


@pytest.mark.parametrize(
    ("size", "expected"), [((10, 20), (20, 10)), ((2048, 1000), (500, 1024)), ((3, 5000), (1024, 1))]
)
def test_shrink_keeps_proportions(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert shrink(np.zeros((*size, 3), dtype=np.uint8)).size == expected
