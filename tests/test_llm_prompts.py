"""Questions as messages: names stay what they are, ids match, and the cost is counted before it is spent."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from typing import Any

import pytest

from llmseg.llm.kinds import KINDS
from llmseg.llm.profiles import PROFILES, Profile
from llmseg.llm.prompts import (
    MOST_VOCABULARY,
    Estimate,
    batch_questions,
    estimate_cost,
    response_format,
    write_messages,
)
from llmseg.llm.questions import Context, Question
from llmseg.llm.replies import match_answers

PETS = Context(("dog", "cat", "sky"))
BRACES = ("{count}", "{}", "{0}", "{name!r}", "%s", "$name", "{{", "\\1", "\\g<0>", "}")


def ask(names: str, kind: str = "subclasses", **fields: Any) -> list[Question]:
    return [Question(kind, name, **fields) for name in names.split(", ")]


def prompt(questions: list[Question], context: Context = PETS, problems: list[str] | None = None) -> list[str]:
    """Lines of the user's message."""
    system, user = write_messages(questions, context, problems or [])
    assert (system["role"], user["role"]) == ("system", "user")
    assert system["content"] == KINDS[questions[0].kind].rules
    return user["content"].split("\n")


def test_prompt_by_hand() -> None:
    questions = [Question("subclasses", "dog", "a pet", 5), Question("subclasses", "sky", count=3)]
    lines = prompt(questions, Context(("dog", "cat", "lantern"), domain="aerial photographs"))
    schema = json.dumps(KINDS["subclasses"].schema(5), separators=(",", ":"))
    assert lines == [
        "DOMAIN: aerial photographs",
        "VOCABULARY (all classes, do not collide with these): dog; cat; lantern",
        "EXAMPLE (not a target), gravel: " + json.dumps({"id": "0", **dict(KINDS["subclasses"].examples)["gravel"]}),
        "EXAMPLE (not a target), kettle: " + json.dumps({"id": "0", **dict(KINDS["subclasses"].examples)["kettle"]}),
        "TARGETS (up to 5 subclasses each):",
        "1: dog | SENSE: a pet",
        "2: sky | SENSE: -",
        "Return one JSON object of this form, one item for each id, and nothing else:",
        schema,
    ]
    assert prompt(questions)[0] == "DOMAIN: general photographs"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_asked_alike(kind: str) -> None:
    questions = ask("dog, sky", kind, phrases=("poodle",), rejected=(("cat", "other_class"),))
    lines = prompt(questions)
    heading = KINDS[kind].task.replace("{count}", "8") + ":"
    start = lines.index(heading)
    assert lines[start + 1 : start + 3] == [
        f"{number}: {question.name} | SENSE: -{KINDS[kind].line(question)}" for number, question in enumerate(questions, 1)
    ]  # fmt: skip
    assert json.loads(lines[-1]) == response_format(questions)["json_schema"]["schema"]
    assert sum(line.startswith("EXAMPLE") for line in lines) == min(2, len(KINDS[kind].examples))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", BRACES)
def test_nothing_is_ever_formatted(kind: str, text: str) -> None:
    question = Question(kind, f"a {text} b", f"s {text}", 4, (f"p {text}",), ((f"r {text}", f"why {text}"),))
    context = Context((f"a {text} b", f"v {text}"), domain=f"d {text}")
    lines = prompt([question], context, [f"problem {text}"])
    if kind == "translate":
        assert lines.pop(0) == f"LANGUAGE of the targets: {context.language}"
    assert lines[0] == f"DOMAIN: d {text}"
    assert lines[1] == f"VOCABULARY (all classes, do not collide with these): a {text} b; v {text}"
    assert f"1: a {text} b | SENSE: s {text}{KINDS[kind].line(question)}" in lines
    assert lines[-1] == f"A reply before was of no use: problem {text} Mend that."
    assert KINDS[kind].task.replace("{count}", "4") + ":" in lines


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].examples])
def test_examples_that_are_classes_are_not_shown(kind: str) -> None:
    names = [name for name, _ in KINDS[kind].examples]
    for taken in (names, [name.upper() for name in names], [name.replace("moss", "mosse") + "s" for name in names]):
        assert not any(line.startswith("EXAMPLE") for line in prompt(ask("dog", kind), Context(tuple(taken))))
    shown = [line for line in prompt(ask("dog", kind), Context((names[0],))) if line.startswith("EXAMPLE")]
    assert [line.split(": ")[0].rpartition(", ")[2] for line in shown] == names[1:3]


@pytest.mark.parametrize("kind", KINDS)
def test_ids_of_the_prompt_are_ids_of_the_reply(kind: str) -> None:
    names = [f"thing {number}" for number in range(1, 13)]
    questions = [Question(kind, name, phrases=(f"red {name}",)) for name in names]
    asked = re.findall(r"^(\d+): (.*?) \| SENSE", "\n".join(prompt(questions)), re.MULTILINE)
    assert asked == [(str(number), name) for number, name in enumerate(names, 1)]
    fields: dict[str, Any] = {
        "subclasses": [f"x {n}" for n in names], "synonyms": ["x"], "descriptions": ["x"], "definition": "x",
        "english": "x", "verdicts": [], "sense": "", "policy": "expand",
    }  # fmt: skip
    random.Random(3).shuffle(asked)
    reply = json.dumps({"items": [{"id": number, **fields, "sense": name} for number, name in asked]})
    answers, problems = match_answers(reply, questions)
    assert problems == []
    assert sorted(answers) == list(range(12))
    if kind in ("subclasses", "refill"):
        assert [answers[position].sense for position in range(12)] == names


