"""Encoded images on disk: the same features, each image encoded once, and a folder that never stops a run."""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from llmseg.encoder import Encoder
from llmseg.evaluation.feature_files import FeatureFiles
from llmseg.patch_features import build_patch_features
from llmseg.scores import merge_levels
from llmseg.types import PatchFeatures


def picture(seed: int, height: int = 40, width: int = 64) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def get(files: FeatureFiles, encoder: Encoder, image: Tensor, scales: str = "three") -> PatchFeatures:
    encode = partial(build_patch_features, encoder, image, attention="naclip", scales=scales)
    return files.get(encoder, image, encode, attention="naclip", scales=scales, text_bank=None)


def same(left: PatchFeatures, right: PatchFeatures) -> bool:
    plans = [[level.plan for level in each.levels] for each in (left, right)]
    windows = all(torch.equal(a.windows, b.windows) for a, b in zip(left.levels, right.levels, strict=True))
    return plans[0] == plans[1] and windows and (left.size, left.aligned) == (right.size, right.aligned)


def test_a_later_run_encodes_no_image(encoder: Encoder) -> None:
    first = FeatureFiles()
    made = [get(first, encoder, picture(seed)) for seed in range(2)]
    later = FeatureFiles()
    found = [get(later, encoder, picture(seed)) for seed in range(2)]
    assert (first.encoded, later.encoded) == (2, 0)
    assert all(map(same, made, found)), "bit for bit"
    assert torch.equal(merge_levels(made[0]), merge_levels(found[0]))
    assert torch.equal(made[0].see_whole(), found[0].see_whole())


def test_another_way_is_another_file(encoder: Encoder) -> None:
    files = FeatureFiles()
    get(files, encoder, picture(0))
    get(files, encoder, picture(0), scales="one")
    changed = picture(0)
    changed[0, 0, 0, 0] += 1e-6
    get(files, encoder, changed)
    assert files.encoded == 3
    assert len(list(files.folder.iterdir())) == 3


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "foreign"])
def test_a_damaged_file_is_made_again(damage: str, encoder: Encoder, caplog: pytest.LogCaptureFixture) -> None:
    files = FeatureFiles()
    made = get(files, encoder, picture(0))
    (path,) = files.folder.iterdir()
    data = path.read_bytes()
    flipped = data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]
    path.write_bytes({"empty": b"", "cut": data[:-9], "flipped": flipped, "foreign": b"{}" * 50}[damage])
    again = FeatureFiles()
    with caplog.at_level(logging.WARNING, "llmseg"):
        assert same(get(again, encoder, picture(0)), made)
    assert again.encoded == 1
    assert "is damaged" in caplog.text
    assert path.read_bytes() == data


def test_a_full_folder_keeps_what_this_run_uses(encoder: Encoder, caplog: pytest.LogCaptureFixture) -> None:
    probe = FeatureFiles()
    for seed in range(3):
        get(probe, encoder, picture(seed))
    sizes = [path.stat().st_size for path in probe.folder.iterdir()]
    for number, path in enumerate(sorted(probe.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)):
        os.utime(path, (number + 1, number + 1))  # long ago, in the order in which they were made
    files = FeatureFiles(most_bytes=sum(sizes))
    get(files, encoder, picture(2))  # the newest one, used
    get(files, encoder, picture(3))  # instead of the oldest
    assert [get(FeatureFiles(), encoder, picture(seed)) is not None for seed in (1, 2, 3)]
    later = FeatureFiles(most_bytes=0)
    assert later.encoded == 0
    kept = FeatureFiles(most_bytes=2**30)
    for seed in (1, 2, 3):
        get(kept, encoder, picture(seed))
    assert kept.encoded == 0
    full = FeatureFiles(most_bytes=sum(sizes))
    with caplog.at_level(logging.WARNING, "llmseg"):
        for seed in (4, 5, 6, 7, 8):  # of which three fit
            get(full, encoder, picture(seed))
    assert full.encoded == 5
    assert len(list(full.folder.iterdir())) == 3
    assert caplog.text.count("encoded images fill") == 1


def test_no_disk_is_asked_for(encoder: Encoder) -> None:
    files = FeatureFiles(most_bytes=0)
    get(files, encoder, picture(0))
    get(files, encoder, picture(0))
    assert files.encoded == 2
    assert not files.folder.exists()


def test_a_folder_that_cannot_be_written(encoder: Encoder, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    files = FeatureFiles(tmp_path / "file" / "features")
    with caplog.at_level(logging.WARNING, "llmseg"):
        for seed in range(3):
            get(files, encoder, picture(seed))
    assert files.encoded == 3
    assert caplog.text.count("cannot keep encoded images") == 1
