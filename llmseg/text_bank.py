"""`Expansion` -> `TextBank`: one unit vector per phrase, each phrase encoded once per encoder.

t(phrase) = normalise(mean over templates of normalise(text tower)); the order of CLIP, MaskCLIP and
SCLIP.

Not here: which phrases there are (`expansion`), the tower (`encoder`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .encoder import Encoder
from .errors import InputError, UnknownNameError, lookup, nearest
from .options import AUTO, INCLUDE_NAMES, SENTENCES
from .templates import TEMPLATES, fill_templates
from .types import ClassExpansion, Expansion, TextBank

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["build_text_bank", "encode_phrases"]

logger = logging.getLogger("llmseg")

BARE = "bare"
TOLD_PHRASES = 10
CACHED_PHRASES = 100_000  # 200 MB at 512 numbers each


def build_text_bank(
    encoder: Encoder, expansion: Expansion, templates: str = AUTO, include_names: str = AUTO
) -> TextBank:
    """Encode the class names and the phrases in use.

    Aliases count as phrases; a class without any phrase is represented by its name. A phrase with a
    word that the encoder does not know is dropped with reason `unknown_word`, one longer than it reads
    with `too_long`: nothing is ever cut.

    Args:
        encoder: the CLIP.
        expansion: classes and their subclasses.
        templates: a name in `TEMPLATES`, or "auto".
        include_names: yes, no or auto: whether a class name joins its own subclasses.

    Raises:
        InputError: a class name has a word that the encoder does not know.
        UnknownNameError: no such template set, or another word for include_names.
    """
    import torch

    templates = encoder.defaults.templates if templates == AUTO else templates
    if include_names not in INCLUDE_NAMES.choices:
        raise UnknownNameError(include_names, INCLUDE_NAMES.choices, place="include_names")
    with_names = encoder.defaults.include_names if include_names == AUTO else include_names == "yes"
    classes = expansion.class_list
    _refuse_unknown_names(encoder, classes.wordings)
    readings: list[_Reading] = []
    class_index: list[int] = []
    dropped: list[tuple[str, str, str]] = []
    for label, entry in enumerate(expansion.classes):
        name = _Reading(entry.class_name.wording, entry.class_name.wording, templates)
        known = []
        for reading in _read_phrases(entry, templates):
            if reason := _unreadable(encoder, reading):
                dropped.append((entry.class_name.name, reading.shown, reason))
            else:
                known.append(reading)
        own = [name, *known] if with_names or not known else known
        readings += own
        class_index += [label] * len(own)
    _tell_dropped(encoder.name, dropped)
    return TextBank(
        embeddings=_encode_readings(encoder, readings),
        class_index=torch.tensor(class_index, dtype=torch.int64, device=encoder.device),
        name_embeddings=encode_phrases(encoder, classes.wordings, templates),
        classes=classes,
        phrases=tuple(reading.shown for reading in readings),
        templates=templates,
        model=encoder.identity,
        dropped=tuple(dropped),
    )


class _Reading(NamedTuple):
    """A phrase as people see it, as the encoder reads it, and the template set around it."""

    shown: str
    encoded: str
    templates: str


def _read_phrases(entry: ClassExpansion, templates: str) -> Iterator[_Reading]:
    yield from (_Reading(alias, alias, templates) for alias in entry.class_name.aliases)
    for phrase in entry.subclasses:
        if phrase.kept:
            # A whole sentence says by itself that it speaks of a picture: no template goes around it.
            yield _Reading(phrase.text, phrase.encoded or phrase.text, BARE if phrase.kind in SENTENCES else templates)


def _unreadable(encoder: Encoder, reading: _Reading) -> str:
    """Why the encoder cannot read a phrase; empty where it can."""
    if encoder.unknown_words(reading.encoded):
        return "unknown_word"
    frames = lookup(TEMPLATES, reading.templates, place="templates")
    return "" if encoder.fits(max(fill_templates(reading.encoded, frames), key=len)) else "too_long"


def _encode_readings(encoder: Encoder, readings: Sequence[_Reading]) -> Tensor:
    """Unit vectors in order, each under its own template set. [K,D]"""
    import torch

    sets = dict.fromkeys(reading.templates for reading in readings)
    positions = {name: [i for i, reading in enumerate(readings) if reading.templates == name] for name in sets}
    parts = [encode_phrases(encoder, [readings[i].encoded for i in positions[name]], name) for name in sets]
    order = torch.tensor([i for name in sets for i in positions[name]], device=encoder.device)
    return torch.cat(parts)[order.argsort()]


def encode_phrases(encoder: Encoder, phrases: Iterable[str], templates: str) -> Tensor:
    """Unit vectors of phrases under a template set; only those not seen before are encoded. [K,D]

    Raises:
        UnknownNameError: no such template set.
    """
    import torch
    from torch.nn.functional import normalize

    frames = lookup(TEMPLATES, templates, place="templates")
    phrases = list(phrases)
    cache = encoder.phrase_cache
    new = [phrase for phrase in dict.fromkeys(phrases) if (templates, phrase) not in cache]
    if new:
        sentences = [sentence for phrase in new for sentence in fill_templates(phrase, frames)]
        vectors = encoder.encode_text(sentences).unflatten(0, (len(new), len(frames)))  # [N,T,D]
        for phrase, vector in zip(new, normalize(vectors.mean(1), dim=-1), strict=True):
            cache[templates, phrase] = vector
    # A host may have moved the model since some of them were encoded.
    bank = torch.stack([cache[templates, phrase].to(encoder.device) for phrase in phrases])
    while len(cache) > CACHED_PHRASES:
        cache.popitem(last=False)
    return bank


def _tell_dropped(model: str, dropped: list[tuple[str, str, str]]) -> None:
    for reason, what in (
        ("unknown_word", "does not know every word of"),
        ("too_long", "does not read texts as long as"),
    ):
        found = [f"{text} ({name})" for name, text, why in dropped if why == reason]
        if found:
            more = f" and {len(found) - TOLD_PHRASES} more" if len(found) > TOLD_PHRASES else ""
            shown = ", ".join(found[:TOLD_PHRASES])
            logger.warning("the model %r %s %s%s; left out.", model, what, shown, more)


def _refuse_unknown_names(encoder: Encoder, names: Iterable[str]) -> None:
    for name in names:
        if unknown := encoder.unknown_words(name):
            close = nearest(name, encoder.names, 3)
            hint = f" Nearest: {', '.join(close)}." if close else ""
            raise InputError(
                f"the model {encoder.name!r} does not know the word {unknown[0]!r} of class {name!r}; "
                f"expected words it was trained on.{hint}",
                place="names",
            )
