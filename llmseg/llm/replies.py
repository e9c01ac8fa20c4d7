"""The body of a reply -> answers by question: strict reading first, one repair, then the complaint.

A repair takes away what models put around JSON (fences, prose) and commas before a closing bracket.
It never completes what was cut off: half a phrase is a wrong phrase. Nothing here trusts a reply.

Not here: asking again (`asking`), the fields of each kind (`kinds`), good and bad phrases (`cleaning`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..errors import ReplyError
from ..folding import fold
from .kinds import KINDS
from .questions import Answer, Question

__all__ = ["Message", "match_answers", "parse_json", "read_message"]

MOST_STARTS = 10  # opening brackets that are tried; prose holds few
MOST_PROBLEMS = 20  # that are told
SHOWN = 80  # characters of a reply in a message

_THOUGHTS = (("<think>", "</think>"), ("<thinking>", "</thinking>"))  # around drafts of models that think aloud
_FENCE = re.compile(r"```[a-zA-Z]*")
_COMMA = re.compile(r",(?=\s*[}\]])")
_START = re.compile(r"[{\[]")


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
    refusal = _line(_get(message, "refusal")) or ("content filter" if finish == "content_filter" else "")
    return Message(
        text=_content(_get(message, "content")),
        refusal=refusal,
        cut=finish == "length",
        tokens_in=_count(_get(usage, "prompt_tokens")),
        tokens_out=_count(_get(usage, "completion_tokens")),
        model=_line(_get(value, "model"))[:SHOWN],
    )


def parse_json(text: str) -> Any:
    """The JSON in a text: all of it, or what is left when thoughts, fences and prose are taken away.

    An object or list that holds items goes before any other: models repeat examples, and write {braces}.

    >>> parse_json('Here you are: ```json {"a": [1, 2,]} ```')
    {'a': [1, 2]}

    Raises:
        ReplyError: nothing complete in it.
    """
    spoken = _without_thoughts(text)
    for candidate in (text, spoken):
        with suppress(ValueError, RecursionError):
            return json.loads(candidate)
    bare = _COMMA.sub("", _FENCE.sub(" ", spoken))
    found = list(islice(_values(bare), MOST_STARTS))
    whole = [value for value in found if _holds_items(value)]
    if not found:
        raise ReplyError(f"{_shown(text)} holds no complete JSON object; expected one.")
    return whole[0] if whole else found[0]


def _without_thoughts(text: str) -> str:
    """A text without what stands between tags of thinking; one look at each letter, whatever the tags."""
    for opening, closing in _THOUGHTS:
        kept, position = [], 0
        while (start := text.find(opening, position)) >= 0 and (end := text.find(closing, start)) >= 0:
            kept.append(text[position:start])
            position = end + len(closing)
        text = " ".join([*kept, text[position:]]) if kept else text
    return text


def _values(text: str) -> Iterator[Any]:
    """Complete objects and lists of a text, one after the other; nothing out of one that was cut off."""
    decoder = json.JSONDecoder()
    start, tries = _START.search(text), 0
    while start is not None and tries < MOST_STARTS:
        tries += 1
        try:
            value, end = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            rest = text[start.start() :]
            if rest.count("{") > rest.count("}") or rest.count("[") > rest.count("]"):
                return  # a whole object further in would be a part of the answer only
            end = start.end()
        else:
            if value:  # an empty pair of brackets is punctuation
                yield value
        start = _START.search(text, end)


def _holds_items(value: Any) -> bool:
    items = value if isinstance(value, list) else _get(value, "items")
    return isinstance(items, list) and any(isinstance(item, dict) for item in items)


def match_answers(text: str, questions: Sequence[Question]) -> tuple[dict[int, Answer], list[str]]:
    """What a reply answers, by position of the question, and what is wrong with the rest.

    An item is known by its id, 1 for the first question, or by the class name where a model writes that.
    """
    try:
        items = _items(parse_json(text))
    except ReplyError as error:
        return {}, [error.problem]
    exact = {question.name.casefold(): position for position, question in enumerate(questions)}
    folded = {fold(question.name): position for position, question in reversed(list(enumerate(questions)))}
    folded.pop("", None)
    answers: dict[int, Answer] = {}
    problems: list[str] = []
    for item in items:
        position = _position(item, exact, folded)
        if position in answers or not 0 <= position < len(questions):
            continue
        try:
            answers[position] = KINDS[questions[position].kind].read(item, questions[position])
        except ReplyError as error:
            problems.append(error.problem)
    missing = [f"{position + 1} ({q.name})" for position, q in enumerate(questions) if position not in answers]
    if missing:
        problems.append(f"no answer for id {', '.join(missing)}.")
    return answers, problems[-MOST_PROBLEMS:]


def _position(item: Mapping[str, Any], exact: Mapping[str, int], folded: Mapping[str, int]) -> int:
    """Which question an item answers, -1 for none."""
    identity = item.get("id")
    text = str(identity).strip()[:SHOWN]
    if text.isascii() and text.isdigit():
        return int(text) - 1
    name = str(item.get("name", "") if identity is None else identity)[:SHOWN]
    return exact.get(name.casefold(), folded.get(fold(name), -1))


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


def _content(value: Any) -> str:
    """What a model wrote: a text, or the texts of a list of parts."""
    parts = value if isinstance(value, list) else [value]
    texts = (part if isinstance(part, str) else _get(part, "text") for part in parts)
    return "".join(text for text in texts if isinstance(text, str))


def _line(value: Any) -> str:
    """A text on one line, without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in value) if isinstance(value, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else 0


def _shown(text: str) -> str:
    return repr(_line(text[:SHOWN]))
