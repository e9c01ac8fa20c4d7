"""What people complain about in segmentation packs, most frequent first, and that it does not happen here.

Each test is named after a complaint and tries what the complaining people tried. Details stand in the tests of the
modules; what needs a real ComfyUI beside these in `test_comfyui_*`.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, import_nodes, place_local_clip

from llmseg.errors import InputError
from llmseg.graph import define_nodes, validate_prompt
from llmseg.palette import UNKNOWN_COLOUR
from llmseg.run import load_nodes
from llmseg.types import LabelMap
from tools import schemas

PACK = import_nodes()
OURS: dict[str, Any] = PACK.NODE_CLASS_MAPPINGS
NAMES = "grass, sky, poodle, night, castle, owl"
SCENES = ("park", "night")


def call(node: str, *inputs: Any, **named: Any) -> Any:
    """What a node gives, its first output alone if it has one only."""
    given = getattr(OURS[node](), OURS[node].FUNCTION)(*inputs, **named)
    outputs = given.get("result", ()) if isinstance(given, dict) else given
    return outputs[0] if len(outputs) == 1 else outputs


def scenes(*names: str) -> torch.Tensor:
    """Packaged scenes as a batch, a part of each that holds drawings. IMAGE"""
    return torch.cat([call("LLMSegExampleImage", name)[0] for name in names])[:, 56:184, 16:160]


@pytest.fixture(scope="module")
def labelled() -> tuple[torch.Tensor, LabelMap]:
    """A batch of two scenes and its labels."""
    image = scenes(*SCENES)
    result, _, _ = call("LLMSegSegment", image, NAMES, "embedded", "auto", "auto", 0.0, 0.0)
    return image, result


@pytest.fixture(scope="module")
def nothing() -> LabelMap:
    """A batch of three pictures in which nothing was found."""
    shape = (3, 24, 32)
    unknown, unsure = torch.full(shape, -1), torch.zeros(shape)
    return LabelMap(unknown, ("dog", "cat"), ((1, 2, 3), (4, 5, 6)), unsure, unknown.clone(), ("dog", "cat"))


def masks_of(result: LabelMap) -> dict[str, torch.Tensor]:
    masks, names = call("LLMSegClassMasks", result)
    return dict(zip(names, masks, strict=True))


# --- 1 ---


def test_1_hand_placed_models_are_found_in_every_configured_folder(
    host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_clip: Any
) -> None:
    """extra_model_paths.yaml ignored, hand-placed files not seen, re-download; ComfyUI's folders: the test below."""
    from safetensors.torch import save_file

    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    save_file(tiny_clip(), folders[1] / "mine.safetensors")
    monkeypatch.setenv("LLMSEG_MODELS", os.pathsep.join(map(str, folders)))
    choices = OURS["LLMSegLoadEncoder"].INPUT_TYPES()["required"]["model"][0]
    assert choices[:2] == ["embedded", "mine.safetensors"], "what is here comes before what has to be fetched"
    assert call("LLMSegLoadEncoder", "mine.safetensors", "auto").module.visual.conv1.out_channels == 128
    refusal = OURS["LLMSegLoadEncoder"].VALIDATE_INPUTS("gone.safetensors")
    assert all(str(folder) in refusal for folder in folders), "it tells where it looked"


@pytest.mark.comfyui
@pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI checkout")
def test_1_extra_model_paths_of_comfyui_are_obeyed(tmp_path: Path, tiny_clip: Any) -> None:
    from safetensors.torch import save_file

    for kind in ("llmseg", "clip_vision"):
        (tmp_path / "shared" / kind / "sub").mkdir(parents=True)
        save_file(tiny_clip(), tmp_path / "shared" / kind / "sub" / f"of_{kind}.safetensors")
    extra = tmp_path / "extra_model_paths.yaml"
    lines = f"    base_path: {(tmp_path / 'shared').as_posix()}\n    llmseg: llmseg\n    clip_vision: clip_vision\n"
    extra.write_text(f"mine:\n{lines}", encoding="utf-8")
    code = f"""
        import sys; sys.argv = ["main.py", "--cpu"]; sys.path[:0] = [{os.environ["COMFYUI_PATH"]!r}, {str(ROOT)!r}]
        from types import ModuleType, SimpleNamespace
        from utils.extra_config import load_extra_path_config
        load_extra_path_config({str(extra)!r})
        sys.modules["server"] = ModuleType("server")
        sys.modules["server"].PromptServer = SimpleNamespace(instance=object())
        sys.path.insert(0, {str(ROOT / "tests")!r})
        from conftest import import_nodes
        node = import_nodes().NODE_CLASS_MAPPINGS["LLMSegLoadEncoder"]
        choices = node.INPUT_TYPES()["required"]["model"][0]
        print([name for name in choices if name.startswith("sub/of_")])
        print([node.VALIDATE_INPUTS(f"sub/of_{{kind}}.safetensors") for kind in ("llmseg", "clip_vision")])
    """
    listed = run_apart(code).stdout.splitlines()
    assert listed[-2:] == ["['sub/of_clip_vision.safetensors', 'sub/of_llmseg.safetensors']", "[True, True]"]


