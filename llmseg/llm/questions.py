"""What is asked about one class, and what came back: the records that questions, replies and the store share.

Each goes to plain JSON and back; what comes back may be of any form, and is checked.

Not here: how a question is worded (`kinds`), asked (`asking`) or kept (`stored`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["Answer", "Context", "Question", "answer_from", "context_from", "question_from", "to_plain"]


@dataclass(frozen=True)
class Question:
    """One class and what is wanted for it.

    Args:
        kind: a name in `kinds.KINDS`.
        name: the class, as language models read it.
        sense: a few words that tell meanings apart; may be empty.
        count: most phrases in the answer.
        phrases: what the question is about, where it is about phrases (translate, refill, critic).
        rejected: (phrase, reason) that a refill must avoid.
        among: mark of the other classes, where the answer depends on them.
    """

    kind: str
    name: str
    sense: str = ""
    count: int = 8
    phrases: tuple[str, ...] = ()
    rejected: tuple[tuple[str, str], ...] = ()
    among: str = ""


@dataclass(frozen=True)
class Context:
    """What all questions of one expansion share.

    Args:
        vocabulary: all class names: the answers must keep apart from them.
        domain: what the pictures show; empty for general photographs.
        language: of the class names, where they are to be translated.
        refresh: another number forces new answers.
    """

    vocabulary: tuple[str, ...]
    domain: str = ""
    language: str = "en"
    refresh: int = 0


@dataclass(frozen=True)
class Answer:
    """What a language model said about one class, checked for form only.

    Args:
        phrases: what it proposes; for the critic those that it rejects.
        sense: the meaning it chose.
        policy: expand, or keep where it says that the class is narrow already.
        reasons: for the critic, one per phrase.
        failure: why there is no answer, although the model replied; empty otherwise.
    """

    phrases: tuple[str, ...] = ()
    sense: str = ""
    policy: str = "expand"
    reasons: tuple[str, ...] = ()
    failure: str = ""


def to_plain(record: Question | Answer) -> dict[str, Any]:
    """A record as JSON, without what is empty."""
    return {name: value for name, value in asdict(record).items() if value not in ("", ())}


def question_from(value: Any) -> Question:
    """Read what `to_plain` gave.

    Raises:
        TypeError: no question.
    """
    question: Question = _build(Question, value)
    if not isinstance(question.name, str) or not isinstance(question.count, int):
        raise TypeError("no name or no count")
    return question


def context_from(value: Any) -> Context:
    """What is stored of a context: all but the vocabulary.

    Raises:
        TypeError: no context.
    """
    context: Context = _build(Context, {"vocabulary": [], **value})
    return context


def answer_from(value: Any) -> Answer:
    """Read what `to_plain` gave.

    Raises:
        TypeError: no answer.
    """
    answer: Answer = _build(Answer, value)
    if not isinstance(answer.phrases, tuple) or not isinstance(answer.reasons, tuple) or not value:
        raise TypeError("a list is missing")
    texts = (answer.sense, answer.failure, *answer.phrases, *answer.reasons)
    if not all(isinstance(text, str) for text in texts) or answer.policy not in ("expand", "keep"):
        raise TypeError("a text is missing")
    return answer


def _build(kind: type[Any], value: Any) -> Any:
    if not isinstance(value, dict):
        raise TypeError(kind)
    known = {field.name for field in fields(kind)}
    return kind(**{name: _tuples(item) for name, item in value.items() if name in known})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
