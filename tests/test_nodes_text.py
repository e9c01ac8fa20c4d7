"""Nodes from class names to encoded phrases."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from conftest import import_nodes

from llmseg import InputError, expand_names, load_encoder

TEXT: ModuleType = import_nodes("text")


def names(text: str) -> Any:
    (class_names,) = TEXT.LLMSegClassNames().execute(text, "custom")
    return class_names


def test_class_names_reads_text_or_a_whole_library() -> None:
    assert names("dog, car").names == ("dog", "car")
    (preset,) = TEXT.LLMSegClassNames().execute("ignored", "emoji")
    assert len(preset.names) == 52
    assert "ignored" not in preset.names


def test_encode_text_gives_a_bank() -> None:
    expansion = expand_names(names("dog, grass"))
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


def test_frames_of_ones_own() -> None:
    expansion, encoder = expand_names(names("dog, grass"), "off"), load_encoder()
    (mine,) = TEXT.LLMSegEncodeText().execute(encoder, expansion, "custom", "no", "a photo of a {}.\n")
    (single,) = TEXT.LLMSegEncodeText().execute(encoder, expansion, "single", "no", "ignored")
    assert mine.templates.startswith("custom:")
    assert mine.embeddings.equal(single.embeddings)