# --- 2 ---


def test_2_nothing_is_fetched_when_everything_is_here(monkeypatch: pytest.MonkeyPatch, host: Any) -> None:
    """Hidden network calls although the weights are local."""
    asked: list[Any] = []

    def refuse(*address: Any, **_: Any) -> Any:
        asked.append(address)
        raise OSError("the network is down")

    for owner, name in ((socket.socket, "connect"), (socket.socket, "connect_ex"), (socket, "getaddrinfo")):
        monkeypatch.setattr(owner, name, refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result, _, _ = call("LLMSegSegment", scenes("park"), NAMES, "embedded", "auto", "auto", 0.0, 0.0)
    assert result.area()["grass"] > 0.2
    with pytest.raises(InputError, match="are not on this computer.*HF_HUB_OFFLINE"):
        call("LLMSegLoadEncoder", "ViT-B-32/openai", "auto")
    assert asked == []


# --- 3 ---


def test_3_memory_is_given_back() -> None:
    """Memory not released next to other models: nobody here keeps a model, nor what it saw, that no node still has."""
    from llmseg.encoder import Encoder

    def models() -> set[int]:
        gc.collect()
        return {id(each) for each in gc.get_objects() if type(each) is Encoder}

    before, image = models(), scenes("park")
    encoder = call("LLMSegLoadEncoder", "embedded", "auto")
    features = call("LLMSegEncodeImage", encoder, image, "auto", -1, -1, -1, "one")
    assert len(models() - before) == 1
    seen = [weakref.ref(encoder.module), weakref.ref(features)]
    del encoder, features
    call("LLMSegSegment", image[:, :96, :96], NAMES, "embedded", "auto", "auto", 0.0, 0.0)
    assert models() - before == set()
    assert [each() for each in seen] == [None, None]


# --- 4 ---


BROKEN = ("open_clip", "openai", "transformers", "torchvision", "timm", "huggingface_hub", "networkx", "websockets")


def test_4_a_broken_dependency_does_not_take_the_pack_down(tmp_path: Path) -> None:
    """Dependency drift and import failure of the whole pack: all but what segments may be broken."""
    code = f"""
        import importlib.util, sys
        from importlib.machinery import PathFinder

        class Broken:
            def find_spec(self, name, path=None, target=None):
                spec = PathFinder.find_spec(name, path) if name in {BROKEN!r} else None
                if spec is not None:
                    spec.loader = self
                return spec

            def create_module(self, spec):
                raise ImportError(f"{{spec.name}} does not fit torch")

            def exec_module(self, module):
                pass

        sys.meta_path.insert(0, Broken())
        sys.path.insert(0, {str(ROOT)!r})
        folder = {str(ROOT)!r}
        spec = importlib.util.spec_from_file_location("pack", folder + "/__init__.py", submodule_search_locations=[folder])
        pack = sys.modules["pack"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(pack)
        nodes = pack.NODE_CLASS_MAPPINGS
        assert all(node.INPUT_TYPES() for node in nodes.values())
        image, _ = nodes["LLMSegExampleImage"]().execute("park")
        result = nodes["LLMSegSegment"]().execute(image[:, 96:192, 64:160], "dog, sky, grass", "embedded", "auto", "auto", 0.0, 0.0)[0]
        print(len(nodes), result.area()["grass"] > 0.2)
    """
    assert run_apart(code, folder=tmp_path).stdout.split() == [str(len(OURS)), "True"]


# --- 5 ---


def test_5_every_image_of_a_batch_gets_its_own_result(labelled: tuple[torch.Tensor, LabelMap]) -> None:
    """Only the first image, lost images, counts that do not match."""
    image, result = labelled
    for index, scene in enumerate(SCENES):
        alone, _, _ = call("LLMSegSegment", scenes(scene), NAMES, "embedded", "auto", "auto", 0.0, 0.0)
        assert torch.equal(result.labels[index], alone.labels[0])
    assert not torch.equal(result.labels[0], result.labels[1])
    assert {len(mask) for mask in masks_of(result).values()} == {2}
    assert len(call("LLMSegSelectMask", result, "castle")) == 2
    assert len(call("LLMSegOverlay", result, image, 0.5, True)) == 2
    assert len(call("LLMSegExplain", result, image, 0.5)[0]) == 2
    assert len(call("LLMSegMaskBatch", result, "poodle, castle", "union")[0]) == 2


# --- 6 ---


def test_6_every_class_has_a_mask_under_its_name(labelled: tuple[torch.Tensor, LabelMap]) -> None:
    """Several classes in one run, and which mask is which."""
    _, result = labelled
    masks = masks_of(result)
    assert list(masks) == NAMES.split(", ")
    assert torch.equal(sum(masks.values()), (result.labels >= 0).float()), "a pixel has one class"
    assert masks["castle"][0].mean() < 0.01 < masks["castle"][1].mean(), "the castle stands in the second scene"
    assert masks["poodle"][1].mean() < 0.01 < masks["poodle"][0].mean(), "the poodle in the first"
    for name, mask in masks.items():
        assert torch.equal(call("LLMSegSelectMask", result, name), mask)


# --- 7 ---


def test_7_nothing_found_is_a_result_like_any_other(nothing: LabelMap, host: Any, tmp_path: Path) -> None:
    """A crash when nothing is found, or a shorter batch afterwards."""
    image = torch.rand(3, 24, 32, 3)
    for mask in masks_of(nothing).values():
        assert mask.shape == (3, 24, 32)
        assert not mask.any()
    assert not call("LLMSegSelectMask", nothing, "cat").any()
    masks, _ = call("LLMSegMaskBatch", nothing, "", "each")
    assert masks.shape == (6, 24, 32)
    assert not masks.any()
    segs = call("LLMSegToSEGS", nothing, "", "component", 0.0, 10, 1.0, image)
    assert [found[1] for found in segs] == [[], [], []]
    boxes, _, around = call("LLMSegBoxes", nothing, "", "component", 0.0, 10, "xywh")
    assert list(boxes) == [[], [], []]
    assert (around["width"], around["height"]) == (32, 24)
    assert call("LLMSegOverlay", nothing, image, 0.5, True).shape[0] == 3
    assert call("LLMSegExplain", nothing, image, 0.5)[0].shape[0] == 3
    call("LLMSegSaveLabels", nothing, "empty", True)
    assert len(list((tmp_path / "output").glob("empty*_labels.png"))) == 3


# --- 8 ---


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("count", [1, 2])
def test_8_masks_have_the_shape_that_other_nodes_expect(count: int, channels: int) -> None:
    """Masks that are not [B,H,W], not float or not within 0 and 1; pictures with alpha or without colour."""
    image = torch.rand(count, 96, 120, 4)[..., :channels]
    result, overlay, _ = call("LLMSegSegment", image, "dog, sky", "embedded", "auto", "auto", 0.0, 0.0)
    union, _ = call("LLMSegMaskBatch", result, "", "union")
    for mask in (call("LLMSegSelectMask", result, "dog"), *masks_of(result).values(), union):
        assert mask.shape == (count, 96, 120)
        assert mask.dtype == torch.float32
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
        assert mask.device.type == "cpu"
        assert mask.is_contiguous()
    assert overlay.shape[0] == count
    assert overlay.shape[3] == 3
    assert 0 <= overlay.min() <= overlay.max() <= 1


# --- 9 ---


def test_9_the_threshold_changes_without_looking_at_the_picture_again() -> None:
    """Control over thresholds and edges, and soft scores."""
    encoder = call("LLMSegLoadEncoder", "embedded", "auto")
    passes: list[int] = []
    encoder.module.visual.conv1.register_forward_hook(lambda *_: passes.append(1))
    image, names = scenes("park"), call("LLMSegClassNames", NAMES, "custom")
    expansion, _ = asyncio.run(OURS["LLMSegExpand"]().execute(names, "auto", encoder=encoder))
    features = call("LLMSegEncodeImage", encoder, image, "auto", -1, -1, -1, "one")
    bank = call("LLMSegEncodeText", encoder, expansion, "auto", "auto")
    maps = call("LLMSegAssemble", call("LLMSegScore", features, bank), "auto", -1, -1)
    before, edges = len(passes), {}
    unknown = []
    for threshold in (0.0, 0.5, 0.9, 1.0):
        result, confidence = call("LLMSegLabel", maps, threshold, 0.0)
        unknown.append(float((result.labels < 0).float().mean()))
        assert torch.equal(result.labels < 0, confidence < threshold)
    assert unknown == sorted(unknown)
    assert unknown[0] == 0 < unknown[1] < unknown[-1]
    assert len(confidence.unique()) > 100, "confidence is soft"
    for refiner in ("none", "bilateral"):
        edges[refiner], _ = call("LLMSegLabel", call("LLMSegRefine", maps, image, refiner), 0.0, 0.0)
    assert not torch.equal(edges["none"].labels, edges["bilateral"].labels)
    assert len(passes) == before, "the picture was looked at once"


# --- 10 ---


def test_10_masks_are_seen_on_the_picture_in_colours_with_a_legend(labelled: tuple[torch.Tensor, LabelMap]) -> None:
    """See the mask on the image, with colours and a legend."""
    image, result = labelled
    bare = call("LLMSegOverlay", result, image, 1.0, False)
    assert bare.shape == image.shape
    colours = np.array([*result.palette, UNKNOWN_COLOUR], np.float32) / 255
    expected = torch.from_numpy(colours[result.labels.numpy()])
    assert (bare - expected).abs().amax(-1).lt(0.01).float().mean() > 0.9, "all but the lines between regions"
    invisible = call("LLMSegOverlay", result, image, 0.0, False)
    assert (invisible - image).abs().max() < 0.01
    with_legend = call("LLMSegOverlay", result, image, 0.5, True)
    beside = with_legend[0, :, image.shape[2] :] if with_legend.shape[2] > image.shape[2] else with_legend[0]
    found = [label for label in range(len(result.names)) if (result.labels[0] == label).any()]
    assert len(found) >= 3
    for label in found:
        swatch = torch.tensor(result.palette[label]) / 255
        assert (beside - swatch).abs().amax(-1).lt(0.01).sum() > 20, result.names[label]


# --- 11 ---


def test_11_an_update_takes_nothing_away() -> None:
    """Updates that rename or drop nodes, or break saved workflows."""
    stored = schemas.read_snapshot()
    assert stored
    assert schemas.find_breaks(stored, schemas.describe_pack()) == []
    for name, node in OURS.items():
        parameters = inspect.signature(getattr(node, node.FUNCTION)).parameters
        for key, (_, options) in node.INPUT_TYPES().get("optional", {}).items():
            if "default" in options:  # a file from before the input was there means what it says by default
                assert parameters[key].default == options["default"], f"{name}.{key}"


@pytest.mark.parametrize("path", sorted((ROOT / "workflows" / "api").glob("*.json")), ids=lambda path: path.stem)
def test_11_workflows_of_earlier_versions_are_valid(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing but the inputs that every version had."""
    place_local_clip(tmp_path)
    monkeypatch.setenv("LLMSEG_MODELS", str(tmp_path / "models"))
    nodes = load_nodes()
    classes = {**nodes.core.CORE_NODES, **nodes.NODE_CLASS_MAPPINGS}
    prompt = json.loads(path.read_text(encoding="utf-8"))
    definitions = define_nodes(classes)
    for record in prompt.values():
        kept = {spec.name for spec in definitions[record["class_type"]].inputs if spec.required}
        links = {name for name, value in record["inputs"].items() if isinstance(value, list)}
        record["inputs"] = {name: value for name, value in record["inputs"].items() if name in kept | links}
    assert validate_prompt(prompt, classes).problems == ()


def run_apart(code: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, re.sub(r"(?s)^.*(?=Traceback)", "", done.stderr)
    return done
