"""The program that the nodes run in: ComfyUI, or the headless runner.

The host is ComfyUI if and only if its server is running in this process. That its modules can be
imported proves nothing: a checkout may merely be on the path. Nodes ask here for folders, the network
and the device, and never look at the host themselves.

Not here: progress and stopping (`progress`), file names (`naming`), who moves models (`memory`), which files
are models (`models`), images (`core`, the output nodes).
Sources: ComfyUI 0.8 `folder_paths`, `comfy.utils`, `comfy.model_management`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from llmseg.errors import InputError
from llmseg.llm import read_configuration
from llmseg.models import downloads
from llmseg.store import write_atomic

from .guard import resolve_inside as _resolve
from .headless import HeadlessHost as HeadlessHost
from .naming import SaveTarget, fill_tokens, next_number

if TYPE_CHECKING:
    import torch

    from .lookahead import Lookahead

ROOTS = ("input", "output", "temp")
MODEL_KINDS = ("llmseg", "clip_vision", "text_encoders", "clip")  # ComfyUI's names for model folders
PACK_WORKFLOWS = Path(__file__).parent.parent / "workflows"


_headless = HeadlessHost(Path("input"), Path("output"), Path("temp"))


def use_headless(host: HeadlessHost) -> HeadlessHost:
    """Choose the headless host from now on; answers the one before. A running ComfyUI still wins."""
    global _headless
    previous, _headless = _headless, host
    return previous


def in_comfyui() -> bool:
    """Whether ComfyUI's server runs in this process."""
    prompt_server = getattr(sys.modules.get("server"), "PromptServer", None)
    return getattr(prompt_server, "instance", None) is not None


def is_trusted(name: str) -> bool:
    """Whether the person named this file on the command line, not the workflow alone."""
    return not in_comfyui() and Path(name) in _headless.trusted_files


def input_path(name: str, *, place: str = "image") -> Path:
    """Find the file that an annotated name means: `x.png`, `sub/x.png [output]`.

    Raises:
        InputError: the path leaves its root, links followed. The file itself may be missing.
    """
    if is_trusted(name):
        return Path(name)
    if not in_comfyui() and name in _headless.fetched_files:
        return _headless.fetched_files[name]
    if not in_comfyui() and _headless.writer is not None:
        _headless.writer.wait()  # the file may be among those that this very run saves
    kind = next((root for root in ROOTS if name.endswith(f"[{root}]")), None)
    # ComfyUI cuts a fixed length: the brackets and whatever one character stands before them.
    bare = name if kind is None else name[: -len(f" [{kind}]")]
    return _inside(kind or "input", bare, place=place, expected="a file")


def lock_path(name: str) -> Path:
    """Find a file that belongs to a workflow: in the input folder, else beside the workflow, else where it would be.

    In ComfyUI, which does not tell where a workflow lies, the second place is that of the pack's own workflows.

    Raises:
        InputError: the path leaves its folder, links followed.
    """
    path = input_path(name, place="lock_file")
    beside = PACK_WORKFLOWS if in_comfyui() else _headless.workflow_folder
    if path.is_file() or beside is None:
        return path
    other = _resolve(beside, name, "workflow", place="lock_file", expected="a file")
    return other if other.is_file() else path


def list_inputs(extensions: Collection[str]) -> list[str]:
    """Names of the files directly in the input folder that end in one of `extensions`, sorted."""
    folder = _root("input")
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in extensions and entry.is_file())


def save_target(prefix: str, root: str = "output", width: int = 0, height: int = 0) -> SaveTarget:
    """Turn a filename prefix into a folder that exists and the next free number.

    Args:
        prefix: may hold sub-folders and %width%, %height%, %year%, %month%, %day%, %hour%,
            %minute%, %second% (local time).
        root: output or temp.
        width: of the first image, for its token.
        height: the same.

    Raises:
        InputError: the folder lies outside the root, links followed.
    """
    folder, subfolder, stem = _split_prefix(prefix, root, width, height)
    if in_comfyui():
        save_path = comfy_module("folder_paths").get_save_image_path
        where, stem, counter, subfolder, _ = save_path(prefix, str(_root(root)), width, height)
        return SaveTarget(Path(where), stem, counter, subfolder, root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make folder {subfolder!r}: {error.strerror}; expected a writable {root} folder.",
            place="filename_prefix",
        ) from error
    return SaveTarget(folder, stem, next_number(folder, stem), subfolder, root)


