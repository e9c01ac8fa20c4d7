"""The embedded world's shipped files: they say what they hold, and the command makes them again.

Not here: how scenes are composed (`test_world`), how well the model does on them (benchmarks).
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from llmseg.errors import InputError
from tools.world import make_data, showcase, sprites, vocabulary

DATA = Path(__file__).resolve().parents[1] / "llmseg" / "data"
WORLD = DATA / "world"
FONTS = (
    Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"),
    Path("/usr/share/fonts/noto/NotoColorEmoji.ttf"),
    Path("/usr/share/fonts/google-noto-emoji/NotoColorEmoji.ttf"),
)
LOOKS = (
    Path("/usr/lib/firefox-esr/fonts/TwemojiMozilla.ttf"),
    Path("/usr/lib/firefox/fonts/TwemojiMozilla.ttf"),
)


@pytest.fixture(scope="module")
def font() -> Path:
    found = next((path for path in FONTS if path.is_file()), None)
    if found is None:
        pytest.skip("no Noto Color Emoji font file found")
    return found


@pytest.fixture(scope="module")
def table() -> Any:
    return json.loads((WORLD / "classes.json").read_text(encoding="utf-8"))


# --- sprites, with the real font ---


def test_sprites_of_the_real_font(font):
    loaded = sprites.load_font(font)
    by_name = {fine.name: fine for fine in vocabulary.FINE}
    black_cat = sprites.render_sprite(by_name["black cat"], loaded)  # three code points, one drawing
    apple = np.asarray(sprites.render_sprite(by_name["apple"], loaded)).astype(int)
    assert black_cat.size == (128, 128)
    assert black_cat.mode == "RGBA"
    assert apple[0, 0, 3] == 0
    assert apple[80, 64, 3] == 255
    assert apple[80, 64, 0] > 2 * apple[80, 64, 2], "an apple is red"


def test_sequence_that_the_font_cannot_join(font):
    loaded = sprites.load_font(font)
    with pytest.raises(InputError) as caught:
        sprites.render_sprite(vocabulary.Fine("two cats", "cat", "🐱🐱"), loaded)
    message = str(caught.value)
    assert message.startswith("--font: draws 'two cats' (🐱🐱) ")
    assert message.endswith(
        " px wide; expected one drawing of 1..140 px. "
        "Install a Noto Color Emoji font (Debian: fonts-noto-color-emoji) and give its path."
    )


def test_missing_font_is_one_line(tmp_path, capsys):
    if not sprites.features.check("raqm"):
        pytest.skip("this Pillow has no text shaping")
    missing = tmp_path / "none.ttf"
    assert make_data.main(["--font", str(missing), "--output", str(tmp_path)]) == 1
    expected = f"--font: cannot read {missing.as_posix()!r} at 109 px; expected a colour emoji font file. "
    hint = "Install a Noto Color Emoji font (Debian: fonts-noto-color-emoji) and give its path.\n"
    assert capsys.readouterr().err == expected + hint


def test_shipped_files_are_what_the_command_writes(font, table, tmp_path):
    wanted = table["provenance"]["fonts"]
    looks = [path for path in LOOKS if path.is_file()]
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (font, *looks[:1])}
    if found != wanted:
        pytest.skip("other fonts than those the data was drawn with")
    make_data.make_data(font, looks[:1], tmp_path)
    for made in sorted((tmp_path / "world").rglob("*.png")):
        shipped = WORLD / made.relative_to(tmp_path / "world")
        # Decoded and with a tolerance: other versions of Pillow and numpy may round differently.
        ours, theirs = (np.asarray(Image.open(path)).astype(int) for path in (made, shipped))
        assert ours.shape == theirs.shape
        assert (np.abs(ours - theirs) > 2).mean() < 0.01, made.name
    for name in ("world/classes.json", "expansions/emoji.json"):
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes()


# --- the shipped data ---


def test_label_picture_keeps_every_id():
    labels = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    with Image.open(io.BytesIO(make_data.encode_labels(labels))) as image:
        assert image.mode == "I;16"
        assert np.array_equal(np.asarray(image), labels)


def test_class_table_matches_the_vocabulary(table):
    assert table["labels"] == list(vocabulary.label_ids())
    assert table["fine"] == [{"name": f.name, "superclass": f.superclass} for f in vocabulary.FINE]
    assert table["labels"] == [f["name"] for f in table["fine"]] + table["backgrounds"]
    assert table["superclasses"] == list(vocabulary.SUPERCLASSES)


def test_fifty_scene_pairs_hold_what_the_table_says(table):
    names = [f"{number:02d}" for number in range(50)]
    assert sorted(path.stem for path in (WORLD / "scenes").iterdir()) == names == list(table["scenes"])
    assert sorted(path.stem for path in (WORLD / "labels").iterdir()) == names
    for name in names:
        size = make_data.SIZES[int(name) % len(make_data.SIZES)]
        check_pair(WORLD / "scenes" / f"{name}.png", WORLD / "labels" / f"{name}.png", size, table, name)
        contents = table["scenes"][name]
        assert len(contents["sizes"]) == len(contents["things"])


def test_example_pairs_hold_what_the_table_says(table):
    assert list(table["examples"]) == list(showcase.LAYOUTS)
    for name in table["examples"]:
        folder = WORLD / "examples"
        check_pair(folder / f"{name}.png", folder / f"{name}_labels.png", (256, 192), table, name)


def check_pair(picture: Path, label: Path, size: tuple[int, int], table: Any, name: str) -> None:
    contents = {**table["scenes"], **table["examples"]}[name]
    with Image.open(picture) as image, Image.open(label) as labels:
        assert (image.mode, image.size) == ("RGB", size)
        assert (labels.mode, labels.size) == ("I;16", size)
        present = {table["labels"][index] for index in np.unique(np.asarray(labels))}
    assert present == set(contents["backgrounds"]) | set(contents["things"])


def test_total_size_stays_small():
    assert sum(path.stat().st_size for path in WORLD.rglob("*") if path.is_file()) < 3_000_000


def test_emoji_library_has_every_class(table):
    library = json.loads((DATA / "expansions" / "emoji.json").read_text(encoding="utf-8"))
    classes = {entry["name"]: entry for entry in library["classes"]}
    assert list(classes) == table["superclasses"] + table["backgrounds"]
    held_out = {fine.name for fine in vocabulary.FINE if fine.held_out}
    for fine in table["fine"]:
        kinds = [kind["text"] for kind in classes[fine["superclass"]]["subclasses"]]
        assert (fine["name"] in kinds) != (fine["name"] in held_out), "the ten held-out names are never offered"
    assert sum(len(entry["subclasses"]) for entry in classes.values()) == 406
    grass, dog = classes["grass"], classes["dog"]
    assert (grass["role"], grass["policy"], grass["subclasses"]) == ("stuff", "keep", [])
    poodle = {"text": "poodle", "status": "ok", "reason": "", "source": "library"}
    assert (dog["role"], dog["policy"], dog["subclasses"][3]) == ("thing", "expand", poodle)


# --- the model file ---


def test_model_card_of_the_shipped_file():
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(DATA / "models" / "embedded.safetensors", framework="pt") as file:
        keys = set(file.keys())
        card = json.loads(file.metadata()["llmseg"])
        rows = file.get_slice("token_embedding.weight").get_shape()[0]
        assert file.metadata()["format"] == "pt"
        assert {file.get_slice(key).get_dtype() for key in keys} == {"F16"}
    assert "local_scale" not in keys
    assert "logit_scale" in keys
    assert rows == len(card["token_ids"]) + 1 == 2689
    assert card["names"] == vocabulary.known_names()
    assert card["words"] == vocabulary.known_words()
    assert 10 < card["logit_scale"] <= 50
    assert "photographs" in card["limits"]
