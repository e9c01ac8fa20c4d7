"""What is built from the repository works where nothing else of it is: the wheel, and the registry's archive."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from conftest import ROOT, import_nodes

KEPT_BY_INSTALLERS = ("pyproject.toml", "requirements.txt", "README.md", "LICENSE", "__init__.py")


def run(*command: str, folder: Path, **environment: str) -> str:
    """Standard output of a program that must succeed."""
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def sources(folder: str) -> set[str]:
    """Every file below a folder of the repository that belongs to it, as a path from its root."""
    return {path.relative_to(ROOT).as_posix() for path in files(ROOT / folder) if "__pycache__" not in path.parts}


def files(folder: Path) -> list[Path]:
    """Every file below a folder; none where there is no folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built offline from a copy, since building leaves files behind."""
    if importlib.util.find_spec("setuptools") is None or int(version("setuptools").split(".")[0]) < 77:
        pytest.skip("no setuptools from 77 on is installed, and building fetches none")
    copy, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("llmseg", "nodes", "web", "locales", "workflows"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in KEPT_BY_INSTALLERS:
        shutil.copy(ROOT / name, copy)
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    run("-m", "pip", "wheel", *offline, "--wheel-dir", str(target), str(copy), folder=target)
    (built,) = target.glob("llmseg-*.whl")
    return built


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked archive of the registry: what git knows without what `.comfyignore` names."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode != 0:
        pytest.skip("this is no git checkout, and the registry packs nothing else")
    pack = tmp_path_factory.mktemp("custom_nodes") / "llmseg"
    for name in filter(None, listed.stdout.split("\0")):
        source = ROOT / name
        if source.is_file() and not any(f"/{name}".startswith(pattern) for pattern in ignored()):
            (pack / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, pack / name)
    return pack


def ignored() -> list[str]:
    """The patterns of `.comfyignore`: a folder or a file at the root each, so that plain comparison understands them."""
    lines = (ROOT / ".comfyignore").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_wheel_holds_every_module_and_every_data_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = sources("llmseg") | {f"llmseg/{name}" for name in sources("nodes")}
    assert expected - names == set()
    assert {name for name in names if name.startswith("llmseg/")} - expected == set()


def test_the_wheel_takes_no_name_but_its_own(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"llmseg"}


def test_the_wheel_runs_without_a_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import llmseg; from llmseg.run import main\n"
        f"assert llmseg.__file__.startswith({str(site)!r}), llmseg.__file__\n"
        "sys.exit(main(['--list-nodes']))"
    )
    listed = run("-c", code, folder=tmp_path)
    assert all(name in listed for name in import_nodes().NODE_CLASS_MAPPINGS)


def test_the_archive_leaves_out_what_no_user_needs(archive: Path) -> None:
    there = {path.name for path in archive.iterdir()}
    assert {"__init__.py", "llmseg", "nodes", "workflows", "pyproject.toml", "requirements.txt", "LICENSE"} <= there
    assert {"tests", "benchmarks", "tools", "assets", ".ci"} & there == set()
    assert not (archive / "workflows" / "api").exists()
    for folder in ("web", "locales"):
        assert {path.relative_to(archive).as_posix() for path in files(archive / folder)} == sources(folder)
    assert sum(path.stat().st_size for path in files(archive)) < 20 * 2**20


def test_patterns_name_things_at_the_root_only() -> None:
    for pattern in ignored():
        assert pattern.startswith("/")
        assert set("*?[!") & set(pattern) == set()


def test_every_module_of_the_archive_is_imported_as_comfyui_does(archive: Path) -> None:
    """By file path, under that path as its name, from a folder that is on no path."""
    code = (
        "import importlib.util, sys\n"
        "sys.path[:] = [entry for entry in sys.path if entry]\n"
        f"name, folder = {str(archive)!r}.replace('.', '_x_'), {str(archive)!r}\n"
        "spec = importlib.util.spec_from_file_location(name, folder + '/__init__.py', submodule_search_locations=[folder])\n"
        "module = sys.modules[name] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "import json; print(json.dumps(sorted(module.NODE_CLASS_MAPPINGS)))"
    )
    assert json.loads(run("-c", code, folder=archive.parent)) == sorted(import_nodes().NODE_CLASS_MAPPINGS)


@pytest.mark.slow
def test_the_quickstart_runs_from_the_archive(archive: Path, tmp_path: Path) -> None:
    code = (
        "import sys, llmseg; from llmseg.run import main\n"
        f"assert llmseg.__file__.startswith({str(archive)!r}), llmseg.__file__\n"
        f"sys.exit(main(['workflows/quickstart.json', '--output', {str(tmp_path)!r}]))"
    )
    run("-c", code, folder=archive)
    assert (tmp_path / "quickstart" / "park_00001_labels.png").is_file()