def write_file(path: Path, make: Callable[[], bytes]) -> None:
    """Write a file whole: now, or in a batch beside the nodes that come next.

    Args:
        path: of the file, from a `SaveTarget`.
        make: gives its content.

    Raises:
        InputError: it cannot be written; in a batch the image's run says so at its end.
    """
    # Only the folder of a run is hidden until all of it is there; that of previews is not.
    if in_comfyui() or _headless.writer is None or not path.resolve().is_relative_to(_root("output").resolve()):
        write_atomic(path, make())
    else:
        _headless.writer.write(path, make)


def allow_prefix(prefix: str | None, root: str = "output") -> bool | str:
    """What a node's VALIDATE_INPUTS answers about a filename prefix: True, or why it is refused.

    So that a workflow that would write elsewhere is refused before any of its nodes runs.
    """
    try:
        return prefix is None or bool(_split_prefix(prefix, root))  # None: the prefix comes over a link
    except InputError as error:
        return error.problem


def network() -> str:
    """Whether language models may be asked, a name in `options.NETWORK`."""
    return ("" if in_comfyui() else _headless.network) or read_configuration().network


def lookahead() -> Lookahead | None:
    """What is known of the images that come next; None where nothing is."""
    return None if in_comfyui() else _headless.lookahead


def headless() -> HeadlessHost:
    """What the runner decided; in ComfyUI nobody did."""
    return _headless


def torch_device() -> torch.device:
    """The device that models run on."""
    import torch

    if in_comfyui():
        chosen: torch.device = comfy_module("comfy.model_management").get_torch_device()
        return chosen
    try:
        # Allocating is the one test that holds for every kind of device.
        return torch.empty(0, device=_headless.device).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"{_headless.device!r} cannot be used here; expected a device of this machine such as cpu, cuda or mps.",
            place="device",
        ) from error


def model_folders() -> list[Path]:
    """Folders that CLIP checkpoints are looked for in, best first; some may not exist.

    ComfyUI: `models/llmseg`, which this call registers so that extra_model_paths.yaml may add to it,
    then the folders for CLIP towers. Headless: those of `llmseg.models.downloads`.
    """
    if not in_comfyui():
        return downloads.model_folders()
    paths = comfy_module("folder_paths")
    folders = [Path(folder) for kind in model_kinds() for folder in paths.get_folder_paths(kind)]
    return list(dict.fromkeys(folders))


def model_kinds() -> list[str]:
    """The kinds of models, as ComfyUI calls them, that a CLIP may be among; our own first. None headless."""
    if not in_comfyui():
        return []
    paths = comfy_module("folder_paths")
    paths.add_model_folder_path(MODEL_KINDS[0], str(Path(paths.models_dir, MODEL_KINDS[0])))
    return [kind for kind in MODEL_KINDS if kind in paths.folder_names_and_paths]


def metadata_enabled() -> bool:
    """Whether saved images may carry the prompt and the workflow."""
    if in_comfyui():
        return not comfy_module("comfy.cli_args").args.disable_metadata
    return _headless.save_metadata


def _split_prefix(prefix: str, root: str, width: int = 0, height: int = 0) -> tuple[Path, str, str]:
    """Folder, the same as seen from the root, and start of the name; refuses to leave the root."""
    name = os.path.normpath(fill_tokens(prefix, width, height))
    subfolder, stem = os.path.split(name)
    if os.name == "nt" and ":" in stem:  # there it would name a drive or a hidden stream
        raise InputError(f"path {prefix!r} holds a colon; expected a name without one.", place="filename_prefix")
    return _inside(root, subfolder, place="filename_prefix", expected="a name", shown=prefix), subfolder, stem


def comfy_module(module: str) -> ModuleType:
    """A module of ComfyUI, where its server runs."""
    return importlib.import_module(module)


def _root(kind: str) -> Path:
    if in_comfyui():
        return Path(comfy_module("folder_paths").get_directory_by_type(kind))
    folder: Path = getattr(_headless, f"{kind}_folder")
    return folder


def _inside(kind: str, name: str, *, place: str, expected: str, shown: str = "") -> Path:
    """Resolve `name` below one of the roots."""
    return _resolve(_root(kind), name, kind, place=place, expected=expected, shown=shown)
