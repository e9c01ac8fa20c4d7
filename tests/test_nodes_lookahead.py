"""The images that come next: decoded before their turn, encoded together, and the same as alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import import_nodes
from PIL import Image
from torch import Tensor

from llmseg.encoder import Encoder
from llmseg.errors import InputError
from llmseg.examples import benchmark_scenes
from llmseg.patch_features import build_patch_features
from llmseg.types import PatchFeatures

LOOKAHEAD: Any = import_nodes("lookahead")
READING: Any = import_nodes("core.reading")
LOADING: Any = import_nodes("core.loading")
ENCODING: Any = import_nodes("encoding")
OPTIONS = ("auto", 64, 64, -1, "one")


class Counted:
    """Decodes files and remembers which."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, path: Path) -> tuple[Tensor, Tensor]:
        self.paths.append(path.name)
        found: tuple[Tensor, Tensor] = READING.read_image(path)
        return found


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Three pictures of one size, one of another, and one that is none."""
    scene = benchmark_scenes()[0][0][:64, :96]
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, turned in enumerate([scene, scene[::-1], scene[:, ::-1], scene[:, :64]]):
        Image.fromarray(np.ascontiguousarray(turned)).save(folder / f"{number}.png")
    (folder / "4.png").write_bytes(b"no picture")
    return [(folder / f"{number}.png").resolve() for number in range(5)]


@pytest.fixture
def decode() -> Counted:
    return Counted()


@pytest.fixture
def ahead(decode: Counted) -> Iterator[Any]:
    with LOOKAHEAD.Lookahead(decode, together=3) as lookahead:
        yield lookahead


def test_each_file_is_decoded_once_and_before_its_turn(paths: list[Path], decode: Counted, ahead: Any) -> None:
    for number, path in enumerate(paths[:4]):
        ahead.expect(path, paths[number + 1 : 4])
        image, mask = ahead.read(path)
        assert torch.equal(image, READING.read_image(path)[0])
        assert mask.shape == (1, 64, 64)
    assert sorted(decode.paths) == ["0.png", "1.png", "2.png", "3.png"]


def test_a_broken_file_is_told_at_its_own_turn(paths: list[Path], ahead: Any) -> None:
    ahead.expect(paths[3], [paths[4]])
    ahead.read(paths[3])
    ahead.expect(paths[4], [])
    with pytest.raises(InputError, match=r"^image: cannot read '4\.png'"):
        ahead.read(paths[4])


def test_a_file_that_appears_before_its_turn_is_read(paths: list[Path], tmp_path: Path, ahead: Any) -> None:
    late = tmp_path / "late.png"
    ahead.expect(paths[0], [late, paths[1]])
    ahead.read(paths[0])
    late.write_bytes(paths[1].read_bytes())
    ahead.expect(late, [paths[1]])
    assert torch.equal(ahead.read(late)[0], READING.read_image(paths[1])[0])


def test_a_file_that_changes_before_its_turn_is_read_again(paths: list[Path], ahead: Any) -> None:
    ahead.expect(paths[0], paths[1:2])
    ahead.read(paths[0])
    assert ahead._ready(paths[1]) is not None
    paths[1].write_bytes(paths[2].read_bytes())
    os.utime(paths[1], ns=(1, 1))
    ahead.expect(paths[1], [])
    assert torch.equal(ahead.read(paths[1])[0], READING.read_image(paths[2])[0])


def test_memory_bounds_what_is_decoded_ahead(
    paths: list[Path], decode: Counted, ahead: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOOKAHEAD, "MOST_AHEAD_BYTES", 2 * 64 * 96 * 3 * 4)
    ahead.expect(paths[3], [paths[0], paths[1], paths[2]])
    ahead._pool.shutdown()
    assert decode.paths == ["0.png", "1.png"]


def use(host: Any, lookahead: Any, folder: Path) -> None:
    host.use_headless(host.HeadlessHost(folder, folder, folder, lookahead=lookahead))


def run_nodes(path: Path, encoder: Encoder) -> PatchFeatures:
    """Load Image and Encode Image, as the executor calls them."""
    image, _ = LOADING.LoadImage().load_image(path.name)
    (features,) = ENCODING.LLMSegEncodeImage().execute(encoder, image, *OPTIONS)
    found: PatchFeatures = features
    return found


def test_images_of_one_size_are_encoded_together_and_equal_those_alone(
    paths: list[Path], ahead: Any, encoder: Encoder, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def build(encoder: Encoder, images: Tensor, **options: Any) -> PatchFeatures:
        sizes.append(len(images))
        return build_patch_features(encoder, images, **options)

    monkeypatch.setattr(ENCODING, "build_patch_features", build)
    use(host, ahead, paths[0].parent)
    found = []
    for number, path in enumerate(paths[:4]):
        ahead.expect(path, paths[number + 1 :])
        found.append(run_nodes(path, encoder))
    assert sizes == [3, 1]  # the fourth has another size
    use(host, None, paths[0].parent)
    for path, together in zip(paths[:4], found, strict=True):
        alone = run_nodes(path, encoder)
        assert together.size == alone.size
        assert len(together.levels[0].windows) == 1
        torch.testing.assert_close(together.levels[0].windows, alone.levels[0].windows)
        torch.testing.assert_close(together.see_whole(), alone.see_whole())


def test_another_way_or_another_image_is_encoded_anew(paths: list[Path], ahead: Any, encoder: Encoder) -> None:
    sizes: list[int] = []

    def build(images: Tensor) -> PatchFeatures:
        sizes.append(len(images))
        return build_patch_features(encoder, images, window=64, stride=64, scales="one")

    ahead.expect(paths[0], paths[1:3])
    image = ahead.read(paths[0])[0]
    ahead.encode(image, ("auto", encoder), "cpu", build)
    ahead.expect(paths[1], paths[2:3])
    second = ahead.read(paths[1])[0]
    ahead.encode(second, ("sclip", encoder), "cpu", build)  # what is ready is of another way: no more is risked
    ahead.encode(second.clone(), ("sclip", encoder), "cpu", build)  # a node has changed it, for all that is known
    assert sizes == [3, 1, 1]


def test_two_nodes_that_encode_in_two_ways_share_nothing_and_lose_nothing(
    paths: list[Path], ahead: Any, encoder: Encoder
) -> None:
    sizes: list[int] = []

    def build(images: Tensor) -> PatchFeatures:
        sizes.append(len(images))
        return build_patch_features(encoder, images, window=64, stride=64, scales="one")

    for number in range(3):
        ahead.expect(paths[number], paths[number + 1 : 3])
        image = ahead.read(paths[number])[0]
        for way in ("a", "b"):
            ahead.encode(image, (way,), "cpu", build)
    assert sizes == [3, 3]


def test_a_group_too_large_for_the_memory_is_encoded_one_by_one(
    paths: list[Path], ahead: Any, encoder: Encoder
) -> None:
    def build(images: Tensor) -> PatchFeatures:
        if len(images) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return build_patch_features(encoder, images, window=64, stride=64, scales="one")

    for number in range(2):
        ahead.expect(paths[number], paths[number + 1 : 3])
        features = ahead.encode(ahead.read(paths[number])[0], ("a",), "cpu", build)
        assert len(features.levels[0].windows) == 1


def test_a_loader_that_does_not_ask_costs_one_decoding_at_most(paths: list[Path], decode: Counted, ahead: Any) -> None:
    ahead.expect(paths[0], paths[1:2])
    ahead.expect(paths[1], paths[2:3])  # nobody has read the first one here
    ahead.expect(paths[2], paths[3:4])
    ahead._pool.shutdown()
    assert decode.paths in ([], ["1.png"])


def test_on_a_cpu_each_image_is_encoded_alone(paths: list[Path], decode: Counted, encoder: Encoder) -> None:
    sizes: list[int] = []

    def build(images: Tensor) -> PatchFeatures:
        sizes.append(len(images))
        return build_patch_features(encoder, images, window=64, stride=64, scales="one")

    with LOOKAHEAD.Lookahead(decode) as lookahead:
        for device in ("cpu", "cuda"):
            lookahead.expect(paths[0], paths[1:3])
            lookahead.encode(lookahead.read(paths[0])[0], (device,), device, build)
    assert sizes == [1, 3]
