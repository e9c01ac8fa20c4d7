"""Tests of `nodes/services/`: packs that expect ComfyUI's modules, loaded and run for real."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from llmseg.errors import InputError
from llmseg.graph import Executor, ResultCache, validate_prompt
from llmseg.graph.packs.loading import load_packs

NAMES = {
    *("folder_paths", "nodes", "node_helpers", "server", "comfy", "comfy.utils", "comfy.model_management"),
    *("comfy.cli_args", "comfy.comfy_types", "comfy.comfy_types.node_typing", "comfy_execution", "comfy_api"),
    *("comfy_execution.graph_utils", "comfy_execution.graph", "comfy_execution.utils"),
    *("comfy_api.latest", "comfy_api.v0_0_1", "comfy_api.v0_0_2"),
}
PLAIN = (
    "which a headless run does not have; expected a pack that needs only the V1 protocol, folder_paths and progress."
)

MOST_CALLS = 200

with_comfyui = [
    pytest.mark.comfyui,
    pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI checkout"),
]

# Written as packs are: imports by absolute names, helpers in files of its own, folders asked at import.
PACK = {
    "__init__.py": """
from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
WEB_DIRECTORY = "./web"
__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]
""",
    "nodes.py": """
import os
import folder_paths
import comfy.model_management as mm
from comfy.utils import ProgressBar
from nodes import MAX_RESOLUTION, SaveImage
from server import PromptServer
from .utils import reverse

class CountLines:
    OUTPUT = folder_paths.get_output_directory()

    @classmethod
    def INPUT_TYPES(cls):
        folder = folder_paths.get_input_directory()
        return {"required": {"file": (sorted(os.listdir(folder)),), "most": ("INT", {"default": 9, "max": MAX_RESOLUTION})}}

    RETURN_TYPES = ("INT", "STRING")
    FUNCTION = "count"
    OUTPUT_NODE = True

    @classmethod
    def IS_CHANGED(cls, file, most):
        return os.path.getsize(folder_paths.get_annotated_filepath(file))

    @classmethod
    def VALIDATE_INPUTS(cls, file):
        return True if folder_paths.exists_annotated_filepath(file) else f"no file {file}"

    def count(self, file, most):
        with open(folder_paths.get_annotated_filepath(file), encoding="utf-8") as opened:
            lines = opened.read().splitlines()[:most]
        bar = ProgressBar(len(lines))
        for _ in lines:
            mm.throw_exception_if_processing_interrupted()
            bar.update(1)
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path("sub/lines", self.OUTPUT)
        path = os.path.join(folder, f"{name}_{counter:05}_.txt")
        with open(path, "w", encoding="utf-8") as opened:
            opened.write(reverse(lines[0]))
        return {"ui": {"text": [subfolder]}, "result": (len(lines), path)}

class PreviewMask(SaveImage):
    def __init__(self):
        self.output_dir = folder_paths.get_temp_directory()
        self.type = "temp"
        self.prefix_append = "_mask"
        self.compress_level = 1

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"mask": ("MASK",)}}

    FUNCTION = "show"

    def show(self, mask):
        return self.save_images(mask[..., None].expand(-1, -1, -1, 3), filename_prefix="m")

