"""A server's /object_info from a file: plain, packed, broken, and with classes that nobody can read."""

from __future__ import annotations

import copy
import gzip
import json
import logging
import random
from pathlib import Path
from typing import Any

import pytest

from llmseg.errors import InputError
from llmseg.graph import NodeDefinition
from llmseg.graph.files.object_info import read_object_info

DUMP = Path(__file__).resolve().parents[2] / "shared" / "conformance" / "object_info.json.gz"

CLASS: dict[str, Any] = {
    "input": {
        "required": {
            "image": ["IMAGE"],
            "size": ["INT", {"default": 1, "max": 2}],
            "mode": [["a", "b"], {}],
            "kind": ["COMBO", {"options": ["x"]}],
            "model": ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "k", "inputs": {"required": {"v": ["FLOAT", {}]}}}]}],
        },
        "optional": {"mask": ["MASK", {"tooltip": "t"}]},
        "hidden": {"prompt": "PROMPT", "unique_id": ["UNIQUE_ID"]},
    },
    "input_order": {"required": ["image", "size", "mode", "kind", "model"], "optional": ["mask"]},
    "output": ["IMAGE"],
    "output_node": False,
    "display_name": "Shown",
}  # fmt: skip
INFO = {"Resize": CLASS}


def write(path: Path, data: Any) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return path


@pytest.mark.parametrize("name", ["info.json", "info.json.gz"])
@pytest.mark.parametrize("packed", [False, True])
def test_plain_and_packed_by_content_not_by_name(name: str, packed: bool, tmp_path: Path) -> None:
    content = json.dumps(INFO).encode()
    records = read_object_info(write(tmp_path / name, gzip.compress(content) if packed else content))
    assert records == INFO
    definition = NodeDefinition.from_object_info("Resize", records["Resize"])
    assert [spec.name for spec in definition.inputs] == ["image", "size", "mode", "kind", "model", "mask"]


TEXT = json.dumps(INFO).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "info.json: empty file; expected a server's /object_info as JSON."),
        (b"[1]", "info.json: [1]; expected a server's /object_info, an object of node classes."),
        (b"{}", "info.json: {}; expected a server's /object_info, an object of node classes."),
        (b"{", "info.json: not JSON (Expecting property name enclosed in double quotes, line 1, column 2); expected a server's /object_info."),
        (b"[" * 5000, "info.json: nested more than 200 levels deep; expected a server's /object_info."),
        (b"\xff", "info.json: byte 0 is not UTF-8; expected a JSON text file."),
        (b'{"A": 5}', "info.json, class 'A': 5; expected an object with 'input'."),
        (b'{"A": {"input": {}}, "A": {"input": {}}}', "info.json: key 'A' twice; expected every key once."),
        (b'{"1": {"class_type": "A", "inputs": {}}}', "info.json, class '1': {'class_type': 'A', 'inputs': {}}; expected an object with 'input'."),
        (gzip.compress(gzip.compress(TEXT)), "info.json: compressed by gzip; expected a JSON text file. Unpack it first."),
    ],
)  # fmt: skip
def test_what_is_no_answer_of_a_server_gets_one_clear_error(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_object_info(write(tmp_path / "info.json", content))
    assert str(caught.value) == message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    packed = gzip.compress(TEXT)
    path = write(tmp_path / "info.json", packed)
    for content in (*(packed[:end] for end in range(2, len(packed))), packed[:-8] + b"\0" * 8, packed + b"garbage"):
        with pytest.raises(InputError, match=r"info\.json: cannot be read \(.+\); expected a server's /object_info\.$"):
            read_object_info(write(path, content))
    with pytest.raises(InputError, match=r"none: cannot be read \(No such file or directory\)"):
        read_object_info(tmp_path / "none")


def test_a_bomb_is_not_unpacked_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmseg.graph.files.object_info.MAX_INFO", 1000)
    with pytest.raises(InputError) as caught:
        read_object_info(write(tmp_path / "info.json", gzip.compress(b" " * 1001)))
    assert str(caught.value) == "info.json: larger than 1000 bytes; expected a server's /object_info."


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"input": 5}, "'input' is 5; expected an object of groups"),
        ({"input": {"required": ["x"]}}, "'input' is {'required': ['x']}; expected an object of groups"),
        ({"input_order": []}, None),
        ({"input_order": ["x"]}, "'input_order' is ['x']; expected lists of names"),
        ({"input_order": {"required": [[]]}}, "'input_order' is {'required': [[]]}; expected lists of names"),
        ({"output": 5}, "'output' is 5; expected a list of types"),
        ({"output": None}, None),
        ({"input": {"required": {"x": "STRING"}}}, "input 'x' is 'STRING'; expected [type] or [type, options]"),
        ({"input": {"required": {"x": []}}}, "input 'x' is []; expected [type] or [type, options]"),
        ({"input": {"hidden": {"x": []}}}, "input 'x' is []; expected [type] or [type, options]"),
        ({"input": {"optional": {"x": ["COMBO", {"options": 5}]}}}, "input 'x' is ['COMBO', {'options': 5}]; expected [type] or [type, options]"),
        ({"input": {"optional": {"x": ["INT", 5]}}}, None),
    ],
)  # fmt: skip
def test_one_sloppy_class_does_not_spoil_the_rest(
    change: Any, fault: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "llmseg"):
        records = read_object_info(write(tmp_path / "info.json", {**INFO, "Sloppy": {**CLASS, **change}}))
    assert list(records) == (["Resize"] if fault else ["Resize", "Sloppy"])
    for name, record in records.items():
        NodeDefinition.from_object_info(name, record)
    expected = [f"info.json, class 'Sloppy' left out: {fault}."] if fault else []
    assert [record.getMessage() for record in caplog.records] == expected


STRANGERS: list[Any] = [None, 5, 1.5, True, "x", "", [], [1], ["x", {}], {}, {"x": 1}, {"required": {"y": ["INT"]}}]


def test_what_is_let_through_can_be_read_as_definitions(tmp_path: Path) -> None:
    """One value anywhere in a record becomes something else: it is left out, or it reads without surprise."""
    generator, path, read = random.Random(0), tmp_path / "info.json", 0
    for _ in range(200):
        record = copy.deepcopy(CLASS)
        owner: Any = record
        while True:
            key = generator.choice(list(owner) if isinstance(owner, dict) else range(len(owner)))
            if not isinstance(owner[key], (dict, list)) or not owner[key] or generator.random() < 0.3:
                break
            owner = owner[key]
        owner[key] = generator.choice(STRANGERS)
        records = read_object_info(write(path, {**INFO, "Changed": record}))
        if "Changed" in records:
            definition = NodeDefinition.from_object_info("Changed", records["Changed"])
            read += 1
            assert {spec.name for spec in definition.shown_inputs({"model": "k"})} >= {
                s.name for s in definition.inputs
            }
    assert 50 < read < 200


def test_the_dump_of_a_real_server() -> None:
    if not DUMP.is_file():
        pytest.skip("the conformance files are not part of the repository")
    with gzip.open(DUMP) as file:
        assert read_object_info(DUMP) == json.loads(file.read())
