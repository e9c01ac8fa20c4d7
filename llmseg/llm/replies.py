"""The body of a reply -> answers by question: strict reading first, one repair, then the complaint.

A repair takes away what models put around JSON (fences, prose) and commas before a closing bracket.
It never completes what was cut off: half a phrase is a wrong phrase. Nothing here trusts a reply.

Not here: asking again (`asking`), the fields of each kind (`kinds`), good and bad phrases (`cleaning`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ReplyError
from ..folding import fold
from .kinds import KINDS
from .questions import Answer, Question

__all__ = ["Message", "match_answers", "parse_json", "read_message"]

MOST_STARTS = 50  # opening brackets that are tried; prose holds few
SHOWN = 80  # characters of a reply in a message

_FENCE = re.compile(r"```[a-zA-Z]*")
_COMMA = re.compile(r",(?=\s*[}\]])")


@dataclass(frozen=True)
class Message:
    """What an endpoint sent, taken apart.

    Args:
        text: what the model wrote.
        refusal: why it would not; empty where it did.
        cut: whether it ran into a limit of length.
        tokens_in, tokens_out: as the endpoint counts them; 0 where it does not.
        model: the model that answered, as the endpoint names it.
    """

    text: str
    refusal: str = ""
    cut: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    model: str = ""


def read_message(body: str) -> Message:
    """Take a chat completion apart.

    Raises:
        ReplyError: not the body of a chat completion.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ReplyError(f"{_shown(body)} is not JSON; expected a chat completion.") from error
    choice = _first(_get(value, "choices"))
    message, usage = _get(choice, "message"), _get(value, "usage")
    if not isinstance(message, dict):
        raise ReplyError(f"{_shown(body)} holds no message; expected a chat completion.")
    finish = _get(choice, "finish_reason")
    refusal = _text(_get(message, "refusal")) or ("content filter" if finish == "content_filter" else "")
    return Message(
        text=_text(_get(message, "content")),
        refusal=refusal,
        cut=finish == "length",
        tokens_in=_count(_get(usage, "prompt_tokens")),
        tokens_out=_count(_get(usage, "completion_tokens")),
        model=_text(_get(value, "model"))[:SHOWN],
    )


def parse_json(text: str) -> Any:
    """The JSON in a text: all of it, or the first object after fences and prose are taken away.

    >>> parse_json('Here you are: ```json {"a": [1, 2,]} ```')
    {'a': [1, 2]}

    Raises:
        ReplyError: no complete object in it.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    bare = _COMMA.sub("", _FENCE.sub(" ", text))
    decoder = json.JSONDecoder()
    for start in [match.start() for match in re.finditer(r"\{", bare)][:MOST_STARTS]:
        try:
            value, _ = decoder.raw_decode(bare, start)
        except (ValueError, RecursionError):
            if start == bare.find("{") and bare[start:].count("{") > bare[start:].count("}"):
                break  # cut off: a whole object further in is only a part of the answer
            continue
        return value
    raise ReplyError(f"{_shown(text)} holds no complete JSON object; expected one.")


def match_answers(text: str, questions: Sequence[Question]) -> tuple[dict[int, Answer], list[str]]:
    """What a reply answers, by position of the question, and what is wrong with the rest.

    An item is known by its id, 1 for the first question, or by the class name where a model writes that.
    """
    try:
        items = _items(parse_json(text))
    except ReplyError as error:
        return {}, [error.problem]
    by_name = {fold(question.name): position for position, question in enumerate(questions)}
    answers: dict[int, Answer] = {}
    problems: list[str] = []
    for item in items:
        name = str(item.get("id", item.get("name", "")))[:SHOWN]
        position = int(name) - 1 if name.isascii() and name.isdigit() else by_name.get(fold(name), -1)
        if position in answers or not 0 <= position < len(questions):
            continue
        try:
            answers[position] = KINDS[questions[position].kind].read(item, questions[position])
        except ReplyError as error:
            problems.append(error.problem)
    missing = [f"{position + 1} ({q.name})" for position, q in enumerate(questions) if position not in answers]
    if missing:
        problems.append(f"no answer for id {', '.join(missing)}.")
    return answers, problems


def _items(value: Any) -> list[Mapping[str, Any]]:
    found = value if isinstance(value, list) else _get(value, "items")
    if found is None and isinstance(value, dict) and "id" in value:
        found = [value]  # one class was asked for, and the list around it left out
    if not isinstance(found, list):
        raise ReplyError("the JSON has no list 'items'; expected one item a class.")
    return [item for item in found if isinstance(item, dict)]


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else 0


def _shown(text: str) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in text[:SHOWN])
    return repr(text)
