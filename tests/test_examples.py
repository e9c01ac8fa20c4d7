"""The packaged scenes are what they say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from llmseg import examples
from llmseg.encoder import load_encoder
from llmseg.errors import UnknownNameError
from llmseg.examples import benchmark_scenes, load_example, load_truth, tell_limits, world_classes
from llmseg.files import image_to_tensor
from llmseg.library import library_classes
from llmseg.options import SCENE

ROOT = Path(examples.__file__).parent / "data" / "world" / "examples"


@pytest.mark.parametrize("name", SCENE.names)
def test_scene_is_a_picture(name: str) -> None:
    scene = load_example(name)
    assert scene.dtype == np.uint8
    assert scene.shape[2:] == (3,)
    assert min(scene.shape[:2]) >= 96
    assert scene.std() > 10


def test_scenes_differ() -> None:
    assert len({load_example(name).tobytes() for name in SCENE.names}) == len(SCENE.names)


def test_unknown_scene() -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_example("parc")
    text = f"scene: unknown name 'parc'; expected one of {', '.join(SCENE.names)}. Did you mean 'park'?"
    assert str(caught.value) == text


@pytest.mark.parametrize("name", SCENE.names)
def test_truth_of_a_scene(name: str) -> None:
    truth, classes = load_truth(name), world_classes()
    assert truth.labels.shape[1:] == load_example(name).shape[:2]
    assert (truth.labels >= 0).all()
    assert set(truth.names) <= set(classes.coarse)
    with Image.open(ROOT / f"{name}_labels.png") as image:
        drawn = np.asarray(image)
    coarse = [[classes.coarse[label] for label in row] for row in drawn.tolist()]
    assert [[truth.names[label] for label in row] for row in truth.labels[0].tolist()] == coarse


def test_benchmark_has_exact_labels() -> None:
    scenes, classes = benchmark_scenes(), world_classes()
    assert len(scenes) == 50
    assert {(image.ndim, image.dtype.name) for image, _ in scenes} == {(3, "uint8")}
    assert {labels.dtype.name for _, labels in scenes} == {"uint16"}
    assert all(image.shape == (*labels.shape, 3) for image, labels in scenes)
    assert max(int(labels.max()) for _, labels in scenes) < len(classes.fine)
    assert all(len(np.unique(labels)) >= 2 for _, labels in scenes), "a background and at least one thing"


def test_world_classes() -> None:
    classes = world_classes()
    assert len(classes.fine) == len(classes.coarse) == len(set(classes.fine))
    assert classes.coarse[classes.fine.index("poodle")] == "dog"
    assert classes.coarse[classes.fine.index("tiger")] == "wild cat"
    assert set(classes.coarse) == set(library_classes("emoji").names)


# --- what a model does not know ---


@pytest.fixture
def limited(monkeypatch):
    """An encoder that was made for the packaged scenes, in a process that has not heard so."""
    monkeypatch.setattr(examples, "_told", set())
    return SimpleNamespace(name="small", identity="small@1", limits="knows drawings only")


def pixels(name):
    return image_to_tensor(load_example(name))


def test_limits_are_told_once_for_a_foreign_picture(limited, caplog):
    foreign = torch.rand(1, 3, 192, 256)
    for images in (pixels("park"), torch.cat([pixels("park"), foreign]), foreign):
        tell_limits(limited, images)
    assert [record.getMessage() for record in caplog.records] == ["small: knows drawings only"]


@pytest.mark.parametrize("scene", SCENE.names)
def test_packaged_scenes_are_no_foreign_pictures(limited, caplog, scene):
    tell_limits(limited, pixels(scene).repeat(2, 1, 1, 1))
    assert not caplog.records


def test_a_packaged_scene_that_was_changed_is_foreign(limited, caplog):
    images = pixels("park")
    images[0, 0, 0, 0] = 1 - images[0, 0, 0, 0].round()
    tell_limits(limited, images)
    assert len(caplog.records) == 1


def test_a_model_without_limits_says_nothing(limited, caplog):
    limited.limits = ""
    tell_limits(limited, torch.rand(1, 3, 8, 8))
    assert not caplog.records


def test_the_embedded_model_says_that_it_knows_no_photographs():
    assert "nothing of photographs" in load_encoder().limits
