"""The README is true as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmseg.unwanted import REASONS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def examples(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_first_example_is_short_and_prints_what_it_says(tmp_path: Path) -> None:
    code = examples("python")[0]
    assert len(code.splitlines()) <= 12
    promised = re.findall(r"^# (\{.*\})$", code, re.MULTILINE)
    code = code.replace('Path("output")', f"Path({str(tmp_path)!r})")
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.splitlines() == promised
    assert (tmp_path / "park_overlay.png").is_file()


def test_the_library_guide_runs() -> None:
    code = examples("python", (ROOT / "docs" / "library.md").read_text(encoding="utf-8"))[0]
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_expansion_guide_prints_what_it_says() -> None:
    code = examples("python", (ROOT / "docs" / "expansion.md").read_text(encoding="utf-8"))[0]
    promised = re.findall(r"^# (\(.*\))$", code, re.MULTILINE)
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert result.stdout.splitlines() == promised


def test_ci_runs_the_commands_of_the_readme() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    install, run = examples("", README)[0].strip().splitlines()
    assert install.removeprefix("pip ") in ci.replace("--quiet ", "")
    assert run.removeprefix("python ") in ci


@pytest.mark.parametrize(("command", "page"), [("run", "README.md"), ("expand", "docs/expansion.md")])
def test_every_option_of_a_command_is_documented(command: str, page: str) -> None:
    help_text = subprocess.run(
        [sys.executable, "-m", f"llmseg.{command}", "--help"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    text = (ROOT / page).read_text(encoding="utf-8")
    for option in set(re.findall(r"--[a-z-]+", help_text)) - {"--help", "--version"}:
        assert f"`{option}" in text, option


def test_every_reason_is_documented() -> None:
    page = (ROOT / "docs" / "expansion.md").read_text(encoding="utf-8")
    assert [reason for reason in REASONS if f"`{reason}`" not in page] == []
