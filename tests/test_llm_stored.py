"""What was paid for is kept: found again, readable, shared between processes, and safe from bad files."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import llmseg
from llmseg import store as files
from llmseg.llm.kinds import KINDS, PROMPT_VERSION
from llmseg.llm.profiles import LanguageModel, Profile
from llmseg.llm.questions import Answer, Context, Question
from llmseg.llm.stored import AnswerStore, Settled

ROOT = Path(llmseg.__file__).parents[1]
MODEL = LanguageModel(Profile("fake", "http://127.0.0.1:9/v1"), "fake-1")
CONTEXT = Context(("dog", "cat"))
DOG, CAT, SKY = (Question("subclasses", name) for name in ("dog", "cat", "sky"))
POODLE = Answer(("poodle", "beagle"), sense="a pet")


def new_store(tmp_path: Path, model: LanguageModel = MODEL) -> AnswerStore:
    return AnswerStore(model, tmp_path)


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def body(*names: str, **more: Any) -> str:
    """A reply that answers the first questions with a phrase made of each name."""
    items = [{"id": str(number), "subclasses": [f"red {name}"]} for number, name in enumerate(names, 1)]
    return json.dumps({"choices": [{"message": {"content": json.dumps({"items": items})}}], **more})


def answer_file(store: AnswerStore, question: Question = DOG) -> Path:
    store.put(question, CONTEXT, POODLE, {})
    slug, key = question.name.split()[0], store.key(question, CONTEXT)
    (path,) = store.root.rglob(f"{slug}-{key[:16]}.json")
    return path


# --- keys ---


def test_key_is_of_what_was_asked(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    key = store.key(DOG, CONTEXT)
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert key == AnswerStore(MODEL, tmp_path / "elsewhere").key(Question("subclasses", "dog"), CONTEXT)
    assert key == store.key(DOG, Context(("dog", "zebra", "car"))), "an answer outlives the other classes"
    assert key == store.key(DOG, Context(()))


def test_key_depends_on_every_other_field(tmp_path: Path) -> None:
    question = Question("subclasses", "dog", "a pet", 8, ("poodle",), (("cat", "other_class"),))
    others = [
        replace(question, kind="synonyms"),
        replace(question, name="Dog"),
        replace(question, sense=""),
        replace(question, count=9),
        replace(question, phrases=()),
        replace(question, phrases=("pood", "le")),
        replace(question, rejected=(("cat", "class_name"),)),
        replace(question, rejected=()),
        replace(question, among="1f"),
    ]
    contexts = [
        replace(CONTEXT, domain="aerial"),
        replace(CONTEXT, refresh=1),
        replace(CONTEXT, refresh=-1),
    ]
    models = [
        replace(MODEL, model="fake-2"),
        replace(MODEL, profile=replace(MODEL.profile, base_url="http://127.0.0.1:9/v2")),
    ]
    keys = [new_store(tmp_path).key(item, CONTEXT) for item in (question, *others)]
    keys += [new_store(tmp_path).key(question, context) for context in contexts]
    keys += [new_store(tmp_path, model).key(question, CONTEXT) for model in models]
    assert len(set(keys)) == 1 + len(others) + len(contexts) + len(models)


def test_only_a_translation_depends_on_the_language(tmp_path: Path) -> None:
    store, german = new_store(tmp_path), replace(CONTEXT, language="de")
    translate = replace(DOG, kind="translate")
    assert store.key(DOG, german) == store.key(DOG, CONTEXT)
    assert store.key(translate, german) != store.key(translate, CONTEXT)


def test_key_does_not_depend_on_how_the_endpoint_is_used(tmp_path: Path) -> None:
    patient = replace(MODEL.profile, name="mine", timeout=1.0, batch=3, price_in=9.0, key_variable="MY_KEY")
    assert new_store(tmp_path, replace(MODEL, profile=patient)).key(DOG, CONTEXT) == new_store(tmp_path).key(
        DOG, CONTEXT
    )


# --- put and get ---

ANSWERS = [
    Answer(),
    Answer(("poodle",)),
    Answer(("poodle", "", " x "), "a pet", "keep", ("a", "b", "c"), "refused: no"),
    Answer(policy="keep"),
    Answer(failure="no usable reply"),
    Answer(("caf\u00e9 \U0001f98a", "\ud800", 'quote " and \\ and \n'), sense="\u72ac"),
    Answer(tuple(f"phrase {number}" for number in range(100))),
]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_put_is_got(answer: Answer, kind: str, tmp_path: Path) -> None:
    question = Question(kind, "dog", "a pet", 3, ("poodle",), (("cat", "other_class"),))
    store = new_store(tmp_path)
    assert store.get(question, CONTEXT) is None
    store.put(question, CONTEXT, answer, {"reply": "x"})
    assert store.get(question, CONTEXT) == answer
    assert new_store(tmp_path).get(question, Context(("another", "list"))) == answer
    assert store.get(replace(question, sense=""), CONTEXT) is None
    assert new_store(tmp_path, replace(MODEL, model="fake-2")).get(question, CONTEXT) is None


def test_a_later_answer_takes_the_place(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.put(DOG, CONTEXT, Answer(failure="no usable reply"), {})
    store.put(DOG, CONTEXT, POODLE, {})
    assert store.get(DOG, CONTEXT) == POODLE
    assert len(below(tmp_path)) == 1


def test_files_can_be_read_by_people(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    question = Question("refill", "Caf\u00e9 \u72ac", "a place", 4, ("bistro",), (("bar", "other_class"),))
    store.put(question, replace(CONTEXT, domain="streets"), Answer(("\u72ac caf\u00e9",)), {"reply": "abc"})
    (name,) = below(tmp_path)
    assert re.fullmatch(r"answers/fake-1-[0-9a-f]{8}/refill/cafe-[0-9a-f]{16}\.json", name)
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert text.startswith('{\n  "schema": 1,\n  "key": "')
    assert text.endswith("}\n")
    assert "\u72ac caf\u00e9" in text
    record = json.loads(text)
    assert record["key"] == store.key(question, replace(CONTEXT, domain="streets"))
    assert record["asked"] == {
        "kind": "refill", "name": "Caf\u00e9 \u72ac", "sense": "a place", "count": 4,
        "phrases": ["bistro"], "rejected": [["bar", "other_class"]],
    }  # fmt: skip
    assert record["context"] == {"domain": "streets", "language": "en", "refresh": 0}
    assert record["answer"] == {"phrases": ["\u72ac caf\u00e9"], "policy": "expand"}
    assert record["source"] == {
        "base_url": MODEL.profile.base_url, "model": "fake-1", "prompt": PROMPT_VERSION, "reply": "abc",
    }  # fmt: skip


# --- files that are no answers ---

BAD_FILES = {
    "empty": b"",
    "cut": b'{"schema": 1, "answer": {"phrases": ["poo',
    "not json": b"dog: poodle",
    "another value": b"[1, 2]",
    "null": b"null",
    "no answer in it": b'{"schema": 1}',
    "another record": b'{"classes": [{"name": "dog"}]}',
    "texts that are none": b'{"answer": {"phrases": ["poodle", 7]}}',
    "phrases that are none": b'{"answer": {"phrases": 7}}',
    "sense that is none": b'{"answer": {"sense": ["x"]}}',
    "an answer that is a list": b'{"answer": []}',
    "an answer that is a text": b'{"answer": "x"}',
    "no answer": b'{"answer": null}',
    "an empty answer": b'{"answer": {}}',
    "letters for phrases": b'{"answer": {"phrases": "abc"}}',
    "an object for phrases": b'{"answer": {"phrases": {"a": 1}}}',
    "another policy": b'{"answer": {"policy": "zap"}}',
    "phrases without end": b'{"answer": {"phrases": ' + b"[" * 600 + b"]" * 600 + b"}}",
    "not utf-8": b'{"answer": {"phrases": ["\xff\xfe"]}}',
    "utf-16": '{"answer": {"phrases": ["x"]}}'.encode("utf-16"),
    "zeros": b"\0" * 4096,
    "nesting": b"[" * 200_000,
    "nesting in objects": b'{"answer":' * 100_000,
}


@pytest.mark.parametrize("data", BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_cannot_be_read_counts_as_none(
    data: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = new_store(tmp_path)
    path = answer_file(store)
    path.write_bytes(data)
    assert store.get(DOG, CONTEXT) is None
    assert caplog.messages == [f"{path} cannot be read; the class is asked again."]
    store.put(DOG, CONTEXT, POODLE, {})
    assert store.get(DOG, CONTEXT) == POODLE


def test_a_file_cut_anywhere_counts_as_none(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    path = answer_file(store)
    whole = path.read_bytes()
    for end in range(len(whole.rstrip())):
        path.write_bytes(whole[:end])
        assert store.get(DOG, CONTEXT) is None


@pytest.mark.parametrize("seed", range(5))
def test_a_file_with_bits_flipped_raises_nothing(seed: int, tmp_path: Path) -> None:
    chooser = random.Random(seed)
    store = new_store(tmp_path)
    path = answer_file(store)
    whole = path.read_bytes()
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(chooser.randint(1, 4)):
            data[chooser.randrange(len(data))] = chooser.randrange(256)
        path.write_bytes(data)
        found = store.get(DOG, CONTEXT)
        assert found is None or all(type(text) is str for text in (*found.phrases, found.sense, found.policy))


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    path = answer_file(store)
    with path.open("wb") as file:
        file.truncate(files.TEXT_LIMIT + 1)  # sparse: takes no room
    assert store.get(DOG, CONTEXT) is None


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    path = answer_file(store)
    path.unlink()
    path.mkdir()
    assert store.get(DOG, CONTEXT) is None


def test_unknown_fields_of_a_later_version_do_no_harm(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    path = answer_file(store)
    record = json.loads(path.read_text(encoding="utf-8"))
    record["answer"]["mood"] = {"deep": [1]}
    path.write_text(json.dumps({**record, "more": 1}), encoding="utf-8")
    assert store.get(DOG, CONTEXT) == POODLE


# --- names of files ---

HOSTILE = [
    "CON", "con.txt", "nul", "..", ".", "../../etc/passwd", "/etc/passwd", "C:\\Windows", "a/b", "a\\b", "a:b", "a*b?",
    "x" * 300, "\U0001f98a", "\U0001f98a\U0001f98a", "\u72ac", "\u732b", "\u00e9", "e", "a b", "a-b", "a_b", "A B",
    " ", "", "-", "trailing.", "trailing ", "a\0b", "a\nb", "\ud800", "\u202egod", "<|>", "%2e%2e", "~", "$HOME", "x" * 41,
]  # fmt: skip
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10))}


@pytest.mark.parametrize("as_model", [False, True], ids=["class", "model"])
def test_file_names_that_every_system_takes(as_model: bool, tmp_path: Path) -> None:
    for number, name in enumerate(HOSTILE):
        model = replace(MODEL, model=name) if as_model else MODEL
        question = DOG if as_model else Question("subclasses", name)
        new_store(tmp_path, model).put(question, CONTEXT, Answer((str(number),)), {})
    found = below(tmp_path)
    assert len({path.casefold() for path in found}) == len(HOSTILE), "two of them never share a file"
    for path in found:
        for part in Path(path).parts:
            assert re.fullmatch(r"[a-z0-9][a-z0-9-]*(\.json)?", part)
            assert part.partition(".")[0] not in RESERVED
            assert len(part) < 80
    for number, name in enumerate(HOSTILE):
        model = replace(MODEL, model=name) if as_model else MODEL
        question = DOG if as_model else Question("subclasses", name)
        assert new_store(tmp_path, model).get(question, CONTEXT) == Answer((str(number),))


# --- bodies ---


def test_a_body_is_there_before_anybody_reads_it(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    garbage = 'no JSON \u72ac \ud800 at all"'
    path = store.receive(garbage, [DOG, CAT], replace(CONTEXT, domain="streets"), {"messages": ["asked"]})
    assert below(tmp_path) == [f"inbox/{path.name}"]
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["body"] == garbage
    assert record["sent"] == {"messages": ["asked"]}
    assert [item["name"] for item in record["questions"]] == ["dog", "cat"]
    assert record["context"] == {"domain": "streets", "language": "en", "refresh": 0}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["received"])


def test_the_same_body_twice_is_two_files(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    assert len({store.receive(body("dog"), [DOG], CONTEXT, {}) for _ in range(20)}) == 20


def test_settle_by_hand(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    path = store.receive(body("dog", usage=usage, model="fake-1-0613"), [DOG, CAT], CONTEXT, {})
    settled = store.settle(path)
    assert settled.answers == {0: Answer(("red dog",))}
    assert settled.problems == ["no answer for id 2 (cat)."]
    assert (settled.message.tokens_in, settled.message.tokens_out) == (5, 7)
    assert store.get(DOG, CONTEXT) == Answer(("red dog",))
    assert store.get(CAT, CONTEXT) is None
    assert [name.split("/")[0] for name in below(tmp_path)] == ["answers", "replies"]
    (answer,) = (tmp_path / "answers").rglob("*.json")
    source = json.loads(answer.read_text(encoding="utf-8"))["source"]
    assert (source["reply"], source["answered_by"]) == (path.stem, "fake-1-0613")
    assert (tmp_path / "replies" / path.name).is_file()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not JSON; expected a chat completion."),
        ("<html>", "'<html>' is not JSON; expected a chat completion."),
        ("{}", "'{}' holds no message; expected a chat completion."),
        (body(), "no answer for id 1 (dog)."),
    ],
)
def test_a_body_without_an_answer_is_filed_too(text: str, problem: str, tmp_path: Path) -> None:
    store = new_store(tmp_path)
    settled = store.settle(store.receive(text, [DOG], CONTEXT, {}))
    assert (settled.answers, settled.problems) == ({}, [problem])
    assert [name.split("/")[0] for name in below(tmp_path)] == ["replies"]
    assert store.recover() == 0


def test_settling_twice_loses_nothing(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    path = store.receive(body("dog"), [DOG], CONTEXT, {})
    store.settle(path)
    before = below(tmp_path)
    store.settle(path)
    assert below(tmp_path) == before
    assert store.get(DOG, CONTEXT) == Answer(("red dog",))


def test_another_process_that_settles_first_costs_nothing(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    path = store.receive(body("dog"), [DOG], CONTEXT, {})
    assert new_store(tmp_path).recover() == 1
    assert store.settle(path).answers == {0: Answer(("red dog",))}


def test_an_answer_under_the_name_of_another_counts_as_none(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    path = answer_file(store)
    store.put(CAT, CONTEXT, Answer(("tabby",)), {})
    path.write_bytes(answer_file(store, CAT).read_bytes())
    assert store.get(DOG, CONTEXT) is None


def test_settling_a_file_that_never_was(tmp_path: Path) -> None:
    assert new_store(tmp_path).settle(tmp_path / "inbox" / "x.json") == Settled()


# --- after a crash ---


def test_a_body_left_behind_gives_its_answers(tmp_path: Path) -> None:
    questions = [
        Question("subclasses", "dog", "a pet", 5),
        Question("subclasses", "\u72ac", rejected=(("x", "y"),), phrases=("z",)),
    ]
    context = Context(("dog",), "streets", "de", 3)
    new_store(tmp_path).receive(body("dog", "inu"), questions, context, {})
    store = new_store(tmp_path)
    assert [store.get(question, context) for question in questions] == [None, None]
    assert store.recover() == 1
    assert [store.get(question, context) for question in questions] == [Answer(("red dog",)), Answer(("red inu",))]
    assert store.recover() == 0
    assert [name.split("/")[0] for name in below(tmp_path)] == ["answers", "answers", "replies"]


@pytest.mark.parametrize("kind", KINDS)
def test_recovered_answers_of_every_kind(kind: str, tmp_path: Path) -> None:
    question = Question(kind, "dog", "a pet", 4, ("poodle",), (("cat", "other_class"),))
    bad = {"phrase": "poodle", "kind_of_class": False}
    item = {
        "id": "1", "subclasses": ["x"], "synonyms": ["x"], "descriptions": ["x"], "definition": "x", "english": "x",
        "verdicts": [bad],
    }  # fmt: skip
    content = json.dumps({"items": [item]})
    new_store(tmp_path).receive(json.dumps({"choices": [{"message": {"content": content}}]}), [question], CONTEXT, {})
    assert new_store(tmp_path).recover() == 1
    found = new_store(tmp_path).get(question, CONTEXT)
    assert found == (Answer(("poodle",), reasons=("not_a_kind",)) if kind == "critic" else Answer(("x",)))


def test_bodies_of_another_model_are_left(tmp_path: Path) -> None:
    others = [
        replace(MODEL, model="fake-2"),
        replace(MODEL, profile=replace(MODEL.profile, base_url="http://127.0.0.1:9/v2")),
    ]
    for other in others:
        new_store(tmp_path, other).receive(body("dog"), [DOG], CONTEXT, {})
    assert new_store(tmp_path).recover() == 0
    assert new_store(tmp_path).get(DOG, CONTEXT) is None
    for other in others:
        assert new_store(tmp_path, other).recover() == 1
        assert new_store(tmp_path, other).get(DOG, CONTEXT) == Answer(("red dog",))


def test_a_crash_between_answers_and_filing(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    path = store.receive(body("dog", "cat"), [DOG, CAT], CONTEXT, {})
    copy = path.read_bytes()
    store.settle(path)
    path.write_bytes(copy)
    (tmp_path / "replies" / path.name).unlink()
    assert store.recover() == 1
    assert store.get(CAT, CONTEXT) == Answer(("red cat",))
    assert store.recover() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"questions": None},
        {"questions": [{"kind": "subclasses"}]},
        {"questions": [{"kind": "poems", "name": "dog"}]},
        {"questions": [{"kind": "subclasses", "name": 7}]},
        {"questions": [{"kind": "subclasses", "name": None}]},
        {"questions": [7]},
        {"questions": [["a"]]},
        {"questions": "dog"},
        {"questions": {"a": 1}},
        {"context": None},
        {"context": [1]},
        {"body": None},
        {"body": 7},
        {"body": {"choices": []}},
        {"received": None},
    ],
    ids=repr,
)
def test_a_strange_record_in_the_inbox_stops_nobody(change: dict[str, Any], tmp_path: Path) -> None:
    store = new_store(tmp_path)
    path = store.receive(body("dog"), [DOG], CONTEXT, {})
    record = {**json.loads(path.read_text(encoding="utf-8")), **change}
    path.write_text(json.dumps(record), encoding="utf-8")
    store.receive(body("cat"), [CAT], CONTEXT, {})
    assert store.recover() == 2
    assert store.get(CAT, CONTEXT) == Answer(("red cat",))
    assert store.recover() == 0


@pytest.mark.parametrize("data", BAD_FILES.values(), ids=BAD_FILES)
def test_foreign_files_in_the_inbox_are_left(data: bytes, tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.receive(body("dog"), [DOG], CONTEXT, {})
    (tmp_path / "inbox" / "0.json").write_bytes(data)
    (tmp_path / "inbox" / ".x.json.1.tmp").write_bytes(b"half")
    assert store.recover() == 1
    assert store.get(DOG, CONTEXT) == Answer(("red dog",))


# --- several processes ---

OTHER = """
import sys
from pathlib import Path
from llmseg.llm.profiles import LanguageModel, Profile
from llmseg.llm.questions import Answer, Context, Question
from llmseg.llm.stored import AnswerStore
root, name, what = sys.argv[1:]
store = AnswerStore(LanguageModel(Profile("fake", "http://127.0.0.1:9/v1"), "fake-1"), Path(root))
question, context = Question("subclasses", name), Context(("another", "list"))
if what == "receive":
    lock = store.claim(question, context)
    store.receive(sys.stdin.readline(), [question], context, {})
    print("received", flush=True)
    sys.stdin.read()
