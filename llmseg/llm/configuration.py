"""The user's own profiles: `llmseg.toml` in the configuration folder, or the file that LLMSEG_CONFIG names.

    network = "online"                       # or offline, frozen: as the options of the command line

    [profiles.work]
    base_url = "https://llm.example.com/v1"
    model = "qwen3-32b"
    key_variable = "WORK_LLM_KEY"            # or key_file = "work.key", readable by its owner only

Not here: what a profile is and which are built in (`profiles`), the keys (`keys`).
"""

from __future__ import annotations

import os
import re
import reprlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import InputError, lookup
from ..options import NETWORK
from ..store import read_text, user_folder
from .profiles import PROFILES, LanguageModel, Profile, check_profile, table_name

__all__ = ["Configuration", "find_model", "read_configuration"]

CONFIG_VARIABLE = "LLMSEG_CONFIG"
CONFIG_FILE = "llmseg.toml"
LONGEST_MODEL = 200

_MODEL = re.compile(r"[\w.:/@+-]+( [\w.:/@+-]+)*", re.ASCII)
_POSITIVE = ("timeout", "deadline", "concurrency", "batch", "requests", "tries", "reply_bytes")
_FIELDS = {field.name: str(field.type) for field in fields(Profile) if field.name != "name"}


@dataclass(frozen=True)
class Configuration:
    """What `llmseg.toml` says, the built-in profiles included."""

    profiles: Mapping[str, Profile]
    network: str = "online"


def read_configuration(path: Path | None = None) -> Configuration:
    """Read the profiles of the user on top of the built-in ones.

    Args:
        path: the file; None for the one that `LLMSEG_CONFIG` names, else that of the configuration folder.

    Raises:
        InputError: a file that was named and is missing, or an entry that cannot be used.
    """
    named = path or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    path = named or user_folder("config") / CONFIG_FILE
    if named is None and not path.is_file():
        return Configuration(PROFILES)
    content = _parse_toml(path)
    if unknown := sorted(set(content) - {"network", "profiles"}):
        raise InputError(f"unknown entry {unknown[0]!r}; expected network or [profiles.NAME].", place=path.name)
    network = content.get("network", "online")
    lookup(NETWORK.names, network, place=f"{path.name}, network")
    tables = content.get("profiles", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise InputError("'profiles' is no table of tables; expected [profiles.NAME].", place=path.name)
    own = {name: _read_profile(name, table, path) for name, table in tables.items()}
    return Configuration(MappingProxyType({**PROFILES, **own}), network)


def find_model(profile: str, model: str = "", path: Path | None = None) -> LanguageModel:
    """The model that a person means by a profile and perhaps a name.

    Raises:
        UnknownNameError: no such profile, or a model that the profile does not allow.
        InputError: no model is named anywhere, or what is named cannot be a model.
    """
    found = lookup(read_configuration(path).profiles, profile, place="profile")
    name = " ".join(model.split()) or found.model
    if not name:
        raise InputError(
            f"no model named for profile {profile!r}; expected one, such as 'qwen3-8b'. "
            f"Type it, or set model under [profiles.{table_name(profile)}] in {CONFIG_FILE}.",
            place="model",
        )
    if len(name) > LONGEST_MODEL or not _MODEL.fullmatch(name):
        raise InputError(f"{reprlib.repr(name)}; expected the name of a model.", place="model")
    if found.models:
        lookup(dict.fromkeys(filter(None, (*found.models, found.model))), name, place="model")
    return LanguageModel(found, name)


def _parse_toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(read_text(path, place="configuration"))
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is no TOMLDecodeError
        raise InputError(f"not valid TOML ({error}); expected [profiles.NAME] tables.", place=path.name) from error


def _read_profile(name: str, table: Mapping[str, Any], path: Path) -> Profile:
    place = f"{path.name}, profile {name!r}"
    if unknown := sorted(set(table) - set(_FIELDS)):
        raise InputError(f"unknown entry {unknown[0]!r}; expected some of {', '.join(_FIELDS)}.", place=place)
    base = PROFILES.get(name) or Profile(name, "")
    if base.name == "openai" and table.get("base_url", base.base_url) != base.base_url:
        raise InputError(f"base_url is not {base.base_url}; give another endpoint another name.", place=place)
    values = {key: _read_value(key, value, place) for key, value in table.items()}
    if values.get("key_file"):
        values["key_file"] = str(path.parent / Path(str(values["key_file"])).expanduser())
    profile = replace(base, **values)
    check_profile(profile, place)
    return profile


def _read_value(key: str, value: object, place: str) -> Any:
    kind = _FIELDS[key]
    if kind == "tuple[str, ...]" and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if kind == "str" and isinstance(value, str):
        return value
    least = 1 if key in _POSITIVE else 0
    kinds = {"float": (int, float), "int": (int,)}.get(kind, ())
    if type(value) in kinds and least <= value < 1e9:  # type: ignore[operator]
        return float(value) if kind == "float" else value  # type: ignore[arg-type]
    number = f"a {'whole ' if kind == 'int' else ''}number from {least}"
    expected = {"tuple[str, ...]": "a list of texts", "str": "a text"}.get(kind, number)
    raise InputError(f"{key} is of another kind; expected {expected}.", place=place)
