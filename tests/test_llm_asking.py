"""What is stored is taken, the rest is asked, and nothing is paid twice, whatever the endpoint does."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llm_server import (
    Behaviour,
    FakeModel,
    completion,
    endless,
    huge,
    only,
    refuses,
    reply,
    reset,
    says,
    serve_model,
    status,
    strict_about,
    targets,
    truncated,
    wrapped,
)

from llmseg.errors import LLMError, LLMSegError, MissingKeyError, QuotaError, UnreachableError
from llmseg.llm import AnswerStore, Context, LanguageModel, Outcome, Profile, Question, ask_questions
from llmseg.llm.asking import USELESS_REPLIES
from llmseg.store import try_lock

NAMES = ("dog", "cat", "cow", "pig", "owl", "bee", "fox", "elk")
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def running() -> Iterator[FakeModel]:
    with serve_model() as model:
        yield model


@pytest.fixture
def model(running: FakeModel) -> FakeModel:
    running.forget()
    return running


def ask(model: FakeModel, root: Path, names: tuple[str, ...] = NAMES, **more: Any) -> Outcome:
    """Ask for subclasses; `more` are limits of the profile, `network` and `on_answer`."""
    options = {key: more.pop(key) for key in ("network", "on_answer") if key in more}
    language_model = model.language_model(**more)
    questions = [Question("subclasses", name) for name in names]
    return asyncio.run(
        ask_questions(questions, Context(names), language_model, AnswerStore(language_model, root), **options)
    )


def found(outcome: Outcome) -> set[str]:
    return {question.name for question in outcome.answers}


# --- the plain case ---


def test_classes_are_asked_in_batches_with_the_whole_list(model: FakeModel, tmp_path: Path) -> None:
    outcome = ask(model, tmp_path, batch=3)
    assert sorted(map(len, model.asked())) == [2, 3, 3]
    assert all("; ".join(NAMES) in body["messages"][1]["content"] for body in model.requests)
    assert found(outcome) == set(NAMES)
    assert outcome.answers[Question("subclasses", "dog")].phrases[:2] == ("red dog", "small dog")
    assert (outcome.requests, outcome.tokens_in, outcome.tokens_out, outcome.stored) == (3, 3000, 300, 0)


def test_a_second_call_makes_no_request_and_imports_no_client(model: FakeModel, tmp_path: Path) -> None:
    first = ask(model, tmp_path)
    again = ask(model, tmp_path)
    assert (again.answers, again.requests, again.stored) == (first.answers, 0, len(NAMES))
    assert len(model.requests) == 1
    code = (
        "import asyncio, sys; from pathlib import Path; from llmseg.llm import *\n"
        f"model = LanguageModel(Profile('fake', {model.base_url!r}, 'fake-1'), 'fake-1')\n"
        f"questions = [Question('subclasses', name) for name in {NAMES!r}]\n"
        f"store = AnswerStore(model, Path({str(tmp_path)!r}))\n"
        f"outcome = asyncio.run(ask_questions(questions, Context({NAMES!r}), model, store))\n"
        "print(len(outcome.answers), outcome.requests, 'openai' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == [str(len(NAMES)), "0", "False", "False"]


def test_an_answer_outlives_the_other_classes(model: FakeModel, tmp_path: Path) -> None:
    ask(model, tmp_path, ("dog", "cat"))
    outcome = ask(model, tmp_path, ("dog", "tram", "cat"))
    assert outcome.stored == 2
    assert model.asked()[1:] == [["tram"]]
    assert "dog; tram; cat" in model.requests[1]["messages"][1]["content"], "the prompt has the whole list"


def test_equal_questions_are_asked_once(model: FakeModel, tmp_path: Path) -> None:
    ask(model, tmp_path, ("dog", "dog"))
    assert model.asked() == [["dog"]]


def test_progress_counts_up_to_the_questions(model: FakeModel, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    ask(model, tmp_path, batch=3, concurrency=1, on_answer=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (8, 8)
    assert seen == sorted(seen)


def test_requests_go_out_side_by_side_but_not_more_than_allowed(model: FakeModel, tmp_path: Path) -> None:
    busy, most = [0], [0]

    def behave(request: Any, fake: FakeModel) -> Any:
        with fake.lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        time.sleep(0.1)
        with fake.lock:
            busy[0] -= 1
        return wrapped("", "")(request, fake)

    model.always = behave
    ask(model, tmp_path, batch=1, concurrency=3)
    assert most == [3]


# --- replies that cannot be used ---

MENDED: dict[str, Behaviour] = {
    "fences": wrapped("```json\n", "\n```"),
    "prose": wrapped("Sure! {I hope} this helps:\n", "\nAnything else? :-}"),
    "comma": lambda request, fake: wrapped("", "")(request, fake),
    "extra keys": lambda request, fake: reply(
        completion({"thoughts": "hm", "items": [{**item, "why": 1} for item in good(request, fake)]})
    ),
    "ids as numbers": lambda request, fake: reply(
        completion({"items": [{**item, "id": int(item["id"])} for item in good(request, fake)]})
    ),
    "names as ids": lambda request, fake: reply(
        completion(
            {"items": [{**item, "id": name} for item, name in zip(good(request, fake), names_of(request), strict=True)]}
        )
    ),
    "duplicates": lambda request, fake: reply(completion({"items": good(request, fake) * 2})),
    "a bare list": lambda request, fake: reply(completion(json.dumps(good(request, fake)))),
}


def good(request: Any, fake: FakeModel) -> list[dict[str, Any]]:
    from llm_server import items

    return items(request.get_json(), fake)


def names_of(request: Any) -> list[str]:
    return targets(request.get_json())


@pytest.mark.parametrize("name", MENDED)
def test_a_reply_that_can_be_mended_costs_one_request(name: str, model: FakeModel, tmp_path: Path) -> None:
    model.always = MENDED[name]
    outcome = ask(model, tmp_path)
    assert found(outcome) == set(NAMES)
    assert outcome.requests == 1


ASKED_AGAIN: dict[str, Behaviour] = {
    "no JSON": says("I would rather talk about the weather."),
    "half a JSON": says('{"items": [{"id": "1", "subclasses": ["red dog", "sma'),
    "another form": says({"dog": ["poodle"]}),
    "no content": says(None),
    "empty": says(""),
    "no completion": lambda request, fake: reply({"hello": "world"}),
    "a list": lambda request, fake: reply([1, 2, 3]),
    "a number": lambda request, fake: reply(7),
    "choices empty": lambda request, fake: reply({"choices": []}),
    "content a number": lambda request, fake: reply({"choices": [{"message": {"content": 5}}]}),
    "items of numbers": says({"items": [1, 2, 3]}),
    "phrases of numbers": says({"items": [{"id": "1", "subclasses": [1, 2]}]}),
    "deep": says("[" * 50_000),
}


@pytest.mark.parametrize("name", ASKED_AGAIN)
def test_a_reply_of_no_use_is_asked_again_with_the_complaint(name: str, model: FakeModel, tmp_path: Path) -> None:
    model.script = [ASKED_AGAIN[name]]
    outcome = ask(model, tmp_path)
    assert found(outcome) == set(NAMES)
    assert outcome.requests == 2
    assert "A reply before was of no use: " in model.requests[1]["messages"][1]["content"]


def test_only_what_is_missing_is_asked_again(model: FakeModel, tmp_path: Path) -> None:
    model.script = [lambda request, fake: reply(completion({"items": good(request, fake)[:5]}))]
    outcome = ask(model, tmp_path)
    assert found(outcome) == set(NAMES)
    assert model.asked()[1:] == [list(NAMES[5:])]
    assert "no answer for id 6 (bee), 7 (fox), 8 (elk)." in model.requests[1]["messages"][1]["content"]


def test_a_reply_that_was_cut_off_is_asked_in_halves(model: FakeModel, tmp_path: Path) -> None:
    model.script = [truncated]
    assert found(ask(model, tmp_path)) == set(NAMES)
    assert sorted(model.asked()[1:]) == [list(NAMES[:4]), list(NAMES[4:])]


def test_one_bad_class_is_isolated_and_fails_alone(
    model: FakeModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model.always = only(says("sorry", refusal="I cannot help with owls."), "owl")
    outcome = ask(model, tmp_path)
    assert found(outcome) == set(NAMES) - {"owl"}
    assert outcome.failures == {Question("subclasses", "owl"): "refused: I cannot help with owls."}
    assert not outcome.unfinished
    asked = len(model.requests)
    again = ask(model, tmp_path)
    assert (len(model.requests), again.failures) == (asked, outcome.failures), "a refusal is not paid for again"


def test_a_model_that_never_gives_json_is_given_up(model: FakeModel, tmp_path: Path) -> None:
    model.always = says("no idea")
    with pytest.raises(LLMError) as caught:
        ask(model, tmp_path, batch=1, concurrency=1)
    assert str(caught.value) == (
        f"llm: {USELESS_REPLIES} replies of 'fake-1' and none that can be used; the last: 'no idea' holds no complete "
        "JSON object; expected one. Choose another model."
    )
    assert len(model.requests) == USELESS_REPLIES


@pytest.mark.parametrize("body", ["<html>starting</html>", {"error": {"message": "model is loading"}}])
def test_a_service_that_is_not_ready_poisons_nothing(body: Any, model: FakeModel, tmp_path: Path) -> None:
    model.always = lambda request, fake: reply(body)
    outcome = ask(model, tmp_path, ("dog", "cat"))
    assert set(outcome.failures.values()) == {"no usable reply"}
    assert outcome.unfinished
    model.always = None
    assert found(ask(model, tmp_path, ("dog", "cat"))) == {"dog", "cat"}


def test_a_class_that_is_given_up_leaves_no_lock(model: FakeModel, tmp_path: Path) -> None:
    model.always = only(says(None, refusal="no"), "owl")
    ask(model, tmp_path)
    assert list((tmp_path / "locks").iterdir()) == []


@pytest.mark.parametrize("folder", ["inbox", "answers", "endpoints", "replies"])
def test_what_was_paid_for_is_used_where_it_cannot_be_kept(folder: str, model: FakeModel, tmp_path: Path) -> None:
    (tmp_path / folder).write_text("a file in its place", encoding="utf-8")  # as good as a full disk
    model.script = [refuses("temperature")]
    assert found(ask(model, tmp_path)) == set(NAMES)


def test_a_reply_of_ten_megabytes_is_not_read(model: FakeModel, tmp_path: Path) -> None:
    model.script = [huge]
    assert found(ask(model, tmp_path)) == set(NAMES)
    assert not any(path.stat().st_size > 1_000_000 for path in tmp_path.rglob("*.json"))


# --- an endpoint that is busy, gone, or wants something else ---

TRIED_AGAIN: dict[str, list[Behaviour]] = {
    "500 three times": [status(500)] * 3,
    "429": [status(429, Retry_After="0.05")],
    "429 by date": [status(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")],
    "503, then reset": [status(503), reset],
    "reset mid-body": [reset, reset],
}


@pytest.mark.parametrize("name", TRIED_AGAIN)
def test_a_busy_endpoint_is_tried_again(name: str, model: FakeModel, tmp_path: Path) -> None:
    model.script = list(TRIED_AGAIN[name])
    outcome = ask(model, tmp_path)
    assert found(outcome) == set(NAMES)
    assert outcome.requests == len(TRIED_AGAIN[name]) + 1


def test_a_body_that_never_ends_is_left(model: FakeModel, tmp_path: Path) -> None:
    model.script = [endless]
    assert found(ask(model, tmp_path, timeout=1.0)) == set(NAMES)


def test_a_slow_endpoint_is_waited_for(model: FakeModel, tmp_path: Path) -> None:
    model.delay = 0.5
    assert found(ask(model, tmp_path)) == set(NAMES)


@pytest.mark.parametrize("parameters", [("temperature",), ("temperature", "seed", "response_format")])
def test_refused_parameters_are_given_up_and_remembered(
    parameters: tuple[str, ...], model: FakeModel, tmp_path: Path
) -> None:
    model.always = strict_about(*parameters)
    outcome = ask(model, tmp_path)
    assert found(outcome) == set(NAMES)
    assert outcome.requests == len(parameters) + 1
    ask(model, tmp_path, ("tram",))
    assert len(model.requests) == outcome.requests + 1, "the second call knows"
    assert not set(parameters) & set(model.requests[-1])


STOPS: dict[str, tuple[Behaviour, type[LLMError], str]] = {
    "401": (
        status(401, {"error": {"message": "Incorrect API key provided."}}),
        MissingKeyError,
        "llm: 127.0.0.1 refuses the key of 'fake' (401). Name a key by key_variable under [profiles.fake] in llmseg.toml.",
    ),
    "quota": (
        status(429, {"error": {"message": "You exceeded your current quota.", "code": "insufficient_quota"}}),
        QuotaError,
        "llm: the account of 'fake' has no quota left. It says 'You exceeded your current quota'. Check its billing.",
    ),
    "404": (
        status(404, {"error": {"message": "model 'fake-1' not found"}}),
        LLMError,
        "llm: 127.0.0.1 knows no model 'fake-1'. It says \"model 'fake-1' not found\". Name one that it serves.",
    ),
    "redirect": (
        status(302, Location="http://elsewhere.test/v1"),
        UnreachableError,
        "llm: 127.0.0.1 redirects to 'elsewhere.test'; expected an answer. Put the final address into base_url.",
    ),
    "always busy": (
        status(503),
        UnreachableError,
        "llm: 127.0.0.1 answered 503. It says 'status 503'. Tried 3 times.",
    ),
    "asks to wait for hours": (
        status(429, Retry_After="7200"),
        UnreachableError,
        "llm: 127.0.0.1 answered 429. It says 'status 429'. A wait of 7200 s would pass the deadline of 30 s. "
        "Try again later.",
    ),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_waiting_does_not_mend_stops_at_once(name: str, model: FakeModel, tmp_path: Path) -> None:
    behaviour, kind, message = STOPS[name]
    model.always = behaviour
    with pytest.raises(kind) as caught:
        ask(model, tmp_path, batch=2, concurrency=1, tries=3)
    assert str(caught.value) == message
    assert len(model.requests) == (3 if name == "always busy" else 1)


def test_answers_that_came_before_a_stop_are_kept(model: FakeModel, tmp_path: Path) -> None:
    model.always = only(status(401), "bee")
    with pytest.raises(MissingKeyError):
        ask(model, tmp_path, batch=2, concurrency=1)
    assert len(model.requests) == 3
    model.always = None
    outcome = ask(model, tmp_path, batch=2, concurrency=1)
    assert (outcome.stored, outcome.requests) == (4, 2)


def test_a_class_whose_connection_failed_falls_back_and_may_be_asked_again(model: FakeModel, tmp_path: Path) -> None:
    model.always = only(status(503), "bee")
    outcome = ask(model, tmp_path, batch=2, concurrency=1, tries=2)
    assert found(outcome) == set(NAMES) - {"owl", "bee"}
    assert outcome.failures[Question("subclasses", "bee")].startswith("127.0.0.1 answered 503.")
    assert outcome.unfinished
    model.always = None
    again = ask(model, tmp_path, batch=2)
    assert (found(again), again.requests, again.unfinished) == (set(NAMES), 1, False)


def test_no_service_is_one_clear_line(tmp_path: Path) -> None:
    with serve_model() as gone:
        language_model = gone.language_model()
    questions, store = [Question("subclasses", "dog")], AnswerStore(language_model, tmp_path)
    with pytest.raises(UnreachableError) as caught:
        asyncio.run(ask_questions(questions, Context(("dog",)), language_model, store))
    assert str(caught.value).startswith("llm: no connection to 127.0.0.1 (")
    assert str(caught.value).endswith("Tried 2 times. Start the service of profile 'fake', or choose a library.")


# --- without network ---


def test_offline_leaves_out_what_is_not_stored(model: FakeModel, tmp_path: Path) -> None:
    ask(model, tmp_path, ("dog",))
    outcome = ask(model, tmp_path, ("dog", "cat"), network="offline")
    assert found(outcome) == {"dog"}
    assert outcome.failures == {Question("subclasses", "cat"): "not asked: offline"}
    assert len(model.requests) == 1


def test_frozen_fails_on_what_is_not_stored(model: FakeModel, tmp_path: Path) -> None:
    ask(model, tmp_path, ("dog",))
    assert found(ask(model, tmp_path, ("dog",), network="frozen")) == {"dog"}
    with pytest.raises(LLMError) as caught:
        ask(model, tmp_path, ("dog", *NAMES), network="frozen")
    assert str(caught.value) == (
        "llm: no stored answer for 'cat', 'cow', 'pig', 'owl', 'bee' ..., and the network is frozen; expected all of "
        "them. Run once without --frozen, or give a lock file that has them."
    )
    assert len(model.requests) == 1


# --- several processes, cancelled and killed ones ---

CHILD = """
import asyncio, sys
from pathlib import Path
from llmseg.llm import *
base_url, root, *names = sys.argv[1:]
model = LanguageModel(Profile('fake', base_url, 'fake-1', batch=2, concurrency=2), 'fake-1')
questions = [Question('subclasses', name) for name in names]
outcome = asyncio.run(ask_questions(questions, Context(tuple(names)), model, AnswerStore(model, Path(root))))
print(len(outcome.answers), outcome.requests, outcome.stored)
"""


def child(model: FakeModel, root: Path, names: tuple[str, ...]) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", CHILD, model.base_url, str(root), *names]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def torn(root: Path) -> list[Path]:
    """Files that are not whole."""
    broken = []
    for path in root.rglob("*.json"):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            broken.append(path)
    return broken


def test_two_processes_pay_for_no_class_twice(model: FakeModel, tmp_path: Path) -> None:
    model.delay = 0.3
    both = [child(model, tmp_path, NAMES), child(model, tmp_path, (*reversed(NAMES), "tram"))]
    outputs = [process.communicate(timeout=60)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [output[0] for output in outputs] == ["8", "9"]
    asked = [name for names in model.asked() for name in names]
    assert sorted(asked) == sorted([*NAMES, "tram"])
    assert torn(tmp_path) == []
    assert list((tmp_path / "locks").iterdir()) == []
    assert list((tmp_path / "inbox").iterdir()) == []


def test_a_cancelled_call_leaves_the_store_ready(model: FakeModel, tmp_path: Path) -> None:
    async def cancelled() -> None:
        language_model = model.language_model(batch=2, concurrency=1)
        store = AnswerStore(language_model, tmp_path)
        questions = [Question("subclasses", name) for name in NAMES]
        task = asyncio.ensure_future(ask_questions(questions, Context(NAMES), language_model, store))
        while len(model.requests) < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        await task

    model.delay = 0.2
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    before = len(model.requests)
    outcome = ask(model, tmp_path, batch=2)
    assert outcome.stored + 2 * outcome.requests == len(NAMES)
    assert len(model.requests) - before == outcome.requests
    assert torn(tmp_path) == []


@pytest.mark.slow
def test_a_killed_process_loses_only_what_was_under_way(model: FakeModel, tmp_path: Path) -> None:
    """Kill at 30 random moments, then finish: every class answered, nothing paid twice but what was in flight."""
    import random

    chooser = random.Random(4)
    names = tuple(f"class {number}" for number in range(240))
    model.delay = 0.05
    in_flight = 0
    for _ in range(30):
        process = child(model, tmp_path, names)
        before = len(model.requests)
        deadline = time.monotonic() + 60
        while len(model.requests) == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(chooser.uniform(0, 0.25))
        process.kill()
        process.communicate()
        in_flight += 2  # at most as many as go out side by side
        assert torn(tmp_path) == []
    process = child(model, tmp_path, names)
    output = process.communicate(timeout=120)[0].split()
    assert (process.returncode, output[0]) == (0, str(len(names)))
    asked = [name for batch in model.asked() for name in batch]
    assert set(asked) == set(names)
    assert len(asked) - len(names) <= 2 * in_flight  # classes of the requests that were in flight
    print(f"{len(model.requests)} requests for {len(names)} classes in batches of 2, 30 kills: "
          f"{len(asked) - len(names)} classes paid twice")  # fmt: skip
    assert torn(tmp_path) == []
    assert not list((tmp_path / "inbox").glob("*.json"))


def test_a_body_of_a_killed_process_is_used(model: FakeModel, tmp_path: Path) -> None:
    language_model = model.language_model()
    store = AnswerStore(language_model, tmp_path)
    questions, context = [Question("subclasses", "dog")], Context(("dog",))
    body = json.dumps(completion({"items": [{"id": "1", "sense": "", "policy": "expand", "subclasses": ["poodle"]}]}))
    store.receive(body, questions, context, {})  # and here it was killed
    outcome = asyncio.run(ask_questions(questions, context, language_model, store))
    assert outcome.answers[questions[0]].phrases == ("poodle",)
    assert model.requests == []


def test_a_class_that_another_process_never_answers_is_given_up(model: FakeModel, tmp_path: Path) -> None:
    language_model = model.language_model(deadline=0.5)
    store = AnswerStore(language_model, tmp_path)
    question, context = Question("subclasses", "dog"), Context(("dog",))
    held = store.claim(question, context)
    assert held is not None
    outcome = asyncio.run(ask_questions([question], context, language_model, store))
    assert outcome.failures == {question: "another process did not answer in time"}
    store.release(held, answered=False)
    assert try_lock(Path(held.lock_file)) is not None
    assert model.requests == []


# --- keys ---


def test_a_key_goes_into_one_header_and_nowhere_else(
    model: FakeModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The canary: an endpoint repeats the key wherever it can; nothing that is written holds it."""
    canary = "sk-canary-7f3a91c2"
    monkeypatch.setenv("CANARY_KEY", canary)
    caplog.set_level(0)
    echo = {"error": {"message": f"Bearer {canary} is wrong", "param": canary}}
    model.script = [
        status(400, echo),
        status(500, echo),
        status(429, echo, Retry_After="0.01"),
        says(f"Your key {canary}!"),
    ]
    model.lists = {"dog": [canary, "poodle", "husky"]}
    profile = Profile("fake", model.base_url, "fake-1", key_variable="CANARY_KEY", pause=0.01, batch=1)
    language_model = LanguageModel(profile, "fake-1")
    store = AnswerStore(language_model, tmp_path)
    said = [repr(language_model)]
    for _ in range(5):
        try:
            said.append(
                repr(asyncio.run(ask_questions([Question("subclasses", "dog")], Context(()), language_model, store)))
            )
        except LLMSegError as error:
            import traceback

            said.append("".join(traceback.format_exception(error)))
    assert [headers["authorization"] for headers in model.headers] == [f"Bearer {canary}"] * len(model.headers)
    assert len(model.headers) >= 5
    written = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    assert any("poodle" in text for text in written)
    streams = capfd.readouterr()
    for text in (*said, *written, caplog.text, streams.out, streams.err, json.dumps(model.requests)):
        assert canary not in text
    assert canary in os.environ["CANARY_KEY"]
