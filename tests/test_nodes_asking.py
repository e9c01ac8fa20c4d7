"""Nodes that ask a language model: a real one on loopback, played by the tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from conftest import Interrupted, import_nodes
from llm_server import FakeModel, only, serve_model, status

from llmseg import Expansion, InputError, LLMError, load_encoder, parse_names
from llmseg.graph import Executor, ResultCache, validate_prompt

ASKING: ModuleType = import_nodes("asking")


@pytest.fixture(scope="module")
def running() -> Iterator[FakeModel]:
    with serve_model() as model:
        yield model


@pytest.fixture
def model(running: FakeModel, host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """A fake model behind a profile of the user's own file; store and file below `tmp_path`."""
    running.forget()
    monkeypatch.setenv("LLMSEG_CONFIG", str(write_profile(tmp_path, running)))
    monkeypatch.setenv("LLMSEG_DATA", str(tmp_path / "data"))
    return running


def write_profile(folder: Path, model: FakeModel, more: str = "") -> Path:
    path = folder / "llmseg.toml"
    path.write_text(
        f'[profiles.fake]\nbase_url = "{model.base_url}"\nmodel = "fake-1"\npause = 0.01\ntries = 2\nbatch = 2\n{more}',
        encoding="utf-8",
    )
    return path


def expand(names: str, library: str = "auto", subclasses: str = "", **inputs: Any) -> tuple[Expansion, str]:
    work = ASKING.LLMSegExpand().execute(parse_names(names), library, subclasses, **inputs)
    found: tuple[Expansion, str] = asyncio.run(work)
    return found


def llm() -> Any:
    (language_model,) = ASKING.LLMSegLLMProfile().execute("fake", "")
    return language_model


def kept(expansion: Expansion) -> list[tuple[str, ...]]:
    return [entry.kept for entry in expansion.classes]


# --- without a language model ---


def test_expand_from_the_library_and_the_table_reads_back(host: Any) -> None:
    expansion, table = expand("dog, grass")
    assert table == "dog: shiba, guide dog, puppy, poodle, service dog\ngrass:"
    again, _ = expand("dog, grass", "off", table)
    assert kept(again) == kept(expansion)


def test_own_subclasses_replace_everything_else(model: FakeModel) -> None:
    assert kept(expand("dog, grass", "emoji", "dog: poodle", llm=llm())[0]) == [("poodle",), ()]
    assert len(kept(expand("dog", "emoji", "   ")[0])[0]) == 5
    assert model.requests == []


def test_the_answer_of_any_other_node_is_read_and_cleaned(host: Any) -> None:
    text = 'Sure! Here you go:\n```json\n{"dog": ["Poodle", "a cat", "poodles", "husky"], "cat": ["tabby", "siamese",]}\n```'
    _, table = expand("dog, cat", "off", text)
    assert table == "dog: poodle, husky  # dropped: cat (other_class), poodles (duplicate)\ncat: tabby, siamese"


# --- with one ---


def test_a_language_model_is_asked_once(model: FakeModel) -> None:
    expansion, table = expand("dog, cat", llm=llm(), count=2)
    assert kept(expansion) == [("red dog", "small dog"), ("red cat", "small cat")]
    assert table.splitlines()[:2] == [
        "# fake-1 by fake: 1 request, 0 answers were stored",
        "# tokens: 1000 read, 100 written",
    ]
    again, table = expand("dog, cat", llm=llm(), count=2)
    assert again == expansion
    assert table.splitlines()[0] == "# fake-1 by fake: 0 requests, 2 answers were stored"
    assert len(model.requests) == 1
    expand("dog, cat", llm=llm(), count=2, refresh=1)
    assert len(model.requests) == 2


