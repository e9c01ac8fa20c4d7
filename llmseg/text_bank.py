"""`Expansion` -> `TextBank`: one unit vector per phrase, each phrase encoded once per encoder.

t(phrase) = normalise(mean over templates of normalise(text tower)); the order of CLIP, MaskCLIP and
SCLIP.

Not here: which phrases there are (`expansion`), the tower (`encoder`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .encoder import Encoder
from .errors import InputError, UnknownNameError, lookup, nearest
from .options import AUTO, INCLUDE_NAMES
from .templates import TEMPLATES, fill_templates
from .types import Expansion, TextBank

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["build_text_bank", "encode_phrases"]

logger = logging.getLogger("llmseg")

TOLD_PHRASES = 10
CACHED_PHRASES = 100_000  # 200 MB at 512 numbers each


def build_text_bank(
    encoder: Encoder, expansion: Expansion, templates: str = AUTO, include_names: str = AUTO
) -> TextBank:
    """Encode the class names and the phrases in use.

    Aliases count as phrases; a class without any phrase is represented by its name. A phrase with a
    word that the encoder does not know is dropped with reason `unknown_word`.

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
    _refuse_unknown_names(encoder, classes.names)
    phrases: list[str] = []
    class_index: list[int] = []
    dropped: list[tuple[str, str, str]] = []
    for label, entry in enumerate(expansion.classes):
        name, known = entry.class_name.name, []
        for text in (*entry.class_name.aliases, *entry.kept):
            if encoder.unknown_words(text):
                dropped.append((name, text, "unknown_word"))
            else:
                known.append(text)
        own = [name, *known] if with_names or not known else known
        phrases += own
        class_index += [label] * len(own)
    _tell_dropped(encoder.name, dropped)
    return TextBank(
        embeddings=encode_phrases(encoder, phrases, templates),
        class_index=torch.tensor(class_index, dtype=torch.int64, device=encoder.device),
        name_embeddings=encode_phrases(encoder, classes.names, templates),
        classes=classes,
        phrases=tuple(phrases),
        templates=templates,
        model=encoder.identity,
        dropped=tuple(dropped),
    )


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
    if dropped:
        shown = ", ".join(f"{text} ({name})" for name, text, _ in dropped[:TOLD_PHRASES])
        more = f" and {len(dropped) - TOLD_PHRASES} more" if len(dropped) > TOLD_PHRASES else ""
        logger.warning("the model %r does not know every word of %s%s; left out.", model, shown, more)


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
