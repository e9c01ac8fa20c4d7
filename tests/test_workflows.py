"""Every shipped workflow runs on the embedded model, and only what changed runs again."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import place_local_clip
from PIL import Image

from llmseg.graph import Executor, ResultCache, define_nodes, read_workflow, to_prompt, validate_prompt
from llmseg.run import load_nodes, main

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmseg.types import LabelMap

WORKFLOWS = Path(__file__).parent.parent / "workflows"
EXAMPLES = Path(__file__).parent.parent / "llmseg" / "data" / "world" / "examples"
SHIPPED = sorted(WORKFLOWS.glob("*.json"))
TEXT_DEPENDENT = {"LLMSegClassNames", "LLMSegExpand", "LLMSegEncodeText", "LLMSegScore", "LLMSegAssemble"}
TEXT_DEPENDENT |= {"LLMSegRefine", "LLMSegLabel", "LLMSegOverlay", "SaveImage", "LLMSegSaveLabels"}


@pytest.fixture
def own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_local_clip(tmp_path)
    monkeypatch.setenv("LLMSEG_MODELS", str(tmp_path / "models"))


@pytest.mark.usefixtures("own_model")
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_it_runs_and_writes_its_files(path: Path, tmp_path: Path) -> None:
    assert main([str(path), "--output", str(tmp_path)]) == 0
    assert list(tmp_path.rglob("*_00001_.png"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_its_twin_in_api_form_is_what_the_frontend_made_of_it(path: Path) -> None:
    nodes = load_nodes()
    definitions = define_nodes({**nodes.core.CORE_NODES, **nodes.NODE_CLASS_MAPPINGS})
    editor = read_workflow(path).editor
    assert editor is not None
    ours = to_prompt(editor, definitions).prompt
    frontend = json.loads((WORKFLOWS / "api" / path.name).read_text(encoding="utf-8"))
    assert list(ours) == list(frontend)
    for node, record in frontend.items():
        assert ours[node]["class_type"] == record["class_type"]
        specs = {spec.name: spec for spec in definitions[record["class_type"]].inputs}
        # The frontend also sends what its own scripts add to PreviewAny; the class does not declare it.
        # What an input holds that grows, such as `images.image0`, is declared under the name before the dot.
        theirs = {name: value for name, value in record["inputs"].items() if name.partition(".")[0] in specs}
        given = dict(ours[node]["inputs"])
        newer = {name: given.pop(name) for name in [*given] if name not in theirs}
        assert given == theirs
        # Inputs that the class got after the file was saved may be left out, and say what they say by default.
        for name, value in newer.items():
            assert not specs[name].required
            assert value == specs[name].default


def test_a_model_file_that_is_not_there_is_one_line_with_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLMSEG_MODELS", str(tmp_path))
    assert main([str(WORKFLOWS / "local_clip.json"), "--output", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"no file 'ViT-B-16-quickgelu--openai.safetensors'; expected it in {tmp_path}." in error


def test_masks_of_regions_give_the_outlines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What the note of the workflow tells."""
    assert main([str(WORKFLOWS / "region_masks.json"), "--output", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    before, after = (float(line.split("%")[0]) for line in lines if line.endswith("mean boundary IoU"))
    assert after > 2 * before


def test_quickstart_finds_what_is_in_the_park(tmp_path: Path) -> None:
    assert main([str(WORKFLOWS / "quickstart.json"), "--output", str(tmp_path)]) == 0
    classes = json.loads((tmp_path / "quickstart" / "park_00001_classes.json").read_text(encoding="utf-8"))
    names = [entry["name"] for entry in classes["classes"]]
    labels = _pixels(tmp_path / "quickstart" / "park_00001_labels.png")
    for name, drawing in (("dog", "poodle"), ("ball", "football"), ("building", "cottage"), ("sky", "sky")):
        found, there = labels == names.index(name), _drawn("park", drawing)
        assert (found & there).sum() / (found | there).sum() > 0.5, name
    mask = _pixels(tmp_path / "quickstart" / "park_00001_mask_dog.png")
    assert np.array_equal(mask == 255, labels == names.index("dog"))
    assert set(np.unique(mask)) == {0, 255}


def test_subclasses_find_the_whale_that_its_name_does_not(tmp_path: Path) -> None:
    """What the note of the workflow tells."""
    names, subclasses, both = _label_maps("compare_names", tmp_path)
    whale = _drawn("harbour", "whale")
    assert (names.mask("boat")[0].numpy() & whale).sum() > 0.8 * whale.sum()
    for found in (subclasses, both):
        assert (found.mask("sea animal")[0].numpy() & whale).sum() > 0.8 * whale.sum()
    for found, (fine, name) in product((names, subclasses, both), (("duck", "bird"), ("helicopter", "aircraft"))):
        there = _drawn("harbour", fine)
        assert (found.mask(name)[0].numpy() & there).sum() > 0.5 * there.sum(), fine


def test_edits_move_what_is_on_the_table(tmp_path: Path) -> None:
    """What the note of the workflow tells."""
    before, after = _label_maps("edit_expansion", tmp_path)
    for fine, was, now in (
        ("coffee", "wood", "breakfast"),
        ("tangerine", "fruit", "breakfast"),
        ("strawberry", "fruit", "dessert"),
        ("broccoli", "vegetable", "vegetable"),
        ("pizza", "fast food", "fast food"),
        ("cupcake", "dessert", "dessert"),
    ):
        there = _drawn("table", fine)
        assert (before.mask(was)[0].numpy() & there).sum() > 0.8 * there.sum(), fine
        assert (after.mask(now)[0].numpy() & there).sum() > 0.8 * there.sum(), fine


def test_evaluation_measures_what_subclasses_change(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What the note of the workflow tells."""
    assert main([str(WORKFLOWS / "evaluation.json"), "--output", str(tmp_path)]) == 0
    tables = capsys.readouterr().out.split("mean IoU")[1:]
    assert len(tables) == 2
    recalls = []
    for table in tables:
        rows = [line.split() for line in table.splitlines() if line.count("%") >= 4]
        recalls.append({row[-1]: float(row[-2].rstrip("%")) for row in rows})
    names, both = recalls
    assert names["bird"] < 10 < 90 < both["bird"]
    assert 75 < names["aircraft"] < 85 < 95 < both["aircraft"]
    folder = tmp_path / "evaluation"
    assert {path.name for path in folder.iterdir()} == {"1_names_only_00001_.png", "2_subclasses_00001_.png"}


def test_a_class_is_replaced_where_it_is_and_nowhere_else(tmp_path: Path) -> None:
    assert main([str(WORKFLOWS / "replace_class.json"), "--output", str(tmp_path)]) == 0
    sky, car, mask = (
        _pixels(tmp_path / "replace_class" / f"{name}_00001_.png") for name in ("sky", "car", "inpainting_mask")
    )
    park, night = _pixels(EXAMPLES / "park.png"), _pixels(EXAMPLES / "night.png")
    above, taxi = _drawn("park", "sky"), _drawn("park", "taxi")
    assert set(np.unique(mask)) == {0, 255}
    white = mask[..., 0] == 255
    assert (white & taxi).sum() > 0.85 * taxi.sum()
    assert np.array_equal(car[~white], park[~white])
    assert np.unique(car[white], axis=0).tolist() == [[0x33, 0x66, 0xCC]]
    is_park, is_night = (sky == park).all(-1), (sky == night).all(-1)
    assert (is_park | is_night).all()
    assert is_night[above].mean() > 0.95
    assert is_park[~above].mean() > 0.95


def test_as_many_results_as_pictures_in_their_order(tmp_path: Path) -> None:
    assert main([str(WORKFLOWS / "batch_of_images.json"), "--output", str(tmp_path)]) == 0
    folder = tmp_path / "batch_of_images"
    assert len(list(folder.glob("overlay_*.png"))) == 3
    for number, (scene, fine) in enumerate((("park", None), ("harbour", "duck"), ("night", "owl")), 1):
        classes = json.loads((folder / f"scene_{number:05}_classes.json").read_text(encoding="utf-8"))["classes"]
        labels = _pixels(folder / f"scene_{number:05}_labels.png")
        white = _pixels(folder / f"bird_{number:05}_.png")[..., 0] == 255
        assert np.array_equal(white, labels == [entry["name"] for entry in classes].index("bird"))
        there = _drawn(scene, fine) if fine else np.zeros_like(white)
        assert (white & there).sum() >= 0.5 * (white | there).sum(), scene


def test_changing_the_names_runs_only_what_depends_on_them(tmp_path: Path) -> None:
    nodes = load_nodes()
    classes = {**nodes.core.CORE_NODES, **nodes.NODE_CLASS_MAPPINGS}
    prompt = json.loads((WORKFLOWS / "api" / "quickstart.json").read_text(encoding="utf-8"))
    executor = Executor(classes, cache=ResultCache())
    image_passes, token_batches = [], []
    before = nodes.host.use_headless(nodes.host.HeadlessHost(tmp_path, tmp_path, tmp_path))
    try:
        first = _run(executor, prompt, classes)
        assert set(first) == {record["class_type"] for record in prompt.values()}
        encoder_id = next(node for node, record in prompt.items() if record["class_type"] == "LLMSegLoadEncoder")
        (encoder,) = _output_of(executor, prompt, classes, encoder_id)
        encoder.module.visual.conv1.register_forward_hook(lambda *_: image_passes.append(1))
        encoder.module.token_embedding.register_forward_hook(lambda _, inputs, __: token_batches.append(inputs[0]))

        _class_names(prompt)["text"] = "building, sky, grass, dog, flower, ball, tree, bird"  # car became bird
        second = _run(executor, prompt, classes)
    finally:
        nodes.host.use_headless(before)
    assert set(second) == TEXT_DEPENDENT
    assert image_passes == []
    birds = 1 + 13  # the name and its subclasses; everything else was encoded before
    frames = 6
    assert sum(len(tokens) for tokens in token_batches) == birds * frames
    assert _run(executor, prompt, classes) == []  # nothing changed, nothing runs


def _pixels(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def _drawn(scene: str, fine: str) -> NDArray[np.bool_]:
    """Where a drawing is in a packaged scene. [H,W]"""
    listed = json.loads((EXAMPLES.parent / "classes.json").read_text(encoding="utf-8"))["labels"]
    return _pixels(EXAMPLES / f"{scene}_labels.png") == listed.index(fine)


def _label_maps(workflow: str, folder: Path) -> list[LabelMap]:
    """What every Label Pixels of a workflow gave, in the order of their ids."""
    nodes = load_nodes()
    classes = {**nodes.core.CORE_NODES, **nodes.NODE_CLASS_MAPPINGS}
    prompt = json.loads((WORKFLOWS / "api" / f"{workflow}.json").read_text(encoding="utf-8"))
    labellers = [node for node, record in prompt.items() if record["class_type"] == "LLMSegLabel"]
    executor = Executor(classes, cache=ResultCache())
    before = nodes.host.use_headless(nodes.host.HeadlessHost(folder, folder, folder))
    try:
        _run(executor, prompt, classes)
        return [_output_of(executor, prompt, classes, node)[0] for node in labellers]
    finally:
        nodes.host.use_headless(before)


def _class_names(prompt: dict[str, Any]) -> dict[str, Any]:
    inputs: dict[str, Any] = next(r for r in prompt.values() if r["class_type"] == "LLMSegClassNames")["inputs"]
    return inputs


def _run(executor: Executor, prompt: dict[str, Any], classes: dict[str, type]) -> list[str]:
    """Classes of the nodes that ran, in order."""
    validation = validate_prompt(prompt, classes)
    assert validation.problems == ()
    result = executor.run(validation.prompt, validation.outputs)
    assert result.error is None
    return [prompt[node]["class_type"] for node in result.executed]


def _output_of(executor: Executor, prompt: dict[str, Any], classes: dict[str, type], node: str) -> Any:
    """What a node gave: read through a probe that is linked to it, so that the cache answers."""
    seen: list[Any] = []

    class Probe:
        RETURN_TYPES = ()
        FUNCTION = "look"
        OUTPUT_NODE = True

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"value": ("*", {})}}

        def look(self, value: object) -> tuple[()]:
            seen.append(value)
            return ()

    classes["Probe"] = Probe  # the executor looks into the same registry
    probed = {**prompt, f"probe of {node}": {"class_type": "Probe", "inputs": {"value": [node, 0]}}}
    assert _run(executor, probed, classes) == ["Probe"]
    return seen
