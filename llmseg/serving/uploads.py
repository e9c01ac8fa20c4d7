"""Local files that a prompt names: sent to the server before the prompt, which then names what the server has.

Which values name files is said by the server's own definitions. What is not found here is left to the server: it
may have the file. Only pictures, films, sounds and 3D models are sent, so that a workflow from a stranger cannot
have other files sent; names with ` [output]` or ` [temp]` mean the server's own results.
Not here: the request (`wire`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from .limits import Limits
from .untrusted import as_mapping, one_line, safe_parts
from .wire import Wire

__all__ = ["FileFinder", "find_in", "upload_inputs"]

FileFinder = Callable[[str], Path | None]
Prompt = dict[str, dict[str, Any]]

IMAGE_LOADERS = ("LoadImage", "LoadImageMask")  # whose definitions on old servers carry no flag
FLAG = "_upload"  # image_upload, video_upload, audio_upload, ...: options of an input whose value names a file
HERE, ELSEWHERE = " [input]", (" [output]", " [temp]")
MEDIA = frozenset(
    [
        *(".apng", ".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"),
        *(".exr", ".hdr", ".heic", ".heif", ".jp2", ".jxl", ".psd", ".tga"),
        *(".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"),
        *(".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".weba"),
        *(".fbx", ".glb", ".gltf", ".ksplat", ".obj", ".ply", ".splat", ".spz", ".stl"),
    ]
)


def find_in(folder: Path) -> FileFinder:
    """A finder that looks below `folder` and nowhere else."""

    def find(name: str) -> Path | None:
        head, _, tail = name.replace("\\", "/").rpartition("/")
        parts = safe_parts(head, tail)
        try:
            path = folder.joinpath(*parts) if parts else None
            return path if path and path.resolve().is_relative_to(folder.resolve()) and path.is_file() else None
        except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle, up to Python 3.12
            return None

    return find


def upload_inputs(
    prompt: Mapping[str, Any], definitions: Mapping[str, Any], wire: Wire, find: FileFinder, limits: Limits
) -> Prompt:
    """Send the local files that `prompt` names; answers a copy that names them as the server does.

    Raises:
        InputError: a file is too large or cannot be read, or the server refuses it.
    """
    changed: Prompt = {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in prompt.items()}
    known: dict[tuple[Path, str], str] = {}
    for node_id, name, value in _named_files(prompt, definitions):
        bare = value.removesuffix(HERE)
        path = find(bare)
        if path is None or path.suffix.lower() not in MEDIA:
            continue
        head, _, tail = bare.replace("\\", "/").rpartition("/")
        # A path that a person typed is found though it leads elsewhere; the server then gets the bare name.
        subfolder = head if safe_parts(head, tail) and path.name == tail else ""
        if (path, subfolder) not in known:
            known[path, subfolder] = _upload(path, subfolder, wire, limits)
        changed[node_id]["inputs"][name] = known[path, subfolder]
    return changed


def _named_files(prompt: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Node id, input and value of everything that names a file in the server's input folder."""
    for node_id, node in prompt.items():
        for name in _file_inputs(node["class_type"], definitions):
            value = node["inputs"].get(name)
            if isinstance(value, str) and value and not value.endswith(ELSEWHERE):
                yield node_id, name, value


def _file_inputs(class_type: str, definitions: Mapping[str, Any]) -> list[str]:
    groups = as_mapping(as_mapping(definitions.get(class_type)).get("input"))
    names = ["image"] if class_type in IMAGE_LOADERS else []
    for group in ("required", "optional"):
        for name, spec in as_mapping(groups.get(group)).items():
            options = as_mapping(spec[1]) if isinstance(spec, list) and len(spec) > 1 else {}
            if any(key.endswith(FLAG) and options[key] is True for key in options):
                names.append(name)
    return list(dict.fromkeys(names))


def _upload(path: Path, subfolder: str, wire: Wire, limits: Limits) -> str:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot read {path.name!r} ({error.strerror or error}).", place="input") from error
    if size > limits.upload_bytes:
        raise InputError(f"{path.name!r} has {size} bytes; expected at most {limits.upload_bytes}.", place="input")
    answer = as_mapping(wire.upload(path, subfolder))
    name, folder = answer.get("name"), answer.get("subfolder") or ""
    if not isinstance(name, str) or not name or not isinstance(folder, str):
        problem = f"the upload of {path.name!r} answered {one_line(dict(answer), 80)}; expected the file's name."
        raise InputError(problem, place=wire.address.place)
    return f"{folder}/{name}" if folder else name
