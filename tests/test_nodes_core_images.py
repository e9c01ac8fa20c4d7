"""Tests of the core nodes of images: each against values by hand or an obvious twin, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from llmseg.errors import InputError


@pytest.fixture
def run(nodes: Any) -> Any:
    """Call a core node with named inputs; a single result without its tuple."""

    def run(key: str, **inputs: Any) -> Any:
        made = nodes("core").CORE_NODES[key]
        result = getattr(made(), made.FUNCTION)(**inputs)
        return result[0] if len(result) == 1 else result

    return run


def picture(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("factor", "size"), [(1.0, (6, 9)), (0.5, (3, 4)), (1.5, (9, 14)), (0.25, (2, 2))])
def test_scale_by_rounds_each_side_to_even(run: Any, factor: float, size: tuple[int, int]) -> None:
    scaled = run("ImageScaleBy", image=picture(2, 6, 9, 4), upscale_method="bilinear", scale_by=factor)
    assert scaled.shape == (2, *size, 4)


@pytest.mark.parametrize("factor", [0.01, math.inf, math.nan, -1.0])
def test_scale_by_refuses_a_size_without_pixels(run: Any, factor: float) -> None:
    with pytest.raises(InputError, match="image: .*expected"):
        run("ImageScaleBy", image=picture(1, 6, 9, 3), upscale_method="area", scale_by=factor)


@pytest.mark.parametrize(("megapixels", "steps", "size"), [(1 / 1024, 1, (23, 45)), (1 / 1024, 16, (16, 48))])
def test_scale_to_total_pixels(run: Any, megapixels: float, steps: int, size: tuple[int, int]) -> None:
    inputs = {"upscale_method": "nearest-exact", "megapixels": megapixels, "resolution_steps": steps}
    scaled = run("ImageScaleToTotalPixels", image=picture(1, 10, 20, 3), **inputs)
    assert scaled.shape == (1, *size, 3)


@pytest.mark.parametrize(("megapixels", "steps"), [(-1.0, 1), (math.nan, 1), (math.inf, 1), (0.01, 0), (0.01, 2**40)])
def test_scale_to_total_pixels_refuses_what_a_link_may_bring(run: Any, megapixels: float, steps: int) -> None:
    inputs = {"upscale_method": "area", "megapixels": megapixels, "resolution_steps": steps}
    with pytest.raises(InputError, match="image: .*expected"):
        run("ImageScaleToTotalPixels", image=picture(1, 10, 20, 3), **inputs)


KINDS = [  # of a size, and height and width that an image of 6 x 9 gets
    ({"resize_type": "scale by multiplier", "multiplier": 0.5}, (3, 4)),
    ({"resize_type": "scale dimensions", "width": 5, "height": 7, "crop": "center"}, (7, 5)),
    ({"resize_type": "scale dimensions", "width": 0, "height": 4, "crop": "disabled"}, (4, 6)),
    ({"resize_type": "scale dimensions", "width": 0, "height": 0, "crop": "center"}, (6, 9)),
    ({"resize_type": "scale longer dimension", "longer_size": 18}, (12, 18)),
    ({"resize_type": "scale shorter dimension", "shorter_size": 12}, (12, 18)),
    ({"resize_type": "scale width", "width": 3}, (2, 3)),
    ({"resize_type": "scale height", "height": 2}, (2, 3)),
    ({"resize_type": "scale height", "height": 0}, (6, 9)),
    ({"resize_type": "scale total pixels", "megapixels": 0.01}, (84, 125)),
    ({"resize_type": "match size", "match": torch.zeros(2, 5, 4), "crop": "center"}, (5, 4)),
    ({"resize_type": "match size", "match": torch.zeros(2, 5, 4, 3), "crop": "disabled"}, (5, 4)),
]


@pytest.mark.parametrize("method", ["bilinear", "lanczos"])
@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_resize_image_or_mask(run: Any, kind: dict[str, Any], size: tuple[int, int], method: str) -> None:
    image = picture(2, 6, 9, 3)
    resized = run("ResizeImageMaskNode", input=image, resize_type=kind, scale_method=method)
    assert resized.shape == (2, *size, 3)
    mask = run("ResizeImageMaskNode", input=image[..., 0], resize_type=kind, scale_method=method)
    torch.testing.assert_close(mask, resized[..., 0], atol=1e-6, rtol=0)
    one = run("ResizeImageMaskNode", input=image[0, ..., 0], resize_type=kind, scale_method=method)
    assert torch.equal(one, mask[:1])


def test_resize_makes_upright_pictures_square_as_comfyui_does(run: Any) -> None:
    shorter = {"resize_type": "scale shorter dimension", "shorter_size": 4}
    longer = {"resize_type": "scale longer dimension", "longer_size": 4}
    image = picture(1, 9, 6, 3)
    assert run("ResizeImageMaskNode", input=image, resize_type=shorter, scale_method="area").shape == (1, 4, 4, 3)
    assert run("ResizeImageMaskNode", input=image, resize_type=longer, scale_method="area").shape == (1, 4, 3, 3)


def test_resize_refuses_other_kinds_and_sizes(run: Any) -> None:
    image = picture(1, 6, 9, 3)
    with pytest.raises(InputError, match=r"resize_type: unknown name 'scale witdh'.*Did you mean 'scale width'"):
        run("ResizeImageMaskNode", input=image, resize_type={"resize_type": "scale witdh"}, scale_method="area")
    nothing = {"resize_type": "scale longer dimension", "longer_size": 0}
    with pytest.raises(InputError, match="image: a size of 0 x 0 pixels; expected at least 1 x 1."):
        run("ResizeImageMaskNode", input=image, resize_type=nothing, scale_method="area")
    huge = {"resize_type": "scale dimensions", "width": 2**40, "height": 1, "crop": "disabled"}
    with pytest.raises(InputError, match="image: a result of 1 x 1 x 1099511627776 x 3 numbers cannot be made"):
        run("ResizeImageMaskNode", input=image, resize_type=huge, scale_method="area")


def test_batches_are_joined_in_the_first_size_with_alpha(run: Any) -> None:
    first, second = picture(2, 4, 6, 3), picture(1, 8, 12, 4)
    joined = run("ImageBatch", image1=first, image2=second)
    assert joined.shape == (3, 4, 6, 4)
    assert torch.equal(joined[:2, ..., :3], first)
    assert joined[:2, ..., 3].min() == 1
    torch.testing.assert_close(joined[2], second.view(4, 2, 6, 2, 4).mean(dim=(1, 3)))
    members = {"image0": first, "image1": second, "image2": first[:1]}
    assert torch.equal(run("BatchImagesNode", images=members), torch.cat([joined, joined[:1]]))


def test_batches_of_other_channels_or_of_none_are_refused(run: Any) -> None:
    with pytest.raises(InputError, match="images: images of 3, 1 channels; expected as many in each, alpha aside."):
        run("ImageBatch", image1=picture(1, 4, 6, 3), image2=picture(1, 4, 6, 1))
    with pytest.raises(InputError, match="images: no images; expected"):
        run("BatchImagesNode", images={})
    large = torch.zeros(1, 1, 1, 3).expand(2**10, 2**10, 2**9, 3)
    with pytest.raises(InputError, match="images: a result of 2048 x 1024 x 512 x 3 numbers cannot be made"):
        run("ImageBatch", image1=large, image2=large)


def test_images_from_a_batch_stop_at_its_end(run: Any) -> None:
    image = torch.arange(4.0).view(4, 1, 1, 1)
    for first, length, wanted in ((0, 1, [0]), (1, 2, [1, 2]), (2, 9, [2, 3]), (9, 9, [3])):
        taken = run("ImageFromBatch", image=image, batch_index=first, length=length)
        assert taken.flatten().tolist() == wanted


def test_batches_are_repeated_as_a_whole_within_memory(run: Any) -> None:
    image = torch.arange(2.0).view(2, 1, 1, 1)
    assert run("RepeatImageBatch", image=image, amount=3).flatten().tolist() == [0, 1, 0, 1, 0, 1]
    with pytest.raises(InputError, match="amount: a result of 8192 x 1024 x 1024 x 3 numbers cannot be made"):
        run("RepeatImageBatch", image=torch.zeros(1, 1, 1, 3).expand(2, 1024, 1024, 3), amount=4096)


def test_empty_images_have_one_colour_within_memory(run: Any) -> None:
    images = run("EmptyImage", width=3, height=2, batch_size=2, color=0xFF8000)
    assert images.shape == (2, 2, 3, 3)
    assert images.is_contiguous()
    assert images.unique(dim=2).flatten().tolist() == pytest.approx([1.0, 128 / 255, 0.0] * 4)
    with pytest.raises(InputError, match="batch_size: a result of 4096 x 16384 x 16384 x 3 numbers cannot be made"):
        run("EmptyImage", width=16384, height=16384, batch_size=4096, color=0)


def test_images_are_measured_inverted_and_cut(run: Any) -> None:
    image = picture(2, 4, 6, 3)
    assert run("GetImageSize", image=image, unique_id="7") == (6, 4, 2)
    assert torch.equal(run("ImageInvert", image=image), 1 - image)
    assert torch.equal(run("ImageCrop", image=image, width=3, height=2, x=2, y=1), image[:, 1:3, 2:5])
    assert torch.equal(run("ImageCrop", image=image, width=3, height=2, x=99, y=99), image[:, 3:, 5:])


def test_padding_adds_grey_and_fades_only_towards_borders(run: Any) -> None:
    image = picture(2, 5, 6, 3)
    padded, mask = run("ImagePadForOutpaint", image=image, left=1, top=0, right=0, bottom=2, feathering=2)
    assert padded.shape == (2, 7, 7, 3)
    assert torch.equal(padded[:, :5, 1:], image)
    assert padded[:, 5:].unique().tolist() == padded[:, :, 0].unique().tolist() == [0.5]
    assert mask[0, 0].tolist() == [1, 1, 0.25, 0, 0, 0, 0]
    assert mask[0, :, 6].tolist() == [0, 0, 0, 0, 0.25, 1, 1]
    # Not more than twice as large as the fading: none.
    assert run("ImagePadForOutpaint", image=image, left=1, top=0, right=0, bottom=0, feathering=3)[1].sum() == 5


def test_padding_is_refused_below_zero_and_beyond_memory(run: Any) -> None:
    borders = {"left": 0, "top": 0, "right": 16384, "bottom": 16384, "feathering": 0}
    with pytest.raises(InputError, match="image: a result of 9 x 16385 x 16385 x 3 numbers cannot be made"):
        run("ImagePadForOutpaint", image=torch.zeros(9, 1, 1, 3), **borders)
    with pytest.raises(InputError, match=r"image: borders of \(-1, 0, 16384, 16384\) pixels; expected 0 or more"):
        run("ImagePadForOutpaint", image=torch.zeros(1, 2, 2, 3), **{**borders, "left": -1})


def composite_slowly(below: torch.Tensor, above: torch.Tensor, x: int, y: int, mask: torch.Tensor) -> torch.Tensor:
    """Twin: pixel by pixel, with a mask in the size of the source."""
    out = below.clone()
    for index in range(len(below)):
        for v in range(above.shape[1]):
            for u in range(above.shape[2]):
                if y + v < below.shape[1] and x + u < below.shape[2]:
                    weight = mask[index % len(mask), v, u]
                    pixel = above[index % len(above), v, u]
                    out[index, y + v, x + u] = weight * pixel + (1 - weight) * out[index, y + v, x + u]
    return out


@pytest.mark.parametrize(("x", "y"), [(0, 0), (2, 1), (4, 4), (5, 5), (99, 0)])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_composite_equals_the_twin(run: Any, x: int, y: int, count: int) -> None:
    below, above, mask = picture(3, 5, 5, 3), picture(count, 3, 4, 3), picture(2, 3, 4)
    inputs = {"destination": below, "source": above, "x": x, "y": y, "resize_source": False}
    assert torch.equal(run("ImageCompositeMasked", **inputs, mask=mask), composite_slowly(below, above, x, y, mask))
    whole = composite_slowly(below, above, x, y, torch.ones(1, 3, 4))
    assert torch.equal(run("ImageCompositeMasked", **inputs), whole)
    assert torch.equal(below, picture(3, 5, 5, 3))


def test_composite_resizes_the_source_and_the_mask(run: Any) -> None:
    below, above = torch.zeros(1, 4, 6, 3), torch.ones(1, 2, 2, 3)
    inputs = {"destination": below, "source": above, "x": 0, "y": 0, "resize_source": True}
    assert run("ImageCompositeMasked", **inputs).min() == 1
    half = torch.full((8, 8), 0.5)
    assert run("ImageCompositeMasked", **inputs, mask=half).unique().tolist() == [0.5]


def test_composite_of_other_channels_and_places(run: Any) -> None:
    rgb, rgba = torch.zeros(1, 2, 2, 3), torch.full((1, 2, 2, 4), 0.5)
    inputs = {"x": 1, "y": 0, "resize_source": False}
    assert run("ImageCompositeMasked", destination=rgb, source=rgba, **inputs)[0, 0].tolist() == [[0.0] * 3, [0.5] * 3]
    over = run("ImageCompositeMasked", destination=rgba, source=rgb, **inputs)
    assert over[0, 0].tolist() == [[0.5] * 4, [0.0, 0.0, 0.0, 1.0]]  # opaque where it shows
    with pytest.raises(InputError, match="source: a source of 1 channels over 3; expected as many."):
        run("ImageCompositeMasked", destination=rgb, source=rgb[..., :1], **inputs)
    with pytest.raises(InputError, match=r"source: a source of 2 x 2 does not fit the destination at \(-1, 0\)"):
        run("ImageCompositeMasked", destination=rgb, source=rgb, **{**inputs, "x": -1})
