"""Replies are read whole or not at all: damage costs answers, never a half phrase, never another error."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest

from llmseg.errors import ReplyError
from llmseg.llm.questions import Answer, Question
from llmseg.llm.replies import Message, match_answers, parse_json, read_message

DOG, CAT, SKY = (Question("subclasses", name) for name in ("dog", "cat", "night sky"))
QUESTIONS = [DOG, CAT, SKY]
LISTS = {
    "1": ["golden retriever", "poodle", "wire-haired terrier"],
    "2": ["tabby cat", "siamese cat", 'a "tuxedo" cat'],
    "3": ["starry sky", "sky, with {clouds} and [stars]"],
}
ITEMS: list[dict[str, Any]] = [
    {"id": number, "sense": f"the {number}", "policy": "expand", "subclasses": phrases}
    for number, phrases in LISTS.items()
]
ANSWERS = {position: tuple(phrases) for position, phrases in enumerate(LISTS.values())}
GOOD = json.dumps({"items": ITEMS})
POODLE = '{"id": "1", "subclasses": ["poodle", "beagle"]}'
NOTHING = "no answer for id 1 (dog), 2 (cat), 3 (night sky)."


def listed(text: str, questions: list[Question] = QUESTIONS) -> dict[int, tuple[str, ...]]:
    return {position: answer.phrases for position, answer in match_answers(text, questions)[0].items()}


def body(content: Any = "hello", **more: Any) -> str:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}], **more})


# --- the JSON in a text ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1]}', {"a": [1]}),
        (' \n{"a": [1]}\r\n ', {"a": [1]}),
        ("[1, 2]", [1, 2]),
        ('"dog"', "dog"),
        ("7", 7),
        ('```json\n{"a": [1]}\n```', {"a": [1]}),
        ('```\n{"a": [1]}\n```', {"a": [1]}),
        ('```JSON {"a": [1]}```', {"a": [1]}),
        ('````{"a": [1]}````', {"a": [1]}),
        ('```json\n{"a": [1]}', {"a": [1]}),
        ('Sure! Here you are:\n\n{"a": [1]}\n\nI hope that this helps.', {"a": [1]}),
        ('Voil\u00e0 \u72ac: {"a": ["\u72ac"]}', {"a": ["\u72ac"]}),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('{"a": [1,\n  ],\n}', {"a": [1]}),
        ('In {braces} as you said: {"a": [1]}', {"a": [1]}),
        ('{"a": [1]} {"b": [2]}', {"a": [1]}),
        ('{"a": [1]}}}', {"a": [1]}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"a": -Infinity}', {"a": float("-inf")}),
        ('{"a": 1e999}', {"a": float("inf")}),
        ('{"a": "\\ud800"}', {"a": "\ud800"}),
    ],
)
def test_json_is_found(text: str, value: object) -> None:
    assert parse_json(text) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "''"),
        ("Sorry, I cannot help with that.", "'Sorry, I cannot help with that.'"),
        ("dog: poodle, beagle", "'dog: poodle, beagle'"),
        ("{'a': 1}", "\"{'a': 1}\""),
        ('{"a": [1', "'{\"a\": [1'"),
        ('{"a": "wire-hai', '\'{"a": "wire-hai\''),
        ('{"items": [{"a": 1}, {"b', '\'{"items": [{"a": 1}, {"b\''),
        ("{a: 1}", "'{a: 1}'"),
        ("\x1b[2J\x00\u202edog", "' [2J  dog'"),
        ("x" * 200, repr("x" * 80)),
        ("[1, 2", "'[1, 2'"),
    ],
)
def test_no_json_is_found(text: str, shown: str) -> None:
    with pytest.raises(ReplyError) as caught:
        parse_json(text)
    assert str(caught.value) == f"{shown} holds no complete JSON object; expected one."


@pytest.mark.parametrize(
    "text",
    [
        "{" * 2_000_000,
        "[" * 2_000_000,
        '{"a":' * 400_000,
        '{"a":' * 200_000 + "}" * 200_000,
        '{"a":[' * 200_000 + "]}" * 200_000,
        "```json " * 200_000,
        "``` {" * 200_000,
        "{" + ", " * 500_000,
        "{," + " " * 2_000_000,
        '{"a": "' + "x" * 2_000_000,
        '{"id": ' + "9" * 1_000_000 + "}",
        "\x00" * 1_000_000,
        "} {x" * 300_000,
    ],
    ids=lambda text: text[:8].encode("unicode_escape").decode(),
)
def test_megabytes_of_nothing(text: str) -> None:
    with pytest.raises(ReplyError, match=r"holds no complete JSON object; expected one\.$") as caught:
        parse_json(text)
    assert len(str(caught.value)) < 500
    assert match_answers(text, QUESTIONS) == ({}, [caught.value.problem])


def test_a_whole_object_inside_a_cut_one_is_not_the_answer() -> None:
    cut = GOOD[: GOOD.index('"3"')]
    with pytest.raises(ReplyError):
        parse_json(cut)
    assert listed(cut) == {}


# --- answers by position ---


def test_answers_by_hand() -> None:
    items = [
        {"id": "1", "sense": "a pet", "policy": "expand", "subclasses": ["poodle"]},
        {"id": "3", "sense": "-", "policy": "keep", "subclasses": []},
    ]
    assert match_answers(json.dumps({"items": items}), QUESTIONS) == (
        {0: Answer(("poodle",), sense="a pet"), 2: Answer(policy="keep")},
        ["no answer for id 2 (cat)."],
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text,
        lambda text: json.dumps(json.loads(text), indent=4),
        lambda text: json.dumps(json.loads(text)["items"]),
        lambda text: f"```json\n{text}\n```",
        lambda text: f"```\n{text}\n```\nLet me know!",
        lambda text: f"Here are the subclasses:\n{text}\nNote that some overlap.",
        lambda text: f"<think>Dogs come in many kinds.</think>\n\n{text}",
        lambda text: text.replace("]}", "],}"),
        lambda text: text.replace("}]}", "},]}"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace('"items"', '"note": "x", "more": {"deep": [1]}, "items"'),
        lambda text: text.replace('"policy"', '"confidence": 0.9, "notes": null, "policy"'),
        lambda text: text.replace('"id"', '"id": "2", "id"'),
        lambda text: text.replace('"sense": "the 1"', '"sense": NaN'),
        lambda text: text.replace('"sense": "the 1"', '"sense": [[]]'),
        lambda text: text.replace('"policy": "expand"', '"policy": "keep"'),
        lambda text: text.replace('"policy": "expand"', '"policy": 7'),
        lambda text: text.replace('"id": "1"', '"id": 1').replace('"id": "2"', '"id": 2'),
        lambda text: text.replace('"id": "1"', '"id": "Dogs"').replace('"id": "2"', '"id": "CAT"'),
        lambda text: text.replace('"id": "3"', '"id": "night_sky"'),
        lambda text: text.replace('"id": "3"', '"name": "Night-Skies"'),
        lambda text: text.replace('"items": [', '"items": [7, null, "dog", [], {}, '),
        lambda text: text.replace('"items": [', '"items": [{"id": "0", "subclasses": ["x"]}, '),
        lambda text: text.replace('"items": [', '"items": [{"id": "4", "subclasses": ["x"]}, '),
        lambda text: text.replace('"items": [', '"items": [{"id": -1, "subclasses": ["x"]}, '),
        lambda text: text.replace('"items": [', '"items": [{"id": 1.5, "subclasses": ["x"]}, '),
        lambda text: text.replace('"items": [', '"items": [{"id": "\u00b2", "subclasses": ["x"]}, '),
        lambda text: text.replace('"items": [', '"items": [{"id": "zebra", "subclasses": ["x"]}, '),
        lambda text: text.replace('"items": [', '"items": [{"id": [1], "subclasses": ["x"]}, '),
        lambda text: text.replace('"items": [', '"items": [{"id": "' + "1" * 4000 + '", "subclasses": ["x"]}, '),
        lambda text: text.replace("]}]}", ']}, {"id": "1", "subclasses": ["x"]}, {"id": "dog", "subclasses": ["y"]}]}'),
    ],
)  # fmt: skip
def test_harmless_damage(damage: Any) -> None:
    damaged = damage(GOOD)
    assert listed(damaged) == ANSWERS
    assert match_answers(damaged, QUESTIONS)[1] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' holds no complete JSON object; expected one."),
        ("I can't.", '"I can\'t." holds no complete JSON object; expected one.'),
        ('"dog"', "the JSON has no list 'items'; expected one item a class."),
        ("null", "the JSON has no list 'items'; expected one item a class."),
        ("{}", "the JSON has no list 'items'; expected one item a class."),
        ('{"dog": ["poodle"]}', "the JSON has no list 'items'; expected one item a class."),
        ('{"items": {"1": ["poodle"]}}', "the JSON has no list 'items'; expected one item a class."),
        ('{"items": null}', "the JSON has no list 'items'; expected one item a class."),
        ('{"items": []}', NOTHING),
        ("[]", NOTHING),
        ('{"items": [[], 7, null]}', NOTHING),
        ('{"items": [{"subclasses": ["poodle"]}]}', NOTHING),
        ('{"items": [{"id": "\u72ac", "subclasses": ["\u72ac"]}]}', NOTHING),
    ],
)
def test_no_answer_at_all(text: str, problem: str) -> None:
    assert match_answers(text, QUESTIONS) == ({}, [problem])


def test_one_bad_item_costs_one_class() -> None:
    items = [{"id": "1", "subclasses": "poodle, beagle"}, {"id": "2", "subclasses": ["tabby"]}, {"id": "3"}]
    assert match_answers(json.dumps({"items": items}), QUESTIONS) == (
        {1: Answer(("tabby",))},
        [
            "'subclasses' of class 'dog' is no list; expected a list of texts.",
            "'subclasses' of class 'night sky' is no list; expected a list of texts.",
            "no answer for id 1 (dog), 3 (night sky).",
        ],
    )


def test_a_good_item_after_a_bad_one_of_the_same_id_counts() -> None:
    text = '{"items": [{"id": "1"}, {"id": "1", "subclasses": ["poodle"]}]}'
    assert match_answers(text, [DOG]) == (
        {0: Answer(("poodle",))},
        ["'subclasses' of class 'dog' is no list; expected a list of texts."],
    )


@pytest.mark.parametrize("text", [POODLE, f"```json\n{POODLE}\n```", f"[{POODLE}]"])
def test_one_class_without_the_list_around_it(text: str) -> None:
    assert match_answers(text, [DOG]) == ({0: Answer(("poodle", "beagle"))}, [])


def test_each_question_is_read_by_its_own_kind() -> None:
    questions = [Question("synonyms", "dog"), Question("definitions", "dog"), Question("translate", "Hund")]
    items = [
        {"id": 1, "synonyms": ["hound"]},
        {"id": 2, "definition": "A dog is a pet."},
        {"id": 3, "english": "dog"},
    ]
    answers, problems = match_answers(json.dumps(items), questions)
    assert [answers[position].phrases for position in range(3)] == [("hound",), ("A dog is a pet.",), ("dog",)]
    assert problems == []


# --- properties ---

WRAPPINGS = ("{}", "```json\n{}\n```", "Here you are:\n{}\nDone.", "In {{braces}} you said: {}", "<think>{{</think>{}")
WHOLE = {phrase for phrases in LISTS.values() for phrase in phrases}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_reply_cut_anywhere_holds_no_half_phrase(wrapping: str, indent: int | None) -> None:
    text = wrapping.format(json.dumps({"items": ITEMS}, indent=indent))
    for end in range(len(text)):
        for position, phrases in listed(text[:end]).items():
            assert phrases == ANSWERS[position], text[:end]


def test_one_item_cut_anywhere_is_no_item() -> None:
    assert [listed(POODLE[:end], [DOG]) for end in range(len(POODLE))] == [{}] * len(POODLE)


@pytest.mark.parametrize("seed", range(30))
def test_random_damage_never_escapes(seed: int) -> None:
    chooser = random.Random(seed)
    for _ in range(40):
        text = chooser.choice(WRAPPINGS).format(GOOD)
        for _ in range(chooser.randint(1, 6)):
            start = chooser.randrange(len(text))
            end = start + chooser.choice((0, 1, 2, 20))
            put = chooser.choice(("", "{", "}", "[", "]", '"', ",", ":", "\\", "```", "\x00", "\ud800", "null", "1e9"))
            text = text[:start] + put + text[end:]
        answers, problems = match_answers(text, QUESTIONS)
        assert set(answers) <= {0, 1, 2}
        assert len(answers) == 3 or problems
        assert all(isinstance(phrase, str) for answer in answers.values() for phrase in answer.phrases)
        assert all(re.fullmatch(r"[^\n]+[.]", problem) for problem in problems)


@pytest.mark.parametrize("seed", range(10))
def test_random_bytes(seed: int) -> None:
    chooser = random.Random(seed)
    for _ in range(50):
        text = chooser.randbytes(chooser.randrange(300)).decode("latin-1")
        assert match_answers(text, QUESTIONS)[0] == {}
        with pytest.raises(ReplyError):
            read_message(text)


@pytest.mark.parametrize("seed", range(10))
def test_any_json_in_place_of_any_part(seed: int) -> None:
    chooser = random.Random(seed)
    odd: list[Any] = [None, True, 0, -1, 1.5, 10**30, float("nan"), "", "dog", "\ud800", [], {}, [[]], {"id": "1"}]
    for _ in range(60):
        item: dict[str, Any] = {"id": "1", "sense": "s", "policy": "expand", "subclasses": ["poodle", "beagle"]}
        for key in chooser.sample(sorted(item), chooser.randint(1, 3)):
            item[key] = chooser.choice(odd) if chooser.random() < 0.6 else [chooser.choice(odd), chooser.choice(odd)]
        answers, problems = match_answers(json.dumps({"items": [item]}), QUESTIONS)
        assert len(answers) <= 1
        assert problems
        assert all(type(text) is str for a in answers.values() for text in (*a.phrases, a.sense, a.policy))


def test_an_id_as_deep_as_json_goes() -> None:
    for depth in range(50, 1200, 50):
        text = '{"items": [{"id": ' + "[" * depth + "]" * depth + ', "subclasses": ["x"]}, ' + POODLE + "]}"
        assert listed(text, [DOG]) in ({0: ("poodle", "beagle")}, {})


# --- the message around it ---


def test_message_by_hand() -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
    assert read_message(body("hello", usage=usage, model="m-1", id="x", created=7)) == Message(
        "hello", tokens_in=12, tokens_out=3, model="m-1"
    )
    assert read_message(body()) == Message("hello")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"message": {"content": "cut o"}, "finish_reason": "length"}, Message("cut o", cut=True)),
        ({"message": {"content": "x"}, "finish_reason": "stop"}, Message("x")),
        ({"message": {"content": None, "refusal": "I will not."}}, Message("", refusal="I will not.")),
        ({"message": {"content": ""}, "finish_reason": "content_filter"}, Message("", refusal="content filter")),
        ({"message": {"content": 7, "refusal": 7}, "finish_reason": 7}, Message("")),
        ({"message": {}}, Message("")),
    ],
)
def test_message_of_a_choice(choice: dict[str, Any], expected: Message) -> None:
    assert read_message(json.dumps({"choices": [choice, {"message": {"content": "another"}}]})) == expected


@pytest.mark.parametrize("usage", [None, [], "x", 7, {}, {"x": 1}])
def test_usage_that_says_nothing(usage: object) -> None:
    assert read_message(body(usage=usage)) == Message("hello")


@pytest.mark.parametrize("count", [-1, 1.5, True, "7", None, 10**9, [1], 1e300])
def test_counts_that_are_none(count: object) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": count}
    assert read_message(body(usage=usage)) == Message("hello")


def test_long_name_of_a_model() -> None:
    assert read_message(body(model="m" * 5000)).model == "m" * 80
    assert read_message(body(model=["m"])).model == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not JSON; expected a chat completion."),
        ("<html>502</html>", "'<html>502</html>' is not JSON; expected a chat completion."),
        (body()[:-1], f"{body()[:-1]!r} is not JSON; expected a chat completion."),
        ("null", "'null' holds no message; expected a chat completion."),
        ("[]", "'[]' holds no message; expected a chat completion."),
        ("{}", "'{}' holds no message; expected a chat completion."),
        ('{"choices": []}', "'{\"choices\": []}' holds no message; expected a chat completion."),
        ('{"choices": {"0": 1}}', '\'{"choices": {"0": 1}}\' holds no message; expected a chat completion.'),
        ('{"choices": [7]}', "'{\"choices\": [7]}' holds no message; expected a chat completion."),
        (
            '{"choices": [{"message": "hi"}]}',
            '\'{"choices": [{"message": "hi"}]}\' holds no message; expected a chat completion.',
        ),
        ('{"error": "\x1b[2J"}', '\'{"error": " [2J"}\' is not JSON; expected a chat completion.'),
        ("[" * 1_000_000, f"{'[' * 80!r} is not JSON; expected a chat completion."),
    ],
    ids=lambda text: text[:12] if isinstance(text, str) else None,
)
def test_body_that_is_no_completion(text: str, message: str) -> None:
    with pytest.raises(ReplyError) as caught:
        read_message(text)
    assert str(caught.value) == message


# --- what models write around and instead of an answer ---

TWO = [DOG, CAT]
ONE_EACH = {0: ("poodle",), 1: ("tabby",)}
LINES = ['{"id": "1", "subclasses": ["poodle"]}', '{"id": "2", "subclasses": ["tabby"]}']


@pytest.mark.parametrize(
    "text",
    [
        f'Use {{}} braces, or {{these}}. {{"items": [{", ".join(LINES)}]}}',
        f'As in your example: {{"id": "0", "subclasses": ["x"]}}\n{{"items": [{", ".join(LINES)}]}}',
        f'<think>{{"items": [{{"id": "1", "subclasses": ["draft"]}}]}}</think>{{"items": [{", ".join(LINES)}]}}',
        f"```json\n[{', '.join(LINES)}]\n```",
    ],
    ids=["braces", "an example", "a draft", "a fenced list"],
)
def test_the_answer_is_found_among_other_things(text: str) -> None:
    assert listed(text, TWO) == ONE_EACH


def test_an_item_without_an_id_answers_nothing_by_chance() -> None:
    def ask(*names: str, item: str) -> dict[int, tuple[str, ...]]:
        return listed(f'{{"items": [{item}]}}', [Question("subclasses", name) for name in names])

    phrases = '"subclasses": ["x"]'
    assert ask("none", "dog", item=f'{{"id": null, {phrases}}}') == {}
    assert ask("-", "dog", item=f"{{{phrases}}}") == {}
    assert ask("dog", "cat", item=f'{{"id": null, "name": "cat", {phrases}}}') == {1: ("x",)}
    assert ask("dog", "cat", item=f'{{"name": "2", {phrases}}}') == {}
    assert ask("hotdog", "hot dog", item=f'{{"id": "hot dog", {phrases}}}') == {1: ("x",)}
    assert ask("hot dog", "hotdog", item=f'{{"id": "hotdog", {phrases}}}') == {1: ("x",)}


def test_what_a_model_says_of_itself_steers_no_terminal() -> None:
    said = {"content": None, "refusal": "\x1b[2J no\u202e"}
    message = read_message(json.dumps({"model": "gp\x07t\n5", "choices": [{"message": said}]}))
    assert message.refusal == " [2J no "
    assert message.model == "gp t 5"


def test_content_in_parts() -> None:
    assert read_message(body([{"type": "text", "text": "he"}, {"type": "image"}, "llo", 7])).text == "hello"


def test_problems_are_told_in_part() -> None:
    items = [{"id": "1", "subclasses": 7}] * 10_000
    _, problems = match_answers(json.dumps({"items": items}), [DOG])
    assert len(problems) == 20
    assert problems[-1] == "no answer for id 1 (dog)."


@pytest.mark.parametrize("text", ["<think>" * 100_000 + "{", "<think></think>" * 50_000 + "{", "</think>" * 100_000])
def test_thoughts_without_end_are_read_in_one_pass(text: str) -> None:
    # Looked at once for each tag, this would take hours.
    assert match_answers(text, [DOG])[0] == {}
