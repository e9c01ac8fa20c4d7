"""All questions of one expansion: the same model, store and options, counted together.

Not here: which questions there are (`llm_expansion`, `second_looks`), requests (`llm`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from .cleaning import known_nouns
from .cleaning_rules import CleaningLimits
from .errors import InputError, LLMError
from .library import library_names, load_library
from .llm import AnswerStore, Context, LanguageModel, Outcome, Question, ask_questions, estimate_cost
from .options import COUNT, KIND, NETWORK
from .types import ClassList

__all__ = ["ENGLISH", "AskOptions", "Interview", "cleaning_limits", "is_english"]

ENGLISH = "en"
LONGEST_DOMAIN = 200  # characters; a workflow shall not send a book

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class AskOptions:
    """What to ask a language model for, and how.

    Args:
        kind: a name in `KIND`.
        count: most phrases that a class keeps.
        critic: whether a second look rejects what is no kind, fits another class, or cannot be seen.
        domain: what the pictures show, in a few words.
        language: of the class names; anything but "en" is translated, and so is another script.
        refresh: another number asks for new answers.
        network: a name in `NETWORK`.
        preview: ask nothing, only say what asking would cost.
        strict: drop also what only probably cannot be seen, and let encoders read the class behind phrases that
            do not name it.
    """

    kind: str = KIND.default
    count: int = int(COUNT.default)
    critic: bool = False
    domain: str = ""
    language: str = ENGLISH
    refresh: int = 0
    network: str = NETWORK.default
    preview: bool = False
    strict: bool = False


def is_english(language: str) -> bool:
    """Whether names in a language need no translation: en, en-GB, English, or nothing said."""
    return (
        language.strip().lower() in ("", "english")
        or re.fullmatch(r"en([-_]\w+)?", language.strip().lower()) is not None
    )


def cleaning_limits(options: AskOptions) -> CleaningLimits:
    """What cleaning keeps; a single synonym or sentence is worth keeping, a single subclass is not."""
    count, strict = options.count, options.strict
    least = min(CleaningLimits.min_keep, count) if options.kind == KIND.default else 1
    known = known_nouns(map(load_library, library_names())) if strict else frozenset()
    return CleaningLimits(count, count, least, strict, suffix=strict, known=known)


class Interview:
    """A language model, what it is asked for, and what that took so far.

    Args:
        language_model: who is asked.
        options: what for.
        store: where answers are found and kept.
        on_answer: called with (questions done, questions in all).

    Attributes:
        limits: what cleaning keeps.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        options: AskOptions,
        store: AnswerStore,
        on_answer: Progress | None = None,
    ) -> None:
        if len(options.domain) > LONGEST_DOMAIN:
            raise InputError(f"{len(options.domain)} characters; expected at most {LONGEST_DOMAIN}.", place="domain")
        self.language_model = language_model
        self.options = options
        self.limits = cleaning_limits(options)
        self.store = store
        self.on_answer = on_answer
        self.outcomes: list[Outcome] = []
        self.estimates: list[str] = []
        self.notes: list[str] = []
        self.unfinished = False
        self._end = monotonic() + language_model.profile.deadline

    async def ask(self, questions: Sequence[Question], classes: ClassList, *, needed: bool = True) -> Outcome:
        """Answers, from the store or the model.

        Args:
            questions: what is wanted.
            classes: all of them, as context.
            needed: whether a frozen network makes a missing answer an error.

        Raises:
            LLMError: as `llm.ask_questions`.
        """
        options = self.options
        context = Context(classes.wordings, options.domain.strip(), options.language.strip().lower(), options.refresh)
        network = options.network if needed or options.network == "online" else "offline"
        if options.preview:
            network = "offline"
            missing = [question for question in questions if self.store.get(question, context) is None]
            self.estimates += [_format_estimate(missing, context, self.language_model)] if missing else []
        outcome = await ask_questions(
            questions,
            context,
            self.language_model,
            self.store,
            network=network,
            seconds=self._end - monotonic(),
            on_answer=self.on_answer,
        )
        self.outcomes.append(outcome)
        self.unfinished |= outcome.unfinished
        return outcome

    def leave_out(self, what: str, error: LLMError) -> None:
        """Go on without a second look that failed; a later run may have it."""
        self.unfinished = True
        self.notes.append(f"without {what}: {error.problem}")

    def remarks(self) -> list[str]:
        """What it took, or would take, a line each."""
        names = ("stored", "requests", "tokens_in", "tokens_out")
        stored, requests, read, written = (sum(getattr(outcome, name) for outcome in self.outcomes) for name in names)
        profile = self.language_model.profile
        asked = f"{requests} request{'' if requests == 1 else 's'}, {stored} answers were stored"
        lines = [f"{self.language_model.model} by {profile.name}: {asked}", *self.notes]
        if requests:
            price = (read * profile.price_in + written * profile.price_out) / 1e6
            lines.append(f"tokens: {read} read, {written} written" + (f", cost about {price:.4f}" if price else ""))
        if self.options.preview:
            lines += self.estimates or ["preview: every answer is stored, asking would cost nothing"]
            if self.estimates and self.options.critic:
                lines.append("preview: the critic would read what comes back once more, at a cost of its own")
        return lines


def _format_estimate(questions: Sequence[Question], context: Context, language_model: LanguageModel) -> str:
    estimate = estimate_cost(questions, context, language_model.profile)
    price = f", cost about {estimate.price:.4f}" if estimate.price else ""
    return (
        f"preview: {len(questions)} {questions[0].kind} questions would take {estimate.requests} requests, about "
        f"{estimate.tokens_in} tokens read and {estimate.tokens_out} written{price}"
    )
