"""Published protocols: their numbers, their words, and that the engine takes every one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_datasets import build_voc, save_image, save_labels

from llmseg.background import SURROUNDINGS
from llmseg.encoder import Encoder, load_encoder
from llmseg.evaluation.counting import count_image, measure_counts
from llmseg.evaluation.datasets import Dataset, open_dataset
from llmseg.evaluation.deciding import decide_labels
from llmseg.evaluation.layouts import PUBLIC
from llmseg.evaluation.protocols import PROTOCOLS, Protocol, name_classes
from llmseg.files import image_to_tensor
from llmseg.library import library_classes
from llmseg.options import DATASET, MODEL, PROTOCOL
from llmseg.patch_features import build_patch_features
from llmseg.scores import score_image
from llmseg.text_bank import build_text_bank
from llmseg.types import ClassExpansion, Expansion, Phrase

# Short side, window, stride, logit scale, probability threshold, area threshold, published mIoU: tables of the papers'
# public code, typed once more. A window of 0 is the whole image.
SETTINGS = {
    "sclip_voc21": (336, 224, 112, 65, 0.1, 0.1, 59.63),
    "sclip_context60": (336, 224, 112, 50, 0.1, 0, 31.74),
    "sclip_object81": (336, 224, 112, 50, 0.1, 0, 33.52),
    "sclip_voc20": (336, 224, 112, 40, 0, 0, 81.54),
    "sclip_cityscapes19": (560, 224, 112, 40, 0, 0, 32.34),
    "sclip_context59": (336, 224, 112, 40, 0, 0, 34.46),
    "sclip_ade150": (336, 224, 112, 40, 0, 0, 16.45),
    "sclip_stuff171": (448, 224, 112, 40, 0, 0, 22.77),
    "naclip_voc21": (336, 0, 0, 40, 0.1, 0, 64.07),
    "naclip_context60": (336, 224, 112, 40, 0.1, 0, 34.99),
    "naclip_object81": (336, 224, 112, 40, 0.1, 0, 36.19),
    "naclip_voc20": (336, 0, 0, 40, 0, 0, 83.03),
    "naclip_cityscapes19": (560, 224, 112, 40, 0, 0, 38.27),
    "naclip_context59": (336, 224, 112, 40, 0, 0, 38.35),
    "naclip_ade150": (336, 224, 112, 40, 0, 0, 19.05),
    "naclip_stuff171": (336, 224, 112, 40, 0, 0, 25.69),
    "clearclip_voc21": (448, 448, 224, 50, 0.5, 0, 51.8),
    "clearclip_context60": (448, 448, 224, 50, 0.15, 0, 32.6),
    "clearclip_object81": (448, 448, 224, 50, 0.4, 0, 33.0),
    "clearclip_voc20": (448, 448, 224, 50, 0, 0, 80.9),
    "clearclip_cityscapes19": (448, 224, 224, 50, 0, 0, 30.0),
    "clearclip_context59": (448, 448, 224, 50, 0, 0, 35.9),
    "clearclip_ade150": (448, 448, 224, 50, 0, 0, 16.7),
    "clearclip_stuff171": (448, 448, 224, 50, 0, 0, 23.9),
}
# Phrases in all, as many as the published files of class names hold.
QUERIES = {
    **{"sclip_voc21": 56, "sclip_voc20": 30, "sclip_context60": 60, "sclip_context59": 59, "sclip_object81": 113},
    **{"sclip_cityscapes19": 19, "sclip_ade150": 150, "sclip_stuff171": 171},
    **{"clearclip_voc21": 21, "clearclip_voc20": 20, "clearclip_object81": 81, "clearclip_context60": 60},
}


def published(protocol: Protocol, dataset: Dataset | None = None) -> Expansion:
    """The phrases of a protocol as an expansion."""
    classes = PUBLIC[protocol.dataset].classes() if dataset is None else dataset.classes
    return Expansion(
        tuple(
            ClassExpansion(replace(entry, aliases=()), tuple(map(Phrase, protocol.phrases.get(entry.name, ()))))
            for entry in name_classes(protocol, classes).classes
        )
    )


def test_all_of_the_table() -> None:
    assert list(PROTOCOLS) == list(PROTOCOL.names)
    assert len(PROTOCOLS) == 26
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name
        assert name.endswith(f"_{protocol.dataset}")
        assert protocol.dataset in DATASET.names
        assert protocol.source
        assert protocol is PROTOCOLS[name]
    with pytest.raises(KeyError):
        PROTOCOLS["sclip"]


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(name: str) -> None:
    protocol = PROTOCOLS[name]
    options, rules = protocol.options, protocol.rules
    found = (options.resize, options.window, options.stride, rules.logit_scale, options.threshold, rules.least_share)
    assert (*found, protocol.figure) == SETTINGS[name]
    method = name.partition("_")[0]
    assert (options.attention, options.refiner) == (method, "pamr" if method == "naclip" else "none")
    assert (options.layout, options.scoring, options.mode) == ("published", "exact", "softmax_max")
    assert (options.templates, options.include_names, options.scales) == ("openai80", "no", "one")
    with_background = PUBLIC[protocol.dataset].classes().background is not None
    assert rules.unknown_is_background == with_background
    assert protocol.model in MODEL.names
    assert protocol.expansion == "published"


def test_the_seed_paper() -> None:
    simseg, paper = PROTOCOLS["simseg_voc21"], PROTOCOLS["paper_voc21"]
    assert replace(simseg.options, mode="paper") == paper.options
    assert (simseg.options.layout, simseg.options.resize, simseg.options.window) == ("squash", 288, 0)
    assert (simseg.options.refiner, simseg.options.templates, simseg.options.temperature) == ("simseg", "openai80", 1)
    assert simseg.rules == paper.rules
    assert simseg.rules.gate_top == 10
    assert (simseg.figure, paper.figure) == (56.6, 61.7)
    assert (simseg.expansion, paper.expansion) == ("off", "voc21")
    assert "secondary source" in paper.source
    named = name_classes(simseg, library_classes("voc21"))
    assert named.names == library_classes("voc21").names
    assert [named.wordings[label] for label in (0, 4, 11, 16, 20)] == [
        "background",
        "boat",
        "table",
        "plant",
        "monitor",
    ]


def test_the_page_lists_them_all() -> None:
    page = Path(__file__).parent.parent / "docs" / "evaluation.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    for name in DATASET.names:
        assert sum(line.startswith(f"| `{name}` |") for line in lines) == 1, name
    for name, protocol in PROTOCOLS.items():
        (row,) = (line for line in lines if line.startswith(f"| `{name}` |"))
        assert f"{protocol.figure} | unrun here" in row
        assert str(protocol.options.resize) in row


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if "voc" not in name and "object" not in name])
def test_words_of_data_sets_are_run_together(name: str) -> None:
    protocol = PROTOCOLS[name]
    classes = name_classes(protocol, PUBLIC[protocol.dataset].classes())
    assert not any(" " in wording for wording in classes.wordings)
    assert set(protocol.phrases) <= set(library_classes_of(protocol.dataset))
    if protocol.dataset == "ade150":
        assert classes.wordings[44] == "chestofdrawers"
        assert classes.wordings[13] == "earth"
    if protocol.dataset == "stuff171":
        assert "wall-brick" in classes.wordings
        assert "trafficlight" in classes.wordings


def library_classes_of(dataset: str) -> tuple[str, ...]:
    return library_classes("context60").names if "context" in dataset else PUBLIC[dataset].classes().names


def test_several_names_for_a_class() -> None:
    voc, things = PROTOCOLS["sclip_voc21"].phrases, PROTOCOLS["naclip_object81"].phrases
    assert voc["background"] == things["background"] == SURROUNDINGS
    assert len(SURROUNDINGS) == 26
    assert (len(voc["person"]), len(things["person"]), len(voc["tv monitor"])) == (7, 8, 5)
    assert (voc["boat"], voc["dining table"], voc["potted plant"]) == (("ship",), ("table",), ("pottedplant",))
    assert set(voc) <= set(library_classes("voc21").names)
    assert set(things) <= set(library_classes("coco81").names)
    assert "background" not in PROTOCOLS["sclip_voc20"].phrases
    assert PROTOCOLS["clearclip_voc21"].phrases["tv monitor"] == ("tvmonitor",)
    assert PROTOCOLS["clearclip_object81"].phrases == {}
    wordings = name_classes(PROTOCOLS["sclip_voc21"], library_classes("voc21")).wordings
    assert (wordings[0], wordings[4], wordings[15]) == ("background", "ship", "person"), "one name for one"


@pytest.mark.parametrize("name", QUERIES)
def test_as_many_phrases_as_published(name: str, tiny: Encoder) -> None:
    protocol = PROTOCOLS[name]
    bank = build_text_bank(tiny, published(protocol), "bare", protocol.options.include_names)
    assert len(bank.phrases) == QUERIES[name]
    wanted = [text for entry in published(protocol).classes for text in entry.kept or (entry.class_name.wording,)]
    assert list(bank.phrases) == wanted


# -- through the engine ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A random ViT with the patches of a ViT-B/16."""
    from conftest import random_checkpoint
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    state = random_checkpoint(3, patch=16, grid=14)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return load_encoder(str(path))


