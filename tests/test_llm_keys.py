"""A key is read when it is needed, and shown to nobody."""

from __future__ import annotations

import copy
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmseg.errors import MissingKeyError
from llmseg.llm.keys import LONGEST_KEY, Secret, read_key
from llmseg.llm.profiles import PROFILES, Profile

KEY = "sk-very-secret-0123456789"
VARIABLE = "LLMSEG_TEST_KEY"
POSIX = pytest.mark.skipif(os.name != "posix", reason="file modes are of POSIX")

NO_KEY = [
    "two words",
    f"{KEY}\n{KEY}",
    f"{KEY}\r\nX-Header: evil",
    f"{KEY}\x07",
    f"{KEY}\u00e4",
    "\u201c" + KEY + "\u201d",
    "k" * (LONGEST_KEY + 1),
]


def profile(**values: Any) -> Profile:
    return Profile("work", "https://llm.example.com/v1", **values)


@pytest.fixture
def key_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a key file of a mode."""

    def write(text: str = KEY, mode: int = 0o600) -> Path:
        path = tmp_path / "work.key"
        path.write_text(text, encoding="utf-8", newline="")
        path.chmod(mode)
        return path

    return write


# --- the secret ---


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        "{}".format,
        "{!r}".format,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!s:>40}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
        lambda secret: repr([secret]),
        lambda secret: repr({"key": secret}),
    ],
)
def test_secret_does_not_show(show: Callable[[Secret], str]) -> None:
    shown = show(Secret(KEY))
    assert "Secret(***)" in shown
    assert KEY not in shown


@pytest.mark.parametrize(
    "take", [copy.copy, copy.deepcopy, *(lambda secret, p=p: pickle.dumps(secret, p) for p in range(6))]
)
def test_secret_does_not_travel(take: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError, match="^a key is never pickled$"):
        take(Secret(KEY))


def test_secret_is_not_json() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret(KEY))


def test_secret_is_revealed() -> None:
    assert Secret(KEY).reveal() == KEY


@pytest.mark.parametrize(
    ("key", "text", "hidden"),
    [
        (KEY, f"bad key {KEY}, I say: {KEY}.", "bad key ***, I say: ***."),
        (KEY, KEY * 2, "******"),
        (KEY, "nothing of the kind", "nothing of the kind"),
        ("sk.key-1", "skAkey-1 SK.KEY-1", "skAkey-1 ***"),
        ("EMPTY", "an empty dog, EMPTY", "an empty dog, EMPTY"),  # no secret, but a part of many replies
        ("", "there is no key", "there is no key"),
    ],
)
def test_key_is_hidden_in_a_text(key: str, text: str, hidden: str) -> None:
    assert Secret(key).hide(text) == hidden


# --- the variable ---


@pytest.mark.parametrize("name", [name for name, built_in in PROFILES.items() if not built_in.key_variable])
def test_profile_without_a_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert read_key(PROFILES[name]).reveal() == ""


@pytest.mark.parametrize("text", [KEY, f" {KEY}\n", f"{KEY}\r\n", "k" * LONGEST_KEY])
def test_key_of_a_variable(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    assert read_key(profile(key_variable=VARIABLE)).reveal() == text.strip()


def test_key_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("first", "second"):
        monkeypatch.setenv(VARIABLE, key)
        assert read_key(profile(key_variable=VARIABLE)).reveal() == key


@pytest.mark.parametrize("text", [None, "", "  \n"])
def test_no_key_in_the_variable(text: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if text is not None:
        monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(MissingKeyError) as caught:
        read_key(profile(key_variable=VARIABLE))
    assert str(caught.value) == (
        "llm: no API key for 'work'. Set LLMSEG_TEST_KEY, or choose a shipped library such as 'voc21', "
        "which needs no key."
    )


def test_no_key_for_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(MissingKeyError) as caught:
        read_key(PROFILES["openai"])
    assert str(caught.value) == (
        "llm: no API key for 'openai'. Set OPENAI_API_KEY, or choose a shipped library such as 'voc21', "
        "which needs no key."
    )


@pytest.mark.parametrize("text", NO_KEY)
def test_variable_that_holds_no_key(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(MissingKeyError) as caught:
        read_key(profile(key_variable=VARIABLE))
    assert str(caught.value) == "llm: LLMSEG_TEST_KEY does not hold an API key; expected one word on one line."


# --- the file ---


@pytest.mark.parametrize("text", [KEY, f"{KEY}\n", f"\ufeff{KEY}\r\n", f"\n\n {KEY} \n"])
def test_key_of_a_file(text: str, key_file: Callable[..., Path]) -> None:
    assert read_key(profile(key_file=str(key_file(text)))).reveal() == KEY


def test_file_goes_before_the_variable(key_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "of-the-variable")
    assert read_key(profile(key_file=str(key_file()), key_variable=VARIABLE)).reveal() == KEY


@pytest.mark.parametrize("text", ["", " \n"])
def test_empty_file(text: str, key_file: Callable[..., Path]) -> None:
    path = key_file(text)
    with pytest.raises(MissingKeyError) as caught:
        read_key(profile(key_file=str(path)))
    assert str(caught.value) == (
        f"llm: no API key for 'work'. Set the file {str(path)!r}, or choose a shipped library such as 'voc21', "
        "which needs no key."
    )


@pytest.mark.parametrize("text", NO_KEY)
def test_file_that_holds_no_key(text: str, key_file: Callable[..., Path]) -> None:
    path = key_file(text)
    with pytest.raises(MissingKeyError) as caught:
        read_key(profile(key_file=str(path)))
    message = f"llm: the file {str(path)!r} does not hold an API key; expected one word on one line."
    assert str(caught.value) == message


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_file_of_its_owner_only(mode: int, key_file: Callable[..., Path]) -> None:
    assert read_key(profile(key_file=str(key_file(mode=mode)))).reveal() == KEY


@POSIX
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602, 0o610, 0o777])
def test_file_that_others_may_read(mode: int, key_file: Callable[..., Path]) -> None:
    path = key_file(mode=mode)
    with pytest.raises(MissingKeyError) as caught:
        read_key(profile(key_file=str(path)))
    assert str(caught.value) == f"llm: others may read the key file {str(path)!r}. Run: chmod 600 {path}"


@POSIX
def test_mode_is_that_of_the_file_behind_a_link(key_file: Callable[..., Path], tmp_path: Path) -> None:
    link = tmp_path / "link.key"
    link.symlink_to(key_file(mode=0o644))
    with pytest.raises(MissingKeyError, match="others may read the key file"):
        read_key(profile(key_file=str(link)))


@POSIX
def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "missing.key"
    with pytest.raises(MissingKeyError) as caught:
        read_key(profile(key_file=str(path)))
    assert str(caught.value) == (
        "llm: the key file of 'work' cannot be read (No such file or directory). Correct key_file in llmseg.toml."
    )


def test_pasted_key_file_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(MissingKeyError) as caught:
        read_key(Profile("work", "https://h.example/v1", key_file=str(tmp_path / KEY)))
    assert KEY not in str(caught.value)
