"""`Expansion` -> `TextBank`: one unit vector per phrase, each phrase encoded once per encoder.

t(phrase) = normalise(mean over templates of normalise(text tower)); the order of CLIP, MaskCLIP and
SCLIP. A vector is looked for in memory, then on disk; what is in neither is encoded, all together.

Not here: which phrases there are (`expansion`), the tower (`encoder`), vectors on disk (`text_cache`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from .encoder import Encoder
from .errors import InputError, UnknownNameError, lookup, nearest
from .options import AUTO, INCLUDE_NAMES, SENTENCES
from .templates import TEMPLATES, Frames, choose_frames, fill_templates
from .text_cache import load_vectors, store_vectors, text_key
from .types import ClassExpansion, Expansion, TextBank

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["build_text_bank", "encode_phrases"]

logger = logging.getLogger("llmseg")

ALIAS_WEIGHT = 0.5  # of a phrase: another name for the class says less of what it looks like than a kind of it
TOLD_PHRASES = 10
CACHED_PHRASES = 100_000  # 200 MB at 512 numbers each
SENTENCES_AT_ONCE = 8192  # then they are stored, so that a killed run goes on where it was


def build_text_bank(
    encoder: Encoder, expansion: Expansion, templates: str = AUTO, include_names: str = AUTO, custom_templates: str = ""
) -> TextBank:
    """Encode the class names and the phrases in use.

    Aliases count as phrases of low weight; a class without any phrase is represented by its name. A phrase with a
    word that the encoder does not know is dropped with reason `unknown_word`, one longer than it reads
    with `too_long`: nothing is ever cut.

    Args:
        encoder: the CLIP.
        expansion: classes and their subclasses.
        templates: a name in `TEMPLATES`, "custom" or "auto".
        include_names: yes, no or auto: whether a class name joins its own subclasses.
        custom_templates: what "custom" means: a frame a line, see `templates.parse_frames`.

    Raises:
        InputError: a class name has a word that the encoder does not know, or a frame cannot be used.
        UnknownNameError: no such template set, or another word for include_names.
    """
    if include_names not in INCLUDE_NAMES.choices:
        raise UnknownNameError(include_names, INCLUDE_NAMES.choices, place="include_names")
    with_names = encoder.defaults.include_names if include_names == AUTO else include_names == "yes"
    chosen, frames = choose_frames(encoder.defaults.templates if templates == AUTO else templates, custom_templates)
    names = [_Reading(wording, wording, frames) for wording in expansion.class_list.wordings]
    _refuse_unknown_names(encoder, expansion.class_list.wordings)
    readings, class_index, dropped = _read_classes(encoder, expansion, names, with_names)
    _tell_dropped(encoder.name, dropped)
    vectors = _encode(encoder, [(reading.encoded, reading.frames) for reading in (*readings, *names)])
    return TextBank(
        embeddings=vectors[: len(readings)],
        class_index=class_index.to(encoder.device),
        name_embeddings=vectors[len(readings) :],
        classes=expansion.class_list,
        phrases=tuple(reading.shown for reading in readings),
        templates=chosen,
        model=encoder.identity,
        dropped=tuple(dropped),
        weights=_weights(readings, encoder),
    )


class _Reading(NamedTuple):
    """A phrase as people see it, as the encoder reads it, the frames around it, and how much it counts."""

    shown: str
    encoded: str
    frames: Frames
    weight: float = 1.0


def _weights(readings: Sequence[_Reading], encoder: Encoder) -> Tensor | None:
    import torch

    weights = [reading.weight for reading in readings]
    return torch.tensor(weights, device=encoder.device) if set(weights) != {1.0} else None


def _read_classes(
    encoder: Encoder, expansion: Expansion, names: Sequence[_Reading], with_names: bool
) -> tuple[list[_Reading], Tensor, list[tuple[str, str, str]]]:
    """Phrases class by class, the class of each int64 [K], and (class name, phrase, reason) of those left out."""
    import torch

    readings: list[_Reading] = []
    labels: list[int] = []
    dropped: list[tuple[str, str, str]] = []
    for label, (entry, name) in enumerate(zip(expansion.classes, names, strict=True)):
        known = []
        for reading in _read_phrases(entry, name.frames):
            if reason := _unreadable(encoder, reading):
                dropped.append((entry.class_name.name, reading.shown, reason))
            else:
                known.append(reading)
        others = [reading for reading in known if reading.encoded != name.encoded]
        own = [name, *others] if with_names or not known else known
        readings += own
        labels += [label] * len(own)
    return readings, torch.tensor(labels, dtype=torch.int64), dropped


def _read_phrases(entry: ClassExpansion, frames: Frames) -> Iterator[_Reading]:
    yield from (_Reading(alias, alias, frames, ALIAS_WEIGHT) for alias in entry.class_name.aliases)
    for phrase in entry.subclasses:
        if phrase.kept:
            # A whole sentence says by itself that it speaks of a picture: no frame goes around it.
            around = TEMPLATES["bare"] if phrase.kind in SENTENCES else frames
            yield _Reading(phrase.text, phrase.encoded or phrase.text, around)


def _unreadable(encoder: Encoder, reading: _Reading) -> str:
    """Why the encoder cannot read a phrase; empty where it can."""
    if encoder.unknown_words(reading.encoded):
        return "unknown_word"
    return "" if all(map(encoder.fits, fill_templates(reading.encoded, reading.frames))) else "too_long"


def encode_phrases(encoder: Encoder, phrases: Iterable[str], templates: str) -> Tensor:
    """Unit vectors of phrases under a template set; only those not seen before are encoded. float32 [K,D]

    Raises:
        UnknownNameError: no such template set.
    """
    frames = lookup(TEMPLATES, templates, place="templates")
    return _encode(encoder, [(phrase, frames) for phrase in phrases])


def _encode(encoder: Encoder, wanted: Sequence[tuple[str, Frames]]) -> Tensor:
    """Unit vectors of phrases, each in its own frames. float32 [K,D]"""
    import torch

    keys = {frames: text_key(encoder.text_identity, frames) for frames in dict.fromkeys(each for _, each in wanted)}
    slots = [(keys[frames], phrase) for phrase, frames in wanted]
    cache = encoder.phrase_cache
    missing = [slot for slot in dict.fromkeys(slots) if slot not in cache]
    for key in dict.fromkeys(key for key, _ in missing):
        found = load_vectors(key, [phrase for own, phrase in missing if own == key], encoder.embed_dim)
        cache.update({(key, phrase): vector for phrase, vector in found.items()})
    missing = [slot for slot in missing if slot not in cache]
    step = max(1, SENTENCES_AT_ONCE // max(map(len, keys)))
    for start in range(0, len(missing), step):
        _encode_slots(encoder, missing[start : start + step], {key: frames for frames, key in keys.items()})
    bank = torch.stack([cache[slot] for slot in slots]).to(encoder.device)
    while len(cache) > CACHED_PHRASES:
        cache.popitem(last=False)
    return bank


def _encode_slots(encoder: Encoder, slots: Sequence[tuple[str, str]], frames: Mapping[str, Frames]) -> None:
    """Put the vectors of (key, phrase) into both caches; `frames` are those behind each key."""
    import torch
    from torch.nn.functional import normalize

    sentences = [fill_templates(phrase, frames[key]) for key, phrase in slots]
    encoded = encoder.encode_text(list(chain.from_iterable(sentences))).float().cpu()
    rows = encoded.split([len(each) for each in sentences])  # [T,D] each
    vectors = normalize(torch.stack([each.mean(0) for each in rows]), dim=-1)
    new = dict(zip(slots, vectors, strict=True))
    encoder.phrase_cache.update(new)
    for key in dict.fromkeys(key for key, _ in slots):
        store_vectors(key, {phrase: vector for (own, phrase), vector in new.items() if own == key})


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
