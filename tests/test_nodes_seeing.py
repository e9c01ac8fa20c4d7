"""Nodes that show a label map, headless and in a ComfyUI."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import import_nodes
from PIL import Image

from llmseg import InputError, LabelMap

SEEING: Any = import_nodes("seeing")
PREVIEWS: Any = import_nodes("previews")


@pytest.fixture
def labels() -> LabelMap:
    """Two images of 4 x 6 in columns; the second has no dog and an unknown column."""
    first, second = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([1, 1, 1, 1, 1, -1])
    values = torch.stack([first, second])[:, None].expand(2, 4, 6)
    return LabelMap(
        labels=values,
        names=("dog", "sky"),
        palette=((255, 0, 0), (0, 0, 255)),
        confidence=torch.full((2, 4, 6), 0.25),
        winning_phrase=torch.where(values < 0, -1, values * 2),
        phrases=("poodle", "shiba", "sky"),
    )


def test_overlay_gives_one_picture_per_image(labels: LabelMap, host: Any, tmp_path: Path) -> None:
    image = torch.zeros(2, 4, 6, 3)
    (plain,) = SEEING.LLMSegOverlay().execute(labels, image, 1.0, False)
    assert plain.shape == (2, 4, 6, 3)
    assert plain[0, 0, 0].tolist() == [1, 0, 0]
    assert plain[1, 0, 0].tolist() == [0, 0, 1]
    (legend,) = SEEING.LLMSegOverlay().execute(labels, image, 1.0, True)
    assert legend.shape[0] == 2
    assert legend.shape[2] > 6
    with pytest.raises(InputError) as error:
        SEEING.LLMSegOverlay().execute(labels, image[:1], 0.5, True)
    assert str(error.value) == "image: 1 images; expected 2, one per label map."
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [], "a headless run writes no previews"


def test_outlines_are_drawn_over_the_bare_picture(labels: LabelMap) -> None:
    (drawn,) = SEEING.LLMSegOverlay().execute(labels, torch.zeros(2, 4, 6, 3), 0.0, False, 1)
    red, blue, black = [1, 0, 0], [0, 0, 1], [0, 0, 0]
    assert drawn[0, 0].tolist() == [black, black, red, blue, black, black]


def test_explain_tells_which_phrase_won(labels: LabelMap) -> None:
    image, table, sure = SEEING.LLMSegExplain().execute(labels, torch.zeros(2, 4, 6, 3), 1.0)
    assert image.shape[0] == sure.shape[0] == 2
    assert table.splitlines() == [
        " 66.67%  sure 0.25  sky",
        " 25.00%  sure 0.25  dog: poodle",
        "  8.33%             unknown",
        "phrases that won nowhere (1 of 3): shiba",
    ]
    assert (sure[0, 0, 0] * 255).round().tolist() == [62, 74, 137], "20 to 30 % sure"


def test_progress_is_told_image_by_image(labels: LabelMap, host: Any, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    host.use_headless(host.HeadlessHost(*[tmp_path] * 3, on_progress=lambda done, total: steps.append((done, total))))
    SEEING.LLMSegOverlay().execute(labels, torch.zeros(2, 4, 6, 3), 1.0, False)
    assert steps == [(1, 2), (2, 2)]


def picture_of(entry: dict[str, str], root: Path) -> Image.Image:
    assert entry["type"] == "temp"
    return Image.open(io.BytesIO((root / "temp" / entry["subfolder"] / entry["filename"]).read_bytes()))


def test_comfyui_is_shown_pictures_and_what_is_under_the_pointer(
    labels: LabelMap, comfyui: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    shown_meanwhile = []

    class Bar:
        def __init__(self, total: int) -> None:
            self.total = total

        def update_absolute(self, value: int, total: int, preview: Any) -> None:
            shown_meanwhile.append((value, total, preview and (preview[0], preview[1].size)))

    monkeypatch.setattr(PREVIEWS, "LOOK_EVERY", 0)
    monkeypatch.setattr(sys.modules["comfy.utils"], "ProgressBar", Bar)
    answer = SEEING.LLMSegOverlay().execute(labels, torch.zeros(2, 4, 6, 3), 1.0, False)
    (drawn,) = answer["result"]
    assert shown_meanwhile == [(1, 2, ("JPEG", (6, 4))), (2, 2, None)]
    shown = answer["ui"]
    assert set(shown) == {"images", "llmseg"}
    assert all(isinstance(value, list) for value in shown.values()), "ComfyUI joins the lists of several calls"
    assert json.loads(json.dumps(shown)) == shown
    for index, (entry, hover) in enumerate(zip(shown["images"], shown["llmseg"], strict=True)):
        assert np.array_equal(np.asarray(picture_of(entry, comfyui.root)), (drawn[index] * 255).byte().numpy())
        numbers = np.asarray(picture_of(hover["map"], comfyui.root))
        assert numbers.shape == (4, 6, 3)
        assert (numbers[..., 2] == 64).all(), "a quarter sure"
    cells = shown["llmseg"][0]["cells"]
    assert sorted(cell[1:] for cell in cells) == [["dog", "poodle"], ["sky", ""]]
    again = SEEING.LLMSegOverlay().execute(labels, torch.zeros(2, 4, 6, 3), 1.0, False)
    assert again["ui"] == shown, "the same picture is the same file"


def test_long_batches_come_out_whole_and_are_shown_in_part(comfyui: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PREVIEWS, "PREVIEWS", 2)
    monkeypatch.setattr(SEEING, "report_images", lambda count: None)
    values = torch.zeros(5, 4, 6, dtype=torch.int64)
    labels = LabelMap(values, ("dog",), ((255, 0, 0),), torch.ones(5, 4, 6), values - 1)
    answer = SEEING.LLMSegOverlay().execute(labels, torch.zeros(5, 4, 6, 3), 1.0, False)
    assert answer["result"][0].shape[0] == 5
    assert len(answer["ui"]["images"]) == len(answer["ui"]["llmseg"]) == 2
