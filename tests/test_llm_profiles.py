"""Which endpoints are built in, and which addresses are refused because they could leak."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from llmseg.errors import InputError
from llmseg.llm.profiles import OFFICIAL, PROFILES, LanguageModel, Profile, check_profile

KEY = "sk-very-secret-0123456789"

BUILT_IN = {
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "ollama": ("http://127.0.0.1:11434/v1", ""),
    "llama.cpp": ("http://127.0.0.1:8080/v1", ""),
    "lmstudio": ("http://127.0.0.1:1234/v1", ""),
}

ALLOWED = [
    "https://llm.example.com/v1",
    "https://llm.example.com",
    "https://llm.example.com:8443/deep/path/v1",
    "HTTPS://LLM.example.com/v1",
    "https://192.168.0.7/v1",
    "http://localhost:8000/v1",
    "http://LOCALHOST:8000/v1",
    "http://127.0.0.1/v1",
    "http://127.8.9.10:1/v1",
    "http://[::1]:8080/v1",
]

NO_ADDRESS = [
    "",
    "llm.example.com/v1",
    "http://llm.example.com/v1",
    "http://192.168.0.7/v1",
    "http://0.0.0.0:80/v1",
    "http://[::2]/v1",
    "http://127.0.0.1.nip.io/v1",
    "http://localhost.evil.com/v1",
    "http://2130706433/v1",
    "ftp://localhost/v1",
    "file:///etc/passwd",
    "https:///v1",
    "https://",
    "https://host:0/v1",
    "https://host:65536/v1",
    "https://host:port/v1",
    "https://[::1/v1",
]

MORE_THAN_AN_ADDRESS = [
    f"https://{KEY}@llm.example.com/v1",
    f"https://user:{KEY}@llm.example.com/v1",
    f"https://:{KEY}@llm.example.com/v1",
    f"http://{KEY}@127.0.0.1/v1",
    f"https://llm.example.com/v1?key={KEY}",
    f"https://llm.example.com/v1#{KEY}",
    f"https://{KEY}\\@llm.example.com/v1",
]

NO_VARIABLE = [KEY, "MY KEY", "MY-KEY", "1KEY", "$KEY", "KEY=1", "K\u00c4Y", "KEY\n", " KEY"]


def checked(**values: Any) -> str:
    """The message of a refusal, with the key nowhere in it."""
    profile = Profile(**{"name": "work", "base_url": "https://llm.example.com/v1", **values})
    with pytest.raises(InputError) as caught:
        check_profile(profile, "llmseg.toml, profile 'work'")
    assert KEY not in str(caught.value)
    return str(caught.value)


def test_built_in_profiles() -> None:
    assert {name: (profile.base_url, profile.key_variable) for name, profile in PROFILES.items()} == BUILT_IN


@pytest.mark.parametrize("name", PROFILES)
def test_built_in_profile_is_sound(name: str) -> None:
    profile = PROFILES[name]
    check_profile(profile, "test")
    assert profile.name == name
    assert not profile.key_file
    assert profile.timeout < profile.deadline
    assert min(profile.concurrency, profile.batch, profile.tries, profile.reply_bytes) >= 1


def test_built_in_profiles_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PROFILES["openai"] = PROFILES["ollama"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        PROFILES["openai"].base_url = "https://evil.example"  # type: ignore[misc]


def test_key_of_a_vendor_is_that_of_a_built_in_profile() -> None:
    assert {profile.key_variable for profile in PROFILES.values() if profile.key_variable} == set(OFFICIAL)


@pytest.mark.parametrize("address", ALLOWED)
def test_allowed_address(address: str) -> None:
    check_profile(Profile("work", address), "test")


UNREADABLE = {"", "llm.example.com/v1", "file:///etc/passwd", "https:///v1", "https://", "https://host:65536/v1"}
UNREADABLE |= {"https://host:port/v1", "https://[::1/v1"}


@pytest.mark.parametrize("address", NO_ADDRESS)
def test_refused_address(address: str) -> None:
    message = f"base_url {address!r}; expected https://host/v1, or http:// on this machine."
    if address in UNREADABLE:  # and so not shown: it may be anything, a key too
        what = "base_url cannot be read" if address else "no base_url"
        message = f"{what}; expected an address such as https://host/v1."
    assert checked(base_url=address) == f"llmseg.toml, profile 'work': {message}"


@pytest.mark.parametrize("address", MORE_THAN_AN_ADDRESS)
def test_key_in_the_address_is_refused_and_not_shown(address: str) -> None:
    message = "llmseg.toml, profile 'work': base_url holds more than an address; expected https://host/v1."
    assert checked(base_url=address) == message


def test_long_address_gives_a_short_message() -> None:
    assert len(checked(base_url="gopher://" + "x" * 10**6)) < 200


@pytest.mark.parametrize("variable", NO_VARIABLE)
def test_key_pasted_as_a_variable_is_refused_and_not_shown(variable: str) -> None:
    assert checked(key_variable=variable) == (
        "llmseg.toml, profile 'work': key_variable is not the name of an environment variable; expected one such as "
        "WORK_LLM_KEY. Never write the key itself."
    )


@pytest.mark.parametrize(
    "address",
    [
        "https://llm.example.com/v1",
        "https://api.openai.com.evil.com/v1",
        "https://evil.com/api.openai.com/v1",
        "https://eu.api.openai.com/v1",
        "http://localhost/v1",
        "https://api.openai.com./v1",
    ],
)
def test_openai_key_goes_to_openai_only(address: str) -> None:
    assert checked(base_url=address, key_variable="OPENAI_API_KEY") == (
        "llmseg.toml, profile 'work': OPENAI_API_KEY goes to api.openai.com and nowhere else; use another variable."
    )


@pytest.mark.parametrize("address", ["https://api.openai.com/v1", "https://API.OpenAI.com:443/v2"])
def test_openai_key_at_another_path_of_openai(address: str) -> None:
    check_profile(Profile("work", address, key_variable="OPENAI_API_KEY"), "test")


def test_language_model_holds_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    language_model = LanguageModel(PROFILES["openai"], "gpt-5-mini")
    assert KEY not in repr(dataclasses.asdict(language_model))
    assert language_model == LanguageModel(PROFILES["openai"], "gpt-5-mini")


@pytest.mark.parametrize(
    "address",
    [f"https://{KEY}@h:x/v1", f"https://{KEY}@[::1/v1", KEY, f"https://host:{KEY}/v1"],
)
def test_key_in_an_address_that_cannot_be_read_is_not_shown(address: str) -> None:
    with pytest.raises(InputError) as caught:
        check_profile(Profile("work", address), "test")
    assert KEY[:5] not in str(caught.value)
    assert KEY[-5:] not in str(caught.value)


@pytest.mark.parametrize("address", ["https://h\tx/v1", "https://h\nx/v1", "https://h\x7fx/v1"])
def test_address_that_the_client_cannot_read(address: str) -> None:
    with pytest.raises(InputError):
        check_profile(Profile("work", address), "test")
