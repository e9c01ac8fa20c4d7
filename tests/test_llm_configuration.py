"""The user's own profiles: what is merged, what is refused and in which words; the real home is never read."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llmseg.errors import InputError, UnknownNameError
from llmseg.llm.configuration import Configuration, find_model, read_configuration
from llmseg.llm.profiles import PROFILES, LanguageModel, Profile
from llmseg.options import NETWORK
from llmseg.store import user_folder

KEY = "sk-very-secret-0123456789"
WORK = '[profiles.work]\nbase_url = "https://llm.example.com/v1"\n'
PLACE = "llmseg.toml, profile 'work': "
FIELDS = ", ".join(field.name for field in dataclasses.fields(Profile) if field.name != "name")

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, with no configuration in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    for variable in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(folder))
    monkeypatch.delenv("LLMSEG_CONFIG", raising=False)
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write `llmseg.toml` and answer its path."""

    def write(text: str) -> Path:
        path = tmp_path / "llmseg.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def whole(least: int) -> str:
    return number(least).replace("a number", "a whole number")


def number(least: int) -> str:
    return f"expected a number from {least}."


# What the file says -> what the person reads.
REFUSED: dict[str, tuple[str, str]] = {
    "no TOML": (
        "= 1",
        "llmseg.toml: not valid TOML (Invalid statement (at line 1, column 1)); expected [profiles.NAME] tables.",
    ),
    "unknown entry": ("model = 'x'", "llmseg.toml: unknown entry 'model'; expected network or [profiles.NAME]."),
    "first unknown entry of several": (
        "zebra = 1\napple = 2",
        "llmseg.toml: unknown entry 'apple'; expected network or [profiles.NAME].",
    ),
    "profiles is a list": (
        "profiles = []",
        "llmseg.toml: 'profiles' is no table of tables; expected [profiles.NAME].",
    ),
    "profiles holds a text": (
        "[profiles]\nwork = 'x'",
        "llmseg.toml: 'profiles' is no table of tables; expected [profiles.NAME].",
    ),
    "network": (
        "network = 'ofline'",
        "llmseg.toml, network: unknown name 'ofline'; expected one of online, offline, frozen. Did you mean 'offline'?",
    ),
    "network is a number": (
        "network = 1",
        "llmseg.toml, network: unknown name 1; expected one of online, offline, frozen.",
    ),
    "network is a list": (
        "network = ['online']",
        "llmseg.toml, network: unknown name ['online']; expected one of online, offline, frozen. Did you mean 'online'?",
    ),
    "unknown entry of a profile": (
        WORK + f"api_key = '{KEY}'",
        PLACE + f"unknown entry 'api_key'; expected some of {FIELDS}.",
    ),
    "name is no entry": (WORK + "name = 'x'", PLACE + f"unknown entry 'name'; expected some of {FIELDS}."),
    "no address": (
        "[profiles.work]\nmodel = 'x'",
        PLACE + "no base_url; expected an address such as https://host/v1.",
    ),
    "plain HTTP": (
        "[profiles.work]\nbase_url = 'http://llm.example.com/v1'",
        PLACE + "base_url 'http://llm.example.com/v1'; expected https://host/v1, or http:// on this machine.",
    ),
    "key in the address": (
        f"[profiles.work]\nbase_url = 'https://{KEY}@llm.example.com/v1'",
        PLACE + "base_url holds more than an address; expected https://host/v1.",
    ),
    "key in the query": (
        f"[profiles.work]\nbase_url = 'https://llm.example.com/v1?key={KEY}'",
        PLACE + "base_url holds more than an address; expected https://host/v1.",
    ),
    "key pasted as a variable": (
        WORK + f"key_variable = '{KEY}'",
        PLACE + "key_variable is not the name of an environment variable; expected one such as WORK_LLM_KEY. "
        "Never write the key itself.",
    ),
    "key of OpenAI to another host": (
        WORK + "key_variable = 'OPENAI_API_KEY'",
        PLACE + "OPENAI_API_KEY goes to api.openai.com and nowhere else; use another variable.",
    ),
    "openai moved": (
        "[profiles.openai]\nbase_url = 'https://llm.example.com/v1'",
        "llmseg.toml, profile 'openai': base_url is not https://api.openai.com/v1; give another endpoint another name.",
    ),
    "openai moved by a port": (
        "[profiles.openai]\nbase_url = 'https://api.openai.com:8443/v1'",
        "llmseg.toml, profile 'openai': base_url is not https://api.openai.com/v1; give another endpoint another name.",
    ),
    "openai moved to a number": (
        "[profiles.openai]\nbase_url = 1",
        "llmseg.toml, profile 'openai': base_url is not https://api.openai.com/v1; give another endpoint another name.",
    ),
    "text is a number": (WORK + "model = 1", PLACE + "model is of another kind; expected a text."),
    "variable is a list": (
        WORK + "key_variable = ['A']",
        PLACE + "key_variable is of another kind; expected a text.",
    ),
    "models is a text": (WORK + "models = 'a'", PLACE + "models is of another kind; expected a list of texts."),
    "models holds a number": (
        WORK + "models = ['a', 1]",
        PLACE + "models is of another kind; expected a list of texts.",
    ),
    "number is a text": (WORK + "timeout = '60'", PLACE + f"timeout is of another kind; {number(1)}"),
    "number is true": (WORK + "concurrency = true", PLACE + f"concurrency is of another kind; {whole(1)}"),
    "number is not a number": (WORK + "deadline = nan", PLACE + f"deadline is of another kind; {number(1)}"),
    "number is endless": (WORK + "deadline = inf", PLACE + f"deadline is of another kind; {number(1)}"),
    "number is huge": (WORK + "reply_bytes = 1_000_000_000", PLACE + f"reply_bytes is of another kind; {whole(1)}"),
    **{
        f"{name} of nothing": (WORK + f"{name} = 0", PLACE + f"{name} is of another kind; {form(1)}")
        for form, names in (
            (number, ("timeout", "deadline")),
            (whole, ("concurrency", "batch", "tries", "reply_bytes")),
        )
        for name in names
    },
    **{
        f"{name} below nothing": (WORK + f"{name} = -0.5", PLACE + f"{name} is of another kind; {number(0)}")
        for name in ("pause", "price_in", "price_out")
    },
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_file(text: str, message: str, write: Write) -> None:
    with pytest.raises(InputError) as caught:
        read_configuration(write(text))
    assert str(caught.value) == message
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 10_000, "x = " + "[" * 10_000, "\x00", 'x = "' + "y" * 10**6])
def test_hostile_file_gives_a_short_message(text: str, write: Write) -> None:
    with pytest.raises(InputError) as caught:
        read_configuration(write(text))
    assert str(caught.value).startswith("llmseg.toml: not valid TOML (")
    assert len(str(caught.value)) < 200


