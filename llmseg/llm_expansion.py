"""`ClassList` -> `Expansion` by asking a language model: the heart of the method (arXiv:2404.00701).

Names in other languages are translated first. What comes back is cleaned among the classes in use;
a class that keeps too few is asked for replacements once; a critic may look at the rest. A class without
an answer stands for itself, with status "fallback". Classes that a lock file knows are not asked at all.

Not here: requests and their store (`llm`), the rules (`cleaning_rules`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .cleaning import CLEANER_VERSION, normalise_phrase
from .errors import lookup
from .expansion_edits import locked_entries
from .folding import fold, plain_ascii
from .interview import AskOptions, Interview, Progress, is_english
from .llm import Answer, AnswerStore, LanguageModel, Question
from .llm.kinds import PROMPT_VERSION
from .llm.running import run_coroutine
from .options import KIND, NETWORK
from .second_looks import clean_unlocked, criticise_phrases, proposed_phrases, refill_classes
from .types import ClassExpansion, ClassList, ClassName, Expansion

__all__ = ["Asked", "ask_expansion", "expand_by_llm"]

logger = logging.getLogger("llmseg")

ASKED_AT_LEAST = 8  # so that a smaller count later is served by the same stored answer
TOLD = 5  # names in a warning
LONGEST_REASON = 300  # characters in a warning

Locked = Mapping[str, ClassExpansion]


@dataclass(frozen=True)
class Asked:
    """What came of asking.

    Args:
        expansion: the classes with their phrases.
        remarks: how it came about, a line each.
        unfinished: whether a later run may find answers that this one missed.
        locked: names of the classes that a lock file gave.
    """

    expansion: Expansion
    remarks: tuple[str, ...]
    unfinished: bool = False
    locked: frozenset[str] = frozenset()


def expand_by_llm(
    classes: ClassList,
    language_model: LanguageModel,
    options: AskOptions | None = None,
    *,
    lock: Expansion | None = None,
    store: AnswerStore | None = None,
    on_answer: Progress | None = None,
) -> Asked:
    """As `ask_expansion`, for code that is not asynchronous."""
    return run_coroutine(ask_expansion(classes, language_model, options, lock=lock, store=store, on_answer=on_answer))


async def ask_expansion(
    classes: ClassList,
    language_model: LanguageModel,
    options: AskOptions | None = None,
    *,
    lock: Expansion | None = None,
    store: AnswerStore | None = None,
    on_answer: Progress | None = None,
) -> Asked:
    """Expand class names by a language model.

    Args:
        classes: what the user asked for.
        language_model: who is asked; see `llm.find_model`.
        options: what for.
        lock: an expansion whose classes are taken as they are.
        store: where answers are kept; None for the user's own.
        on_answer: called with (questions done, questions in all).

    Raises:
        UnknownNameError: no such kind or network.
        LLMError: as `llm.ask_questions`.
    """
    options = options or AskOptions()
    lookup(KIND.names, options.kind, place="kind")
    lookup(NETWORK.names, options.network, place="network")
    locked = locked_entries(classes, lock)
    interview = Interview(language_model, options, store or AnswerStore(language_model), on_answer)
    classes = ClassList(tuple(locked[e.name].class_name if e.name in locked else e for e in classes.classes))
    classes = await _translate(interview, classes, locked)
    questions = _first_questions(interview, classes, locked)
    outcome = await interview.ask(list(questions.values()), classes)
    answers = {name: outcome.answers[question] for name, question in questions.items() if question in outcome.answers}
    failures = {name: outcome.failures.get(question, "") for name, question in questions.items() if name not in answers}
    entries = tuple(_entry(interview, entry, locked, answers, failures) for entry in classes.classes)
    expansion = Expansion(entries, _provenance(interview, locked))
    expansion = clean_unlocked(expansion, locked, interview.limits)
    if options.kind == KIND.default:
        expansion = await refill_classes(interview, expansion, answers, locked)
        if options.critic:
            expansion = await criticise_phrases(interview, expansion, locked)
    if failures and not options.preview:
        why = "; ".join(dict.fromkeys(failures.values()))
        again = "" if interview.unfinished else " Another refresh asks again."
        shown = _listed(list(failures))
        logger.warning("no answer for %s (%s); the name stands alone.%s", shown, why[:LONGEST_REASON], again)
    remarks = [*interview.remarks(), *([f"{len(locked)} classes from the lock file"] if locked else [])]
    return Asked(expansion, tuple(remarks), interview.unfinished, frozenset(locked))


async def _translate(interview: Interview, classes: ClassList, locked: Locked) -> ClassList:
    """Give names of other languages their English wording."""
    foreign = not is_english(interview.options.language)
    wanted = {
        entry.name: Question("translate", entry.name, entry.sense, 1)
        for entry in classes.classes
        if entry.name not in locked and not entry.english and (foreign or not plain_ascii(entry.name).isascii())
    }
    outcome = await interview.ask(list(wanted.values()), classes)
    said = {name: outcome.answers[question] for name, question in wanted.items() if question in outcome.answers}
    english = {name: normalise_phrase(answer.phrases[0]) for name, answer in said.items()}
    english = {name: text for name, text in english.items() if text and text.isascii()}
    unknown = [name for name in wanted if name not in english]
    if unknown and not interview.options.preview:
        logger.warning("no English name for %s; encoders read English. Write it instead.", _listed(unknown))
    named = [replace(entry, english=english.get(entry.name, entry.english)) for entry in classes.classes]
    named = [replace(e, english="") if e.english == e.name else e for e in named]
    _warn_of_one_wording(named)
    return ClassList(tuple(named))


def _warn_of_one_wording(classes: Sequence[ClassName]) -> None:
    """Say where two classes read the same to an encoder, which then cannot tell them apart."""
    owners: dict[str, str] = {}
    for entry in classes:
        first = owners.setdefault(fold(entry.wording), entry.name)
        if first != entry.name:
            logger.warning(
                "%r and %r are both %r in English; write what tells them apart.", first, entry.name, entry.wording
            )


def _first_questions(interview: Interview, classes: ClassList, locked: Locked) -> dict[str, Question]:
    """What to ask of every class that may be split and is not locked."""
    options = interview.options
    count = 1 if options.kind == "definitions" else max(ASKED_AT_LEAST, options.count + 1)
    return {
        entry.name: Question(options.kind, entry.wording, entry.sense, count)
        for entry in classes.classes
        if entry.name not in locked and entry.policy == "expand" and entry.role not in ("background", "residual")
    }


def _entry(
    interview: Interview, name: ClassName, locked: Locked, answers: Mapping[str, Answer], failures: Mapping[str, str]
) -> ClassExpansion:
    """A class with what is known of it, not cleaned yet."""
    if name.name in locked:
        return locked[name.name]
    if name.name in failures and not interview.options.preview:
        return ClassExpansion(name, status="fallback", reason=failures[name.name])
    answer = answers.get(name.name, Answer(policy=name.policy))
    # A model that says "keep" found the class narrow already; the lock file shows it.
    told = replace(name, sense=name.sense or answer.sense, policy=answer.policy)
    return ClassExpansion(told, proposed_phrases(interview, answer.phrases))


def _provenance(interview: Interview, locked: Locked) -> Mapping[str, str]:
    options = interview.options
    told = {
        "source": "llm",
        "profile": interview.language_model.profile.name,
        "model": interview.language_model.model,
        "kind": options.kind,
        "domain": options.domain.strip(),
        "refresh": str(options.refresh or ""),
        "prompt_version": PROMPT_VERSION,
        "cleaner_version": CLEANER_VERSION,
        "lock": "some classes are from a lock file" if locked else "",
    }
    return {key: text for key, text in told.items() if text}


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return ", ".join(map(repr, names[:TOLD])) + more
