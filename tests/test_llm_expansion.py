"""Classes to phrases by a language model that runs on loopback: asked, cleaned, refilled, criticised, locked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from llm_server import FakeModel, answer, only, says, serve_model, status

from llmseg import load_expansion, save_expansion
from llmseg.errors import InputError, LLMError, UnknownNameError
from llmseg.interview import AskOptions
from llmseg.llm import AnswerStore
from llmseg.llm_expansion import Asked, ask_expansion, expand_by_llm
from llmseg.names import parse_names
from llmseg.options import KIND
from llmseg.types import ClassExpansion, ClassName, Expansion, Phrase

TWO = AskOptions(count=2)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "llmseg"]


@pytest.fixture(scope="module")
def running() -> Iterator[FakeModel]:
    with serve_model() as model:
        yield model


@pytest.fixture
def model(running: FakeModel) -> FakeModel:
    running.forget()
    return running


def expand(
    model: FakeModel, root: Path, names: str, options: AskOptions = TWO, lock: Expansion | None = None, **limits: Any
) -> Asked:
    language_model = model.language_model(**limits)
    store = AnswerStore(language_model, root)
    return expand_by_llm(parse_names(names), language_model, options, lock=lock, store=store)


def kept(asked: Asked) -> dict[str, tuple[str, ...]]:
    return {entry.class_name.name: entry.kept for entry in asked.expansion.classes}


def dropped(asked: Asked) -> list[tuple[str, str, str]]:
    return [
        (entry.class_name.name, phrase.text, phrase.reason)
        for entry in asked.expansion.classes
        for phrase in entry.subclasses
        if not phrase.kept
    ]


# --- asking and cleaning ---


def test_classes_that_may_be_split_are_asked_and_the_rest_kept_whole(model: FakeModel, tmp_path: Path) -> None:
    asked = expand(model, tmp_path, "dog | hound, cat, wall-other, background")
    assert kept(asked) == {
        "dog": ("red dog", "small dog"),
        "cat": ("red cat", "small cat"),
        "wall-other": (),
        "background": (),
    }
    assert model.asked() == [["dog", "cat"]]
    first = asked.expansion.classes[0]
    assert first.class_name == ClassName("dog", ("hound",), sense="a dog")
    assert first.subclasses[0] == Phrase("red dog", source="llm fake-1")
    assert asked.expansion.provenance == {
        "source": "llm",
        "profile": "fake",
        "model": "fake-1",
        "kind": "subclasses",
        "prompt_version": "1",
        "cleaner_version": "2",
    }
    assert asked.remarks == ("fake-1 by fake: 1 request, 0 answers were stored", "tokens: 1000 read, 100 written")


def test_published_mistakes_are_dropped_with_their_reasons(model: FakeModel, tmp_path: Path) -> None:
    """Proposals that stand in public lists (paper.md 3.2), as one reply."""
    model.lists = {
        "carrot": ["orange", "Orange carrot", "baby carrot", "purple carrot"],
        "zebra": ["horse", "plains zebra", "mountain zebra"],
        "hot dog": ["corn dog", "chili dog", "Frank"],
        "truck": ["pickup truck", "vehicle", "fire truck"],
        "airplane": ["Commercial_Jetliner", "seaplane ", "planes such as jets"],
    }
    asked = expand(
        model, tmp_path, "carrot, orange, zebra, horse, hot dog, dog, truck, car, airplane", AskOptions(count=7)
    )
    found = kept(asked)
    assert found["carrot"] == ("baby carrot", "purple carrot")
    assert found["zebra"] == ("plains zebra", "mountain zebra")
    assert found["hot dog"] == ("corn dog", "chili dog", "frank"), "no rule over words can know Frank"
    assert found["truck"] == ("pickup truck", "fire truck")
    assert found["airplane"] == ("commercial jetliner", "seaplane")
    assert set(dropped(asked)) >= {
        ("carrot", "orange", "other_class"),
        ("carrot", "orange carrot", "other_class_word"),
        ("zebra", "horse", "other_class"),
        ("truck", "vehicle", "hypernym"),
        ("airplane", "planes such as jets", "boilerplate"),
    }


def test_stored_answers_meet_every_new_list_of_classes(model: FakeModel, tmp_path: Path) -> None:
    model.lists = {"bed": ["sofa bed", "bunk bed", "double bed"]}
    assert kept(expand(model, tmp_path, "bed", AskOptions()))["bed"] == ("sofa bed", "bunk bed", "double bed")
    asked = expand(model, tmp_path, "bed, sofa", AskOptions())
    assert kept(asked)["bed"] == ("bunk bed", "double bed")
    assert ("bed", "sofa bed", "other_class_word") in dropped(asked)
    assert model.asked() == [["bed"], ["sofa"]]
    assert kept(expand(model, tmp_path, "bed", AskOptions()))["bed"] == ("sofa bed", "bunk bed", "double bed")
    assert len(model.requests) == 2


def test_a_smaller_count_is_served_by_the_same_answer(model: FakeModel, tmp_path: Path) -> None:
    assert len(kept(expand(model, tmp_path, "dog", AskOptions(count=7)))["dog"]) == 7
    assert kept(expand(model, tmp_path, "dog", AskOptions(count=1)))["dog"] == ("red dog",)
    assert len(model.requests) == 1
    model.lists = {"dog": [f"{letter * 3} dog" for letter in "abcdefghijklmnop"]}
    assert len(kept(expand(model, tmp_path, "dog", AskOptions(count=12)))["dog"]) == 12
    assert len(model.requests) == 2


def test_another_domain_language_or_refresh_is_another_question(model: FakeModel, tmp_path: Path) -> None:
    for options in (TWO, replace(TWO, domain="drawings"), replace(TWO, refresh=1), replace(TWO, refresh=2)):
        expand(model, tmp_path, "dog", options)
    assert len(model.requests) == 4
    assert model.requests[1]["messages"][1]["content"].startswith("DOMAIN: drawings\n")
    assert [body["temperature"] for body in model.requests] == [0.0, 0.0, 0.7, 0.7]
    assert [body["seed"] for body in model.requests] == [0, 0, 1, 2]
    expand(model, tmp_path, "dog", replace(TWO, refresh=2))
    assert len(model.requests) == 4


@pytest.mark.parametrize("kind", KIND.names)
def test_every_kind_gives_phrases_of_its_kind(kind: str, model: FakeModel, tmp_path: Path) -> None:
    asked = expand(model, tmp_path, "dog, cat", AskOptions(kind=kind, count=3))
    for entry in asked.expansion.classes:
        assert 1 <= len(entry.kept) <= 3
        assert {phrase.kind for phrase in entry.subclasses} == {kind}
    assert len(model.requests) == 1


def test_unknown_kinds_are_refused_before_anything_is_asked(model: FakeModel, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"^kind: unknown name 'kinds'; expected one of subclasses, "):
        expand(model, tmp_path, "dog", AskOptions(kind="kinds"))
    with pytest.raises(UnknownNameError, match=r"^network: unknown name 'wifi'; expected one of online, "):
        expand(model, tmp_path, "dog", AskOptions(network="wifi"))
    assert model.requests == []


# --- second looks ---


def test_a_class_that_lost_too_much_is_refilled_once(model: FakeModel, tmp_path: Path) -> None:
    model.lists = {"dog": ["cat", "vehicle", "poodle"], "cat": ["tabby", "siamese"]}
    model.script = [answer, says({"items": [{"id": "1", "subclasses": ["husky", "Poodles", "beagle"]}]})]
    asked = expand(model, tmp_path, "dog, cat", AskOptions())
    assert kept(asked) == {"dog": ("poodle", "husky", "beagle"), "cat": ("tabby", "siamese")}
    assert model.asked() == [["dog", "cat"], ["dog"]]
    prompt = model.requests[1]["messages"][1]["content"]
    assert "REJECTED AND WHY: cat (other_class); vehicle (hypernym); poodle (too_few)" in prompt
    again = expand(model, tmp_path, "dog, cat", AskOptions())
    assert (again.expansion, len(model.requests)) == (asked.expansion, 2)


def test_a_frozen_run_does_without_a_refill(model: FakeModel, tmp_path: Path) -> None:
    model.lists = {"dog": ["cat food", "husky"], "cat": ["tabby", "siamese"]}
    expand(model, tmp_path, "dog", AskOptions())
    expand(model, tmp_path, "cat", AskOptions())
    before = len(model.requests)
    # Among cats too little is left of the dogs, and nobody may ask for more.
    asked = expand(model, tmp_path, "dog, cat", AskOptions(network="frozen"))
    assert kept(asked) == {"dog": (), "cat": ("tabby", "siamese")}
    assert len(model.requests) == before


def test_a_critic_drops_what_it_rejects_and_is_asked_once(model: FakeModel, tmp_path: Path) -> None:
    model.lists = {
        "giraffe": ["masai giraffe", "girgentana goat", "reticulated giraffe"],
        "critic": ["girgentana goat"],
    }
    asked = expand(model, tmp_path, "giraffe", AskOptions(critic=True))
    assert kept(asked)["giraffe"] == ("masai giraffe", "reticulated giraffe")
    assert dropped(asked) == [("giraffe", "girgentana goat", "not_a_kind")]
    assert len(model.requests) == 2
    assert expand(model, tmp_path, "giraffe", AskOptions(critic=True)).expansion == asked.expansion
    assert len(model.requests) == 2
    assert kept(expand(model, tmp_path, "giraffe", AskOptions()))["giraffe"][1] == "girgentana goat"


@pytest.mark.parametrize("other", ["none of them", "animal", "No other class", "dogs", "Dog (same)", "false"])
def test_a_critic_that_names_no_class_of_the_list_drops_nothing(other: str, model: FakeModel, tmp_path: Path) -> None:
    verdict = {"phrase": "red dog", "kind_of_class": True, "other_class": other, "visible": True}
    model.script = [answer, says({"items": [{"id": "1", "verdicts": [verdict]}]})]
    assert dropped(expand(model, tmp_path, "dog", AskOptions(critic=True, count=8))) == []


def test_what_fits_another_class_depends_on_the_classes(model: FakeModel, tmp_path: Path) -> None:
    model.lists = {"cat": ["striped cat", "persian cat", "house cat"], "tiger": ["white tiger", "old tiger"]}
    verdict = {"phrase": "striped cat", "kind_of_class": True, "other_class": "Tigers", "visible": True}
    options = AskOptions(critic=True)
    assert len(kept(expand(model, tmp_path, "cat, sky", options))["cat"]) == 3
    model.script = [answer, says({"items": [{"id": "1", "verdicts": [verdict]}, {"id": "2", "verdicts": []}]})]
    asked = expand(model, tmp_path, "cat, tiger", options)
    assert ("cat", "striped cat", "fits_other_class") in dropped(asked)
    assert len(kept(expand(model, tmp_path, "cat, sky", options))["cat"]) == 3


@pytest.mark.parametrize("code", [503, 401])
def test_a_second_look_that_fails_never_costs_the_first(code: int, model: FakeModel, tmp_path: Path) -> None:
    model.lists = {"dog": ["cat", "poodle"], "cat": ["tabby", "siamese"]}
    model.script = [answer, *[status(code)] * 5]
    asked = expand(model, tmp_path, "dog, cat", AskOptions())
    assert kept(asked) == {"dog": (), "cat": ("tabby", "siamese")}
    assert asked.unfinished
    assert any(remark.startswith("without replacements: 127.0.0.1 ") for remark in asked.remarks)


def test_a_critic_that_cannot_be_reached_is_told_and_left_out(model: FakeModel, tmp_path: Path) -> None:
    model.script = [answer, *[status(503)] * 5]
    asked = expand(model, tmp_path, "dog", AskOptions(critic=True, count=2))
    assert kept(asked)["dog"] == ("red dog", "small dog")
    assert asked.unfinished
    assert any(remark.startswith("without the critic: ") for remark in asked.remarks)
    model.forget()
    model.lists = {"critic": ["red dog"]}
    again = expand(model, tmp_path, "dog", AskOptions(critic=True, count=2))
    assert dropped(again)[0] == ("dog", "red dog", "not_a_kind")
    assert len(model.requests) == 1


def test_a_critic_looks_at_what_is_not_locked_and_spares_the_rest(model: FakeModel, tmp_path: Path) -> None:
    lock = Expansion((ClassExpansion(ClassName("dog"), (Phrase("poodle"),)),))
    asked = expand(model, tmp_path, "dog, cat", AskOptions(critic=True, count=2), lock)
    assert kept(asked)["dog"] == ("poodle",)
    assert model.asked() == [["cat"], ["cat"]]
    model.lists = {"critic": ["red cow", "small cow"]}
    assert kept(expand(model, tmp_path, "cow", AskOptions(critic=True, count=3)))["cow"] == (), "one alone is too few"


def test_one_deadline_holds_for_all_rounds(model: FakeModel, tmp_path: Path) -> None:
    model.delay = 0.4
    asked = expand(model, tmp_path, "dog", AskOptions(critic=True), deadline=0.7, timeout=0.6)
    assert any("no answer within" in remark for remark in asked.remarks)


def test_a_model_that_keeps_a_class_whole_is_believed(model: FakeModel, tmp_path: Path) -> None:
    model.script = [says({"items": [{"id": "1", "sense": "a car", "policy": "keep", "subclasses": []}]})]
    asked = expand(model, tmp_path, "racing car")
    assert asked.expansion.classes[0].class_name.policy == "keep"
    assert len(model.requests) == 1


def test_a_book_is_not_sent(model: FakeModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^domain: 201 characters; expected at most 200\.$"):
        expand(model, tmp_path, "dog", AskOptions(domain="x" * 201))
    with pytest.raises(LLMError, match=r"^llm: more than 2 requests; raise 'requests' of profile 'fake'"):
        expand(model, tmp_path, "dog, cat, cow", batch=1, requests=2, concurrency=1)


def test_strict_drops_what_cannot_be_seen(model: FakeModel, tmp_path: Path) -> None:
    model.lists = {"phone": ["5g phone", "flip phone", "rotary phone"]}
    assert len(kept(expand(model, tmp_path, "phone", AskOptions()))["phone"]) == 3
    asked = expand(model, tmp_path, "phone", AskOptions(strict=True))
    assert dropped(asked) == [("phone", "5g phone", "not_visible")]


def test_strict_lets_encoders_read_the_class_behind_what_does_not_name_it(model: FakeModel, tmp_path: Path) -> None:
    model.lists = {"dog": ["golden setter", "poodle", "guide dog"]}
    asked = expand(model, tmp_path, "dog", AskOptions(strict=True))
    read = {phrase.text: phrase.encoded for phrase in asked.expansion.classes[0].subclasses}
    assert read == {"golden setter": "golden setter dog", "poodle": "", "guide dog": ""}
    plain = expand(model, tmp_path, "dog", AskOptions())
    assert {phrase.encoded for phrase in plain.expansion.classes[0].subclasses} == {""}


# --- other languages ---


def test_names_in_another_script_are_translated_first(model: FakeModel, tmp_path: Path) -> None:
    model.lists = {"\u72ac": ["A Dog."], "dog": ["poodle", "husky"]}
    asked = expand(model, tmp_path, "\u72ac, cat")
    first = asked.expansion.classes[0]
    assert (first.class_name.name, first.class_name.english, first.kept) == ("\u72ac", "dog", ("poodle", "husky"))
    assert model.asked() == [["\u72ac"], ["dog", "cat"]]
    assert (
        "VOCABULARY (all classes, do not collide with these): dog; cat" in model.requests[1]["messages"][1]["content"]
    )
    model.lists = {}
    assert expand(model, tmp_path, "\u72ac, cat").expansion == asked.expansion
    assert len(model.requests) == 2


def test_a_named_language_translates_every_name(model: FakeModel, tmp_path: Path) -> None:
    model.lists = {"Hund": ["dog"], "Taxi": ["taxi"]}
    asked = expand(model, tmp_path, "Hund, Taxi", replace(TWO, language="de"))
    assert [entry.class_name.wording for entry in asked.expansion.classes] == ["dog", "taxi"]
    assert kept(asked)["Hund"] == ("red dog", "small dog")
    assert model.asked()[0] == ["Hund", "Taxi"]


@pytest.mark.parametrize("language", ["", "EN", "en-GB", "English", " en "])
def test_english_by_any_name_is_not_translated(language: str, model: FakeModel, tmp_path: Path) -> None:
    expand(model, tmp_path, "dog")
    expand(model, tmp_path, "dog", replace(TWO, language=language))
    assert len(model.requests) == 1


def test_two_names_for_one_thing_are_told(model: FakeModel, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model.lists = {"Hund": ["dog"], "Koeter": ["dog"]}
    expand(model, tmp_path, "Hund, Koeter", replace(TWO, language="de"))
    assert "'Hund' and 'Koeter' are both 'dog' in English; write what tells them apart." in warnings(caplog)


def test_the_model_reads_the_english_of_a_lock(model: FakeModel, tmp_path: Path) -> None:
    lock = Expansion((ClassExpansion(ClassName("Hund", english="dog"), (Phrase("poodle"),)),))
    expand(model, tmp_path, "Hund, cat", lock=lock)
    assert "do not collide with these): dog; cat" in model.requests[0]["messages"][1]["content"]


def test_a_name_without_a_translation_is_told(
    model: FakeModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model.lists = {"\u72ac": ["\u72ac"]}
    asked = expand(model, tmp_path, "\u72ac")
    assert asked.expansion.classes[0].class_name.english == ""
    assert "no English name for '\u72ac'; encoders read English. Write it instead." in warnings(caplog)


# --- what fails ---


def test_a_class_without_an_answer_stands_for_itself(
    model: FakeModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model.always = only(says(None, refusal="I must not."), "gun")
    asked = expand(model, tmp_path, "dog, gun, cat")
    assert kept(asked) == {"dog": ("red dog", "small dog"), "gun": (), "cat": ("red cat", "small cat")}
    gun = asked.expansion.classes[1]
    assert (gun.status, gun.reason) == ("fallback", "refused: I must not.")
    assert warnings(caplog) == [
        "no answer for 'gun' (refused: I must not.); the name stands alone. Another refresh asks again."
    ]
    assert not asked.unfinished


def test_a_failed_connection_leaves_the_call_unfinished(model: FakeModel, tmp_path: Path) -> None:
    model.always = only(status(500), "cat")
    asked = expand(model, tmp_path, "dog, cat", batch=1, concurrency=1, tries=2)
    assert asked.unfinished
    assert asked.expansion.classes[1].status == "fallback"


def test_a_fallback_survives_a_file_and_is_asked_again_from_a_lock(model: FakeModel, tmp_path: Path) -> None:
    model.always = only(status(500), "cat")
    asked = expand(model, tmp_path / "store", "dog, cat", batch=1, concurrency=1, tries=1)
    save_expansion(asked.expansion, tmp_path / "lock.json")
    lock = load_expansion(tmp_path / "lock.json")
    assert lock == asked.expansion
    model.forget()
    again = expand(model, tmp_path / "other store", "dog, cat", lock=lock)
    assert model.asked() == [["cat"]]
    assert kept(again)["dog"] == ("red dog", "small dog")


# --- locks and previews ---


def test_a_lock_is_taken_as_it_is_and_needs_no_network(model: FakeModel, tmp_path: Path) -> None:
    first = expand(model, tmp_path / "store", "dog, cat")
    save_expansion(first.expansion, tmp_path / "lock.json")
    lock = load_expansion(tmp_path / "lock.json")
    frozen = replace(TWO, network="frozen")
    again = expand(model, tmp_path / "empty", "cat, dog", frozen, lock)
    assert kept(again) == {"cat": ("red cat", "small cat"), "dog": ("red dog", "small dog")}
    assert len(model.requests) == 1
    with pytest.raises(LLMError, match=r"^llm: no stored answer for 'cow', and the network is frozen"):
        expand(model, tmp_path / "empty", "cat, dog, cow", frozen, lock)


def test_what_a_lock_and_a_proposal_both_want_stays_in_the_lock(model: FakeModel, tmp_path: Path) -> None:
    lock = Expansion((ClassExpansion(ClassName("dog"), (Phrase("tabby", "user"), Phrase("Sofa", "ok"))),))
    model.lists = {"cat": ["tabby", "siamese", "persian"]}
    asked = expand(model, tmp_path, "dog, cat, sofa", AskOptions(), lock)
    assert kept(asked)["dog"] == ("tabby",)
    assert kept(asked)["cat"] == ("siamese", "persian")
    assert ("dog", "Sofa", "other_class") in dropped(asked)
    assert ("cat", "tabby", "two_classes") in dropped(asked)


def test_a_preview_costs_nothing(model: FakeModel, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    expand(model, tmp_path, "dog")
    asked = expand(model, tmp_path, "dog, cat, \u72ac", replace(TWO, preview=True), price_in=1.0, price_out=2.0)
    assert len(model.requests) == 1
    assert kept(asked)["dog"] == ("red dog", "small dog")
    assert [entry.status for entry in asked.expansion.classes] == ["ok"] * 3
    lines = asked.remarks[1:]
    assert [line.split(" would take ")[0] for line in lines] == [
        "preview: 1 translate questions", "preview: 2 subclasses questions"
    ]  # fmt: skip
    assert all(", cost about 0.00" in line for line in lines)
    assert warnings(caplog) == []
    nothing = expand(model, tmp_path, "dog", replace(TWO, preview=True))
    assert nothing.remarks[1:] == ("preview: every answer is stored, asking would cost nothing",)


def test_inside_a_running_loop_too(model: FakeModel, tmp_path: Path) -> None:
    """As nodes are called by the server: the coroutine there, the plain function in a loop of somebody else."""

    async def node() -> tuple[Asked, Asked]:
        language_model = model.language_model()
        store = AnswerStore(language_model, tmp_path)
        return (
            await ask_expansion(parse_names("dog"), language_model, TWO, store=store),
            expand_by_llm(parse_names("dog"), language_model, TWO, store=store),
        )

    first, second = asyncio.run(node())
    assert first.expansion == second.expansion
    assert len(model.requests) == 1
