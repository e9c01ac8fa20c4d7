"""`Expansion` -> the same with phrases dropped that a model's own text tower puts in the wrong place.

    closer_to_other_class  not closer to its own class name than to every other one (C14)
    near_duplicate         almost the vector of an earlier phrase of the class (C9)
    outlier                far less like its siblings than they are like each other (C15)
    too_few                as in `cleaning_rules`, judged again on what is left

They run in this order, each on what the earlier ones left; twice changes nothing. Sentences, phrases typed by
a person and phrases that the model cannot read (a word it was never shown, too long) are left alone.

Not here: what words alone can tell (`cleaning`), encoding (`text_bank`). Source: arXiv:2404.00701 drops by a
fixed cutoff, which depends on the encoder; C14 compares classes instead, and C15 is the other filter of that paper.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from .cleaning import judge_expansion, spare_classes
from .cleaning_rules import CleaningLimits
from .encoder import Encoder
from .errors import lookup
from .options import AUTO, SENTENCES
from .templates import TEMPLATES, fill_templates
from .text_bank import encode_phrases
from .types import ClassName, Expansion, Phrase
from .unwanted import FORMS

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["STRICT_MARGIN", "judge_affinity", "report_affinity"]

STRICT_MARGIN = 0.02  # cosine; for people who would rather lose a good phrase than keep a doubtful one

NEAR_DUPLICATE = 0.95  # cosine
OUTLIER_DEVIATIONS = 2.0
OUTLIER_PHRASES = 5  # fewer say nothing about a spread; in fact none of five can be more than 2 deviations off


def judge_affinity(
    expansion: Expansion,
    encoder: Encoder,
    *,
    margin: float = 0.0,
    templates: str = AUTO,
    limits: CleaningLimits | None = None,
    locked: Collection[str] = (),
) -> Expansion:
    """Drop what the encoder takes for another class, for a repetition or for a stranger.

    A class whose name it cannot read is skipped and is nobody's rival, nor are background and residual classes. It
    judges as well as it reads class names: of the 406 phrases of its own world the embedded model drops 168.

    Args:
        expansion: classes and phrases, cleaned by words.
        encoder: the CLIP that is to segment with them.
        margin: how much larger the cosine to the own class name has to be than to all others. 0..2
        templates: a name in `TEMPLATES`, or "auto".
        limits: for `too_few`.
        locked: names of classes that stay as they are, such as those of a lock file.

    Raises:
        UnknownNameError: no such template set.
    """
    templates = encoder.defaults.templates if templates == AUTO else templates
    frames = lookup(TEMPLATES, templates, place="templates")
    names = {
        label: entry.class_name
        for label, entry in enumerate(expansion.classes)
        if _can_read(encoder, entry.class_name.wording, frames)
    }
    spots = [
        (label, position)
        for label in names
        for position, phrase in enumerate(expansion.classes[label].subclasses)
        if expansion.classes[label].class_name.name not in locked
        and _is_compared(phrase)
        and _can_read(encoder, _reading(phrase), frames)
    ]
    phrases = [expansion.classes[label].subclasses[position] for label, position in spots]
    reasons = _judge(names, phrases, [label for label, _ in spots], encoder, templates, margin) if phrases else {}
    left = _drop(expansion, {spots[row]: reason for row, reason in reasons.items()})
    return spare_classes(judge_expansion(left, ["too_few"], limits), left, locked)


def report_affinity(expansion: Expansion, encoder: Encoder, locked: Collection[str] = ()) -> list[tuple[str, str, str]]:
    """Class, phrase and reason of what `judge_affinity` would drop without a margin."""
    pairs = zip(expansion.classes, judge_affinity(expansion, encoder, locked=locked).classes, strict=True)
    return [
        (entry.class_name.name, new.text, new.reason)
        for entry, judged in pairs
        for old, new in zip(entry.subclasses, judged.subclasses, strict=True)
        if old.kept and not new.kept and new.reason != "too_few"
    ]


def _can_read(encoder: Encoder, text: str, frames: Sequence[str]) -> bool:
    return not encoder.unknown_words(text) and all(map(encoder.fits, fill_templates(text, frames)))


def _is_compared(phrase: Phrase) -> bool:
    # Outliers of an earlier run still belong to the spread; without them the next run would find new ones.
    return (phrase.kept or phrase.reason == "outlier") and phrase.kind not in SENTENCES


def _reading(phrase: Phrase) -> str:
    return phrase.encoded or phrase.text


def _judge(
    names: Mapping[int, ClassName],
    phrases: Sequence[Phrase],
    owners: Sequence[int],
    encoder: Encoder,
    templates: str,
    margin: float,
) -> dict[int, str]:
    """Reasons by row of `phrases`; `owners` are the labels of their classes."""
    import torch

    vectors = encode_phrases(encoder, map(_reading, phrases), templates).float()  # [K,D]
    anchors = encode_phrases(encoder, [name.wording for name in names.values()], templates).float()  # [C,D]
    columns = {label: column for column, label in enumerate(names)}
    own = torch.tensor([columns[label] for label in owners], device=vectors.device)  # [K]
    rivals = [name.role not in ("background", "residual") for name in names.values()]
    closer = _closer_elsewhere(vectors @ anchors.T, own, torch.tensor(rivals, device=vectors.device), margin)
    reasons = _broken("closer_to_other_class", range(len(phrases)), closer, phrases)
    siblings: dict[int, list[int]] = defaultdict(list)
    for row, label in enumerate(owners):
        siblings[label].append(row)
    for rows in siblings.values():
        for reason, rule in SIBLING_RULES.items():
            left = [row for row in rows if row not in reasons]
            reasons |= _broken(reason, left, rule(vectors[left] @ vectors[left].T), phrases)
    return reasons


def _broken(reason: str, rows: Iterable[int], breaks: Tensor, phrases: Sequence[Phrase]) -> dict[int, str]:
    """The rows that break a rule which is meant for them."""
    return {
        row: reason
        for row, broken in zip(rows, breaks.tolist(), strict=True)
        if broken and phrases[row].status == "ok" and reason not in FORMS[phrases[row].kind].exempt
    }


def _closer_elsewhere(cosines: Tensor, own: Tensor, rivals: Tensor, margin: float) -> Tensor:
    """Whether the own class does not win. bool [K]

    Args:
        cosines: of phrases with class names. [K,C]
        own: column of the class of each phrase. [K]
        rivals: which classes others are compared with. bool [C]
        margin: what the own class has to win by.
    """
    mine = cosines.gather(1, own[:, None])  # [K,1]
    others = cosines.masked_fill(~rivals, -float("inf")).scatter(1, own[:, None], -float("inf"))  # [K,C]
    return mine[:, 0] <= others.amax(1) + margin


def _repeats(cosines: Tensor) -> Tensor:
    """Whether an earlier phrase is almost the same. [K,K] -> bool [K]"""
    return (cosines.tril(-1) > NEAR_DUPLICATE).any(1)


def _strays(cosines: Tensor) -> Tensor:
    """Whether the mean cosine with the siblings is far below that of the class. [K,K] -> bool [K]"""
    count = len(cosines)
    if count < OUTLIER_PHRASES:
        return cosines.new_zeros(count).bool()
    likeness = (cosines.sum(1) - cosines.diagonal()) / (count - 1)  # [K]
    return likeness < likeness.mean() - OUTLIER_DEVIATIONS * likeness.std(correction=0)


def _drop(expansion: Expansion, reasons: Mapping[tuple[int, int], str]) -> Expansion:
    """Phrases by label and position, dropped for a reason each."""
    classes = [list(entry.subclasses) for entry in expansion.classes]
    for (label, position), reason in reasons.items():
        classes[label][position] = replace(classes[label][position], status="dropped", reason=reason)
    return replace(
        expansion,
        classes=tuple(
            replace(entry, subclasses=tuple(phrases)) for entry, phrases in zip(expansion.classes, classes, strict=True)
        ),
    )


SIBLING_RULES: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"near_duplicate": _repeats, "outlier": _strays}
)
