"""Regions of a label map: which classes, which pixels, their boxes and confidence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_components import flood

from llmseg import InputError, LabelMap, UnknownNameError
from llmseg.regions import Box, Region, choose_classes, find_regions

NAMES = ("dog", "hot dog", "sky", "sea")


def make_labels(labels: torch.Tensor, confidence: torch.Tensor | None = None) -> LabelMap:
    return LabelMap(
        labels=labels,
        names=NAMES,
        palette=((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)),
        confidence=torch.ones(labels.shape) if confidence is None else confidence,
        winning_phrase=torch.full_like(labels, -1),
    )


def random_labels(seed: int, shape: tuple[int, int, int] = (2, 19, 26)) -> LabelMap:
    """Blocks of one label, some of them unknown, and a random confidence."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(-1, len(NAMES), (shape[0], 7, 9), generator=generator)
    labels = coarse.repeat_interleave(3, 1).repeat_interleave(3, 2)[:, : shape[1], : shape[2]]
    return make_labels(labels, torch.rand(labels.shape, generator=generator))


def slow_regions(result: LabelMap, image: int, classes: list[int], by: str) -> list[tuple[Region, np.ndarray]]:
    """Pixel by pixel, in the order promised."""
    labels = result.labels[image].numpy()
    numbers, found = flood(labels)
    pieces = [numbers == piece for piece in range(len(found))]
    if by == "class":
        pieces, found = [labels == label for label in range(len(NAMES))], list(range(len(NAMES)))
    made = []
    for label in classes:
        own = [mask for mask, owner in zip(pieces, found, strict=True) if owner == label and mask.any()]
        for mask in sorted(own, key=lambda each: -each.sum()):
            rows, columns = mask.nonzero()
            box = Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            sure = float(result.confidence[image].numpy()[mask].mean())
            made.append((Region(0, label, NAMES[label], box, int(mask.sum()), sure), mask))
    return made


@pytest.mark.parametrize("by", ["component", "class"])
@pytest.mark.parametrize("classes", [[0, 1, 2, 3], [3, 0], [2]])
def test_regions_are_those_found_pixel_by_pixel(by: str, classes: list[int]) -> None:
    result = random_labels(len(classes))
    found = find_regions(result, classes, by)
    assert len(found) == 2
    for image, regions in enumerate(found):
        slow = slow_regions(result, image, classes, by)
        assert len(regions.regions) == len(slow) > 0
        for region, (twin, mask) in zip(regions.regions, slow, strict=True):
            assert (region.label, region.name, region.box) == (twin.label, twin.name, twin.box)
            assert region.pixels == twin.pixels
            assert region.confidence == pytest.approx(twin.confidence, abs=1e-6)
            whole = Box(0, 0, mask.shape[1], mask.shape[0])
            assert np.array_equal(regions.mask(region, whole), mask)


def test_a_box_ends_where_its_pixels_end() -> None:
    labels = torch.full((1, 4, 6), 2)
    labels[0, 1:3, 2:5] = 0
    (found,) = find_regions(make_labels(labels), [0])
    (region,) = found.regions
    assert region.box == (2, 1, 5, 3)
    assert (region.box.width, region.box.height, region.pixels) == (3, 2, 6)
    assert found.mask(region, Box(1, 0, 4, 3)).tolist() == [[False] * 3, [False, True, True], [False, True, True]]


def test_confidence_is_the_mean_over_the_region_and_never_above_one() -> None:
    labels = torch.tensor([[[0, 0, 2, 2]]])
    (found,) = find_regions(make_labels(labels, torch.tensor([[[0.25, 0.75, 1.0, 1.0]]])), [0, 2])
    assert [region.confidence for region in found.regions] == [0.5, 1.0]


def test_small_regions_are_left_out_and_the_largest_kept() -> None:
    labels = torch.tensor([[[0, 2, 0, 0, 2, 2, 0, 2, 2, 2]]])  # dogs of 1, 2 and 1 pixels, skies of 1, 2 and 3
    result = make_labels(labels)

    def sizes(**options: float) -> list[tuple[str, int]]:
        (found,) = find_regions(result, [0, 2], **options)
        return [(region.name, region.pixels) for region in found.regions]

    assert sizes() == [("dog", 2), ("dog", 1), ("dog", 1), ("sky", 3), ("sky", 2), ("sky", 1)]
    assert sizes(min_area=0.2) == [("dog", 2), ("sky", 3), ("sky", 2)]  # a share that is just reached counts
    assert sizes(limit=2) == [("dog", 2), ("sky", 3)]
    assert sizes(min_area=0.5) == []
    assert sizes(min_area=1) == []


def test_an_image_without_the_class_has_an_entry_without_regions() -> None:
    labels = torch.stack([torch.zeros(3, 3, dtype=torch.int64), torch.full((3, 3), -1)])
    found = find_regions(make_labels(labels), [0])
    assert [len(each.regions) for each in found] == [1, 0]
    assert [each.numbers.shape for each in found] == [(3, 3), (3, 3)]


def test_half_precision_confidence_is_read() -> None:
    labels = torch.zeros(1, 40, 50, dtype=torch.int64)
    (found,) = find_regions(make_labels(labels, torch.full((1, 40, 50), 0.5).half()), [0])
    assert found.regions[0].confidence == 0.5  # 2,000 times a half is more than float16 counts exactly


def test_classes_are_named_in_any_case_and_kept_in_the_order_typed() -> None:
    result = random_labels(0)
    assert choose_classes(result, "") == choose_classes(result, " \n") == [0, 1, 2, 3]
    assert choose_classes(result, "Sky, DOG") == [2, 0]
    assert choose_classes(result, "hot_dog\nsea") == [1, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dgo", "class_names: unknown name 'dgo'; expected one of dog, hot dog, sky, sea. Did you mean 'dog'?"),
        ("dog, Dog", "names: 'Dog' stands twice; expected every class and alias once. Remove one of them."),
        (",", "names: no class name in ','; expected names separated by commas, such as 'dog, car, tree'."),
    ],
)
def test_a_name_that_is_no_class_is_told(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        choose_classes(random_labels(0), text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_area": -0.1}, "min_area: -0.1; expected a number from 0 to 1."),
        ({"min_area": float("nan")}, "min_area: nan; expected a number from 0 to 1."),
        ({"limit": 0}, "limit: 0; expected at least 1."),
    ],
)
def test_numbers_outside_their_limits_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError) as error:
        find_regions(random_labels(0), [0], **options)  # type: ignore[arg-type]
    assert str(error.value) == message


def test_an_unknown_kind_of_region_lists_the_others() -> None:
    with pytest.raises(UnknownNameError) as error:
        find_regions(random_labels(0), [0], "components")
    assert str(error.value) == (
        "regions: unknown name 'components'; expected one of component, class. Did you mean 'component'?"
    )
