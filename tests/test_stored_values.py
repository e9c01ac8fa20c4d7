"""`stored_values`: what is written comes back bit for bit, or not at all."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import pytest
import torch
from safetensors.torch import save

from llmseg.errors import InputError
from llmseg.stored_values import _digest, dump_value, load_value, tensor_hash

LIMIT = 2**20
VALUES = [
    None, True, 0, 1, -(2**70), 0.0, -0.0, 0.1, math.inf, "", "猫\n", "\ud800", [], (), {}, [[]], ([],), [()],
    {"a": [1, (2.0, None)], 3: {"tuple": [1]}}, {"tensor": "0"}, {(1, "b"): False}, [{"dict": [[1, 2]]}],
]  # fmt: skip
TENSORS = [
    torch.tensor(1.5), torch.tensor([]), torch.zeros(2, 0, 3), torch.tensor([True, False]), torch.arange(5),
    torch.tensor([0.0, -0.0, math.nan, math.inf]), torch.tensor([1, 2], dtype=torch.uint8), torch.rand(3, 2, 4),
    torch.rand(5).half(), torch.rand(5).bfloat16(), torch.rand(3, 4).T, torch.rand(6)[::2], torch.ones(1).expand(4),
    torch.tensor([1j]),
]  # fmt: skip


def round_trip(value: object) -> Any:
    return load_value(dump_value(value, LIMIT))


def bits(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.clone(memory_format=torch.contiguous_format).untyped_storage())


def same(left: torch.Tensor, right: torch.Tensor) -> bool:
    return (left.dtype, left.shape, bits(left)) == (right.dtype, right.shape, bits(right))


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_plain_values_come_back(value: object) -> None:
    assert repr(round_trip(value)) == repr(value)  # repr tells True from 1, -0.0 from 0.0, a list from a tuple


@pytest.mark.parametrize("tensor", TENSORS, ids=lambda tensor: f"{tensor.dtype}{list(tensor.shape)}")
def test_tensors_come_back_bit_for_bit(tensor: torch.Tensor) -> None:
    (again,) = round_trip([tensor])
    assert same(again, tensor)
    assert again.is_contiguous()
    assert tensor_hash(again) == tensor_hash(tensor)


def test_equal_values_are_equal_files() -> None:
    assert len({dump_value([torch.arange(5), {"a": torch.zeros(2)}], LIMIT) for _ in range(20)}) == 1


def test_tensors_of_an_inference_come_back() -> None:
    with torch.inference_mode():
        tensor = torch.rand(4) * 2
        assert round_trip(tensor).equal(tensor)


def test_tensors_that_share_memory_are_kept_apart_and_one_tensor_stays_one() -> None:
    whole = torch.rand(6)
    part, again, once_more = round_trip([whole[2:4], whole, whole])
    assert part.equal(whole[2:4])
    assert again.equal(whole)
    assert again is once_more
    part.zero_()
    assert again.equal(whole)


def test_the_digest_of_a_tensor_changes_with_bits_shape_and_format() -> None:
    zeros = torch.zeros(4)
    others = [-zeros, torch.zeros(2, 2), torch.zeros(4, dtype=torch.int32), torch.zeros(5), torch.zeros(4).half()]
    assert len({tensor_hash(tensor) for tensor in [zeros, *others]}) == 6


class Text(str):
    pass


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)
REFUSED = {
    "object": object(),
    "subclass": Text("a"),
    "bytes": b"a",
    "set": {1},
    "function": print,
    "parameter": torch.nn.Parameter(torch.zeros(1)),
    "gradient": torch.zeros(1, requires_grad=True),
    "sparse": torch.eye(2).to_sparse(),
    "meta": torch.zeros(1, device="meta"),
    "endless": ENDLESS,
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_would_not_come_back_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"^stored value: .*; expected .*plain"):
        dump_value({"a": [(value,)]}, LIMIT)


def test_what_is_too_large_is_refused() -> None:
    dump_value([torch.zeros(100), torch.zeros(150)], 1000)
    with pytest.raises(InputError, match=r"^stored value: 1004 bytes; expected at most 1000\.$"):
        dump_value([torch.zeros(100), torch.zeros(151)], 1000)
    with pytest.raises(InputError, match=r"^stored value: 1002 bytes; expected at most 1000\.$"):
        dump_value("a" * 1000, 1000)


# --- damage ---

SMALL = {"windows": torch.tensor([[0.5, -1.0]]), "plan": (1, 2), "name": "owl"}


def is_small(value: Any) -> bool:
    return repr(value) == repr(SMALL) and same(value["windows"], SMALL["windows"])


@pytest.mark.parametrize("change", [0x01, 0x80, 0xFF])
def test_a_changed_byte_anywhere_is_found(change: int) -> None:
    data = dump_value(SMALL, LIMIT)
    start = 8 + int.from_bytes(data[:8], "little")
    assert len(data) == start + 8
    unnoticed = set()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= change
        with suppress(InputError):
            assert is_small(load_value(bytes(damaged)))
            unnoticed.add(data[place : place + 1])
    assert unnoticed <= {b" "}, "only what pads the header may be anything"


def test_a_file_cut_or_continued_anywhere_is_found() -> None:
    data = dump_value(SMALL, LIMIT)
    assert is_small(load_value(data))
    for damaged in [*(data[:end] for end in range(len(data))), data + b"\0", data + data]:
        with pytest.raises(InputError, match=r"^stored value: "):
            load_value(damaged)


def forged(structure: object, schema: int = 1, digest: object = None) -> bytes:
    """A file whose digest fits."""
    text = structure if isinstance(structure, str) else json.dumps(structure)
    tensors = {"0": torch.zeros(1)}
    return save(tensors, {"llmseg": json.dumps([schema, digest or _digest(text, tensors), text])})


FORGED = {
    "schema": forged([], schema=2),
    "digest": forged([], digest="0" * 64),
    "kind": forged({"object": 1}),
    "two kinds": forged({"tuple": [], "dict": []}),
    "no kind": forged({}),
    "no tensor": forged({"tensor": "1"}),
    "no name": forged({"tensor": [1]}),
    "no pairs": forged({"dict": [1]}),
    "no key": forged({"dict": [[[1], 2]]}),
    "no list": forged({"tuple": 1}),
    "no JSON": forged("["),
    "deep": forged("[" * 100_000 + "]" * 100_000),
    "no text": save({"0": torch.zeros(1)}, {"llmseg": '[1, "", 3]'}),
    "no list of three": save({"0": torch.zeros(1)}, {"llmseg": "[1]"}),
    "no metadata": save({"0": torch.zeros(1)}),
    "other metadata": save({"0": torch.zeros(1)}, {"format": "pt"}),
    "number": b"\x01\0\0\0\0\0\0\x001",
    "endless header": b"\xff" * 8,
    "text": b"This is no result, whatever its name says.",
    "zeros": bytes(1000),
    "empty": b"",
}


@pytest.mark.parametrize("data", FORGED.values(), ids=FORGED)
def test_what_is_no_such_file_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^stored value: .*; expected "):
        load_value(data)


def test_the_forger_forges_well() -> None:
    assert load_value(forged({"tuple": [1, {"tensor": "0"}]}))[1].equal(torch.zeros(1))