def test_a_preview_asks_nothing_and_tells_the_cost(model: FakeModel) -> None:
    expansion, table = expand("dog, cat, cow", llm=llm(), preview=True)
    assert kept(expansion) == [(), (), ()]
    first, second, *rest = table.splitlines()
    assert first == "# fake-1 by fake: 0 requests, 0 answers were stored"
    assert second.startswith("# preview: 3 subclasses questions would take 2 requests, about ")
    assert rest == ["dog:", "cat:", "cow:"]
    assert model.requests == []


def test_what_a_lock_file_has_is_not_asked(model: FakeModel, host: Any, tmp_path: Path) -> None:
    lock = {"classes": [{"name": "Dogs", "subclasses": [{"text": "poodle", "status": "user"}]}]}
    (tmp_path / "input" / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    expansion, table = expand("dog, cat", llm=llm(), lock_file="lock.json", count=2)
    assert kept(expansion) == [("poodle",), ("red cat", "small cat")]
    assert "# 1 classes from the lock file" in table
    assert model.asked() == [["cat"]]
    assert kept(expand("dog, grass", lock_file="lock.json")[0])[0] == ("poodle",), "the library gives way too"


def test_a_lock_file_that_is_not_there_is_told_before_anything_is_paid(model: FakeModel) -> None:
    line = (
        "no file 'prak.json'; expected it in the input folder or beside the workflow. Empty it to ask for every class."
    )
    assert ASKING.LLMSegExpand.VALIDATE_INPUTS("prak.json") == line
    assert ASKING.LLMSegExpand.VALIDATE_INPUTS("  ") is True
    assert ASKING.LLMSegExpand.VALIDATE_INPUTS(None) is True
    with pytest.raises(InputError) as error:
        expand("dog", llm=llm(), lock_file="prak.json")
    assert str(error.value) == f"lock_file: {line}"
    assert model.requests == []


def test_a_changed_lock_file_is_noticed(host: Any, tmp_path: Path) -> None:
    changed = ASKING.LLMSegExpand.IS_CHANGED
    lock = tmp_path / "input" / "lock.json"
    lock.write_text("{}", encoding="utf-8")
    before = changed(lock_file="lock.json", library="auto")
    assert changed(lock_file="lock.json", library="auto") == before
    lock.write_text('{"classes": []}', encoding="utf-8")
    assert changed(lock_file="lock.json", library="auto") != before
    assert changed(lock_file="") == changed() != before
    linked = changed(lock_file=None)
    assert linked != linked, "nobody knows what a linked name holds: NaN equals nothing"
    assert ASKING.LLMSegExpand.VALIDATE_INPUTS("lock.json") is True
    assert (
        ASKING.LLMSegExpand.VALIDATE_INPUTS("../x") == "path '../x' leaves the input folder; expected a file inside it."
    )


def test_another_network_is_another_run(host: Any, tmp_path: Path) -> None:
    changed = ASKING.LLMSegExpand.IS_CHANGED
    before = changed()
    host.use_headless(host.HeadlessHost(*(tmp_path / root for root in host.ROOTS), network="offline"))
    assert changed() != before


def test_a_linked_model_name_is_no_reason_to_fail(model: FakeModel) -> None:
    changed = ASKING.LLMSegLLMProfile.IS_CHANGED
    assert changed("fake", None) == changed("fake", None) == changed(None, "x")


def test_a_lock_file_lies_beside_the_workflow_too(host: Any, tmp_path: Path) -> None:
    workflows = tmp_path / "workflows"
    workflows.mkdir()
    (workflows / "lock.json").write_text('{"classes": [{"name": "dog", "subclasses": ["poodle"]}]}', encoding="utf-8")
    host.use_headless(host.HeadlessHost(*(tmp_path / root for root in host.ROOTS), workflow_folder=workflows))
    assert kept(expand("dog", "off", lock_file="lock.json")[0]) == [("poodle",)]
    with pytest.raises(InputError, match="leaves the input folder"):
        expand("dog", "off", lock_file="../workflows/lock.json")


@pytest.mark.parametrize(("network", "message"), [("offline", None), ("frozen", "no stored answer for 'dog'")])
def test_the_runner_may_forbid_the_network(
    model: FakeModel, host: Any, tmp_path: Path, network: str, message: str | None
) -> None:
    host.use_headless(host.HeadlessHost(*(tmp_path / root for root in host.ROOTS), network=network))
    if message is None:
        expansion, table = expand("dog", llm=llm())
        assert kept(expansion) == [()]
        assert "dog:  # fallback: not asked: offline" in table
    else:
        with pytest.raises(LLMError, match=message):
            expand("dog", llm=llm())
    assert model.requests == []


def test_the_configuration_may_forbid_it_too(model: FakeModel, tmp_path: Path) -> None:
    path = write_profile(tmp_path, model)
    path.write_text('network = "frozen"\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(LLMError, match="the network is frozen"):
        expand("dog", llm=llm())


def test_an_encoder_tells_its_doubts_or_is_obeyed(host: Any) -> None:
    lists = "dog: poodle, tulip, shiba\nflower: rose"
    expansion, table = expand("dog, flower", "off", lists, encoder=load_encoder())
    assert kept(expansion)[0] == ("poodle", "tulip", "shiba"), "typed by a person"
    assert table.splitlines()[0].startswith("# doubtful to emoji-world: ")
    proposed = '```json\n{"dog": ["poodle", "tulip", "shiba"]}\n```'
    expansion, table = expand("dog, flower", "off", proposed, encoder=load_encoder())
    assert "tulip (dog): closer_to_other_class" in table.splitlines()[0]
    assert "tulip" in kept(expansion)[0]
    strict, _ = expand("dog, flower", "off", proposed, encoder=load_encoder(), strict=True)
    assert "tulip" not in kept(strict)[0]


def test_a_single_phrase_survives_an_encoder_and_a_lock_survives_everything(
    model: FakeModel, host: Any, tmp_path: Path
) -> None:
    model.lists = {"dog": ["poodle", "shiba"], "car": ["taxi", "jeep"]}
    one, _ = expand("dog, car", llm=llm(), count=1, strict=True, encoder=load_encoder())
    assert kept(one) == [("poodle",), ("taxi",)]
    lock = {"classes": [{"name": "car", "subclasses": ["tulip"]}]}
    (tmp_path / "input" / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    held, _ = expand(
        "dog, car, flower", llm=llm(), strict=True, critic=True, encoder=load_encoder(), lock_file="lock.json"
    )
    assert kept(held)[1] == ("tulip",)


def test_count_and_strict_hold_for_the_answer_of_another_node(host: Any) -> None:
    reply = '```json\n{"dog": ["poodle", "wireless dog", "husky", "beagle"]}\n```'
    assert kept(expand("dog", "off", reply, count=2, strict=True)[0]) == [("poodle", "husky")]


def test_steps_are_told_while_it_asks(model: FakeModel, host: Any, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    folders = (tmp_path / root for root in host.ROOTS)
    host.use_headless(host.HeadlessHost(*folders, on_progress=lambda done, total: seen.append((done, total))))
    expand("dog, cat, cow, pig", llm=llm())
    assert seen[-1] == (4, 4)
    assert len(seen) >= 2


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"domain": "drawings"}, "DOMAIN: drawings"),
        ({"language": "de"}, "LANGUAGE of the targets: de"),
        ({"kind": "synonyms"}, "synonyms each"),
        ({"critic": True}, "one verdict for each phrase"),
    ],
)
def test_every_wish_reaches_the_model(inputs: dict[str, Any], told: str, model: FakeModel) -> None:
    expand("dog", llm=llm(), **inputs)
    assert any(told in body["messages"][1]["content"] for body in model.requests)