def test_problems_are_quoted_and_cut() -> None:
    assert prompt(ask("dog"), PETS, ["no answer for id 1 (dog).", "x is no list."])[-1] == (
        "A reply before was of no use: no answer for id 1 (dog). x is no list. Mend that."
    )
    assert len(prompt(ask("dog"), PETS, ["x" * 900] * 1000)[-1]) < 1100
    assert not any("A reply before" in line for line in prompt(ask("dog")))


def test_a_vocabulary_without_end_is_left_out() -> None:
    fits = Context(tuple("x" * 98 for _ in range(MOST_VOCABULARY // 100)))  # "; " between, none at the end
    too_long = Context((*fits.vocabulary, "y" * 98))
    assert len("; ".join(fits.vocabulary)) == MOST_VOCABULARY - 2
    assert prompt(ask("dog, sky"), fits)[1].endswith("; ".join(fits.vocabulary))
    assert prompt(ask("dog, sky"), too_long)[1] == "VOCABULARY (all classes, do not collide with these): dog; sky"


@pytest.mark.parametrize(("count", "phrases", "most"), [(8, 0, 8), (3, 5, 5), (0, 4, 4), (5, 5, 5)])
def test_as_many_are_allowed_as_are_asked_about(count: int, phrases: int, most: int) -> None:
    listed = tuple(f"p{number}" for number in range(phrases))
    questions = [Question("critic", "dog", count=count, phrases=listed), Question("critic", "cat", count=1)]
    schema = response_format(questions)["json_schema"]["schema"]
    assert schema["properties"]["items"]["items"]["properties"]["verdicts"]["maxItems"] == most


@pytest.mark.parametrize("kind", KINDS)
def test_response_format(kind: str) -> None:
    form = response_format(ask("dog, sky", kind, count=4))
    assert form == {
        "type": "json_schema",
        "json_schema": {"name": kind, "strict": True, "schema": KINDS[kind].schema(4)},
    }
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", form["json_schema"]["name"])


# --- batches ---


def test_batches_by_hand() -> None:
    dog, cat, sky = ask("dog, cat, sky")
    hound, kitty = ask("dog, cat", "synonyms")
    assert batch_questions([dog, hound, cat, kitty, sky], 2) == [[dog, cat], [sky], [hound, kitty]]
    assert batch_questions([], 2) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [1, 2, 12])
def test_batches_hold_each_question_once_and_one_kind(seed: int, size: int) -> None:
    chooser = random.Random(seed)
    questions = [Question(chooser.choice(list(KINDS)), f"thing {number}") for number in range(100)]
    batches = batch_questions(questions, size)
    assert sorted((q for batch in batches for q in batch), key=questions.index) == questions
    for batch in batches:
        assert 1 <= len(batch) <= size
        assert len({question.kind for question in batch}) == 1
        assert sorted(batch, key=questions.index) == batch
    per_kind = [sum(question.kind == kind for question in questions) for kind in KINDS]
    assert len(batches) == sum(-(-count // size) for count in per_kind)


# --- cost ---

PRICED = Profile("p", "https://host/v1", batch=5, price_in=0.25, price_out=2.0)


def test_estimate_against_a_count_of_its_own() -> None:
    questions = [*ask("dog, cat, sky, car, bus, tree", count=9), *ask("dog, cat", "synonyms", count=3)]
    estimate = estimate_cost(questions, PETS, PRICED)
    sent = 0
    for batch in (questions[:5], questions[5:6], questions[6:]):
        for message in write_messages(batch, PETS):
            sent += len(message["content"])
    written = 8 * 25 + 5.6 * (6 * 9 + 2 * 3)
    assert estimate.requests == 3
    assert estimate.tokens_in == pytest.approx(sent / 3.7, abs=0.5)
    assert estimate.tokens_out == pytest.approx(written, abs=0.5)
    assert estimate.price == pytest.approx((estimate.tokens_in * 0.25 + estimate.tokens_out * 2.0) / 1_000_000)


def test_estimate_of_nothing_and_without_prices() -> None:
    assert estimate_cost([], PETS, PRICED) == Estimate(0, 0, 0, 0.0)
    assert estimate_cost(ask("dog"), PETS, replace(PRICED, price_in=0.0, price_out=0.0)).price == 0.0


def test_estimate_of_a_large_vocabulary_is_of_the_order_that_was_measured() -> None:
    """paper.md 4.8: 171 classes of 10 take about 13,000 tokens in and as many out, at 16 a request."""
    from llmseg.library import library_classes

    names = library_classes("cocostuff171").names
    questions = [Question("subclasses", name, count=10) for name in names]
    estimate = estimate_cost(questions, Context(names), replace(PROFILES["openai"], batch=16))
    assert estimate.requests == 11
    assert 8_000 < estimate.tokens_in < 20_000
    assert 10_000 < estimate.tokens_out < 18_000


def test_examples_that_hold_a_class_are_not_shown() -> None:
    text = "\n".join(prompt(ask("dog"), Context(("dog", "tea kettles", "White Gravel"))))
    assert "EXAMPLE (not a target), lantern" in text
    assert "EXAMPLE (not a target), moss" in text
    assert "kettle:" not in text
    assert "gravel:" not in text
