"""Nodes that ask: which language model, and for what.

Not here: keys and addresses (`llmseg.llm.configuration`), files and edits of what came back (`expansion`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from llmseg.affinity import STRICT_MARGIN, judge_affinity, report_affinity
from llmseg.cleaning_rules import CleaningLimits
from llmseg.encoder import Encoder
from llmseg.errors import InputError
from llmseg.expansion import expand_with, load_expansion
from llmseg.expansion_edits import hold_lock, locked_entries
from llmseg.expansion_text import format_expansion
from llmseg.interview import ENGLISH, AskOptions, cleaning_limits
from llmseg.llm import PROFILES, LanguageModel, find_model, read_configuration
from llmseg.llm_expansion import Asked, ask_expansion
from llmseg.options import COUNT, KIND, LIBRARY, PROFILE, REFRESH
from llmseg.store import content_hash
from llmseg.types import ClassList, Expansion

from . import host, progress
from .sockets import CLASS_NAMES, ENCODER, EXPANSION, LLM, choice, integer, socket, switch, text

CATEGORY = "llmseg/text"


class LLMSegLLMProfile:
    """Which language model splits the classes."""

    DESCRIPTION = (
        "A language model service by the name of its profile. Addresses and keys stand in llmseg.toml or in "
        "environment variables, never in a workflow."
    )
    CATEGORY = CATEGORY
    RETURN_TYPES = (LLM,)
    RETURN_NAMES = ("llm",)
    OUTPUT_TOOLTIPS = ("The language model; holds no key.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        try:
            profiles = list(read_configuration().profiles)
        except InputError:  # the list must not fail; `VALIDATE_INPUTS` says what is wrong
            profiles = list(PROFILES)
        model = text("", "Name of the model at that service, such as llama3.2. Empty: the one of the profile.")
        return {
            "required": {"profile": (profiles, {"default": PROFILE.default, "tooltip": PROFILE.help}), "model": model}
        }

    @classmethod
    def VALIDATE_INPUTS(cls, profile: str | None, model: str | None) -> bool | str:
        try:
            return profile is None or model is None or bool(find_model(profile, model))
        except InputError as error:
            return error.problem

    @classmethod
    def IS_CHANGED(cls, profile: str | None, model: str | None) -> str:
        found = None if profile is None or model is None else find_model(profile, model)  # None: comes over a link
        return content_hash(repr(found or read_configuration()))  # an edited profile counts at once

    def execute(self, profile: str, model: str) -> tuple[LanguageModel]:
        return (find_model(profile, model),)


class LLMSegExpand:
    """Splits classes into the kinds that can be told apart in a photo."""

    DESCRIPTION = (
        "Gives every class its subclasses: from own text, else a language model, else a shipped library. Answers of "
        "a language model are stored and never paid for twice."
    )
    CATEGORY = CATEGORY
    RETURN_TYPES = (EXPANSION, "STRING")
    RETURN_NAMES = ("expansion", "table")
    OUTPUT_TOOLTIPS = ("The classes with their phrases.", "A class a line: can be edited and fed back.")
    FUNCTION = "execute"

    unfinished: ClassVar[int] = 0  # counts runs that missed answers, so that the next one is not taken from a cache

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        subclasses = text(
            "",
            "Own subclasses, one class a line: 'dog: poodle, beagle', or JSON, or the answer of any node that asks a "
            "language model. Used instead of everything else when not empty.",
            multiline=True,
        )
        lock = "A saved expansion in the input folder or beside the workflow: its classes are taken as they are."
        return {
            "required": {"class_names": socket(CLASS_NAMES, "The classes to expand."), "library": choice(LIBRARY)},
            # In the order in which they were added: workflow files count on it.
            "optional": {
                "subclasses": subclasses,
                "llm": socket(LLM, "A language model to ask instead of the library."),
                "encoder": socket(
                    ENCODER, "Tells which phrases this CLIP finds closer to another class; strict drops them."
                ),
                "lock_file": text("", lock),
                "kind": choice(KIND, advanced=True),
                "count": integer(COUNT, advanced=True),
                "critic": switch(False, "Whether the language model looks at its own list again.", advanced=True),
                "domain": text("", "What the pictures show, such as 'satellite images'.", advanced=True),
                "language": text(ENGLISH, "Of the class names; other than 'en' they are translated.", advanced=True),
                "refresh": integer(REFRESH, advanced=True),
                "preview": switch(False, "Ask nothing; the table says what asking would cost.", advanced=True),
                "strict": switch(False, "Whether doubtful phrases are dropped instead of kept.", advanced=True),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, lock_file: str | None = None) -> bool | str:
        try:
            return not lock_file or not lock_file.strip() or _lock_path(lock_file).is_file() or _no_lock(lock_file)
        except InputError as error:
            return error.problem

    @classmethod
    def IS_CHANGED(cls, lock_file: str | None = "", **inputs: Any) -> str | float:
        if lock_file is None:  # its name comes over a link: nobody knows what is in it now
            return math.nan
        stat = _lock_path(lock_file).stat() if lock_file.strip() else None
        return content_hash(cls.unfinished, host.network(), (stat.st_mtime_ns, stat.st_size) if stat else None)

    async def execute(
        self,
        class_names: ClassList,
        library: str,
        subclasses: str = "",
        llm: LanguageModel | None = None,
        encoder: Encoder | None = None,
        lock_file: str = "",
        kind: str = KIND.default,
        count: int = int(COUNT.default),
        critic: bool = False,
        domain: str = "",
        language: str = ENGLISH,
        refresh: int = 0,
        preview: bool = False,
        strict: bool = False,
    ) -> tuple[Expansion, str]:
        lock = _read_lock(lock_file)
        options = AskOptions(kind, count, critic, domain, language, refresh, preview=preview, strict=strict)
        limits = cleaning_limits(options)
        if llm is None or subclasses.strip():
            asked = _look_up(class_names, library, subclasses, encoder, lock, limits)
        else:
            asked = await _ask(class_names, llm, options, lock)
        asked = _look_closer(asked, encoder, limits)
        return asked.expansion, format_expansion(asked.expansion, asked.remarks)


def _read_lock(file: str) -> Expansion | None:
    """The lock file; None where none is named."""
    if not file.strip():
        return None
    if not _lock_path(file).is_file():
        raise InputError(_no_lock(file), place="lock_file")
    return load_expansion(_lock_path(file))


def _lock_path(file: str) -> Path:
    return host.lock_path(file.strip())


def _no_lock(file: str) -> str:
    return f"no file {file!r}; expected it in the input folder or beside the workflow. Empty it to ask for every class."


def _look_up(
    classes: ClassList,
    library: str,
    subclasses: str,
    encoder: Encoder | None,
    lock: Expansion | None,
    limits: CleaningLimits,
) -> Asked:
    """What needs no language model: own text, else a library, the encoder's own first."""
    found = expand_with(classes, library, subclasses, encoder.library if encoder is not None else "", limits)
    return Asked(hold_lock(found, lock), (), locked=frozenset(locked_entries(classes, lock)))


