"""What our nodes take from other nodes and give to them: shapes, ranges, counts, and the nodes made for it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from conftest import import_nodes
from test_regions import make_labels, random_labels

from llmseg import InputError, build_text_bank, expand_names, load_encoder, parse_names
from llmseg.graph import Executor, ResultCache

PACK = import_nodes()
NODES: Any = import_nodes("interchange")
OURS: dict[str, Any] = PACK.NODE_CLASS_MAPPINGS
NAMES = "dog, building, grass, night, sky"
WIDGETS = {"STRING", "INT", "FLOAT", "BOOLEAN"}


def pictures(count: int, channels: int = 3) -> torch.Tensor:
    """IMAGE of 40 x 56 pixels, every picture another one. [count,40,56,channels]"""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(8, 5, 7, channels, generator=generator)[:count]
    return coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)


@lru_cache
def records(count: int) -> dict[str, Any]:
    """A value for every socket, made by the stages themselves from `count` pictures."""
    encoder = load_encoder()
    image, expansion = pictures(count), expand_names(parse_names(NAMES))
    bank = build_text_bank(encoder, expansion, "bare")
    (features,) = OURS["LLMSegEncodeImage"]().execute(encoder, image, "auto", -1, -1, -1, "one")
    (scores,) = OURS["LLMSegScore"]().execute(features, bank)
    (maps,) = OURS["LLMSegAssemble"]().execute(scores, "max", -1, -1)
    labels, _ = OURS["LLMSegLabel"]().execute(maps, 0.0, 0.0)
    return {
        **{"IMAGE": image, "LLMSEG_ENCODER": encoder, "LLMSEG_EXPANSION": expansion, "LLMSEG_TEXT_BANK": bank},
        **{"LLMSEG_PATCH_FEATURES": features, "LLMSEG_SCORE_MAPS": scores, "LLMSEG_CLASS_MAPS": maps},
        **{"LLMSEG_LABEL_MAP": labels},
    }


def run(name: str, count: int, **given: Any) -> list[Any]:
    """Call a node with values of `count` pictures on its sockets and the defaults of its widgets."""
    values: dict[str, Any] = {}
    for need, group in OURS[name].INPUT_TYPES().items():
        for key, (kind, options) in group.items():
            if isinstance(kind, list) or kind in WIDGETS:
                values[key] = options["default"]
            elif need == "required" or kind.split(",")[0] in records(count):
                values[key] = records(count)[kind.split(",")[0]]
    if name in ("LLMSegSelectMask", "LLMSegSegment"):
        values |= {"class_name": "sky"} if name == "LLMSegSelectMask" else {"class_names": NAMES}
    node = OURS[name]()
    return list(getattr(node, node.FUNCTION)(**{**values, **given}))


def taking(kind: str) -> list[str]:
    inputs = {
        name: [entry for group in node.INPUT_TYPES().values() for entry in group.values()]
        for name, node in OURS.items()
    }
    return [name for name, entries in inputs.items() if any(entry[0] == kind for entry in entries)]


def giving(kind: str) -> list[tuple[str, int]]:
    """Nodes that make `kind` of a picture or of what was made from one, and the number of the output."""
    return [
        (name, number)
        for name, node in OURS.items()
        for number, each in enumerate(node.RETURN_TYPES)
        if each == kind and name != "LLMSegExampleImage"
    ]


@pytest.mark.parametrize("name", taking("IMAGE"))
@pytest.mark.parametrize("shape", [(40, 56, 3), (0, 40, 56, 3), (1, 0, 56, 3), (1, 40, 56, 0), (1, 1, 40, 56, 3)])
def test_an_image_of_another_shape_is_one_clear_line(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError) as error:
        run(name, 1, image=torch.zeros(shape))
    needed = ", none of them 0" if len(shape) == 4 else ""
    assert str(error.value) == f"image: shape {list(shape)}; expected IMAGE [B,H,W,3]{needed}."


def flatten(value: Any) -> list[Any]:
    """Tensors and plain values of any result of ours, in a fixed order."""
    if isinstance(value, (list, tuple)):
        return [part for each in value for part in flatten(each)]
    if isinstance(value, np.ndarray):
        return [torch.from_numpy(value)]
    if hasattr(value, "__dataclass_fields__"):
        return [part for key in sorted(value.__dataclass_fields__) for part in flatten(getattr(value, key))]
    return [value] if isinstance(value, (torch.Tensor, str, int, float, dict)) else []


def assert_same(got: Any, wanted: Any) -> None:
    one, other = flatten(got), flatten(wanted)
    assert len(one) == len(other) > 0
    for part, twin in zip(one, other, strict=True):
        assert torch.equal(part, twin) if isinstance(part, torch.Tensor) else part == twin


ONE_PICTURE = {"LLMSegSuperpixels"}  # masks of several would not say whose they are


@pytest.mark.parametrize("name", taking("IMAGE"))
@pytest.mark.parametrize("count", [1, 3])
def test_alpha_is_left_out_and_grey_is_a_colour(name: str, count: int) -> None:
    count = 1 if name in ONE_PICTURE else count
    colour, alpha = pictures(count), pictures(count, 1)
    cases = [
        (torch.cat([colour, alpha], -1), colour),
        (alpha, alpha.expand(-1, -1, -1, 3)),
        (colour.half(), colour.half().float()),
    ]
    for given, plain in cases:
        before = given.clone()
        assert_same(run(name, count, image=given), run(name, count, image=plain))
        assert torch.equal(given, before), "an input is never written to"


@pytest.mark.parametrize("name", taking("IMAGE"))
def test_values_beyond_the_range_count_as_its_ends_and_nan_as_black(name: str) -> None:
    given, plain = pictures(1), pictures(1)
    given[0, :9, :9], plain[0, :9, :9] = 1.25, 1
    given[0, 9:18, :9], plain[0, 9:18, :9] = -0.25, 0
    given[0, :9, 9:18], plain[0, :9, 9:18] = float("nan"), 0
    given[0, 20:, :9], plain[0, 20:, :9] = float("inf"), 1
    assert_same(run(name, 1, image=given), run(name, 1, image=plain))


@pytest.mark.parametrize("name", taking("IMAGE"))
def test_an_image_of_whole_numbers_is_told(name: str) -> None:
    with pytest.raises(InputError) as error:
        run(name, 1, image=(pictures(1) * 255).to(torch.uint8))
    assert str(error.value) == "image: numbers of type torch.uint8; expected floats in 0..1."


@pytest.mark.parametrize(("name", "number"), [each for each in giving("MASK") if each[0] not in ONE_PICTURE])
@pytest.mark.parametrize("count", [1, 3])
def test_masks_are_float_batches_in_step_with_the_pictures(name: str, number: int, count: int) -> None:
    result = run(name, count)[number]
    is_list = getattr(OURS[name], "OUTPUT_IS_LIST", [False] * 9)[number]
    assert isinstance(result, list) == is_list
    for mask in result if is_list else [result]:
        classes = len(parse_names(NAMES).names) if name == "LLMSegMaskBatch" else 1
        assert mask.shape == (classes * count, 40, 56)
        assert mask.dtype == torch.float32
        assert mask.device.type == "cpu"
        assert 0 <= mask.min() <= mask.max() <= 1


@pytest.mark.parametrize(("name", "number"), giving("IMAGE"))
@pytest.mark.parametrize("count", [1, 3])
def test_images_are_float_batches_in_step_with_the_pictures(name: str, number: int, count: int) -> None:
    image = run(name, count)[number]
    assert image.ndim == 4
    assert (image.shape[0], image.shape[3]) == (count, 3)
    assert image.dtype == torch.float32
    assert image.is_contiguous()
    assert image.device.type == "cpu"
    assert 0 <= image.min() <= image.max() <= 1


@pytest.mark.parametrize(
    "name", [each for each in taking("IMAGE") if each not in ("LLMSegEncodeImage", "LLMSegSegment")]
)
def test_another_number_of_pictures_than_of_maps_is_told(name: str) -> None:
    with pytest.raises(InputError, match=r"^image: 2 images; expected "):
        run(name, 3, image=pictures(2))


def test_an_absent_class_never_shortens_anything() -> None:
    """Pictures in which nothing at all was found go through every node with the same number of entries."""
    labels = records(3)["LLMSEG_LABEL_MAP"]
    empty = replace(labels, labels=torch.full_like(labels.labels, -1), winning_phrase=labels.winning_phrase * 0 - 1)
    (mask,) = run("LLMSegSelectMask", 3, label_map=empty)
    assert mask.tolist() == torch.zeros(3, 40, 56).tolist()
    masks, names = run("LLMSegClassMasks", 3, label_map=empty)
    assert [each.shape for each in masks] == [(3, 40, 56)] * len(names)
    batch, _ = run("LLMSegMaskBatch", 3, label_map=empty)
    assert batch.shape == (15, 40, 56)
    assert batch.max() == 0
    (segs,) = run("LLMSegToSEGS", 3, label_map=empty)
    assert segs == [((40, 56), [])] * 3
    boxes, bbox, around = run("LLMSegBoxes", 3, label_map=empty)
    assert (boxes, bbox) == ([[], [], []], [])
    assert around == {"x": 0, "y": 0, "width": 56, "height": 40}
    assert run("LLMSegExplain", 3, label_map=empty)[0].shape[0] == 3
    assert "100.00%" in run("LLMSegTable", 3, label_map=empty)[0]


def test_mask_batch_names_its_masks() -> None:
    labels = random_labels(0)
    masks, names = NODES.LLMSegMaskBatch().execute(labels, "sky, Dog", "each")
    assert names == "sky\nsky\ndog\ndog"
    assert torch.equal(masks, torch.cat([labels.mask("sky"), labels.mask("dog")]).float())
    union, names = NODES.LLMSegMaskBatch().execute(labels, "sky, Dog", "union")
    assert names == "sky, dog\nsky, dog"
    assert torch.equal(union, masks[:2] + masks[2:])
    assert union.dtype == torch.float32


def test_segs_obey_every_option() -> None:
    labels = torch.full((1, 10, 10), 2)
    labels[0, 1:3, 1:3] = labels[0, 7:9, 4:9] = labels[0, 0, 9] = 0
    result, image = make_labels(labels), torch.rand(1, 10, 10, 4)
    run = NODES.LLMSegToSEGS().execute
    [((size, segs))] = run(result, "dog", "component", 0.02, 100, 1.0, image)[0]
    assert size == (10, 10)
    assert [(seg.label, seg.bbox) for seg in segs] == [("dog", (4, 7, 9, 9)), ("dog", (1, 1, 3, 3))]
    assert [seg.crop_region for seg in segs] == [[4, 7, 9, 9], [1, 1, 3, 3]]
    assert torch.equal(segs[0].cropped_image, image[:, 7:9, 4:9, :3])
    [(_, largest)] = run(result, "dog", "component", 0.0, 1, 3.0)[0]
    assert [(seg.bbox, seg.crop_region, seg.cropped_image) for seg in largest] == [((4, 7, 9, 9), [0, 4, 10, 10], None)]
    [(_, whole)] = run(result, "dog, sky", "class", 0.0, 100, 1.0)[0]
    assert [(seg.label, seg.bbox) for seg in whole] == [("dog", (1, 0, 10, 9)), ("sky", (0, 0, 10, 10))]
    assert whole[0].cropped_mask.sum() == 15


def test_boxes_obey_every_option() -> None:
    labels = torch.full((2, 10, 10), 2)
    labels[0, 1:3, 1:3] = labels[1, 7:9, 4:9] = labels[1, 0, 9] = 0
    run = NODES.LLMSegBoxes().execute
    boxes, bbox, around = run(make_labels(labels), "dog", "component", 0.02, 100, "xywh")
    assert bbox == [(1, 1, 2, 2), (4, 7, 5, 2)]
    assert [[box["label"] for box in image] for image in boxes] == [["dog"], ["dog"]]
    assert around == {"x": 1, "y": 1, "width": 8, "height": 8}
    assert run(make_labels(labels), "dog", "class", 0.0, 100, "xyxy")[1] == [[[1, 1, 3, 3]], [[4, 0, 10, 9]]]
    assert len(run(make_labels(labels), "", "component", 0.0, 1, "xywh")[1]) == 2


def test_table_is_made_in_every_form() -> None:
    result = random_labels(1)
    run = NODES.LLMSegTable().execute
    assert run(result, "dog", 0.0, "text")[0].splitlines()[0] == "image 1"
    assert run(result, "dog", 0.0, "csv")[0].splitlines()[0] == "image,class,share,confidence,regions"
    rows = json.loads(run(result, "dog", 0.0, "json")[0])["rows"]
    fewer = json.loads(run(result, "dog", 0.05, "json")[0])["rows"]
    assert rows[0]["regions"] > fewer[0]["regions"]
    assert rows[0]["share"] == fewer[0]["share"]


@pytest.mark.parametrize("name", list(NODES.NODES))
def test_what_is_no_label_map_is_told(name: str) -> None:
    with pytest.raises(InputError) as error:
        run(name, 1, label_map=[torch.zeros(1, 2, 2)])
    assert str(error.value) == "label_map: list; expected LabelMap."


def test_in_a_graph_a_list_of_segs_runs_the_next_node_once_for_each_image() -> None:
    class Given:
        """A label map of three images."""

        RETURN_TYPES = ("LLMSEG_LABEL_MAP",)
        FUNCTION = "execute"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {}}

        def execute(self) -> tuple[Any]:
            return (random_labels(0, (3, 19, 26)),)

    class Count:
        """Takes one SEGS, as the nodes of Impact Pack do."""

        RETURN_TYPES = ()
        OUTPUT_NODE = True
        FUNCTION = "execute"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"segs": ("SEGS",)}}

        def execute(self, segs: Any) -> dict[str, Any]:
            (height, width), found = segs
            return {"ui": {"text": [f"{height} x {width}: {len(found)}"]}}

    widgets = {"class_names": "sky", "regions": "class", "min_area": 0, "limit": 100, "crop_factor": 3.0}
    prompt: dict[str, Any] = {
        "1": {"class_type": "Given", "inputs": {}},
        "2": {"class_type": "LLMSegToSEGS", "inputs": {"label_map": ["1", 0], **widgets}},
        "3": {"class_type": "Count", "inputs": {"segs": ["2", 0]}},
    }
    classes = {"Given": Given, "Count": Count, **NODES_OF_GRAPH}
    result = Executor(classes, cache=ResultCache()).run(prompt, ["3"])
    assert result.ui["3"]["text"] == ["19 x 26: 1"] * 3


NODES_OF_GRAPH = {name: node for name, (node, _) in NODES.NODES.items()}
