"""Every kind of question: a form that strict endpoints take, a reader that trusts nothing, honest examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmseg.cleaning import clean_expansion
from llmseg.cleaning_rules import CleaningLimits
from llmseg.errors import ReplyError
from llmseg.llm.kinds import KINDS, LONGEST_PHRASE, MOST_PHRASES, PROMPT_VERSION
from llmseg.llm.questions import Answer, Question
from llmseg.options import KIND
from llmseg.types import ClassExpansion, ClassName, Expansion, Phrase
from llmseg.unwanted import REASONS

# Of each kind: the field that the reader needs, and fields as a good model writes them with what they mean.
GOOD: dict[str, tuple[str, dict[str, Any], Answer]] = {
    "subclasses": (
        "subclasses",
        {"sense": "a pet", "policy": "expand", "subclasses": ["poodle", "beagle"]},
        Answer(("poodle", "beagle"), sense="a pet"),
    ),
    "synonyms": ("synonyms", {"synonyms": ["hound"]}, Answer(("hound",))),
    "definitions": ("definition", {"definition": " A dog is a pet. "}, Answer(("A dog is a pet.",))),
    "descriptions": ("descriptions", {"descriptions": ["A dog has fur."]}, Answer(("A dog has fur.",))),
    "translate": ("english", {"english": "dog"}, Answer(("dog",))),
    "refill": ("subclasses", {"sense": "-", "policy": "expand", "subclasses": ["husky"]}, Answer(("husky",))),
    "critic": (
        "verdicts",
        {"verdicts": [{"phrase": "poodle", "kind_of_class": False, "other_class": None, "visible": True}]},
        Answer(("poodle",), reasons=("not_a_kind",)),
    ),
}
LISTED = [kind for kind, (key, _, _) in GOOD.items() if key in ("subclasses", "synonyms", "descriptions")]
SINGLE = ["definitions", "translate"]


def question(kind: str) -> Question:
    return Question(kind, "dog", phrases=("poodle", "beagle"))


def read(kind: str, fields: dict[str, Any]) -> Answer:
    return KINDS[kind].read(fields, question(kind))


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON schema, however deep."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for part in schema.values():
            yield from objects(part)


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """A slow, obvious judge of the few words of JSON schema that we use."""
    types = {"string": str, "boolean": bool, "array": list, "object": dict, "null": type(None)}
    named = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not isinstance(value, tuple(types[name] for name in named)):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, list):
        return len(value) <= schema.get("maxItems", len(value)) and all(fits(item, schema["items"]) for item in value)
    if isinstance(value, dict):
        form = schema["properties"]
        return set(value) == set(schema["required"]) and all(fits(item, form[key]) for key, item in value.items())
    return True


def test_every_kind_is_covered() -> None:
    assert set(GOOD) == set(KINDS)
    assert list(KINDS)[: len(KIND.names)] == list(KIND.names)
    assert PROMPT_VERSION.isdigit()


@pytest.mark.parametrize("kind", KINDS)
def test_form_is_what_strict_endpoints_take(kind: str) -> None:
    schema = KINDS[kind].schema(8)
    found = list(objects(schema))
    assert len(found) == (3 if kind == "critic" else 2)
    for part in found:
        assert part["type"] == "object"
        assert part["required"] == list(part["properties"])
        assert part["additionalProperties"] is False
    item = schema["properties"]["items"]["items"]
    assert next(iter(item["properties"])) == "id"
    assert {form["maxItems"] for form in item["properties"].values() if form["type"] == "array"} <= {8}
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("kind", KINDS)
def test_form_is_made_anew_each_time(kind: str) -> None:
    KINDS[kind].schema(3)["properties"]["items"]["items"]["properties"].clear()
    assert KINDS[kind].schema(3) != KINDS[kind].schema(4) or kind in SINGLE
    assert "id" in KINDS[kind].schema(3)["properties"]["items"]["items"]["properties"]


@pytest.mark.parametrize("kind", KINDS)
def test_good_fields_fit_and_are_read(kind: str) -> None:
    _, fields, answer = GOOD[kind]
    assert fits({"items": [{"id": "1", **fields}]}, KINDS[kind].schema(8))
    assert not fits({"items": [{"id": "1", **fields, "more": "x"}]}, KINDS[kind].schema(8))
    assert read(kind, fields) == answer
    assert read(kind, {**fields, "more": "x", "id": 7}) == answer


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].examples])
def test_examples_are_answers(kind: str) -> None:
    for name, fields in KINDS[kind].examples:
        assert fits({"items": [{"id": "0", **fields}]}, KINDS[kind].schema(8))
        answer = KINDS[kind].read(fields, Question(kind, name))
        assert answer.phrases
        assert answer.policy == "expand"
        assert answer.reasons == ()
        assert answer.failure == ""


@pytest.mark.parametrize("kind", [kind for kind in KIND.names if KINDS[kind].examples])
def test_examples_obey_the_rules_that_answers_are_held_to(kind: str) -> None:
    answers = [(name, KINDS[kind].read(fields, Question(kind, name))) for name, fields in KINDS[kind].examples]
    shown = Expansion(
        tuple(
            ClassExpansion(ClassName(name, sense=said.sense), tuple(Phrase(text, kind=kind) for text in said.phrases))
            for name, said in answers
        )
    )
    assert clean_expansion(shown, CleaningLimits(strict=True)) == shown


@pytest.mark.parametrize("kind", KIND.names)
def test_examples_are_many_enough_and_differ(kind: str) -> None:
    names = [name for name, _ in KINDS[kind].examples]
    assert 1 <= len(set(names)) == len(names)


@pytest.mark.parametrize("kind", KINDS)
def test_rules_and_task_are_plain_text(kind: str) -> None:
    entry = KINDS[kind]
    assert "  " not in entry.rules
    assert entry.rules.isascii()
    assert "{" not in entry.rules
    assert entry.task.replace("{count}", "8").isprintable()
    assert "{" not in entry.task.replace("{count}", "8")


# --- readers refuse other forms ---

NO_LIST = [None, "poodle", 7, True, {}, {"0": "poodle"}]
NO_TEXTS = [[7], [None, {}], [[]], ["", "  "], [["poodle"]]]
NO_TEXT = [None, "", "  \n", 7, True, [], ["a dog"], {}]


@pytest.mark.parametrize("kind", [*LISTED, "critic"])
@pytest.mark.parametrize("value", NO_LIST, ids=repr)
def test_no_list(kind: str, value: object) -> None:
    key, fields, _ = GOOD[kind]
    expected = "one verdict a phrase" if kind == "critic" else "a list of texts"
    with pytest.raises(ReplyError) as caught:
        read(kind, {**fields, key: value})
    assert str(caught.value) == f"{key!r} of class 'dog' is no list; expected {expected}."


@pytest.mark.parametrize("kind", LISTED)
@pytest.mark.parametrize("value", NO_TEXTS, ids=repr)
def test_no_texts(kind: str, value: object) -> None:
    key, fields, _ = GOOD[kind]
    with pytest.raises(ReplyError) as caught:
        read(kind, {**fields, key: value})
    assert str(caught.value) == f"{key!r} of class 'dog' holds no text; expected texts."


@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("value", NO_TEXT, ids=repr)
def test_no_text(kind: str, value: object) -> None:
    key = GOOD[kind][0]
    with pytest.raises(ReplyError) as caught:
        read(kind, {key: value})
    assert str(caught.value) == f"{key!r} of class 'dog' is no text; expected one."


@pytest.mark.parametrize("kind", KINDS)
def test_fields_of_another_kind(kind: str) -> None:
    key = GOOD[kind][0]
    for other_key, fields, _ in GOOD.values():
        if other_key != key:
            with pytest.raises(ReplyError):
                read(kind, fields)
    with pytest.raises(ReplyError):
        read(kind, {})


# --- readers keep within limits ---


@pytest.mark.parametrize("kind", LISTED)
def test_a_hostile_list_is_made_small(kind: str) -> None:
    key, fields, _ = GOOD[kind]
    texts = [f"{number} " + "x" * 5000 for number in range(1000)]
    phrases = read(kind, {**fields, key: texts}).phrases
    assert len(phrases) == MOST_PHRASES
    assert phrases == tuple(text[:LONGEST_PHRASE] for text in texts[:MOST_PHRASES])


@pytest.mark.parametrize("kind", SINGLE)
def test_a_hostile_text_is_made_small(kind: str) -> None:
    assert read(kind, {GOOD[kind][0]: " " + "x" * 50_000}).phrases == ("x" * LONGEST_PHRASE,)


@pytest.mark.parametrize("kind", LISTED)
def test_what_is_no_text_is_left_out(kind: str) -> None:
    key, fields, _ = GOOD[kind]
    assert read(kind, {**fields, key: ["poodle", 7, None, "", " ", ["x"], {"text": "y"}, "beagle"]}).phrases == (
        "poodle",
        "beagle",
    )
    assert read(kind, {**fields, key: []}).phrases == ()


@pytest.mark.parametrize(
    ("sense", "expected"),
    [
        ("a  pet\nanimal", "a pet animal"),
        (" - ", ""),
        ("", ""),
        (None, ""),
        (7, ""),
        (["a pet"], ""),
        ("one two three four five six seven eight nine ten eleven twelve thirteen", "one two three four five six seven eight nine ten eleven twelve"),
        ("x" * 5000, "x" * LONGEST_PHRASE),
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["subclasses", "refill"])
def test_sense(kind: str, sense: object, expected: str) -> None:
    assert read(kind, {"sense": sense, "policy": "expand", "subclasses": ["poodle"]}).sense == expected


@pytest.mark.parametrize(
    ("policy", "subclasses", "expected"),
    [
        ("keep", [], "keep"),
        ("expand", [], "expand"),
        ("keep", ["poodle"], "expand"),  # it says one thing and does the other: the phrases count
        ("KEEP", [], "expand"),
        (None, [], "expand"),
        (["keep"], [], "expand"),
    ],
)
def test_policy(policy: object, subclasses: list[str], expected: str) -> None:
    assert read("subclasses", {"sense": "", "policy": policy, "subclasses": subclasses}).policy == expected


# --- the critic ---


def verdict(phrase: Any = "poodle", kind: Any = True, other: Any = None, visible: Any = True) -> dict[str, Any]:
    return {"phrase": phrase, "kind_of_class": kind, "other_class": other, "visible": visible}


@pytest.mark.parametrize(
    ("verdicts", "rejected"),
    [
        ([], {}),
        ([verdict(), verdict("beagle")], {}),
        ([verdict(kind=False)], {"poodle": "not_a_kind"}),
        ([verdict(other="cat")], {"poodle": "fits_other_class: cat"}),
        ([verdict(visible=False)], {"poodle": "not_in_photo"}),
        ([verdict(kind=False, other="cat", visible=False)], {"poodle": "not_a_kind"}),
        ([verdict(other="cat", visible=False)], {"poodle": "not_in_photo"}),
        ([verdict(visible=False), verdict("beagle", kind=False)], {"poodle": "not_in_photo", "beagle": "not_a_kind"}),
        ([verdict(other=" ")], {}),
        ([verdict(other=7), verdict("beagle", other=["cat"])], {}),
        ([verdict(kind=None, visible=None)], {}),
        ([verdict(kind=0, visible="no")], {}),
        ([verdict("husky", kind=False)], {}),  # nobody asked
        ([verdict("Poodle", kind=False)], {}),
        ([verdict(7, kind=False), verdict(["poodle"], kind=False), verdict(None, kind=False)], {}),
        ([7, None, "poodle", []], {}),
        ([{"phrase": "poodle"}], {}),
        ([verdict(kind=False), verdict()], {"poodle": "not_a_kind"}),
        ([verdict("x")] * MOST_PHRASES + [verdict(kind=False)], {}),
    ],
)
def test_verdicts(verdicts: list[Any], rejected: dict[str, str]) -> None:
    answer = read("critic", {"verdicts": verdicts})
    assert dict(zip(answer.phrases, answer.reasons, strict=True)) == rejected
    assert {reason.partition(":")[0] for reason in answer.reasons} <= set(REASONS)


# --- lines ---


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (Question("subclasses", "dog", phrases=("x",)), ""),
        (Question("refill", "dog"), " | ALREADY KEPT: - | REJECTED AND WHY: -"),
        (
            Question("refill", "dog", phrases=("poodle", "pug"), rejected=(("cat", "other_class"), ("dogs", "class_name"))),
            " | ALREADY KEPT: poodle; pug | REJECTED AND WHY: cat (other_class); dogs (class_name)",
        ),
        (Question("critic", "dog", phrases=("poodle", "{count}")), " | PHRASES: poodle; {count}"),
    ],
)  # fmt: skip
def test_lines(asked: Question, line: str) -> None:
    assert KINDS[asked.kind].line(asked) == line


@pytest.mark.parametrize("other", ["", "  ", None, 7, []])
def test_a_critic_that_names_no_other_class_rejects_nothing(other: object) -> None:
    asked = Question("critic", "dog", phrases=("poodle",))
    assert KINDS["critic"].read({"verdicts": [verdict(other=other)]}, asked) == Answer()