NODE_CLASS_MAPPINGS = {"CountLines": CountLines, "PreviewMask": PreviewMask}
NODE_DISPLAY_NAME_MAPPINGS = {"CountLines": "Count Lines"}
""",
    "utils.py": "def reverse(text):\n    return text[::-1]\n",
    "web/a.js": "",
}  # fmt: skip


@pytest.fixture
def services(nodes: Callable[[str], ModuleType], host: Any) -> Iterator[ModuleType]:
    """The module, with a host whose folders lie below tmp_path; what packs import ends with the test."""
    modules, path = dict(sys.modules), list(sys.path)
    yield nodes("services")
    for name in set(sys.modules) - set(modules):
        if "torch" not in name:
            del sys.modules[name]
    sys.path[:] = path


@pytest.fixture
def installed(services: ModuleType) -> Iterator[None]:
    with services.installed({}, {}):
        yield


def load(name: str) -> Any:
    return importlib.import_module(name)


def write_pack(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def change(host: Any, **values: Any) -> None:
    now = host.headless()
    host.use_headless(host.HeadlessHost(**{**vars(now), **values}))


def run(
    prompt: dict[str, Any], classes: dict[str, type], services: ModuleType, cache: ResultCache | None = None
) -> Any:
    """Validate and run, and expect the checks to go well; a loop that does not end is ended."""
    validation = validate_prompt(prompt, classes)
    assert [problem.message for problem in validation.problems] == []
    calls = []

    def before_call(node_id: str, index: int) -> None:
        calls.append(node_id)
        assert len(calls) < MOST_CALLS
        services.before_call(node_id, index)

    return Executor(classes, cache=cache, before_call=before_call).run(validation.prompt, validation.outputs)


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def test_stand_ins_are_there_only_while_packs_are_in_use(services: ModuleType) -> None:
    before = NAMES & set(sys.modules)
    finders = list(sys.meta_path)
    with services.installed({}, {}):
        assert set(sys.modules) >= NAMES
        with services.installed({}, {}):  # a run inside a run
            pass
        assert set(sys.modules) >= NAMES
    assert (before, NAMES & set(sys.modules), sys.meta_path) == (set(), set(), finders)


def test_nothing_is_put_in_the_place_of_a_running_comfyui(services: ModuleType, comfyui: Any) -> None:
    before = {name: sys.modules.get(name) for name in NAMES}
    with services.installed({}, {}):
        assert {name: sys.modules.get(name) for name in NAMES} == before
        services.before_call("1", 0)


def test_module_that_is_loaded_stays(services: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ModuleType("comfy")
    monkeypatch.setitem(sys.modules, "comfy", mine)
    with services.installed({}, {}):
        assert (load("comfy"), "comfy.utils" in sys.modules, "folder_paths" in sys.modules) == (mine, False, True)
        with pytest.raises(ModuleNotFoundError, match=r"No module named 'comfy\.utils'"):
            load("comfy.utils")
    assert sys.modules["comfy"] is mine


def test_checkout_on_the_path_changes_nothing(services: ModuleType, tmp_path: Path, host: Any) -> None:
    trap = "raise AssertionError('the checkout was imported')\n"
    write_pack(
        tmp_path / "ComfyUI", {f"{name}.py": trap for name in ("folder_paths", "nodes", "latent_preview", "execution")}
    )
    sys.path.insert(0, str(tmp_path / "ComfyUI"))
    with services.installed({}, {}):
        assert load("folder_paths").get_input_directory() == str(tmp_path / "input")
        assert load("nodes").MAX_RESOLUTION == 16384
        for name in ("latent_preview", "execution", "comfy.samplers"):
            with pytest.raises(ModuleNotFoundError) as caught:
                load(name)
            assert str(caught.value) == f"needs ComfyUI's {name!r}, {PLAIN}"
    assert not host.in_comfyui()


def test_realistic_pack_runs(services: ModuleType, host: Any, tmp_path: Path) -> None:
    steps: list[tuple[float, float]] = []
    change(host, on_progress=lambda done, total: steps.append((done, total)))
    (tmp_path / "input" / "a.txt").write_text("abc\nd\n", encoding="utf-8")
    folder = write_pack(tmp_path / "custom_nodes" / "My-Pack", PACK)
    classes: dict[str, type] = dict(load("llmseg_nodes.core").CORE_NODES)
    titles: dict[str, str] = {}
    prompt = {
        "1": node("CountLines", file="a.txt", most=9),
        "2": node("SolidMask", value=0.5, width=3, height=2),
        "3": node("PreviewMask", mask=["2", 0]),
    }
    cache = ResultCache()
    with services.installed(classes, titles, [folder.parent]):
        loading = load_packs([folder.parent], classes, titles)
        assert ([pack.name for pack in loading.packs], loading.problems) == (["My-Pack"], [])
        assert titles == {"CountLines": "Count Lines"}
        assert load("nodes").NODE_CLASS_MAPPINGS is classes
        assert load("folder_paths").get_folder_paths("custom_nodes") == [str(folder.parent)]
        first = run(prompt, classes, services, cache)
        assert set(first.executed) == {"1", "2", "3"}
        assert (tmp_path / "output" / "sub" / "lines_00001_.txt").read_text(encoding="utf-8") == "cba"
        assert first.ui["1"] == {"text": ["sub"]}
        assert steps == [(1, 2), (2, 2)]
        assert first.ui["3"] == {"images": [{"filename": "m_mask_00001_.png", "subfolder": "", "type": "temp"}]}
        with Image.open(tmp_path / "temp" / "m_mask_00001_.png") as picture:
            assert (picture.size, picture.getpixel((0, 0))) == ((3, 2), (127, 127, 127))
        assert run(prompt, classes, services, cache).executed == []
        (tmp_path / "input" / "a.txt").write_text("xy\nd\ne\n", encoding="utf-8")
        assert run(prompt, classes, services, cache).executed == ["1"]
        prompt["1"]["inputs"]["file"] = "../secret.txt"
        (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
        (problem,) = validate_prompt(prompt, classes).problems
        assert "no file ../secret.txt" in problem.message


MISSING = {
    "import comfy.samplers": "comfy.samplers",
    "from comfy import samplers": "comfy.samplers",
    "import comfy\nx = comfy.sd.load": "comfy.sd",
    "from comfy.utils import tiled_scale": "comfy.utils.tiled_scale",
    "import nodes\nclass A(nodes.KSampler): pass": "nodes.KSampler",
    "from server import PromptServer\n@PromptServer.instance.routes.get('/x')\ndef f(): pass": "server.PromptServer.instance",
    "from comfy.cli_args import args\nargs.listen": "comfy.cli_args.args.listen",
    "from latent_preview import prepare_callback": "latent_preview",
    "import comfy_extras.nodes_mask": "comfy_extras",
    "import folder_paths.inner": "folder_paths.inner",
}


@pytest.mark.parametrize("code", MISSING)
def test_what_else_a_pack_asks_for_is_named(services: ModuleType, tmp_path: Path, code: str) -> None:
    folder = write_pack(tmp_path / "p", {"__init__.py": code + "\nNODE_CLASS_MAPPINGS = {}\n"})
    with services.installed({}, {}), pytest.raises(InputError) as caught:
        load_packs([folder], {}, {})
    assert str(caught.value) == f"pack 'p': needs ComfyUI's {MISSING[code]!r}, {PLAIN}"


def test_v3_pack_is_called_one(services: ModuleType, tmp_path: Path) -> None:
    code = "from comfy_api.latest import ComfyExtension, io\nasync def comfy_entrypoint(): ...\n"
    with services.installed({}, {}), pytest.raises(InputError, match="is written for the V3 protocol and needs"):
        load_packs([write_pack(tmp_path / "p", {"__init__.py": code})], {}, {})


def test_packs_that_only_look_find_nothing(installed: None, host: Any) -> None:
    assert not hasattr(load("comfy"), "samplers")
    assert not hasattr(load("server").PromptServer, "instance")
    assert importlib.util.find_spec("folder_paths") is not None
    assert importlib.util.find_spec("comfy.utils") is not None
    assert not host.in_comfyui()


def test_folders(services: ModuleType, host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    change(host, output_folder=Path("new"), temp_folder=Path("new", "temp"))
    with services.installed({}, {}):
        paths = load("folder_paths")
        assert paths.get_input_directory() == paths.input_directory == str(tmp_path / "input")
        assert paths.get_output_directory() == paths.output_directory == str(tmp_path / "new")
        assert paths.get_directory_by_type("temp") == paths.temp_directory == str(tmp_path / "new" / "temp")
        assert paths.get_directory_by_type("other") is None
        assert (tmp_path / "new" / "temp").is_dir()
        assert (paths.base_path, paths.models_dir) == (str(tmp_path), str(tmp_path / "models"))
        assert paths.annotated_filepath("a.png [output]") == ("a.png", str(tmp_path / "new"))
        assert paths.annotated_filepath("a.png") == ("a.png", None)
        assert paths.get_annotated_filepath("s/a.png") == str(tmp_path / "input" / "s" / "a.png")
        assert paths.get_annotated_filepath("a.png [temp]", "x") == str(tmp_path / "new" / "temp" / "a.png")
        assert paths.get_annotated_filepath("a.png", str(tmp_path)) == str(tmp_path / "a.png")
        files = ["a.png", "b.webp", "c.mp4", "d.wav", "e.fbx", "f.nothing", "g"]
        assert paths.filter_files_content_types(files, ["image", "model"]) == ["a.png", "b.webp", "e.fbx"]
        (tmp_path / "input" / "s" / "t").mkdir(parents=True)
        assert paths.get_input_subfolders() == ["s", "s/t"]


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "x\0", "../x [output]"])
def test_names_do_not_leave_their_folder(installed: None, tmp_path: Path, name: str) -> None:
    paths = load("folder_paths")
    assert not paths.exists_annotated_filepath(name)
    for default in (None, str(tmp_path / "output")):
        with pytest.raises(InputError):
            paths.get_annotated_filepath(name, default)
    assert paths.get_full_path("loras", name) is None
    if "[" not in name:
        with pytest.raises(InputError):
            paths.get_save_image_path(name + "/y", paths.get_output_directory())
    assert not (tmp_path / "x").exists()


def test_where_files_are_saved(installed: None, tmp_path: Path) -> None:
    paths = load("folder_paths")
    root = Path(paths.get_output_directory())
    (root / "s").mkdir()
    (root / "s" / "n_00041_.png").touch()
    expected = (str(root / "s"), "n", 42, "s", "s/n")
    assert paths.get_save_image_path("s/n", str(root)) == expected
    assert paths.get_save_image_path("n", str(root / "s")) == (str(root / "s"), "n", 42, "", "n")
    assert paths.get_save_image_path("%width%x%height%", str(tmp_path / "temp"), 6, 4)[1:] == ("6x4", 1, "", "6x4")
    for prefix, folder in (("../n", root / "s"), ("n", tmp_path / "elsewhere"), ("n", tmp_path)):
        with pytest.raises(InputError):
            paths.get_save_image_path(prefix, str(folder))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input", "output", "temp"]


def test_models(services: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pack(tmp_path / "models", {"unet/b.safetensors": "", "diffusion_models/s/a.CKPT": "", "unet/c.txt": ""})
    with services.installed({}, {}):
        paths = load("folder_paths")
        inner = str(Path("s", "a.CKPT"))
        assert (
            paths.get_filename_list("unet") == paths.get_filename_list("diffusion_models") == ["b.safetensors", inner]
        )
        assert paths.get_full_path("unet", "b.safetensors") == str(tmp_path / "models" / "unet" / "b.safetensors")
        assert paths.get_full_path_or_raise("diffusion_models", inner).endswith(inner)
        assert (paths.get_full_path("unet", "s"), paths.get_full_path("nothing", "x")) == (None, None)
        with pytest.raises(FileNotFoundError, match="no file 'x' among the loras; expected one in "):
            paths.get_full_path_or_raise("loras", "x")
        paths.add_model_folder_path("mine", str(tmp_path / "models" / "unet"))
        assert paths.get_filename_list("mine") == ["b.safetensors", "c.txt"]
        paths.add_model_folder_path("mine", "x", is_default=True)
        paths.add_model_folder_path("mine", "y")
        paths.add_model_folder_path("mine", "y", is_default=True)
        assert paths.get_folder_paths("mine") == ["y", "x", str(tmp_path / "models" / "unet")]
        assert paths.folder_names_and_paths["loras"] == (
            [str(tmp_path / "models" / "loras")],
            paths.supported_pt_extensions,
        )
    with services.installed({}, {}):
        assert "mine" not in load("folder_paths").folder_names_and_paths


def test_links_that_lead_back(installed: None, tmp_path: Path) -> None:
    write_pack(tmp_path / "m", {"a/x.bin": ""})
    try:
        (tmp_path / "m" / "a" / "back").symlink_to(tmp_path / "m", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert load("folder_paths").recursive_search(str(tmp_path / "m"))[0] == [str(Path("a", "x.bin"))]


def test_bars_report_to_the_host_or_to_a_hook(installed: None, host: Any) -> None:
    told: list[Any] = []
    utils = load("comfy.utils")
    change(host, on_progress=lambda done, total: told.append((done, total)))
    bar = utils.ProgressBar(3)
    bar.update(1)
    bar.update_absolute(5, 4)
    utils.set_progress_bar_global_hook(
        lambda value, total, preview, node_id: told.append((value, total, preview, node_id))
    )
    bar.update_absolute(2)
    utils.ProgressBar(2, node_id="7").update_absolute(1, None, "picture")
    utils.set_progress_bar_global_hook(None)
    utils.ProgressBar(2).update(1)
    assert told == [(1, 3), (4, 4), (2, 4), (1, 2, "picture", "7")]
    assert utils.PROGRESS_BAR_HOOK is None
    load("comfy_api.v0_0_2").ComfyAPISync().execution.set_progress(0.5, 1.0)
    assert told[-1] == (0.5, 1.0)


@pytest.mark.parametrize("crop", ["disabled", "center"])
@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"])
def test_common_upscale_is_what_image_scale_does(installed: None, method: str, crop: str) -> None:
    images = torch.rand(2, 7, 12, 3, generator=torch.Generator().manual_seed(1))
    (expected,) = load("llmseg_nodes.core").CORE_NODES["ImageScale"]().upscale(images, method, 5, 9, crop)
    upscale = load("comfy.utils").common_upscale
    assert torch.equal(upscale(images.movedim(-1, 1), 5, 9, method, crop).movedim(1, -1), expected)
    video = torch.stack([images.movedim(-1, 1), images.movedim(-1, 1).flip(0)], 2)  # [2,3,2,7,12]
    scaled = upscale(video, 5, 9, method, crop)
    assert torch.equal(scaled[:, :, 0].movedim(1, -1), expected)
    assert torch.equal(scaled[:, :, 1].movedim(1, -1), expected.flip(0))


def test_common_upscale_names_what_it_knows(installed: None) -> None:
    with pytest.raises(InputError, match="unknown method 'bislerp'; expected one of nearest-exact,"):
        load("comfy.utils").common_upscale(torch.zeros(1, 3, 2, 2), 4, 4, "bislerp", "disabled")


def test_batches_repeat_from_their_start(installed: None) -> None:
    repeat, batch = load("comfy.utils").repeat_to_batch_size, torch.arange(3)
    assert [repeat(batch, size).tolist() for size in (2, 3, 7)] == [[0, 1], [0, 1, 2], [0, 1, 2, 0, 1, 2, 0]]
    assert repeat(batch[None], 5, dim=1).tolist() == [[0, 1, 2, 0, 1]]


def test_devices_and_arguments(installed: None, host: Any) -> None:
    management, args = load("comfy.model_management"), load("comfy.cli_args").args
    change(host, device="meta", save_metadata=False)
    assert management.get_torch_device() == torch.device("meta")
    assert management.intermediate_device() == torch.device("cpu")
    assert management.is_device_cpu(management.intermediate_device())
    assert management.get_autocast_device(torch.device("cpu")) == "cpu"
    assert issubclass(management.OOM_EXCEPTION, RuntimeError)
    assert (args.disable_metadata, args.cpu) == (True, False)
    change(host, device="cpu", save_metadata=True)
    assert (args.disable_metadata, args.cpu) == (False, True)
    management.soft_empty_cache()
    management.unload_all_models()


def test_node_that_asks_for_the_end_ends_the_run(installed: None, services: ModuleType) -> None:
    management = load("comfy.model_management")
    management.interrupt_current_processing()
    assert management.processing_interrupted()
    with pytest.raises(management.InterruptProcessingException, match="a node asked for the run to end"):
        services.before_call("1", 0)
    services.before_call("1", 0)  # once
    load("nodes").interrupt_processing()
    with pytest.raises(management.InterruptProcessingException):
        load("comfy.utils").ProgressBar(2).update(1)


def test_call_that_runs_now(installed: None, services: ModuleType) -> None:
    utils = load("comfy_execution.utils")
    assert utils.get_executing_context() is None
    services.before_call("12:3", 4)
    context = utils.get_executing_context()
    assert (context.node_id, context.list_index, bool(context.prompt_id)) == ("12:3", 4, True)


def test_type_names(installed: None) -> None:
    types = load("comfy.comfy_types")
    assert types.IO is load("comfy.comfy_types.node_typing").IO
    assert (types.IO.ANY, str(types.IO.ANY), f"{types.IO.INT}", json.dumps(types.IO.NUMBER)) == (
        *("*", "*", "INT"),
        '"FLOAT,INT"',
    )
    assert {"*": 1}[types.IO.ANY] == 1
    assert isinstance(types.IO.IMAGE, str)
    unlike = types.IO.NUMBER.__ne__
    assert [unlike(other) for other in ("INT", "INT,FLOAT", "STRING", "*", 3)] == [
        False,
        False,
        True,
        False,
        True,
    ]

    class Some(types.ComfyNodeABC, types.CheckLazyMixin):  # type: ignore[misc]
        @classmethod
        def INPUT_TYPES(cls) -> Any:
            return types.InputTypeDict(required={})

    assert Some.INPUT_TYPES() == {"required": {}}
    assert Some().check_lazy_status(a=None, b=0) == ["a"]
    with pytest.raises(TypeError, match="abstract"):
        types.ComfyNodeABC()


def test_helpers(installed: None, tmp_path: Path) -> None:
    helpers = load("node_helpers")
    Image.effect_noise((40, 40), 50).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:-200])
    image = Image.open(tmp_path / "b.png")
    helpers.pillow(lambda opened: opened.load(), image)
    assert image.size == (40, 40)
    three, four = torch.rand(1, 2, 2, 3), torch.rand(1, 2, 2, 4)
    assert [part.shape[-1] for part in helpers.image_alpha_fix(three, four)] == [3, 3]
    assert helpers.hasher()(b"").hexdigest().startswith("e3b0c442")


def test_graphs_have_the_ids_of_the_call(installed: None, services: ModuleType) -> None:
    builder = load("comfy_execution.graph_utils").GraphBuilder
    services.before_call("7", 2)
    first, second = builder(), builder()
    made = first.node("A", x=1)
    named = first.node("B", "own", link=made.out(1), other=[made.id, 0])
    assert first.node("C", "own") is named
    assert (first.lookup_node("own"), first.lookup_node("no")) == (named, None)
    second.node("D").set_override_display_id("9")
    assert second.finalize() == {"7.2.1.1": {"class_type": "D", "inputs": {}, "override_display_id": "9"}}
    first.replace_node_output("1", 1, None)
    first.replace_node_output("1", 0, 5)
    named.set_input("y", 2)
    made.set_input("x", None)
    assert first.finalize() == {
        "7.2.0.1": {"class_type": "A", "inputs": {}},
        "7.2.0.own": {"class_type": "B", "inputs": {"other": 5, "y": 2}},
    }
    first.remove_node("1")
    assert (list(first.finalize()), named.get_input("y"), named.get_input("z")) == (["7.2.0.own"], 2, None)
    services.before_call("8", 0)
    assert (builder().prefix, builder("mine").prefix, builder().prefix) == ("8.0.0.", "mine", "8.0.1.")
    assert builder.alloc_prefix("r", 1, 2) == "r.1.2."


def test_prefixes_of_a_graph(installed: None) -> None:
    utils = load("comfy_execution.graph_utils")
    graph = {
        "1": {"class_type": "A", "inputs": {"x": 1}},
        "2": {"class_type": "B", "inputs": {"y": ["1", 0], "z": [1, 2]}},
    }
    moved, outputs = utils.add_graph_prefix(graph, [["2", 0], 7], "p.")
    assert moved == {
        "p.1": {"class_type": "A", "inputs": {"x": 1}},
        "p.2": {"class_type": "B", "inputs": {"y": ["p.1", 0], "z": [1, 2]}},
    }
    assert outputs == (["p.2", 0], 7)
    assert [utils.is_link(value) for value in (["1", 0], ["1", 0.0], [1, 0], ["1"], ("1", 0), None)] == [
        True,
        True,
        *[False] * 4,
    ]
    assert load("comfy_execution.graph").ExecutionBlocker is utils.ExecutionBlocker


EXPANDING = """
from comfy_execution.graph_utils import ExecutionBlocker, GraphBuilder