def test_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "llmseg.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError) as caught:
        read_configuration(path)
    assert str(caught.value) == f"configuration: {str(path)!r} is not UTF-8 text; expected a text file."


# --- where it is found ---


def test_no_file_at_all() -> None:
    assert read_configuration() == Configuration(PROFILES, "online")


@pytest.mark.skipif(sys.platform == "win32", reason="the folder of Windows is not named by a variable")
def test_file_of_the_configuration_folder(home: Path) -> None:
    path = user_folder("config") / "llmseg.toml"
    assert path.is_relative_to(home)
    path.parent.mkdir(parents=True)
    path.write_text(WORK, encoding="utf-8")
    assert "work" in read_configuration().profiles


@pytest.mark.skipif(sys.platform == "win32", reason="the folder of Windows is not named by a variable")
def test_named_file_goes_before_that_of_the_folder(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = user_folder("config") / "llmseg.toml"
    path.parent.mkdir(parents=True)
    path.write_text("not read", encoding="utf-8")
    monkeypatch.setenv("LLMSEG_CONFIG", str(write(WORK)))
    assert "work" in read_configuration().profiles


def test_argument_goes_before_the_variable(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLMSEG_CONFIG", str(tmp_path / "missing.toml"))
    assert "work" in read_configuration(write(WORK)).profiles


def test_empty_variable_names_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMSEG_CONFIG", "")
    assert read_configuration().profiles == PROFILES


@pytest.mark.skipif(sys.platform == "win32", reason="the system's own words differ")
@pytest.mark.parametrize("by_variable", [True, False])
def test_named_file_that_is_missing(by_variable: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "missing.toml"
    if by_variable:
        monkeypatch.setenv("LLMSEG_CONFIG", str(path))
    with pytest.raises(InputError) as caught:
        read_configuration(None if by_variable else path)
    assert str(caught.value) == (
        f"configuration: cannot read {str(path)!r}: No such file or directory; expected a text file."
    )


# --- what it gives ---


def test_empty_file(write: Write) -> None:
    assert read_configuration(write("# nothing yet\n")) == Configuration(PROFILES, "online")


def test_byte_order_mark_of_a_windows_editor(write: Write) -> None:
    assert "work" in read_configuration(write("\ufeff" + WORK)).profiles


@pytest.mark.parametrize("network", NETWORK.names)
def test_network(network: str, write: Write) -> None:
    assert read_configuration(write(f"network = '{network}'")).network == network


def test_full_profile_by_hand(write: Write) -> None:
    path = write(
        WORK + "model = 'qwen3-32b'\nmodels = ['qwen3-32b', 'qwen3-8b']\nkey_variable = 'WORK_LLM_KEY'\n"
        "key_file = 'work.key'\ntimeout = 20\ndeadline = 1e3\nconcurrency = 3\nbatch = 4\ntries = 2\npause = 0\n"
        "reply_bytes = 5000\nprice_in = 0.25\nprice_out = 2\n"
    )
    assert read_configuration(path).profiles["work"] == Profile(
        "work",
        "https://llm.example.com/v1",
        model="qwen3-32b",
        models=("qwen3-32b", "qwen3-8b"),
        key_variable="WORK_LLM_KEY",
        key_file=str(path.parent / "work.key"),
        timeout=20.0,
        deadline=1000.0,
        concurrency=3,
        batch=4,
        tries=2,
        pause=0.0,
        reply_bytes=5000,
        price_in=0.25,
        price_out=2.0,
    )


def test_numbers_have_the_kind_of_their_field(write: Write) -> None:
    profile = read_configuration(write(WORK + "timeout = 20\nconcurrency = 3")).profiles["work"]
    assert (type(profile.timeout), type(profile.concurrency)) == (float, int)


def test_own_profile_keeps_the_defaults_and_the_built_in_ones(write: Write) -> None:
    profiles = read_configuration(write(WORK)).profiles
    assert profiles == {**PROFILES, "work": Profile("work", "https://llm.example.com/v1")}


@pytest.mark.parametrize("name", PROFILES)
def test_entry_is_merged_with_the_built_in_profile(name: str, write: Write) -> None:
    profiles = read_configuration(write(f"[profiles.'{name}']\nmodel = 'mine'\nbatch = 2")).profiles
    assert profiles == {**PROFILES, name: dataclasses.replace(PROFILES[name], model="mine", batch=2)}


def test_local_profile_can_be_moved(write: Write) -> None:
    profiles = read_configuration(write("[profiles.ollama]\nbase_url = 'http://localhost:9999/v1'")).profiles
    assert profiles["ollama"] == dataclasses.replace(PROFILES["ollama"], base_url="http://localhost:9999/v1")


def test_openai_profile_may_say_where_it_is_anyhow(write: Write) -> None:
    path = write("[profiles.openai]\nbase_url = 'https://api.openai.com/v1'\nkey_file = 'openai.key'")
    assert read_configuration(path).profiles["openai"] == dataclasses.replace(
        PROFILES["openai"], key_file=str(path.parent / "openai.key")
    )


def test_key_file_with_a_full_path(write: Write, tmp_path: Path) -> None:
    full = tmp_path / "elsewhere" / "work.key"
    assert read_configuration(write(WORK + f"key_file = '{full}'")).profiles["work"].key_file == str(full)


def test_profiles_cannot_be_changed(write: Write) -> None:
    profiles = read_configuration(write(WORK)).profiles
    with pytest.raises(TypeError):
        profiles["evil"] = PROFILES["openai"]  # type: ignore[index]


# --- the model a person means ---


@pytest.mark.parametrize(
    ("profile", "model", "found"),
    [
        ("openai", "", PROFILES["openai"].model),
        ("openai", "gpt-5", "gpt-5"),
        ("openai", "  gpt-5  ", "gpt-5"),
        ("openai", " \t", PROFILES["openai"].model),
        ("ollama", "llama3.2", "llama3.2"),
        ("ollama", "hf.co/bartowski/Qwen3-8B-GGUF:Q4_K_M", "hf.co/bartowski/Qwen3-8B-GGUF:Q4_K_M"),
        ("lmstudio", "My  model\n7B", "My model 7B"),
        ("llama.cpp", "x" * 200, "x" * 200),
    ],
)
def test_found_model(profile: str, model: str, found: str) -> None:
    assert find_model(profile, model) == LanguageModel(PROFILES[profile], found)


def test_found_model_of_an_own_profile(write: Write) -> None:
    path = write(WORK + "model = 'big'\nmodels = ['small', 'middle']")
    assert [find_model("work", name, path).model for name in ("", "big", "small", "middle")] == [
        "big", "big", "small", "middle",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("profile", "model", "message"),
    [
        (
            "olama",
            "x",
            "profile: unknown name 'olama'; expected one of openai, ollama, llama.cpp, lmstudio, work. "
            "Did you mean 'ollama'?",
        ),
        (
            "work",
            "smal",
            "model: unknown name 'smal'; expected one of small, middle, big. Did you mean 'small'?",
        ),
    ],
)
def test_unknown_profile_or_model(profile: str, model: str, message: str, write: Write) -> None:
    path = write(WORK + "model = 'big'\nmodels = ['small', 'middle']")
    with pytest.raises(UnknownNameError) as caught:
        find_model(profile, model, path)
    assert str(caught.value) == message


@pytest.mark.parametrize("profile", [*(name for name in PROFILES if not PROFILES[name].model), "work"])
@pytest.mark.parametrize("model", ["", "  \n"])
def test_no_model_at_all(profile: str, model: str, write: Write) -> None:
    with pytest.raises(InputError) as caught:
        find_model(profile, model, write(WORK))
    assert str(caught.value) == (
        f"model: no model named for profile {profile!r}; expected one, such as 'qwen3-8b'. "
        f"Type it, or set model under [profiles.{profile}] in llmseg.toml."
    )


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ('x", "y', "'x\", \"y'"),
        ("m\u00f6del", "'m\u00f6del'"),
        ("a\x00b", r"'a\x00b'"),
        ("{x}", "'{x}'"),
        ("../..\\x", r"'../..\\x'"),
        ("x" * 201, "'" + "x" * 12 + "..." + "x" * 13 + "'"),
    ],
)
def test_text_that_is_no_model(model: str, shown: str) -> None:
    with pytest.raises(InputError) as caught:
        find_model("openai", model)
    assert str(caught.value) == f"model: {shown}; expected the name of a model."


def test_key_file_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    path = tmp_path / "llmseg.toml"
    path.write_text("[profiles.work]\nbase_url = 'https://h.example/v1'\nkey_file = '~/work.key'\n", encoding="utf-8")
    assert read_configuration(path).profiles["work"].key_file == str(tmp_path / "home" / "work.key")


def test_huge_number_is_not_valid_toml(tmp_path: Path) -> None:
    path = tmp_path / "llmseg.toml"
    path.write_text("network = " + "1" * 5000, encoding="utf-8")
    with pytest.raises(InputError, match=r"^llmseg\.toml: not valid TOML \("):
        read_configuration(path)


def test_list_of_models_has_no_empty_name(tmp_path: Path) -> None:
    path = tmp_path / "llmseg.toml"
    path.write_text("[profiles.lmstudio]\nmodels = ['a', 'b']\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        find_model("lmstudio", "zzz", path)
    assert str(caught.value) == "model: unknown name 'zzz'; expected one of a, b."


def test_false_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "llmseg.toml"
    path.write_text("[profiles.lmstudio]\npause = false\n", encoding="utf-8")
    with pytest.raises(InputError):
        read_configuration(path)
