"""What is asked about one class, and what came back: the records that questions, replies and the store share.

Not here: how a question is worded (`kinds`), asked (`asking`) or kept (`stored`).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Answer", "Context", "Question"]


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
