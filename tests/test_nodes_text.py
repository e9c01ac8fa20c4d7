"""Nodes from class names to encoded phrases."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from conftest import import_nodes

from llmseg import InputError, load_encoder

TEXT: ModuleType = import_nodes("text")


def names(text: str) -> Any:
    (class_names,) = TEXT.LLMSegClassNames().execute(text, "custom")
    return class_names


def test_class_names_reads_text_or_a_whole_library() -> None:
    assert names("dog, car").names == ("dog", "car")
    (preset,) = TEXT.LLMSegClassNames().execute("ignored", "emoji")
    assert len(preset.names) == 52
    assert "ignored" not in preset.names


def test_expand_from_the_library_and_the_table_reads_back() -> None:
    expansion, table = TEXT.LLMSegExpand().execute(names("dog, grass"), "auto")
    assert table == "dog: shiba, guide dog, puppy, poodle, service dog\ngrass:"
    again, _ = TEXT.LLMSegExpand().execute(names("dog, grass"), "off", table)
    assert [entry.kept for entry in again.classes] == [entry.kept for entry in expansion.classes]


def test_own_subclasses_replace_the_library() -> None:
    expansion, _ = TEXT.LLMSegExpand().execute(names("dog, grass"), "emoji", "dog: poodle")
    assert [entry.kept for entry in expansion.classes] == [("poodle",), ()]
    expansion, _ = TEXT.LLMSegExpand().execute(names("dog"), "emoji", "   ")
    assert len(expansion.classes[0].kept) == 5


def test_an_expansion_is_saved_and_loaded(host: Any) -> None:
    expansion, table = TEXT.LLMSegExpand().execute(names("dog, grass"), "auto")
    shown = TEXT.LLMSegSaveExpansion().execute(expansion, "sub/list")["ui"]["files"]
    assert shown == [{"filename": "list_00001_.json", "subfolder": "sub", "type": "output"}]
    loaded, loaded_table = TEXT.LLMSegLoadExpansion().execute("sub/list_00001_.json [output]")
    assert (loaded, loaded_table) == (expansion, table)


def test_loading_notices_a_changed_file_and_a_missing_one(host: Any, tmp_path: Any) -> None:
    file = tmp_path / "input" / "x.json"
    file.write_text('{"classes": [{"name": "dog"}]}', encoding="utf-8")
    before = TEXT.LLMSegLoadExpansion.IS_CHANGED("x.json")
    file.write_text('{"classes": [{"name": "cat"}]}', encoding="utf-8")
    assert TEXT.LLMSegLoadExpansion.IS_CHANGED("x.json") != before
    validate = TEXT.LLMSegLoadExpansion.VALIDATE_INPUTS
    assert validate("x.json") is True
    assert validate("y.json") == "no file 'y.json'; expected it in the input folder."
    assert validate("../x.json") == "path '../x.json' leaves the input folder; expected a file inside it."


def test_encode_text_gives_a_bank() -> None:
    expansion, _ = TEXT.LLMSegExpand().execute(names("dog, grass"), "auto")
    (bank,) = TEXT.LLMSegEncodeText().execute(load_encoder(), expansion, "single", "no")
    assert bank.phrases == ("shiba", "guide dog", "puppy", "poodle", "service dog", "grass")
    assert bank.class_index.tolist() == [0, 0, 0, 0, 0, 1]
    assert bank.templates == "single"


def test_a_bad_list_is_one_clear_error() -> None:
    with pytest.raises(InputError) as error:
        names("  ,  ")
    assert str(error.value) == (
        "names: no class name in '  ,  '; expected names separated by commas, such as 'dog, car, tree'."
    )
