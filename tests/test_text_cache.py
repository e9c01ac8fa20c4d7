"""`text_cache`: vectors come back bit for bit, and whatever happens to the files costs time only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from llmseg import store, text_cache
from llmseg.encoder import Encoder, load_encoder
from llmseg.text_bank import encode_phrases
from llmseg.text_cache import load_vectors, store_vectors, text_key

ROOT = Path(text_cache.__file__).parents[1]
KEY = text_key("model", ("{}", "a photo of {a}"))
WIDTH = 6
READER = """
import sys, torch
from llmseg.encoder import load_encoder
from llmseg.text_bank import encode_phrases
encoder, rows = load_encoder(), []
encoder.module.token_embedding.register_forward_hook(lambda module, args, out: rows.append(len(args[0])))
print("ready", flush=True)
sys.stdin.readline()
encode_phrases(encoder, sys.argv[1].split(","), "single")
print(sum(rows))
"""


@pytest.fixture(autouse=True)
def told_nothing_yet():
    text_cache._tell_once.cache_clear()


def units(*phrases: str, seed: int = 0, width: int = WIDTH) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    vectors = normalize(torch.randn(len(phrases), width, generator=generator), dim=-1)
    return dict(zip(phrases, vectors, strict=True))


def shards(key: str = KEY) -> list[Path]:
    return sorted((store.user_folder("data") / "text" / key).glob("*"))


def load(*phrases: str, key: str = KEY) -> dict[str, torch.Tensor]:
    return load_vectors(key, phrases, WIDTH)


def same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(found[phrase].equal(wanted[phrase]) for phrase in wanted)


def count_rows(encoder: Encoder) -> list[int]:
    """The numbers of token rows that the text tower reads from now on."""
    rows: list[int] = []
    encoder.module.token_embedding.register_forward_hook(lambda module, args, out: rows.append(len(args[0])))
    return rows


# --- what is kept ---


def test_vectors_come_back_bit_for_bit():
    vectors = units("owl", "oak", "猫", "", "a\nb", "\ud800")
    store_vectors(KEY, vectors)
    assert same(load(*vectors), vectors)
    assert same(load("oak", "elm", "猫"), {"oak": vectors["oak"], "猫": vectors["猫"]})
    assert [path.name for path in shards()] == [path.name for path in shards() if path.suffix == ".safetensors"]


def test_nothing_stored_is_nothing_found_and_nothing_written(own_data):
    assert load("owl") == {}
    assert load() == {}
    assert not own_data.exists()


def test_a_file_holds_no_phrase_in_clear():
    store_vectors(KEY, units("poodle"))
    (path,) = shards()
    assert b"poodle" not in path.read_bytes()
    assert {name: list(tensor.shape) for name, tensor in load_file(path).items()} == {
        "phrases": [1, 32],
        "vectors": [1, WIDTH],
    }


def test_a_key_names_the_encoder_and_every_letter_of_the_frames():
    keys = [
        text_key(encoder, frames)
        for encoder in ("a", "b")
        for frames in (("{}",), ("{}.",), ("{}", "{}."), ("{}.", "{}"), ())
    ]
    assert len(set(keys)) == len(keys)
    store_vectors(keys[0], units("owl"))
    assert [bool(load("owl", key=key)) for key in keys] == [True] + [False] * 9


def test_the_same_vectors_are_one_file():
    store_vectors(KEY, units("owl"))
    store_vectors(KEY, units("owl"))
    assert len(shards()) == 1


# --- an encoder with a disk ---


def test_a_new_encoder_encodes_only_what_is_new():
    first = encode_phrases(load_encoder(), ["owl", "oak"], "captions6")
    again = load_encoder()
    rows = count_rows(again)
    assert encode_phrases(again, ["oak", "owl", "oak"], "captions6").equal(first[[1, 0, 1]])
    assert rows == []
    assert encode_phrases(again, ["oak", "duck"], "captions6")[0].equal(first[1])
    assert sum(rows) == 6
    encode_phrases(again, ["oak"], "single")
    assert sum(rows) == 7, "other frames are another key"


def test_other_weights_are_another_key(tiny_clip, saved_clip):
    for seed, encoded in ((1, 1), (2, 1), (2, 0)):
        encoder = load_encoder(str(saved_clip(tiny_clip(seed))))  # one name, other numbers
        rows = count_rows(encoder)
        encode_phrases(encoder, ["owl"], "single")
        assert sum(rows) == encoded
        del encoder


def test_another_number_format_is_another_key(tiny_clip, saved_clip):
    path = str(saved_clip(tiny_clip()))
    whole = encode_phrases(load_encoder(path), ["owl"], "single")
    for encoded in (1, 0):
        encoder = load_encoder(path)
        encoder.module.to(torch.bfloat16)
        rows = count_rows(encoder)
        half = encode_phrases(encoder, ["owl"], "single")
        assert sum(rows) == encoded
        assert half.dtype == torch.float32
        assert not half.equal(whole)
        torch.testing.assert_close(half, whole, atol=0.05, rtol=0)


def test_a_killed_run_keeps_what_it_had(monkeypatch):
    monkeypatch.setattr("llmseg.text_bank.SENTENCES_AT_ONCE", 12)  # two phrases of captions6
    encoder, read = load_encoder(), []

    def stop(module, args, out):
        read.append(len(args[0]))
        if sum(read) > 12:
            raise KeyboardInterrupt

    encoder.module.token_embedding.register_forward_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        encode_phrases(encoder, ["owl", "oak", "duck", "car"], "captions6")
    again = load_encoder()
    rows = count_rows(again)
    encode_phrases(again, ["owl", "oak", "duck", "car"], "captions6")
    assert sum(rows) == 12


# --- several processes ---


def test_two_processes_at_once():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    readers = [
        subprocess.Popen([sys.executable, "-c", READER, words], **pipes) for words in ("owl,oak,duck", "duck,car,owl")
    ]
    assert [reader.stdout.readline() for reader in readers] == ["ready\n", "ready\n"]
    for reader in readers:
        reader.stdin.write("\n")
        reader.stdin.flush()
    encoded = [int(reader.communicate(timeout=60)[0]) for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0]
    assert 4 <= sum(encoded) <= 6
    encoder = load_encoder()
    rows = count_rows(encoder)
    encode_phrases(encoder, ["owl", "oak", "duck", "car"], "single")
    assert rows == []


def test_a_shard_that_goes_while_the_folder_is_read_is_a_miss(monkeypatch, caplog):
    store_vectors(KEY, units("owl"))
    (gone,) = shards()
    store_vectors(KEY, units("oak", seed=1))
    listed = shards()
    gone.unlink()
    monkeypatch.setattr(text_cache, "_shards", lambda key: listed)
    assert same(load("owl", "oak"), units("oak", seed=1))
    assert caplog.messages == []


# --- damage ---


def without_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def half_a_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def a_text(path: Path) -> None:
    path.write_text("This is no shard, whatever its name says. " * 20, encoding="utf-8")


def changed(path: Path, **tensors: torch.Tensor) -> None:
    old = {name: tensor.clone() for name, tensor in load_file(path).items()}
    save_file({**old, **tensors}, path)


def with_nan(path: Path) -> None:
    vectors = load_file(path)["vectors"].clone()
    vectors[0, 0] = float("nan")
    changed(path, vectors=vectors)


def infinite(path: Path) -> None:
    changed(path, vectors=torch.full((2, WIDTH), float("inf")))


def doubled(path: Path) -> None:
    changed(path, vectors=load_file(path)["vectors"] * 2)


def other_width(path: Path) -> None:
    changed(path, vectors=torch.eye(7)[:2])


def other_count(path: Path) -> None:
    changed(path, vectors=torch.eye(WIDTH)[:1])


def half_precision(path: Path) -> None:
    changed(path, vectors=load_file(path)["vectors"].half())


def short_digests(path: Path) -> None:
    changed(path, phrases=torch.zeros(2, 16, dtype=torch.uint8))


def scalars(path: Path) -> None:
    changed(path, phrases=torch.tensor(1), vectors=torch.tensor(1.0))


def other_names(path: Path) -> None:
    save_file({"weight": torch.eye(WIDTH)}, path)


DAMAGE = [
    without_end, half_a_header, emptied, zeros, a_text, with_nan, infinite, doubled, other_width, other_count,
    half_precision, short_digests, scalars, other_names,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_shard_is_told_removed_and_written_again(damage, caplog):
    vectors = units("owl", "oak")
    store_vectors(KEY, vectors)
    (path,) = shards()
    damage(path)
    assert load("owl", "oak") == {}
    (message,) = caplog.messages
    assert message.startswith(f"{path} is damaged (")
    assert message.endswith("); removed. Its phrases are encoded again.")
    store_vectors(KEY, vectors)
    assert same(load("owl", "oak"), vectors)
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("name", ["notes.txt", "model.safetensors", "0123456789ABCDEF.safetensors"])
def test_what_is_not_ours_is_left_alone(name, caplog):
    store_vectors(KEY, units("owl"))
    stranger = shards()[0].with_name(name)
    stranger.write_bytes(b"precious")
    assert same(load("owl", "oak"), units("owl"))
    assert stranger.read_bytes() == b"precious"
    assert caplog.messages == []


def test_a_folder_with_the_name_of_a_shard(caplog):
    store_vectors(KEY, units("owl"))
    stranger = shards()[0].with_name("0123456789abcdef.safetensors")
    stranger.mkdir()
    for _ in range(2):
        assert same(load("owl", "oak"), units("owl"))
    store_vectors(KEY, units("oak", seed=1))
    assert same(load("owl", "oak"), {**units("owl"), **units("oak", seed=1)})
    (message,) = caplog.messages
    assert message.startswith(f"cannot read {stranger}: ")
    assert message.endswith(". Its phrases are encoded again.")


def test_a_row_that_nobody_asks_for_is_not_looked_at(caplog):
    vectors = units("owl", "oak")
    store_vectors(KEY, vectors)
    with_nan(shards()[0])
    assert same(load("oak"), {"oak": vectors["oak"]})
    assert caplog.messages == []


# --- disks that say no ---


def told(folder: Path, reason: str) -> list[str]:
    return [f"cannot keep the vectors of phrases in {folder / 'text'}: {reason}. The next run encodes them again."]


@pytest.mark.skipif(os.name == "nt", reason="the system's own words differ")
def test_a_folder_that_cannot_be_made_is_told_once(own_data, caplog):
    own_data.parent.mkdir(parents=True, exist_ok=True)
    own_data.write_bytes(b"")  # a file where the folder should be
    first = encode_phrases(load_encoder(), ["owl"], "single")
    assert encode_phrases(load_encoder(), ["owl"], "single").equal(first)
    assert caplog.messages == told(own_data, "Not a directory")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_folder_that_is_closed(mode, own_data, caplog):
    (own_data / "text").mkdir(parents=True)
    (own_data / "text").chmod(mode)
    try:
        encode_phrases(load_encoder(), ["owl"], "single")
        encode_phrases(load_encoder(), ["owl", "oak"], "single")
    finally:
        (own_data / "text").chmod(0o700)
    assert caplog.messages == told(own_data, "Permission denied")


def test_a_full_disk(own_data, caplog):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # bytes that a file may have
    try:
        encode_phrases(load_encoder(), ["owl"], "single")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caplog.messages == told(own_data, "File too large")
    assert [path for path in own_data.rglob("*") if path.is_file()] == []


# --- room ---


def test_many_shards_become_one():
    wanted: dict[str, torch.Tensor] = {}
    for number in range(text_cache.MOST_SHARDS + 1):
        assert len(shards()) == number
        new = units(f"phrase {number}", f"other {number}", seed=number)
        store_vectors(KEY, new)
        wanted |= new
    assert len(shards()) == 1
    assert same(load(*wanted), wanted)
    store_vectors(KEY, units("owl"))
    assert len(shards()) == 2


def test_merging_takes_the_vector_that_reading_takes():
    for seed in range(text_cache.MOST_SHARDS):
        store_vectors(KEY, units("owl", seed=seed))
    last = units("owl", seed=99)
    before = load("owl")
    store_vectors(KEY, last)
    assert len(shards()) == 1
    assert same(load("owl"), before) or same(load("owl"), last), "where the last one's name is the first"


def test_merging_leaves_out_what_is_damaged(caplog):
    wanted = {}
    for number in range(text_cache.MOST_SHARDS):
        new = units(f"phrase {number}", seed=number)
        store_vectors(KEY, new)
        wanted |= new
    with_nan(shards()[0])
    store_vectors(KEY, units("owl"))
    assert len(shards()) == 1
    assert len(caplog.messages) == 1
    assert len(load(*wanted)) == len(wanted) - 1
    assert load("owl")


def test_large_shards_are_not_merged(monkeypatch):
    monkeypatch.setattr(text_cache, "LARGE_SHARD", 1000)
    store_vectors(KEY, units(*map(str, range(50))))
    (large,) = shards()
    assert large.stat().st_size > 1000
    stamp = large.stat().st_mtime_ns
    for number in range(text_cache.MOST_SHARDS + 1):
        store_vectors(KEY, units(f"phrase {number}", seed=number))
    assert len(shards()) == 2
    assert large.stat().st_mtime_ns == stamp
    assert len(load("7", "phrase 7")) == 2


def test_one_process_merges_at_a_time(own_data):
    for number in range(text_cache.MOST_SHARDS):
        store_vectors(KEY, units(f"phrase {number}", seed=number))
    lock = store.try_lock(own_data / "locks" / f"text-{KEY}.lock")
    assert lock is not None
    store_vectors(KEY, units("owl"))
    assert len(shards()) == text_cache.MOST_SHARDS + 1
    lock.release()
    store_vectors(KEY, units("oak"))
    assert len(shards()) == 1


def test_the_oldest_shards_of_all_keys_go_first(monkeypatch, own_data):
    keys = [text_key("model", (frame,)) for frame in ("{}", "a {}", "the {}")]
    for age, key in enumerate(keys):
        store_vectors(key, units("owl"))
        (path,) = shards(key)
        os.utime(path, (1000 + age, 1000 + age))
    monkeypatch.setattr(text_cache, "MOST_BYTES", 3 * path.stat().st_size)
    store_vectors(keys[2], units("oak", seed=1))
    assert [sorted(load("owl", "oak", key=key)) for key in keys] == [[], ["owl"], ["oak", "owl"]]
