"""`Expansion` -> the same, looked at again: cleaned, refilled where too little was left, criticised.

Classes from a lock file are a person's; they are only held against the other classes.

Not here: the first question (`llm_expansion`), the rules (`cleaning_rules`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from .cleaning import clean_expansion, judge_expansion, spare_classes
from .cleaning_rules import LOCK_RULES, CleaningLimits
from .errors import LLMError, ReplyError, UnreachableError
from .folding import fold
from .interview import Interview
from .llm import Answer, Question
from .llm.kinds import FITS_OTHER
from .store import content_hash
from .types import ClassExpansion, ClassName, Expansion, Phrase

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
    return spare_classes(cleaned, held, locked)


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
    try:
        outcome = await interview.ask(list(wanted.values()), expansion.class_list, needed=False)
    except LLMError as error:
        interview.leave_out("replacements", error)
        return expansion
    more = {name: outcome.answers[question].phrases for name, question in wanted.items() if question in outcome.answers}
    if not more:
        return expansion
    classes = tuple(_extend(interview, entry, more.get(entry.class_name.name, ())) for entry in expansion.classes)
    return clean_unlocked(replace(expansion, classes=classes), locked, interview.limits)


async def criticise_phrases(interview: Interview, expansion: Expansion, locked: Collection[str]) -> Expansion:
    """Drop what the language model itself rejects when it is shown it again."""
    among = content_hash(sorted(expansion.class_list.wordings))[:16]  # what fits another class depends on them all
    wanted = {
        entry.class_name.name: Question(
            "critic", entry.class_name.wording, entry.class_name.sense, len(entry.kept), entry.kept, among=among
        )
        for entry in expansion.classes
        if entry.kept and entry.class_name.name not in locked
    }
    try:
        outcome = await interview.ask(list(wanted.values()), expansion.class_list)
    except (UnreachableError, ReplyError) as error:
        interview.leave_out("the critic", error)
        return expansion
    if silent := [name for name, question in wanted.items() if question not in outcome.answers]:
        interview.notes.append(f"the critic gave no verdict on {len(silent)} of {len(wanted)} classes")
    answers = {name: outcome.answers[question] for name, question in wanted.items() if question in outcome.answers}
    names = {fold(wording): entry.name for entry in expansion.class_list.classes for wording in _wordings(entry)}
    classes = tuple(
        _reject(entry, _verdicts(entry.class_name.name, answers.get(entry.class_name.name), names))
        for entry in expansion.classes
    )
    rejected = replace(expansion, classes=classes)
    return spare_classes(judge_expansion(rejected, ["too_few"], interview.limits), rejected, locked)


def _wordings(entry: ClassName) -> tuple[str, ...]:
    return (entry.name, entry.wording, *entry.aliases)


def _verdicts(own: str, answer: Answer | None, names: Mapping[str, str]) -> dict[str, str]:
    """Phrase -> reason; a word in place of another class counts only where a class is called so."""
    verdicts = {}
    for phrase, reason in zip(answer.phrases, answer.reasons, strict=False) if answer else ():
        if not reason.startswith(FITS_OTHER):
            verdicts[phrase] = reason
        elif names.get(fold(reason.removeprefix(FITS_OTHER)), own) != own:
            verdicts[phrase] = "fits_other_class"
    return verdicts


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
