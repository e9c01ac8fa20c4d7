"""Nodes from a picture to a label map, and the step between host and library tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conftest import import_nodes

from llmseg import InputError, build_text_bank, expand_names, parse_names

ENCODING: Any = import_nodes("encoding")
MAPS: Any = import_nodes("maps")
SOCKETS: Any = import_nodes("sockets")


def test_the_stages_give_b_maps_for_b_images() -> None:
    (encoder,) = ENCODING.LLMSegLoadEncoder().execute("embedded", "auto")
    image = torch.cat([ENCODING.LLMSegExampleImage().execute(scene)[0] for scene in ("park", "night")])
    bank = build_text_bank(encoder, expand_names(parse_names("dog, building, grass, night, sky")))
    (features,) = ENCODING.LLMSegEncodeImage().execute(encoder, image, "auto", -1, -1, -1)
    (scores,) = MAPS.LLMSegScore().execute(features, bank)
    (maps,) = MAPS.LLMSegAssemble().execute(scores, "max", -1, -1)
    assert maps.mode == "max"
    (refined,) = MAPS.LLMSegRefine().execute(maps, image, "auto")
    assert refined.maps.shape[:2] == maps.maps.shape[:2]
    assert refined.maps.shape[2] > maps.maps.shape[2]
    labels, confidence = MAPS.LLMSegLabel().execute(refined, 0.0, 0.0)
    assert labels.labels.shape == confidence.shape == (2, 192, 256)
    assert confidence.dtype == torch.float32
    assert 0 <= confidence.min() <= confidence.max() <= 1
    # Each picture is labelled as if it were alone.
    (alone,) = ENCODING.LLMSegEncodeImage().execute(encoder, image[1:], "auto", -1, -1, -1)
    assert torch.allclose(alone.levels[0].windows, features.levels[0].windows[1:], atol=1e-5)


@pytest.mark.parametrize(("channels", "expected"), [(1, [0.5] * 3), (3, [0.1, 0.2, 0.3]), (4, [0.1, 0.2, 0.3])])
def test_to_images_takes_grey_colour_and_alpha(channels: int, expected: list[float]) -> None:
    pixel = [0.5] if channels == 1 else [0.1, 0.2, 0.3, 0.9][:channels]
    images = SOCKETS.to_images(torch.tensor(pixel).expand(2, 5, 7, channels))
    assert images.shape == (2, 3, 5, 7)
    assert images[1, :, 4, 6].tolist() == pytest.approx(expected)


def test_to_images_refuses_other_shapes() -> None:
    with pytest.raises(InputError) as error:
        SOCKETS.to_images(torch.rand(5, 7, 3))
    assert str(error.value) == "image: shape [5, 7, 3]; expected IMAGE [B,H,W,3]."
