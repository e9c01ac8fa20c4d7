"""What many test modules need: the nodes under their private name, a headless host, and small CLIPs."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import llmseg

if TYPE_CHECKING:
    from torch import Tensor

    from llmseg.encoder import Encoder

if "PYTEST_XDIST_WORKER" in os.environ:  # torch's threads of several workers would fight for the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a script's `pytest &` says so, and programs under test inherit
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
TESTS = itertools.count()
SLOW = Path(__file__).with_name("slow.txt")
PACKAGE = "llmseg_nodes"  # `import nodes` would mean ComfyUI's own module in the other host


@pytest.hookimpl(tryfirst=True)  # before pytest drops what `-m` does not ask for
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `tools.slow_tests` has listed as slow, unless LLMSEG_TESTS=all asks for it."""
    if os.environ.get("LLMSEG_TESTS") == "all":
        return
    slow = frozenset(SLOW.read_text(encoding="utf-8").split())
    for item in items:
        if f"{item.path.name}::{item.name.partition('[')[0]}" in slow:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def session_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's own folder is not for tests: fixtures that outlive a test, and programs they start, get this one."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.getbasetemp() / "data"
        patch.setenv("LLMSEG_DATA", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def own_data(session_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for every test, so that none finds what another one stored."""
    folder = session_data / str(next(TESTS))
    monkeypatch.setenv("LLMSEG_DATA", str(folder))
    return folder


def import_nodes(module: str = "") -> ModuleType:
    """Import the folder of nodes, or one module of it, by path."""
    if PACKAGE not in sys.modules:
        folder, init = ROOT / "nodes", ROOT / "nodes" / "__init__.py"
        if init.is_file():
            spec = importlib.util.spec_from_file_location(PACKAGE, init, submodule_search_locations=[str(folder)])
            assert spec is not None
            assert spec.loader is not None
            package = sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(package)
        else:
            package = sys.modules[PACKAGE] = ModuleType(PACKAGE)
            package.__path__ = [str(folder)]
    return importlib.import_module(f"{PACKAGE}.{module}" if module else PACKAGE)


@pytest.fixture
def nodes() -> Callable[[str], ModuleType]:
    """Give a module of the nodes folder by its name, such as `host` or `core.loading`."""
    return import_nodes


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Any]:
    """The `host` module, headless, with `input`, `output` and `temp` below `tmp_path`."""
    module = import_nodes("host")
    folders = [tmp_path / root for root in ("input", "output", "temp")]
    for folder in folders:
        folder.mkdir()
    before = module.use_headless(module.HeadlessHost(*folders))
    yield module
    module.use_headless(before)


class Interrupted(Exception):
    """What the stand-in for ComfyUI raises where its user pressed stop."""


@pytest.fixture
def comfyui(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Small stand-ins for the modules of a running ComfyUI, with roots of their own."""
    calls = SimpleNamespace(bars=[], interrupted=False, registered=[])
    root = tmp_path / "comfy"
    for kind in ("input", "output", "temp"):
        (root / kind).mkdir(parents=True)
    folders = {"clip_vision": [str(root / "cv")], "vae": [str(root / "vae")]}

    def add_model_folder_path(kind: str, folder: str) -> None:
        folders.setdefault(kind, []).append(folder)

    def get_save_image_path(prefix: str, output: str, width: int, height: int) -> tuple[Any, ...]:
        assert (width, height) == (6, 4)
        return output, prefix, 42, "", prefix

    class Bar:
        def __init__(self, total: int) -> None:
            calls.bars.append((0, total))

        def update_absolute(self, value: int, total: int) -> None:
            calls.bars.append((value, total))

    modules: dict[str, dict[str, Any]] = {
        "server": {"PromptServer": SimpleNamespace(instance=object())},
        "folder_paths": {
            "models_dir": str(root / "models"),
            "folder_names_and_paths": folders,
            "add_model_folder_path": add_model_folder_path,
            "get_folder_paths": folders.__getitem__,
            "get_directory_by_type": lambda kind: str(root / kind),
            "get_save_image_path": get_save_image_path,
        },
        "comfy": {},
        "comfy.utils": {"ProgressBar": Bar},
        "comfy.model_management": {
            "get_torch_device": lambda: __import__("torch").device("meta"),
            "processing_interrupted": lambda: calls.interrupted,
            "InterruptProcessingException": Interrupted,
        },
        "comfy.cli_args": {"args": SimpleNamespace(disable_metadata=True)},
    }
    for name, members in modules.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    calls.root = root
    return calls


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The embedded model. Shared: a test that fills its caches uses phrases of its own."""
    from llmseg.encoder import load_encoder

    return load_encoder()


@lru_cache(maxsize=8)
def random_checkpoint(
    seed: int = 0, *, patch: int = 8, grid: int = 4, hidden: int = 4, layers: int = 3
) -> dict[str, Tensor]:
    """A random CLIP in OpenAI's layout: image tower 128 wide, text tower 64 wide with 2 layers.

    Args:
        seed: of the numbers.
        patch, grid: pixels of a patch, patches along a side.
        hidden: inner width of an MLP over its outer width.
        layers: of the image tower.
    """
    import torch

    shapes: dict[str, tuple[int, ...]] = {
        "visual.conv1.weight": (128, 3, patch, patch),
        "visual.class_embedding": (128,),
        "visual.positional_embedding": (grid**2 + 1, 128),
        "visual.proj": (128, 32),
        "token_embedding.weight": (49408, 64),
        "positional_embedding": (16, 64),
        "text_projection": (64, 32),
        "logit_scale": (),
    }
    norms = {"visual.ln_pre": 128, "visual.ln_post": 128, "ln_final": 64}
    for tower, width, depth in (("visual.transformer", 128, layers), ("transformer", 64, 2)):
        for block in (f"{tower}.resblocks.{layer}" for layer in range(depth)):
            norms |= {f"{block}.ln_1": width, f"{block}.ln_2": width}
            linear = {"attn.in_proj_": (3 * width, width), "attn.out_proj.": (width, width)}
            linear |= {"mlp.c_fc.": (hidden * width, width), "mlp.c_proj.": (width, hidden * width)}
            for name, shape in linear.items():
                shapes |= {f"{block}.{name}weight": shape, f"{block}.{name}bias": shape[:1]}
    shapes |= {f"{name}.{kind}": (width,) for name, width in norms.items() for kind in ("weight", "bias")}
    generator = torch.Generator().manual_seed(seed)
    state = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}
    # Norms multiply by about one, as trained ones do; random ones near zero would hide every mistake.
    return {
        name: tensor + 1 if name.rsplit(".", 1)[0] in norms and name.endswith("weight") else tensor
        for name, tensor in state.items()
    }


@pytest.fixture(scope="session")
def tiny_clip() -> Callable[..., dict[str, Tensor]]:
    """`random_checkpoint`: a small random CLIP in a dict of one's own, the same one for the same arguments."""
    return lambda *args, **sizes: dict(random_checkpoint(*args, **sizes))


@pytest.fixture
def saved_clip(tmp_path: Path) -> Callable[..., Path]:
    """Save tensors as safetensors below `tmp_path`: saved_clip(state, name="tiny.safetensors", metadata=None)."""

    def save(state: dict[str, Tensor], name: str = "tiny.safetensors", metadata: dict[str, str] | None = None) -> Path:
        from safetensors.torch import save_file

        path = tmp_path / name
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, path, metadata=metadata)
        return path

    return save


def place_local_clip(folder: Path) -> Path:
    """The packaged model in `folder`/models, under the name that the workflow `local_clip` asks for.

    Gives the file with which ComfyUI is told of that folder; nobody has the real file before fetching it.
    """
    (folder / "models").mkdir()
    packaged = Path(llmseg.__file__).parent / "data" / "models" / "embedded.safetensors"
    shutil.copy(packaged, folder / "models" / "ViT-B-16-quickgelu--openai.safetensors")
    told = folder / "models.yaml"
    told.write_text(f"tests:\n  base_path: {json.dumps(str(folder))}\n  llmseg: models\n", encoding="utf-8")
    return told
