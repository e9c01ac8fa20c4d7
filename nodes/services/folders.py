"""`folder_paths`: the folders of this run and what lies in them, for packs that ask ComfyUI.

Names that come from a workflow may not leave the folder they are looked up in.
Not here: which folders these are, and the guard (`host`).
Source: ComfyUI 0.8 `folder_paths.py`, restated.
"""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

from llmseg.errors import InputError
from llmseg.store import user_folder

from .. import host
from ..naming import fill_tokens

WEIGHTS = frozenset([".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"])
KINDS = (
    *("audio_encoders", "checkpoints", "clip_vision", "controlnet", "diffusion_models", "embeddings", "gligen"),
    *("hypernetworks", "latent_upscale_models", "loras", "model_patches", "photomaker", "style_models"),
    *("text_encoders", "upscale_models", "vae", "vae_approx"),
)
SECOND_FOLDERS = {"controlnet": "t2i_adapter", "diffusion_models": "unet", "text_encoders": "clip"}
OLD_NAMES = {"unet": "diffusion_models", "clip": "text_encoders"}
CONTENT_TYPES = {".webp": "image", ".fbx": "model"}  # what not every system knows


class FolderPaths:
    """The functions of `folder_paths`, which share a table of model folders.

    Args:
        pack_folders: packs, or folders of packs.
    """

    def __init__(self, pack_folders: Iterable[Path] = ()) -> None:
        self.base_path = str(Path.cwd())
        self.models_dir = str(Path.cwd() / "models")
        self.supported_pt_extensions = set(WEIGHTS)
        self.folder_names_and_paths: dict[str, tuple[list[str], set[str]]] = {}
        for kind in KINDS:
            names = [kind, *([SECOND_FOLDERS[kind]] if kind in SECOND_FOLDERS else [])]
            self._add(kind, [Path(self.models_dir, name) for name in names], self.supported_pt_extensions)
        self._add("llmseg", host.model_folders(), self.supported_pt_extensions)
        self._add("configs", [Path(self.models_dir, "configs")], {".yaml"})
        self._add("classifiers", [Path(self.models_dir, "classifiers")], {""})
        self._add("diffusers", [Path(self.models_dir, "diffusers")], {"folder"})
        packs = [folder.parent if (folder / "__init__.py").is_file() else folder for folder in pack_folders]
        packs = [folder.parent if folder.is_file() else folder for folder in packs]
        self._add("custom_nodes", packs or [Path(self.base_path, "custom_nodes")], set())
        self.LIVE = {
            "input_directory": self.get_input_directory,
            "output_directory": self.get_output_directory,
            "temp_directory": self.get_temp_directory,
            "user_directory": self.get_user_directory,
        }

    def members(self) -> dict[str, Any]:
        """What the module holds."""
        names = [name for name in dir(self) if not name.startswith("_") and name not in ("LIVE", "members")]
        return {name: getattr(self, name) for name in names}

    def _add(self, kind: str, folders: Sequence[Path], extensions: set[str]) -> None:
        self.folder_names_and_paths[kind] = ([str(folder.absolute()) for folder in folders], extensions)

    def get_input_directory(self) -> str:
        """Where a workflow's files are read."""
        return str(host.headless().input_folder.absolute())

    def get_output_directory(self) -> str:
        """Where results are written."""
        return _made(host.headless().output_folder)

    def get_temp_directory(self) -> str:
        """Where previews are written."""
        return _made(host.headless().temp_folder)

    def get_user_directory(self) -> str:
        """Where settings are kept."""
        return str(user_folder("config"))

    def get_directory_by_type(self, type_name: str) -> str | None:
        """The folder behind `input`, `output` or `temp`; None for anything else."""
        if type_name == "input":
            return self.get_input_directory()
        if type_name == "output":
            return self.get_output_directory()
        return self.get_temp_directory() if type_name == "temp" else None

    def annotated_filepath(self, name: str) -> tuple[str, str | None]:
        """Take ` [output]` and the like off a name; also answers the folder, None if nothing was written."""
        for kind in host.ROOTS:
            if name.endswith(f"[{kind}]"):
                return name[: -len(f" [{kind}]")], self.get_directory_by_type(kind)
        return name, None

    def get_annotated_filepath(self, name: str, default_dir: str | None = None) -> str:
        """Where the file of this name lies, or would lie.

        Raises:
            InputError: outside of its folder.
        """
        if default_dir is None or self.annotated_filepath(name)[1] is not None:
            return str(host.input_path(name, place="file").absolute())
        return str(host._resolve(Path(default_dir), name, Path(default_dir).name, place="file", expected="a file"))

    def exists_annotated_filepath(self, name: str) -> bool:
        """Whether there is such a file; outside of its folder there is none."""
        try:
            return host.input_path(name, place="file").exists()
        except InputError:
            return False

    def map_legacy(self, folder_name: str) -> str:
        """The present name of a kind of models."""
        return OLD_NAMES.get(folder_name, folder_name)

    def add_model_folder_path(self, folder_name: str, full_folder_path: str, is_default: bool = False) -> None:
        """Look for a kind of models in one more folder, which may be the first to be looked at."""
        paths, _ = self.folder_names_and_paths.setdefault(self.map_legacy(folder_name), ([], set()))
        if full_folder_path in paths:
            if not is_default:
                return
            paths.remove(full_folder_path)
        paths.insert(0 if is_default else len(paths), full_folder_path)

    def get_folder_paths(self, folder_name: str) -> list[str]:
        """The folders of a kind of models."""
        return list(self.folder_names_and_paths[self.map_legacy(folder_name)][0])

    def get_filename_list(self, folder_name: str) -> list[str]:
        """The files of a kind of models, those in sub-folders too, sorted."""
        folders, extensions = self.folder_names_and_paths[self.map_legacy(folder_name)]
        found = {name for folder in folders for name in self.recursive_search(folder, [".git"])[0]}
        return self.filter_files_extensions(found, extensions)

    def get_full_path(self, folder_name: str, filename: str) -> str | None:
        """The file of a kind of models; None if there is none, or none inside."""
        name = PurePath(filename)
        if name.drive or name.root or ".." in name.parts or "\0" in filename:
            return None
        folders, _ = self.folder_names_and_paths.get(self.map_legacy(folder_name), ((), ()))
        return next((str(Path(folder, name)) for folder in folders if Path(folder, name).is_file()), None)

    def get_full_path_or_raise(self, folder_name: str, filename: str) -> str:
        """The same; raises FileNotFoundError where there is none."""
        path = self.get_full_path(folder_name, filename)
        if path is None:
            wanted = (
                f"expected one in {', '.join(self.folder_names_and_paths.get(self.map_legacy(folder_name), [[]])[0])}"
            )
            raise FileNotFoundError(f"no file {filename!r} among the {folder_name}; {wanted}.")
        return path

    def recursive_search(
        self, directory: str, excluded_dir_names: Collection[str] | None = None
    ) -> tuple[list[str], dict[str, float]]:
        """All files below a folder, links followed, and the time when each folder was changed."""
        files: list[str] = []
        changed: dict[str, float] = {}
        seen: set[str] = set()  # links may lead back
        for folder, inside, names in os.walk(directory, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:
                inside.clear()
                continue
            seen.add(real)
            inside[:] = [name for name in inside if name not in (excluded_dir_names or ())]
            files += [str(Path(folder, name).relative_to(directory)) for name in names]
            with suppress(OSError):
                changed[folder] = Path(folder).stat().st_mtime
        return files, changed

    def filter_files_extensions(self, files: Collection[str], extensions: Collection[str]) -> list[str]:
        """The files that end in one of the extensions, sorted; all if there are no extensions."""
        return sorted(name for name in files if not extensions or PurePath(name).suffix.lower() in extensions)

    def filter_files_content_types(self, files: Sequence[str], content_types: Collection[str]) -> list[str]:
        """The files that are of one of the kinds image, video, audio, model."""
        kinds = {name: CONTENT_TYPES.get(PurePath(name).suffix) or mimetypes.guess_type(name)[0] for name in files}
        return [name for name in files if str(kinds[name]).partition("/")[0] in content_types]

    def get_input_subfolders(self) -> list[str]:
        """All folders below the input folder, with forward slashes, sorted."""
        root = self.get_input_directory()
        inner = [Path(folder).relative_to(root).as_posix() for folder in self.recursive_search(root)[1]]
        return sorted(name for name in inner if name != ".")

    def get_save_image_path(
        self, filename_prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0
    ) -> tuple[str, str, int, str, str]:
        """Folder, start of the name, next free number, folder as seen from `output_dir`, and the whole prefix.

        Raises:
            InputError: outside of `output_dir`, or that is outside of the folders of this run.
        """
        prefix = fill_tokens(filename_prefix, image_width, image_height)
        subfolder = os.path.split(os.path.normpath(prefix))[0]
        for kind in ("output", "temp", "input"):
            root = Path(str(self.get_directory_by_type(kind))).resolve()
            if Path(output_dir).resolve().is_relative_to(root):
                host._resolve(
                    Path(output_dir), subfolder, kind, place="filename_prefix", expected="a name", shown=prefix
                )
                inner = Path(output_dir).resolve().relative_to(root)
                target = host.save_target(str(inner / prefix), kind, image_width, image_height)
                return str(target.folder), target.stem, target.counter, subfolder, prefix
        problem = f"folder {output_dir!r} is outside of the output folder; expected one inside. Use --output."
        raise InputError(problem, place="filename_prefix")


def _made(folder: Path) -> str:
    """The folder, which exists, as in ComfyUI: packs list it."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return str(folder.absolute())