class Twice:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "blocked": ("BOOLEAN", {"default": False})}}
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"

    def run(self, image, blocked):
        if blocked:
            return (ExecutionBlocker(None),)
        graph = GraphBuilder()
        once = graph.node("ImageInvert", image=image)
        again = graph.node("ImageInvert", image=once.out(0))
        return {"result": (again.out(0),), "expand": graph.finalize()}

NODE_CLASS_MAPPINGS = {"Twice": Twice}
"""


def test_pack_expands_and_blocks(services: ModuleType, tmp_path: Path) -> None:
    classes: dict[str, type] = dict(load("llmseg_nodes.core").CORE_NODES)
    prompt = {
        "1": node("EmptyImage", width=4, height=3, batch_size=1, color=0xFF8000),
        "2": node("Twice", image=["1", 0], blocked=False),
        "3": node("SaveImage", images=["2", 0], filename_prefix="x"),
    }
    with services.installed(classes, {}):
        load_packs([write_pack(tmp_path / "p", {"__init__.py": EXPANDING})], classes, {})
        result = run(prompt, classes, services)
        assert {"2.0.0.1", "2.0.0.2"} <= set(result.executed)
        with Image.open(tmp_path / "output" / "x_00001_.png") as picture:
            assert picture.getpixel((0, 0)) == (255, 128, 0)
        prompt["2"]["inputs"]["blocked"] = True
        assert "3" in run(prompt, classes, services).blocked
    assert len(list((tmp_path / "output").iterdir())) == 1


class TestWithComfyUI:
    """Against the real thing: its own packs for tests of execution, and its own builder of graphs."""

    pytestmark = with_comfyui

    @pytest.fixture
    def registry(self, services: ModuleType, tmp_path: Path) -> Iterator[dict[str, type]]:
        source = Path(os.environ["COMFYUI_PATH"], "tests", "execution", "testing_nodes", "testing-pack")
        files = {path.name: path.read_text(encoding="utf-8") for path in source.glob("*.py")}
        folder = write_pack(tmp_path / "testing-pack", files)  # copied, so that nothing is written there
        classes: dict[str, type] = dict(load("llmseg_nodes.core").CORE_NODES)
        before = set(classes)
        with services.installed(classes, {}):
            loading = load_packs([folder], classes, {})
            assert [str(problem) for problem in loading.problems] == []
            assert set(vars(sys.modules[str(folder)])["NODE_CLASS_MAPPINGS"]) == set(classes) - before
            yield classes

    @pytest.mark.parametrize("iterations", [1, 3])
    def test_loops(self, registry: dict[str, type], services: ModuleType, tmp_path: Path, iterations: int) -> None:
        size = {"height": 8, "width": 8, "batch_size": 1}
        prompt = {
            "1": node("StubImage", content="BLACK", **size),
            "2": node("StubImage", content="WHITE", **size),
            "3": node("TestForLoopOpen", remaining=iterations, initial_value1=["2", 0]),
            "4": node("TestVariadicAverage", input1=["1", 0], input2=["3", 2]),
            "5": node("TestForLoopClose", flow_control=["3", 0], initial_value1=["4", 0]),
            "6": node("SaveImage", images=["5", 0], filename_prefix="x"),
        }
        result = run(prompt, registry, services)
        assert result.errors == []
        with Image.open(tmp_path / "output" / "x_00001_.png") as picture:
            assert picture.getextrema() == ((255 // 2**iterations,) * 2,) * 3

    def test_expansion_of_some_items(self, registry: dict[str, type], services: ModuleType, tmp_path: Path) -> None:
        prompt = {
            "1": node("TestMakeListNode", value1=0.1, value2=0.2, value3=0.3),
            "2": node("TestMixedExpansionReturns", input1=["1", 0]),
            "3": node("SaveImage", images=["2", 0], filename_prefix="x"),
        }
        assert run(prompt, registry, services).errors == []
        seen = []
        for path in sorted((tmp_path / "output").iterdir()):
            with Image.open(path) as picture:
                seen.append(picture.getextrema()[0])
        assert seen == [(25, 25), (51, 51), (76, 76)]

    def test_progress_of_its_api(self, registry: dict[str, type], services: ModuleType, host: Any) -> None:
        told: list[float] = []
        change(host, on_progress=lambda done, total: told.append(done))
        for name in ("TestSyncProgressUpdate", "TestAsyncProgressUpdate"):
            told.clear()
            prompt = {
                "1": node("StubInt", value=3),
                "2": node(name, value=["1", 0], sleep_seconds=0.02),
                "3": node("PreviewAny", source=["2", 0]),
            }
            assert run(prompt, registry, services).errors == []
            assert told
            assert told == sorted(told)

    @pytest.mark.parametrize("seed", range(20))
    def test_graph_builder_is_that_of_comfyui(self, installed: None, seed: int) -> None:
        file = Path(os.environ["COMFYUI_PATH"], "comfy_execution", "graph_utils.py")
        spec = importlib.util.spec_from_file_location("graph_utils_of_comfyui", file)
        assert spec is not None
        assert spec.loader is not None
        theirs = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(theirs)
        assert build(load("comfy_execution.graph_utils"), seed) == build(theirs, seed)


def build(utils: Any, seed: int) -> list[Any]:
    """Whatever a random program of calls answers."""
    choose, seen = random.Random(seed), []
    utils.GraphBuilder.set_default_prefix("7", 1, 0)
    graphs = [utils.GraphBuilder(), utils.GraphBuilder(prefix="own."), utils.GraphBuilder()]
    for _ in range(60):
        graph = choose.choice(graphs)
        nodes = list(graph.nodes.values())
        made = graph.node(choose.choice("AB"), choose.choice([None, "x", "y"]), a=choose.choice([1, None, ["q", 0]]))
        other = choose.choice(nodes or [made])
        index, key = choose.randrange(2), choose.choice("abc")
        made.set_input(key, choose.choice([other.out(index), 5, None]))
        bare = other.id[len(graph.prefix) :]
        graph.replace_node_output(bare, choose.randrange(2), choose.choice([None, 9, made.out(1)]))
        if choose.random() < 0.1 and graph.lookup_node(bare) is not None:
            graph.remove_node(bare)
        if choose.random() < 0.1:
            made.set_override_display_id("d")
        seen.append((made.id, made.get_input(key)))
    for graph in graphs:
        seen.append(json.loads(json.dumps(graph.finalize())))
        outputs = [[next(iter(graph.nodes), "x"), 0], 3, "text"]
        seen.append(utils.add_graph_prefix(json.loads(json.dumps(graph.finalize())), outputs, "p"))
    return seen
