"""Every shipped workflow runs on the embedded model, and only what changed runs again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from llmseg.graph import Executor, ResultCache, define_nodes, read_workflow, to_prompt, validate_prompt
from llmseg.run import load_nodes, main

WORKFLOWS = Path(__file__).parent.parent / "workflows"
EXAMPLES = Path(__file__).parent.parent / "llmseg" / "data" / "world" / "examples"
SHIPPED = sorted(WORKFLOWS.glob("*.json"))
TEXT_DEPENDENT = {"LLMSegClassNames", "LLMSegExpand", "LLMSegEncodeText", "LLMSegScore", "LLMSegAssemble"}
TEXT_DEPENDENT |= {"LLMSegRefine", "LLMSegLabel", "LLMSegOverlay", "SaveImage", "LLMSegSaveLabels"}


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
        theirs = {name: value for name, value in record["inputs"].items() if name in specs}
        given = dict(ours[node]["inputs"])
        newer = {name: given.pop(name) for name in [*given] if name not in theirs}
        assert given == theirs
        # Inputs that the class got after the file was saved may be left out, and say what they say by default.
        for name, value in newer.items():
            assert not specs[name].required
            assert value == specs[name].default


def test_quickstart_finds_what_is_in_the_park(tmp_path: Path) -> None:
    assert main([str(WORKFLOWS / "quickstart.json"), "--output", str(tmp_path)]) == 0
    classes = json.loads((tmp_path / "quickstart" / "park_00001_classes.json").read_text(encoding="utf-8"))
    names = [entry["name"] for entry in classes["classes"]]
    labels = np.asarray(Image.open(tmp_path / "quickstart" / "park_00001_labels.png"))
    truth = np.asarray(Image.open(EXAMPLES / "park_labels.png"))
    fine = json.loads((EXAMPLES.parent / "classes.json").read_text(encoding="utf-8"))["labels"]
    for name, drawing in (("dog", "poodle"), ("ball", "football"), ("building", "cottage"), ("sky", "sky")):
        found, there = labels == names.index(name), truth == fine.index(drawing)
        assert (found & there).sum() / (found | there).sum() > 0.5, name
    mask = np.asarray(Image.open(tmp_path / "quickstart" / "park_00001_mask_dog.png"))
    assert np.array_equal(mask == 255, labels == names.index("dog"))
    assert set(np.unique(mask)) == {0, 255}


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

    classes["Probe"] = executor.node_classes["Probe"] = Probe
    probed = {**prompt, "probe": {"class_type": "Probe", "inputs": {"value": [node, 0]}}}
    assert _run(executor, probed, classes) == ["Probe"]
    return seen