# --- profiles ---


def test_profiles_of_the_user_are_listed_and_checked(model: FakeModel) -> None:
    profiles, options = ASKING.LLMSegLLMProfile.INPUT_TYPES()["required"]["profile"]
    assert profiles == ["openai", "ollama", "llama.cpp", "lmstudio", "fake"]
    assert options["default"] == "ollama"
    validate = ASKING.LLMSegLLMProfile.VALIDATE_INPUTS
    assert validate("fake", "") is True
    assert validate(None, None) is True
    assert validate("fke", "") == (
        "unknown name 'fke'; expected one of openai, ollama, llama.cpp, lmstudio, fake. Did you mean 'fake'?"
    )
    assert validate("fake", "a\nb;c").endswith("expected the name of a model.")


def test_a_broken_configuration_breaks_no_list(model: FakeModel, tmp_path: Path) -> None:
    (tmp_path / "llmseg.toml").write_text("[profiles", encoding="utf-8")
    profiles, _ = ASKING.LLMSegLLMProfile.INPUT_TYPES()["required"]["profile"]
    assert profiles == ["openai", "ollama", "llama.cpp", "lmstudio"]
    assert ASKING.LLMSegLLMProfile.VALIDATE_INPUTS("ollama", "x").startswith("not valid TOML")


