"""Tests of the core nodes of masks: each against values by hand or an obvious twin, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from llmseg.errors import InputError


@pytest.fixture
def run(nodes: Any) -> Any:
    """Call a core node with named inputs; a single result without its tuple."""

    def run(key: str, **inputs: Any) -> Any:
        made = nodes("core").CORE_NODES[key]
        result = getattr(made(), made.FUNCTION)(**inputs)
        return result[0] if len(result) == 1 else result

    return run


def rows(*values: list[float]) -> torch.Tensor:
    """One mask. [1,H,W]"""
    return torch.tensor([list(values)], dtype=torch.float32)


def random_mask(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_load_mask_reads_each_channel_and_inverts_alpha(run: Any, host: Any, tmp_path: Path) -> None:
    Image.new("RGBA", (3, 2), (51, 102, 153, 204)).save(tmp_path / "input" / "x.png")
    for channel, value in (("red", 0.2), ("green", 0.4), ("blue", 0.6), ("alpha", 0.2)):
        mask = run("LoadImageMask", image="x.png", channel=channel)
        assert mask.shape == (1, 2, 3)
        assert mask.flatten().tolist() == pytest.approx([value] * 6, abs=1e-6)
    assert run("LoadImageMask", image="x.png", channel="other").tolist() == torch.zeros(1, 64, 64).tolist()


def test_load_mask_takes_the_first_frame_and_names_a_broken_file(run: Any, host: Any, tmp_path: Path) -> None:
    first, second = (Image.new("L", (4, 3), grey) for grey in (0, 255))
    first.save(tmp_path / "input" / "x.tiff", save_all=True, append_images=[second])
    assert run("LoadImageMask", image="x.tiff", channel="red").tolist() == torch.zeros(1, 3, 4).tolist()
    assert run("LoadImageMask", image="x.tiff", channel="alpha").max() == 0  # opaque, in the size of the image
    (tmp_path / "input" / "y.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"image: cannot read 'y.png' \(UnidentifiedImageError\)"):
        run("LoadImageMask", image="y.png", channel="red")
    with pytest.raises(InputError, match=r"path '../x.png' leaves the input folder"):
        run("LoadImageMask", image="../x.png", channel="red")


@pytest.mark.parametrize("key", ["LoadImageMask", "LoadImageOutput"])
def test_load_nodes_validate_and_notice_changes(nodes: Any, host: Any, tmp_path: Path, key: str) -> None:
    made = nodes("core").CORE_NODES[key]
    Image.new("L", (4, 3)).save(tmp_path / "output" / "x.png")
    assert made.VALIDATE_INPUTS("x.png [output]") is True
    assert made.VALIDATE_INPUTS("x.png") == "no file 'x.png'; expected an image in the input folder."
    assert made.VALIDATE_INPUTS(None) is True
    channel = ["red"] if key == "LoadImageMask" else []
    before = made.IS_CHANGED("x.png [output]", *channel)
    Image.new("L", (4, 3), 9).save(tmp_path / "output" / "x.png")
    assert made.IS_CHANGED("x.png [output]", *channel) != before
    assert made().load_image("x.png [output]", *channel)[0].shape[:3] == (1, 3, 4)


def test_mask_preview_writes_grey_files_without_a_workflow(nodes: Any, host: Any, tmp_path: Path) -> None:
    ui = nodes("core").CORE_NODES["MaskPreview"]().save_masks(rows([0.0, 0.5, 2.0]), {"1": {}}, {"workflow": {}})["ui"]
    assert ui["animated"] == (False,)
    (shown,) = ui["images"]
    assert (shown["type"], shown["subfolder"]) == ("temp", "")
    with Image.open(tmp_path / "temp" / shown["filename"]) as file:
        assert np.array(file).tolist() == [[[0] * 3, [127] * 3, [255] * 3]]
        assert not file.info


def test_image_to_mask_reads_one_channel(run: Any) -> None:
    image = random_mask(2, 3, 4, 4)
    for index, channel in enumerate(("red", "green", "blue", "alpha")):
        assert torch.equal(run("ImageToMask", image=image, channel=channel), image[..., index])
    with pytest.raises(InputError, match="channel: no channel 'alpha'; expected one of red, green, blue."):
        run("ImageToMask", image=image[..., :3], channel="alpha")


def test_colour_to_mask_compares_eight_bits(run: Any) -> None:
    row = [[1.0, 0.5, 0.0], [1.2, 128.4 / 255, -0.3], [1.0, 127.4 / 255, 0.0], [1.0, 0.5, 1 / 255]]
    image = torch.tensor([[row]])
    assert run("ImageColorToMask", image=image, color=0xFF8000).tolist() == [[[1.0, 1.0, 0.0, 0.0]]]
    assert run("ImageColorToMask", image=image, color=0xFF8001).tolist() == [[[0.0, 0.0, 0.0, 1.0]]]
    with pytest.raises(InputError, match="image: images with 1 channels; expected at least 3."):
        run("ImageColorToMask", image=image[..., :1], color=0)


def test_values_of_masks(run: Any) -> None:
    assert run("SolidMask", value=0.25, width=3, height=2).tolist() == [[[0.25] * 3] * 2]
    assert run("InvertMask", mask=rows([0.0, 0.25, 1.0])).tolist() == [[[1.0, 0.75, 0.0]]]
    assert run("ThresholdMask", mask=rows([0.25, 0.5, 0.75]), value=0.5).tolist() == [[[0.0, 0.0, 1.0]]]


def test_crop_mask_keeps_what_is_inside(run: Any) -> None:
    mask = torch.arange(12.0).view(3, 4)
    assert run("CropMask", mask=mask, x=1, y=1, width=2, height=5).tolist() == [[[5.0, 6.0], [9.0, 10.0]]]
    assert run("CropMask", mask=mask, x=4, y=0, width=2, height=2).shape == (1, 2, 0)


def test_feather_multiplies_ramps_at_all_four_edges(run: Any) -> None:
    faded = run("FeatherMask", mask=torch.ones(4, 5), left=2, top=0, right=4, bottom=2)
    across = [0.5, 1.0, 0.75, 0.5, 0.25]  # from the right 1/4, 2/4, 3/4, 4/4; from the left 1/2, 2/2
    assert faded.tolist() == [[across, across, across, [value / 2 for value in across]]]
    wide = run("FeatherMask", mask=torch.ones(1, 1, 2), left=16384, top=16384, right=0, bottom=-5)
    assert wide.tolist() == [[[0.5, 1.0]]]


def grown_slowly(mask: torch.Tensor, pixels: int, tapered: bool) -> torch.Tensor:
    """Twin: the extreme of all pixels within so many steps."""
    out = mask.clone()
    count, height, width = mask.shape
    for index in range(count):
        for y in range(height):
            for x in range(width):
                near = []
                for v in range(height):
                    for u in range(width):
                        apart = (abs(v - y), abs(u - x))
                        if (sum(apart) if tapered else max(apart)) <= abs(pixels):
                            near.append(mask[index, v, u].item())
                out[index, y, x] = max(near) if pixels > 0 else min(near)
    return out


@pytest.mark.parametrize("tapered", [True, False])
@pytest.mark.parametrize("pixels", [0, 1, 3, -1, -2, 16384, -(2**62)])
def test_grow_equals_the_twin(run: Any, pixels: int, tapered: bool) -> None:
    for shape in ((2, 5, 6), (1, 1, 7), (1, 4, 1)):
        mask = random_mask(*shape)
        kept = mask.clone()
        grown = run("GrowMask", mask=mask, expand=pixels, tapered_corners=tapered)
        assert torch.equal(grown, grown_slowly(mask, pixels, tapered))
        assert torch.equal(mask, kept)


def test_grow_has_an_end_where_a_pixel_is_no_number(run: Any) -> None:
    grown = run("GrowMask", mask=rows([0.0, float("nan"), 1.0]), expand=2**62, tapered_corners=True)
    assert grown.shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("operation", "wanted"),
    [
        ("multiply", [0.2, 0.3, 0.0]),
        ("add", [0.2, 1.0, 0.6]),
        ("subtract", [0.2, 0.1, 0.6]),
        ("and", [0.2, 0.0, 0.0]),
        ("or", [0.2, 1.0, 1.0]),
        ("xor", [0.2, 1.0, 1.0]),
    ],
)
def test_mask_composite_changes_only_where_the_source_lies(run: Any, operation: str, wanted: list[float]) -> None:
    inputs = {"destination": rows([0.2, 0.6, 0.6]), "source": torch.tensor([[0.5, 0.0, 1.0]]), "x": 1, "y": 0}
    combined = run("MaskComposite", **inputs, operation=operation)
    assert combined.flatten().tolist() == pytest.approx(wanted)
    assert inputs["destination"].flatten().tolist() == pytest.approx([0.2, 0.6, 0.6])


def test_mask_composite_outside_changes_nothing_but_clamps(run: Any) -> None:
    inputs = {"destination": rows([-1.0, 0.5, 2.0]), "source": torch.ones(1, 1, 9), "operation": "add"}
    for x, y in ((3, 0), (0, 1), (16384, 16384)):
        assert run("MaskComposite", **inputs, x=x, y=y).tolist() == [[[0.0, 0.5, 1.0]]]
    with pytest.raises(InputError, match=r"source: a source of 1 x 1 x 9 does not fit the destination at \(-2, 0\)"):
        run("MaskComposite", **inputs, x=-2, y=0)
    with pytest.raises(InputError, match=r"a source of 3 x 1 x 2 does not fit"):
        run("MaskComposite", destination=torch.ones(2, 1, 2), source=torch.ones(3, 1, 2), x=0, y=0, operation="or")
    with pytest.raises(InputError, match=r"operation: unknown name 'nor'; expected one of multiply"):
        run("MaskComposite", **{**inputs, "operation": "nor"}, x=0, y=0)


def test_alpha_is_joined_and_split(run: Any) -> None:
    image, mask = random_mask(2, 3, 4, 3), random_mask(1, 3, 4)
    joined = run("JoinImageWithAlpha", image=image, alpha=mask)
    assert torch.equal(joined[0, ..., :3], image[0])
    assert torch.equal(joined[..., 3], 1 - mask)
    colours, again = run("SplitImageWithAlpha", image=joined)
    assert torch.equal(colours, image[:1])
    torch.testing.assert_close(again, mask)
    assert run("SplitImageWithAlpha", image=image)[1].tolist() == torch.zeros(2, 3, 4).tolist()
    small = run("JoinImageWithAlpha", image=joined.repeat(3, 1, 1, 1), alpha=torch.ones(2, 64, 64))
    assert small.shape == (2, 3, 4, 4)
    assert small[..., 3].max() == 0


def test_a_mask_too_large_is_refused_before_it_is_made(run: Any) -> None:
    with pytest.raises(InputError, match=r"width: a result of 1 x 4194304 x 4194304 numbers cannot be made"):
        run("SolidMask", value=1.0, width=2**22, height=2**22)
    with pytest.raises(InputError, match=r"a result of 1 x 2 x -3 numbers"):
        run("SolidMask", value=1.0, width=-3, height=2)
