"""Nodes that change, read and write expansions."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from conftest import import_nodes

from llmseg import InputError, expand_names, format_expansion, parse_names

EXPANSION: ModuleType = import_nodes("expansion")


def test_an_expansion_is_saved_and_loaded(host: Any) -> None:
    expansion = expand_names(parse_names("dog, grass"))
    shown = EXPANSION.LLMSegSaveExpansion().execute(expansion, "sub/list")["ui"]["files"]
    assert shown == [{"filename": "list_00001_.json", "subfolder": "sub", "type": "output"}]
    loaded, table = EXPANSION.LLMSegLoadExpansion().execute("sub/list_00001_.json [output]")
    assert (loaded, table) == (expansion, format_expansion(expansion))


def test_loading_notices_a_changed_file_and_a_missing_one(host: Any, tmp_path: Any) -> None:
    file = tmp_path / "input" / "x.json"
    file.write_text('{"classes": [{"name": "dog"}]}', encoding="utf-8")
    before = EXPANSION.LLMSegLoadExpansion.IS_CHANGED("x.json")
    file.write_text('{"classes": [{"name": "cat"}]}', encoding="utf-8")
    assert EXPANSION.LLMSegLoadExpansion.IS_CHANGED("x.json") != before
    validate = EXPANSION.LLMSegLoadExpansion.VALIDATE_INPUTS
    assert validate("x.json") is True
    assert validate("y.json") == "no file 'y.json'; expected it in the input folder."
    assert validate("../x.json") == "path '../x.json' leaves the input folder; expected a file inside it."


def test_an_expansion_is_edited_by_hand() -> None:
    before = expand_names(parse_names("dog, cat, grass"), "dog: poodle, beagle\ncat: tabby")
    edited, table = EXPANSION.LLMSegEditExpansion().execute(before, "dog: +husky, -Poodle\ncat: siamese")
    assert table == "dog: beagle, husky  # dropped: poodle (edited)\ncat: siamese\ngrass:"
    assert [entry.kept for entry in edited.classes] == [("beagle", "husky"), ("siamese",), ()]


def test_an_edit_of_a_class_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(InputError) as error:
        EXPANSION.LLMSegEditExpansion().execute(expand_names(parse_names("dog")), "cow: jersey")
    assert str(error.value) == "subclasses: unknown name 'cow'; expected one of dog."
