"""Questions -> the messages of one request, and what they would cost.

Names and phrases are put in by replacement, never by formatting: braces in them stay text.

Not here: the rules of each kind (`kinds`), sending (`asking`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..folding import fold
from .kinds import KINDS
from .profiles import Profile
from .questions import Context, Question

__all__ = ["Estimate", "batch_questions", "estimate_cost", "response_format", "write_messages"]

MOST_EXAMPLES = 2
MOST_VOCABULARY = 20_000  # characters; beyond it only the names that are asked for are shown
CHARACTERS_PER_TOKEN = 3.7  # of class names; 422 tokens for the 1,544 characters of COCO-Stuff
TOKENS_PER_PHRASE = 5.6  # in compact JSON
TOKENS_PER_ITEM = 25  # id, sense, policy and brackets


@dataclass(frozen=True)
class Estimate:
    """What asking would take, before it is done: tokens are counted roughly, each class answered at once."""

    requests: int
    tokens_in: int
    tokens_out: int
    price: float


def batch_questions(questions: Sequence[Question], size: int) -> list[list[Question]]:
    """Questions that fit one request each: of one kind, at most `size`."""
    kinds = dict.fromkeys(question.kind for question in questions)
    batches = []
    for kind in kinds:
        same = [question for question in questions if question.kind == kind]
        batches += [same[start : start + size] for start in range(0, len(same), size)]
    return batches


def write_messages(
    questions: Sequence[Question], context: Context, problems: Sequence[str] = ()
) -> list[dict[str, str]]:
    """The messages that ask some questions of one kind.

    Args:
        questions: their position, from 1, is the id in the reply.
        context: the whole list of classes, and what the pictures show.
        problems: what was wrong with the reply before, if there was one.
    """
    kind = KINDS[questions[0].kind]
    count = _most(questions)
    lines = [f"LANGUAGE of the targets: {context.language}"] if questions[0].kind == "translate" else []
    lines += [
        f"DOMAIN: {context.domain or 'general photographs'}",
        f"VOCABULARY (all classes, do not collide with these): {_vocabulary(questions, context)}",
    ]
    taken = {fold(name) for name in context.vocabulary}
    free = [example for example in kind.examples if taken.isdisjoint(_example_words(example))][:MOST_EXAMPLES]
    lines += [f"EXAMPLE (not a target), {name}: {json.dumps({'id': '0', **fields})}" for name, fields in free]
    lines.append(kind.task.replace("{count}", str(count)) + ":")
    lines += [
        f"{number}: {question.name} | SENSE: {question.sense or '-'}{kind.line(question)}"
        for number, question in enumerate(questions, start=1)
    ]
    lines.append("Return one JSON object of this form, one item for each id, and nothing else:")
    lines.append(json.dumps(kind.schema(count), separators=(",", ":")))
    if problems:
        lines.append(f"A reply before was of no use: {' '.join(problems)[:1000]} Mend that.")
    return [{"role": "system", "content": kind.rules}, {"role": "user", "content": "\n".join(lines)}]


def response_format(questions: Sequence[Question]) -> dict[str, Any]:
    """The form of the reply, for endpoints that enforce one."""
    schema = KINDS[questions[0].kind].schema(_most(questions))
    return {"type": "json_schema", "json_schema": {"name": questions[0].kind, "strict": True, "schema": schema}}


def estimate_cost(questions: Sequence[Question], context: Context, profile: Profile) -> Estimate:
    """What asking these questions would take."""
    batches = batch_questions(questions, profile.batch)
    sent = sum(len(message["content"]) for batch in batches for message in write_messages(batch, context))
    tokens_in = round(sent / CHARACTERS_PER_TOKEN)
    tokens_out = round(sum(TOKENS_PER_ITEM + TOKENS_PER_PHRASE * question.count for question in questions))
    price = (tokens_in * profile.price_in + tokens_out * profile.price_out) / 1e6
    return Estimate(len(batches), tokens_in, tokens_out, price)


def _example_words(example: tuple[str, Mapping[str, Any]]) -> set[str]:
    """The class of an example and every phrase in it, folded: none of them may be a class of the user."""
    name, fields = example
    texts = [text for value in fields.values() for text in (value if isinstance(value, list) else [])]
    return {fold(text) for text in (name, *texts)}


def _most(questions: Sequence[Question]) -> int:
    return max(max(question.count, len(question.phrases)) for question in questions)


def _vocabulary(questions: Sequence[Question], context: Context) -> str:
    names = "; ".join(context.vocabulary)
    return names if len(names) <= MOST_VOCABULARY else "; ".join(question.name for question in questions)
