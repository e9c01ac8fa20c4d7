"""What packs of other people expect of ComfyUI, in its place while they are in use headless.

Their `import folder_paths` or `from comfy.utils import ProgressBar` finds a stand-in that asks our own
host. Whatever else of ComfyUI a pack asks for ends in one plain line. That a checkout of ComfyUI can be
imported changes nothing, for its folders are not those of this run: the stand-ins come first. Modules of
those names that are loaded already stay, and where ComfyUI's server runs nothing is put in its place.

Not here: loading packs (`llmseg.graph.packs.loading`), our own nodes' view of the host (`host`).
Source: ComfyUI 0.8, the modules of the names in `_modules`, restated.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from llmseg.graph.packs.problems import MissingService, missing_service

from .. import host
from . import folders, images, management, node_types, running, server, steps, subgraphs

__all__ = ["before_call", "installed"]

# A checkout on the path would answer these, and fail on the stand-ins below in words that help nobody.
REFUSED = ("execution", "latent_preview", "comfy_extras", "comfy_api_nodes", "comfy_config", "cuda_malloc")

before_call = running.before_call


@contextmanager
def installed(
    classes: dict[str, type], display_names: dict[str, str], pack_folders: Sequence[Path] = ()
) -> Iterator[None]:
    """Put the stand-ins in place for as long as packs are loaded and their nodes run.

    Args:
        classes: the registry of the run, which packs see as `nodes.NODE_CLASS_MAPPINGS`.
        display_names: its titles.
        pack_folders: what the person named; packs find themselves below `get_folder_paths("custom_nodes")`.
    """
    if host.in_comfyui():
        yield
        return
    running.reset()
    modules = _modules(classes, display_names, pack_folders)
    tops = {_top(name) for name in (*modules, *REFUSED)} - set(sys.modules)
    ours = {name: module for name, module in modules.items() if _top(name) in tops}
    finder = _Refusal(tops)
    sys.modules.update(ours)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name, module in ours.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


class StandIn(ModuleType):
    """A module of ComfyUI's name; what it lacks is said plainly.

    Args:
        name: in full, such as comfy.utils.
        members: what it holds.
        live: what is computed whenever it is read.
    """

    def __init__(
        self, name: str, members: Mapping[str, Any], live: Mapping[str, Callable[[], Any]] | None = None
    ) -> None:
        super().__init__(name, f"A stand-in for ComfyUI's {name}.")
        self.__path__: list[str] = []  # it may have submodules; all that exist are in `sys.modules`
        self.__spec__ = ModuleSpec(name, None, is_package=True)  # for those who only look whether it is there
        self.__dict__.update(members)
        self.__dict__["__live__"] = dict(live or {})

    def __getattr__(self, name: str) -> Any:
        live = self.__dict__.get("__live__", {})
        if name in live:
            return live[name]()
        if name.startswith("__"):  # the interpreter and its tools look for those
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        raise MissingService(f"{self.__name__}.{name}")


class _Refusal:
    """A finder that is asked first, and ends every import below the names that are ours."""

    def __init__(self, tops: set[str]) -> None:
        self.tops = tops

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Never finds anything."""
        if _top(name) in self.tops:
            raise ModuleNotFoundError(missing_service(name), name=name)


def _top(name: str) -> str:
    return name.partition(".")[0]


def _modules(
    classes: dict[str, type], display_names: dict[str, str], pack_folders: Sequence[Path]
) -> dict[str, StandIn]:
    """Every stand-in, made anew: what packs change in them ends with the run."""
    paths, utilities = folders.FolderPaths(pack_folders), steps.Utilities()
    contents: dict[str, tuple[Mapping[str, Any], Mapping[str, Callable[[], Any]]]] = {
        "folder_paths": (paths.members(), paths.LIVE),
        "nodes": (images.node_members(classes, display_names), {}),
        "node_helpers": (images.HELPERS, {}),
        "server": (server.MEMBERS, {}),
        "comfy": ({}, {}),
        "comfy.utils": (utilities.members(), utilities.LIVE),
        "comfy.model_management": (management.MEMBERS, management.LIVE),
        "comfy.cli_args": ({"args": management.Arguments()}, {}),
        "comfy.comfy_types": (node_types.MEMBERS, {}),
        "comfy.comfy_types.node_typing": (node_types.MEMBERS, {}),
        "comfy_execution": ({}, {}),
        "comfy_execution.graph_utils": (subgraphs.MEMBERS, {}),
        "comfy_execution.graph": (subgraphs.GRAPH_MEMBERS, {}),
        "comfy_execution.utils": (running.MEMBERS, {}),
        "comfy_api": ({}, {}),
        **{f"comfy_api.{version}": (steps.API_MEMBERS, {}) for version in ("latest", "v0_0_1", "v0_0_2")},
    }
    modules = {name: StandIn(name, *content) for name, content in contents.items()}
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    return modules