def test_an_edited_profile_counts_at_once(model: FakeModel, tmp_path: Path) -> None:
    before = ASKING.LLMSegLLMProfile.IS_CHANGED("fake", "")
    assert ASKING.LLMSegLLMProfile.IS_CHANGED("fake", "") == before
    write_profile(tmp_path, model, "timeout = 7\n")
    assert ASKING.LLMSegLLMProfile.IS_CHANGED("fake", "") != before


# --- in a graph ---

PROMPT: dict[str, Any] = {
    "1": {"class_type": "LLMSegClassNames", "inputs": {"text": "dog, cat, cow, pig", "preset": "custom"}},
    "2": {"class_type": "LLMSegLLMProfile", "inputs": {"profile": "fake", "model": ""}},
    "3": {"class_type": "LLMSegExpand", "inputs": {"class_names": ["1", 0], "library": "auto", "llm": ["2", 0]}},
    "4": {"class_type": "PreviewAny", "inputs": {"source": ["3", 1]}},
}


def executor() -> Executor:
    pack, core = import_nodes(), import_nodes("core")
    return Executor({**core.CORE_NODES, **pack.NODE_CLASS_MAPPINGS}, cache=ResultCache())


def run(running: Executor) -> list[str]:
    validation = validate_prompt(PROMPT, running.setup.node_classes)
    assert validation.problems == ()
    result = running.run(validation.prompt, validation.outputs)
    assert result.error is None
    return sorted(result.executed)


def test_a_second_run_asks_nothing_and_runs_nothing(model: FakeModel) -> None:
    nodes = executor()
    assert run(nodes) == ["1", "2", "3", "4"]
    assert run(nodes) == []
    assert len(model.requests) == 2


def test_answers_that_were_missed_are_asked_for_in_the_next_run(model: FakeModel) -> None:
    model.always = only(status(503), "cow")
    nodes = executor()
    run(nodes)
    assert len(model.requests) == 3, "one batch answered, the other tried twice"
    model.always = None
    assert run(nodes) == ["3", "4"]
    assert model.asked()[3:] == [["cow", "pig"]]
    assert run(nodes) == []


def test_stop_ends_a_call_that_waits(model: FakeModel, comfyui: SimpleNamespace) -> None:
    model.delay = 3.0

    async def stopped() -> None:
        asyncio.get_running_loop().call_later(0.5, setattr, comfyui, "interrupted", True)
        await ASKING.LLMSegExpand().execute(parse_names("dog, cat"), "auto", llm=llm())

    with pytest.raises(Interrupted):
        asyncio.run(stopped())
    model.delay, comfyui.interrupted = 0.0, False
    expansion, _ = expand("dog, cat", llm=llm(), count=1)
    assert kept(expansion) != [(), ()], "nobody holds the classes any more"
