"""What a person reads when a workflow is broken, word for word; nothing is executed, exit code 2."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmseg.run import main

Prompt = dict[str, Any]

# One output only: a second, healthy one would run, as in the server.
PROMPT: Prompt = {
    "1": {"class_type": "LLMSegClassNames", "inputs": {"text": "dog, grass", "preset": "custom"}},
    "2": {"class_type": "LLMSegExpand", "inputs": {"class_names": ["1", 0], "library": "auto"}},
    "3": {"class_type": "LLMSegLoadEncoder", "inputs": {"model": "embedded", "activation": "auto"}},
    "4": {
        "class_type": "LLMSegEncodeText",
        "inputs": {"encoder": ["3", 0], "expansion": ["2", 0], "templates": "auto", "include_names": "auto"},
    },
    "5": {"class_type": "LLMSegExampleImage", "inputs": {"scene": "park"}},
    "6": {
        "class_type": "LLMSegEncodeImage",
        "inputs": {
            "encoder": ["3", 0],
            "image": ["5", 0],
            "attention": "auto",
            "window": -1,
            "stride": -1,
            "resize": -1,
        },
    },
    "7": {"class_type": "LLMSegScore", "inputs": {"patch_features": ["6", 0], "text_bank": ["4", 0]}},
    "8": {
        "class_type": "LLMSegAssemble",
        "inputs": {"score_maps": ["7", 0], "mode": "auto", "temperature": -1, "name_weight": -1},
    },
    "9": {"class_type": "LLMSegLabel", "inputs": {"class_maps": ["8", 0], "threshold": 0.0, "min_area": 0.0}},
    "10": {
        "class_type": "LLMSegSaveLabels",
        "inputs": {"label_map": ["9", 0], "filename_prefix": "labels", "masks": True},
    },
}

Change = Callable[[Prompt], Any]


def set_input(node: str, name: str, value: object) -> Change:
    return lambda prompt: prompt[node]["inputs"].__setitem__(name, value)


BROKEN: dict[str, tuple[Change, str]] = {
    "missing node": (
        lambda prompt: prompt["7"].update(class_type="LLMSegScor"),
        "node 7: unknown class 'LLMSegScor'; expected a registered node. Did you mean 'LLMSegScore'?",
    ),
    "wrong socket": (
        set_input("7", "text_bank", ["5", 0]),
        "node 7 (LLMSegScore), input 'text_bank': linked to IMAGE of node 5; expected LLMSEG_TEXT_BANK.",
    ),
    "missing required input": (
        lambda prompt: prompt["7"]["inputs"].pop("text_bank"),
        "node 7 (LLMSegScore), input 'text_bank': missing; expected LLMSEG_TEXT_BANK.",
    ),
    "bad number": (
        set_input("9", "threshold", "much"),
        "node 9 (LLMSegLabel), input 'threshold': 'much'; expected FLOAT.",
    ),
    "number too large": (
        set_input("9", "threshold", 7),
        "node 9 (LLMSegLabel), input 'threshold': 7.0; expected at most 1.",
    ),
    "unknown combo value": (
        set_input("8", "mode", "maxx"),
        "node 8 (LLMSegAssemble), input 'mode': unknown name 'maxx'; "
        "expected one of auto, off, paper, blend, lme, topk, max, softmax_max, softmax_sum, chils, vote. "
        "Did you mean 'max'?",
    ),
    "dangling link": (
        set_input("7", "text_bank", ["99", 0]),
        "node 7 (LLMSegScore), input 'text_bank': linked to node '99', which does not exist; "
        "expected a node of this prompt.",
    ),
    "missing output": (
        set_input("7", "text_bank", ["4", 3]),
        "node 7 (LLMSegScore), input 'text_bank': linked to output 3 of node 4 (LLMSegEncodeText); "
        "expected an output from 0 to 0.",
    ),
    "missing model file": (
        set_input("3", "model", "nowhere.safetensors"),
        "node 3 (LLMSegLoadEncoder), input 'model': no file 'nowhere.safetensors'; expected it in "
        f"{Path('models', 'llmseg')}.",
    ),
    "path escape": (
        set_input("10", "filename_prefix", "../../evil"),
        "node 10 (LLMSegSaveLabels), input 'filename_prefix': path '../../evil' leaves the output folder; "
        "expected a name inside it.",
    ),
    "model outside its folders": (
        set_input("3", "model", "../../etc/model.safetensors"),
        "node 3 (LLMSegLoadEncoder), input 'model': no file '../../etc/model.safetensors'; expected it in "
        f"{Path('models', 'llmseg')}.",
    ),
}

FILES: dict[str, tuple[str, str]] = {
    "empty file": ("", "empty file; expected a workflow as JSON."),
    "no JSON": ('{"a": ', "not JSON (Expecting value, line 1, column 7); expected a workflow."),
    "deep nesting": (
        "[" * 100_000 + "]" * 100_000,
        "nested more than 200 levels deep; expected a workflow.",
    ),
    "not a workflow": (
        "{}",
        "neither a UI workflow nor an API prompt ({}); expected an object with 'nodes', or nodes with 'class_type'.",
    ),
    "node templates": ('{"templates": []}', "a file of node templates; expected a workflow."),
}


def run(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and standard error of the runner on a file of that text; nothing may be written."""
    file = folder / "broken.json"
    file.write_text(text, encoding="utf-8")
    code = main([str(file), "--output", str(folder / "output")])
    assert not (folder / "output").exists()
    return code, capsys.readouterr().err


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_prompt_gets_one_line_and_nothing_runs(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change, message = BROKEN[name]
    prompt = copy.deepcopy(PROMPT)
    change(prompt)
    monkeypatch.setenv("LLMSEG_MODELS", "models/llmseg")
    assert run(tmp_path, json.dumps(prompt), capsys) == (2, f"error: broken.json, {message}\n")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_workflow_gets_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, message = FILES[name]
    assert run(tmp_path, text, capsys) == (2, f"error: broken.json: {message}\n")


def test_a_cycle_names_its_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scale = {"upscale_method": "bilinear", "width": 8, "height": 8, "crop": "disabled"}
    prompt = {
        "1": {"class_type": "ImageScale", "inputs": {"image": ["2", 0], **scale}},
        "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], **scale}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }
    code, err = run(tmp_path, json.dumps(prompt), capsys)
    assert code == 2
    assert err == (
        "error: broken.json, node 1 (ImageScale): the links form a cycle, 1 -> 2 -> 1; "
        "expected links in one direction. Remove one of them.\n"
    )


def test_every_problem_is_reported_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = copy.deepcopy(PROMPT)
    set_input("9", "threshold", "much")(prompt)
    set_input("8", "mode", "maxx")(prompt)
    code, err = run(tmp_path, json.dumps(prompt), capsys)
    assert code == 2
    assert [line.split("(")[0] for line in err.splitlines()] == [
        "error: broken.json, node 8 ",
        "error: broken.json, node 9 ",
    ]


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "nowhere.json"
    assert main([str(file)]) == 2
    assert capsys.readouterr().err == (
        f"error: {file}: cannot be read (No such file or directory); expected a workflow file.\n"
    )


def test_an_unknown_word_names_the_nearest_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = copy.deepcopy(PROMPT)
    set_input("1", "text", "gizmos, grass")(prompt)
    file = tmp_path / "words.json"
    file.write_text(json.dumps(prompt), encoding="utf-8")
    assert main([str(file), "--output", str(tmp_path / "output")]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: words.json, node 4 (LLMSegEncodeText), names: the model 'emoji-world' does not know the word "
        "'gizmos' of class 'gizmos'; expected words it was trained on. Nearest: kimonos, imps."
    )
