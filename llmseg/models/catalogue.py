"""Weights that open_clip knows by name: where they come from and how large they are, without importing it.

Not here: which of them are on this computer (`downloads`), fetching them (`fetching`), reading them (`weights`).
Source: `data/models/named.json`, which `tools/catalogue.py` makes from open_clip's own tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

__all__ = ["Source", "find_source", "known_sources"]

HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # where open_clip names none
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Source:
    """Where the weights of one name come from.

    Args:
        name: name/tag, as open_clip has it.
        repository: on the hub, owner/name; empty for none.
        files: what they may be called there, best first.
        url: where their authors put them; empty for none.
        vit: whether our own towers run them.
        quick_gelu: the nonlinearity they were trained with.
        mean, std: per RGB channel, for images in 0..1.
        numbers: parameters of both towers; 0 where nobody counted.
        licence: as the model card of the repository said; empty where nobody looked.
    """

    name: str
    repository: str = ""
    files: tuple[str, ...] = HUB_FILES
    url: str = ""
    vit: bool = False
    quick_gelu: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    numbers: int = 0
    licence: str = ""

    @property
    def stem(self) -> str:
        """What a file of these weights is called, so that no two names share one."""
        return self.name.replace("/", "--")

    @property
    def size(self) -> int:
        """Bytes of the parameters in float32: no file is much larger, some are half of it. 0 where nobody counted."""
        return self.numbers * FLOAT_BYTES

    @property
    def sha256(self) -> str:
        """How the hash of the file at `url` begins, which two publishers write into the address; empty for others."""
        path = PurePosixPath(self.url)
        if "openaipublic" in self.url:
            return path.parent.name
        return path.stem.rpartition("-")[2] if "mlfoundations" in self.url else ""


@lru_cache(maxsize=1)
def known_sources() -> Mapping[str, Source]:
    """Every name/tag of the table, in open_clip's order."""
    table = json.loads(
        resources.files("llmseg").joinpath("data").joinpath("models").joinpath("named.json").read_text(encoding="utf-8")
    )
    sources = {}
    for name, entry in table["weights"].items():
        source = _make_source(name, entry)
        numbers = table["numbers"].get(name.partition("/")[0].removesuffix("-quickgelu"), 0)
        licence = table["licences"].get(source.repository, "")
        sources[name] = Source(**{**vars(source), "numbers": numbers, "licence": licence})
    return MappingProxyType(sources)


def find_source(model: str, *, ask_library: bool = False) -> Source | None:
    """Where the weights of a name/tag come from; None for a name that is not known.

    Args:
        model: name/tag, the tag in either of the spellings that open_clip takes.
        ask_library: whether open_clip may be imported for a name that the table lacks: a newer one knows more.
    """
    name, _, tag = model.partition("/")
    model = f"{name}/{tag.lower().replace('-', '_')}"
    if (found := known_sources().get(model)) is not None or not ask_library or not tag:
        return found
    try:
        import open_clip

        described = open_clip.get_pretrained_cfg(name, tag)
    except Exception:  # whoever needs it says what is wrong with it
        return None
    if not described:
        return None
    entry = {"hub": described.get("hf_hub", ""), "url": described.get("url", "")}
    return _make_source(model, entry)


def _make_source(name: str, entry: Mapping[str, Any]) -> Source:
    repository, _, file = entry.get("hub", "").rpartition("/")
    return Source(
        name=name,
        repository=repository,
        files=(f"{PurePosixPath(file).stem}.safetensors", file) if file else HUB_FILES,
        url=entry.get("url", ""),
        vit=entry.get("vit", False),
        quick_gelu=entry.get("quick_gelu", False),
        mean=tuple(entry.get("mean", ())),
        std=tuple(entry.get("std", ())),
    )