async def _ask(classes: ClassList, llm: LanguageModel, options: AskOptions, lock: Expansion | None) -> Asked:
    """Ask, where the network may be used, until there are answers or the user presses stop."""
    options = replace(options, network=host.network())
    asked = await progress.until_interrupted(
        ask_expansion(classes, llm, options, lock=lock, on_answer=progress.report_steps())
    )
    LLMSegExpand.unfinished += asked.unfinished
    return asked


def _look_closer(asked: Asked, encoder: Encoder | None, limits: CleaningLimits) -> Asked:
    """What an encoder, if there is one, thinks of the phrases: obeyed where that is wanted, else told."""
    if encoder is None:
        return asked
    found, locked = asked.expansion, asked.locked
    if limits.strict:
        judged = judge_affinity(found, encoder, margin=STRICT_MARGIN, limits=limits, locked=locked)
        return replace(asked, expansion=judged)
    doubts = [f"{phrase} ({name}): {reason}" for name, phrase, reason in report_affinity(found, encoder, locked)]
    return replace(asked, remarks=(*asked.remarks, f"doubtful to {encoder.name}: {'; '.join(doubts) or 'nothing'}"))


NODES = {
    "LLMSegLLMProfile": (LLMSegLLMProfile, "Language Model"),
    "LLMSegExpand": (LLMSegExpand, "Expand Class Names"),
}