lock = store.claim(question, context)
print("none" if lock is None else "mine", flush=True)
if sys.stdin.readline().strip() == "answer":
    store.put(question, context, Answer(("by another",)), {})
    store.release(lock, answered=True)
    print("done", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(folder: Path, name: str, what: str = "claim") -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(folder), name, what],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_one_process_at_a_time_asks_for_a_class(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with another_process(tmp_path, "dog") as first, another_process(tmp_path, "dog") as second:
        heard = {hear(first), hear(second)}
        assert heard == {"mine", "none"}
        assert store.claim(DOG, CONTEXT) is None
        lock = store.claim(CAT, CONTEXT)
        assert lock is not None, "another class is free"
        store.release(lock, answered=False)


def test_a_lock_that_ends_with_an_answer(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with another_process(tmp_path, "dog") as other:
        assert hear(other) == "mine"
        say(other, "answer")
        assert hear(other) == "done"
        lock = store.claim(DOG, CONTEXT)
        assert lock is not None
        assert store.get(DOG, CONTEXT) == Answer(("by another",))
        store.release(lock, answered=True)
    assert below(tmp_path / "locks") == []


def test_a_killed_process_frees_its_lock(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with another_process(tmp_path, "dog") as other:
        assert hear(other) == "mine"
        assert store.claim(DOG, CONTEXT) is None
        other.kill()
        other.wait()
        lock = store.claim(DOG, CONTEXT)
        assert lock is not None
        store.release(lock, answered=False)


def test_a_process_killed_with_a_reply_in_its_hands(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with another_process(tmp_path, "dog", "receive") as other:
        say(other, body("dog"))
        assert hear(other) == "received"
        other.kill()
        other.wait()
    lock = store.claim(DOG, CONTEXT)
    assert lock is not None
    assert store.get(DOG, CONTEXT) is None
    assert store.recover() == 1
    assert store.get(DOG, CONTEXT) == Answer(("red dog",))


def test_claims_within_one_process(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    lock = store.claim(DOG, CONTEXT)
    assert lock is not None
    assert store.claim(DOG, Context(("quite", "another"))) is None, "the other classes are no part of it"
    assert new_store(tmp_path).claim(DOG, CONTEXT) is None
    store.release(lock, answered=False)
    again = store.claim(DOG, CONTEXT)
    assert again is not None
    store.release(again, answered=True)
    assert below(tmp_path) == []


# --- what the endpoint refuses ---


def test_refused_parameters_persist(tmp_path: Path) -> None:
    assert new_store(tmp_path).refused() == ()
    new_store(tmp_path).note_refused("temperature")
    new_store(tmp_path).note_refused("seed")
    new_store(tmp_path).note_refused("temperature")
    assert new_store(tmp_path).refused() == ("seed", "temperature")
    assert new_store(tmp_path, replace(MODEL, model="fake-2")).refused() == ()
    (name,) = below(tmp_path)
    assert re.fullmatch(r"endpoints/[0-9a-f]{16}\.json", name)
    record = json.loads((tmp_path / name).read_text(encoding="utf-8"))
    assert record == {"base_url": MODEL.profile.base_url, "model": "fake-1", "refused": ["seed", "temperature"]}


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (b"", ()),
        (b'{"refused": "seed"}', ()),
        (b'{"refused": {"seed": 1}}', ()),
        (b'{"refused": [7, null, ["x"], "seed"]}', ("seed",)),
        (b"[]", ()),
        (b"\xff", ()),
    ],
)
def test_a_damaged_note_of_what_is_refused(data: bytes, left: tuple[str, ...], tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.note_refused("temperature")
    (tmp_path / below(tmp_path)[0]).write_bytes(data)
    assert store.refused() == left
    store.note_refused("temperature")
    assert store.refused() == (*left, "temperature")


def test_the_folder_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMSEG_DATA", str(tmp_path / "mine"))
    AnswerStore(MODEL).put(DOG, CONTEXT, POODLE, {})
    assert new_store(tmp_path / "mine").get(DOG, CONTEXT) == POODLE
    assert below(tmp_path)[0].startswith("mine/answers/")


def test_looking_writes_nothing(tmp_path: Path) -> None:
    store = new_store(tmp_path / "none")
    assert store.get(DOG, CONTEXT) is None
    assert (store.recover(), store.refused()) == (0, ())
    assert not (tmp_path / "none").exists()