@pytest.fixture(scope="module")
def simseg(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A random SimSeg that knows the letters."""
    pytest.importorskip("transformers")
    from plain_models import simseg_state
    from test_bert import PIECES

    folder = tmp_path_factory.mktemp("simseg")
    torch.save({"state_dict": simseg_state(), "meta": {}}, folder / "simseg.pth")
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return load_encoder(str(folder / "simseg.pth"))


SIZE = (24, 36)


def rows(*numbers: int) -> list[list[int]]:
    """Bands of numbers, one below the other, over a picture of `SIZE`."""
    return [[numbers[y * len(numbers) // SIZE[0]]] * SIZE[1] for y in range(SIZE[0])]


def build_pascal(root: Path, year: str, kind: str) -> None:
    build_voc(root, rows(0, 1, 15, 255), kind=kind)
    for name in ("2007_000033", "2007_000042"):
        save_image(root / "JPEGImages" / f"{name}.jpg", len(kind), SIZE)
    (root / "ImageSets" / f"Segmentation{kind}" / "val.txt").write_text("2007_000033\n2007_000042\n", encoding="utf-8")


def build_pairs(root: Path, image: str, truth: str, *numbers: int) -> None:
    for name in ("a", "b"):
        save_image(root / image.format(name), ord(name), SIZE)
        save_labels(root / truth.format(name), rows(*numbers))


BUILDERS: dict[str, Callable[[Path], None]] = {
    "voc": lambda root: build_pascal(root, "VOC2012", ""),
    "context": lambda root: build_pascal(root, "VOC2010", "Context"),
    "object": lambda root: build_pairs(
        root, "images/val2017/{}.jpg", "annotations/val2017/{}_instanceTrainIds.png", 0, 1, 80, 5
    ),
    "stuff": lambda root: build_pairs(
        root, "images/val2017/{}.jpg", "annotations/val2017/{}_labelTrainIds.png", 0, 170, 255, 5
    ),
    "ade": lambda root: build_pairs(root, "images/validation/{}.jpg", "annotations/validation/{}.png", 0, 1, 150),
    "cityscapes": lambda root: build_pairs(
        root, "leftImg8bit/val/ulm/{}_leftImg8bit.png", "gtFine/val/ulm/{}_gtFine_labelIds.png", 7, 33, 0, 24
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two images of each public data set, in its own layout."""
    made = {}
    for kind, build in BUILDERS.items():
        made[kind] = tmp_path_factory.mktemp(kind)
        build(made[kind])
    return made


def run(protocol: Protocol, encoder: Encoder, dataset: Dataset, **changes: Any) -> Any:
    """Measure a data set as the protocol says; `changes` of the options spare time."""
    options = replace(protocol.options, templates="bare", **changes)
    bank = build_text_bank(encoder, published(protocol, dataset), options.templates, options.include_names)
    counts = []
    for sample in dataset.samples:
        image = image_to_tensor(sample.read_image())
        knobs = ("attention", "window", "stride", "resize", "scales", "layout", "flips")
        features = build_patch_features(encoder, image, text_bank=bank, **{key: getattr(options, key) for key in knobs})
        result = decide_labels(score_image(features, bank, options.scoring), image, options, protocol.rules)
        assert result.labels.shape == (1, *SIZE)
        assert result.labels.min() >= 0, "every pixel is given a class"
        assert result.names == dataset.classes.names
        counts.append(
            count_image(result.labels[0], torch.from_numpy(sample.read_truth()), len(dataset.classes.classes))
        )
    return measure_counts(counts)


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if name in SETTINGS])
def test_engine_runs_every_protocol(name: str, tiny: Encoder, folders: dict[str, Path]) -> None:
    """With one template instead of eighty, on pictures of 24 x 36 pixels; sizes and windows are the protocol's."""
    protocol = PROTOCOLS[name]
    kind = next(kind for kind in BUILDERS if protocol.dataset.startswith(kind))
    dataset = open_dataset(protocol.dataset, folders[kind])
    assert len(dataset.samples) == 2
    measures = run(protocol, tiny, dataset)
    assert 0 <= measures.miou <= 1
    assert len(measures.iou) == len(dataset.classes.classes)


@pytest.mark.parametrize("name", ["simseg_voc21", "paper_voc21"])
def test_engine_runs_simseg(name: str, simseg: Encoder, folders: dict[str, Path]) -> None:
    protocol = PROTOCOLS[name]
    measures = run(protocol, simseg, open_dataset("voc21", folders["voc"]))
    assert 0 <= measures.miou <= 1
