"""`Expansion` -> the same, looked at again: cleaned, refilled where too little was left, criticised.

Classes from a lock file are a person's; they are only held against the other classes.

Not here: the first question (`llm_expansion`), the rules (`cleaning_rules`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from .cleaning import clean_expansion, judge_expansion
from .cleaning_rules import LOCK_RULES, CleaningLimits
from .interview import Interview
from .llm import Answer, Question
from .types import ClassExpansion, Expansion, Phrase

__all__ = ["clean_unlocked", "criticise_phrases", "proposed_phrases", "refill_classes"]

REFILL = 4  # replacements asked for at once
MOST_REJECTED = 20  # that a refill is told of
LONGEST_REJECTED = 80  # characters


def proposed_phrases(interview: Interview, texts: Sequence[str]) -> tuple[Phrase, ...]:
    """What a language model proposed, not judged yet."""
    source, kind = f"llm {interview.language_model.model}", interview.options.kind
    return tuple(Phrase(text, source=source, kind=kind) for text in texts)


def clean_unlocked(expansion: Expansion, locked: Collection[str], limits: CleaningLimits) -> Expansion:
    """All rules for what was asked, those of collision for what a lock file says."""
    cleaned = clean_expansion(expansion, limits)
    if not locked:
        return cleaned
    # Judged without the proposals: what both want stays where a person put it.
    alone = (e if e.class_name.name in locked else replace(e, subclasses=()) for e in expansion.classes)
    held = judge_expansion(replace(expansion, classes=tuple(alone)), LOCK_RULES, limits)
    pairs = zip(cleaned.classes, held.classes, strict=True)
    return replace(cleaned, classes=tuple(old if old.class_name.name in locked else new for new, old in pairs))


async def refill_classes(
    interview: Interview, expansion: Expansion, answers: Mapping[str, Answer], locked: Collection[str]
) -> Expansion:
    """Ask once for replacements where cleaning left too few of what was proposed.

    Args:
        interview: who is asked.
        expansion: cleaned.
        answers: the first answer of each class that has one, by class name.
        locked: names of classes that are not touched.
    """
    wanted: dict[str, Question] = {}
    for entry in expansion.classes:
        name, answer = entry.class_name, answers.get(entry.class_name.name)
        if answer is not None and answer.phrases and len(entry.kept) < interview.limits.min_keep:
            rejected = [(item.text[:LONGEST_REJECTED], item.reason) for item in entry.subclasses if not item.kept]
            wanted[name.name] = Question(
                "refill", name.wording, name.sense, REFILL, entry.kept, tuple(rejected[:MOST_REJECTED])
            )
    # A help, not a need: without the network the class simply keeps what it has.
    outcome = await interview.ask(list(wanted.values()), expansion.class_list, needed=False)
    more = {name: outcome.answers[question].phrases for name, question in wanted.items() if question in outcome.answers}
    if not more:
        return expansion
    classes = tuple(_extend(interview, entry, more.get(entry.class_name.name, ())) for entry in expansion.classes)
    return clean_unlocked(replace(expansion, classes=classes), locked, interview.limits)


async def criticise_phrases(interview: Interview, expansion: Expansion, locked: Collection[str]) -> Expansion:
    """Drop what the language model itself rejects when it is shown it again."""
    wanted = {
        entry.class_name.name: Question(
            "critic", entry.class_name.wording, entry.class_name.sense, len(entry.kept), entry.kept
        )
        for entry in expansion.classes
        if entry.kept and entry.class_name.name not in locked
    }
    outcome = await interview.ask(list(wanted.values()), expansion.class_list)
    answers = {name: outcome.answers[question] for name, question in wanted.items() if question in outcome.answers}
    verdicts = {name: dict(zip(said.phrases, said.reasons, strict=False)) for name, said in answers.items()}
    classes = tuple(_reject(entry, verdicts.get(entry.class_name.name, {})) for entry in expansion.classes)
    return judge_expansion(replace(expansion, classes=classes), ["too_few"], interview.limits)


def _extend(interview: Interview, entry: ClassExpansion, texts: Sequence[str]) -> ClassExpansion:
    if not texts:
        return entry
    # What fell only because too few were left may stand beside the replacements.
    again = (replace(item, status="ok", reason="") if item.reason == "too_few" else item for item in entry.subclasses)
    return replace(entry, subclasses=(*again, *proposed_phrases(interview, texts)))


def _reject(entry: ClassExpansion, reasons: Mapping[str, str]) -> ClassExpansion:
    phrases = (
        replace(item, status="dropped", reason=reasons[item.text]) if item.kept and item.text in reasons else item
        for item in entry.subclasses
    )
    return replace(entry, subclasses=tuple(phrases))
