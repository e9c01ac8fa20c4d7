"""The packaged scenes are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from llmseg.errors import UnknownNameError
from llmseg.examples import benchmark_scenes, load_example, world_classes
from llmseg.library import library_classes
from llmseg.options import SCENE


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


def test_benchmark_has_exact_labels() -> None:
    scenes, classes = benchmark_scenes(), world_classes()
    assert len(scenes) == 50
    assert {(image.shape, image.dtype.name) for image, _ in scenes} == {((96, 96, 3), "uint8")}
    assert {(labels.shape, labels.dtype.name) for _, labels in scenes} == {((96, 96), "uint8")}
    assert max(int(labels.max()) for _, labels in scenes) < len(classes.fine)
    assert all(len(np.unique(labels)) >= 2 for _, labels in scenes), "a background and at least one thing"


def test_world_classes() -> None:
    classes = world_classes()
    assert len(classes.fine) == len(classes.coarse) == len(set(classes.fine))
    assert classes.coarse[classes.fine.index("poodle")] == "dog"
    assert classes.coarse[classes.fine.index("tiger")] == "wild cat"
    assert set(classes.coarse) == set(library_classes("emoji").names)
