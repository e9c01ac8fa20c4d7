"""The words of the embedded world: the file keeps its rules, breaking one is reported with its line, plurals.

Not here: the drawings of the real font other than their width, the scenes (`test_world`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from llmseg.errors import InputError, UnknownNameError
from tools.world import sprites, vocabulary

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def small_file() -> list[str]:
    """Ten classes of seven made-up drawings, the last of each held out: lines 1, 9, 17, ... are headings."""
    lines = []
    for major in LETTERS[:10]:
        lines.append(f"[kind {major}]")
        for minor in LETTERS[:7]:
            emoji = chr(0x1F400 + 26 * ord(major) + ord(minor))
            mark = "! " if minor == "g" else ""
            lines.append(f"{mark}{emoji} {major}{minor}k | {major}{minor}l | {major}{minor}m")
    return lines


def parse_changed(changes: dict[int, str]) -> tuple[vocabulary.Fine, ...]:
    """Parse the small file with some lines, counted from 1, replaced."""
    lines = small_file()
    for number, line in changes.items():
        lines[number - 1] = line
    return vocabulary.parse_words("\n".join(lines))


# --- the shipped file ---


def test_counts_of_the_shipped_file():
    sizes = Counter(fine.superclass for fine in vocabulary.FINE)
    assert list(sizes) == list(vocabulary.SUPERCLASSES)
    assert len(sizes) == 42
    assert len(vocabulary.FINE) == sum(sizes.values()) == 416
    assert min(sizes.values()) == 4
    assert max(sizes.values()) == 14
    assert (sizes["dog"], sizes["clock"], sizes["smiley"]) == (5, 6, 14)
    assert len(vocabulary.BACKGROUNDS) == 10


def test_no_wording_has_two_meanings():
    owners: dict[str, set[str]] = {}
    for fine in vocabulary.FINE:
        for wording in fine.wordings:
            for form in (wording, vocabulary.plural(wording)):
                owners.setdefault(form.casefold(), set()).add(fine.emoji)
    assert {form: found for form, found in owners.items() if len(found) > 1} == {}
    assert owners.keys().isdisjoint({*vocabulary.SUPERCLASSES, *vocabulary.BACKGROUNDS})
    emojis = [fine.emoji for fine in vocabulary.FINE]
    assert len(emojis) == len(set(emojis))


def test_a_drawing_with_all_its_names():
    by_name = {fine.name: fine for fine in vocabulary.FINE}
    wordings = ("guide dog", "labrador", "golden retriever", "retriever", "lab")
    assert by_name["guide dog"] == ("guide dog", "dog", "🦮", wordings, True, False)
    assert not by_name["puppy"].typical
    assert all(fine.wordings[0] == fine.name for fine in vocabulary.FINE)
    assert all(3 <= len(fine.wordings) <= 6 for fine in vocabulary.FINE)


def test_typical_drawings_are_the_first_two_of_each_superclass():
    typical = [fine.name for fine in vocabulary.FINE if fine.typical]
    firsts = [name for superclass in vocabulary.SUPERCLASSES for name in vocabulary.members(superclass)[:2]]
    assert typical == firsts
    assert len(typical) == 84


def test_held_out_drawings_have_ids_and_are_not_known():
    held = [fine for fine in vocabulary.FINE if fine.held_out]
    assert [fine.name for fine in held] == [
        "ox", "goose", "tuna", "cockroach", "rosette", "sweet potato", "soft serve", "stew", "hotel", "blouse",
    ]  # fmt: skip
    known, ids = set(vocabulary.known_names()), vocabulary.label_ids()
    for fine in held:
        assert fine.name in ids
        assert fine.name not in vocabulary.members(fine.superclass)
        assert len(vocabulary.members(fine.superclass)) >= 7
        assert known.isdisjoint(form for word in fine.wordings for form in (word, vocabulary.plural(word)))
    words = vocabulary.known_words()
    assert "goose" not in words
    assert "potato" in words, "half of a held-out name is the name of another drawing"


def test_label_ids_are_positions_in_the_file():
    ids = vocabulary.label_ids()
    assert list(ids.values()) == list(range(426))
    assert (ids["shiba"], ids["guide dog"], ids["grass"], ids["dirt"]) == (0, 1, 416, 425)
    assert max(ids.values()) < vocabulary.UNUSED == 65535


def test_known_names_and_words():
    names = vocabulary.known_names()
    assert names[:3] == ["dog", "cat", "wild cat"]
    assert names[42:46] == ["shiba", "shibas", "shiba inu", "shiba inus"]
    assert tuple(names[-10:]) == vocabulary.BACKGROUNDS
    assert len(names) == len(set(names))
    words = vocabulary.known_words()
    assert words == sorted(set(words))
    assert {"photo", "retrievers", "golden", "musical", "dirt"} <= set(words)
    assert not any(" " in word for word in words)


def test_shares_rotate_over_the_superclasses():
    shares = [vocabulary.class_share(name) for name in vocabulary.SUPERCLASSES]
    assert shares[:4] == [0.03, 0.20, 0.50, 0.03]
    assert Counter(shares) == {0.03: 14, 0.20: 14, 0.50: 14}
    assert vocabulary.OTHER_SHARE == 0.03
    with pytest.raises(UnknownNameError) as caught:
        vocabulary.class_share("dogs")
    assert str(caught.value) == "superclass: unknown name 'dogs'; expected one of 42 names. Did you mean 'dog'?"


def test_every_drawing_is_one_drawing_of_the_real_font():
    if not FONT.is_file():
        pytest.skip("no Noto Color Emoji font file found")
    font = sprites.load_font(FONT)
    assert {sprites.render_sprite(fine, font).size for fine in vocabulary.FINE} == {
        (sprites.SPRITE_SIZE, sprites.SPRITE_SIZE)
    }


# --- plurals ---


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("apple", "apples"), ("bus", "buses"), ("fox", "foxes"), ("torch", "torches"), ("axe", "axes"),
        ("cherry", "cherries"), ("monkey", "monkeys"), ("potato", "potatoes"), ("piano", "pianos"),
        ("police officer", "police officers"), ("policewoman", "policewomen"), ("caiman", "caimans"),
        ("field mouse", "field mice"), ("kitchen knife", "kitchen knives"), ("wolf", "wolves"),
        ("sheep", "sheep"), ("jellyfish", "jellyfish"), ("broccoli", "broccoli"), ("jeans", "jeans"),
        ("french fries", "french fries"), ("pair of scissors", "pairs of scissors"),
        ("glass of milk", "glasses of milk"), ("corn on the cob", "corn on the cob"),
        ("die", "dice"), ("dice", "dice"), ("merry-go-round", "merry-go-rounds"),
    ],
)  # fmt: skip
def test_plural(one, many):
    assert vocabulary.plural(one) == many


def test_names_that_are_plurals_already_stay():
    """Whatever ends in one -s is a plural that the code must know, but for endings and words of a singular."""
    names = {name for fine in vocabulary.FINE for name in fine.wordings if name.endswith("s")}
    singular = {"ananas", "bus", "iris", "rhinoceros"}
    plurals = {name for name in names if not name.endswith(("ss", "us")) and name not in singular}
    assert {"jeans", "socks", "french fries", "chopsticks", "heart eyes"} <= plurals
    phrases = {"cake with candles", "chest of drawers", "face with sunglasses", "plant with chimneys"}
    phrases |= {"pair of chopsticks", "pair of scissors"}  # the word before of or with takes the ending
    assert {name for name in plurals if vocabulary.plural(name) != name} == phrases & names


# --- rules, each broken once ---


def test_small_file_is_read_as_it_stands():
    fine = parse_changed({})
    assert len(fine) == 70
    assert fine[0] == ("aak", "kind a", small_file()[1][0], ("aak", "aal", "aam"), True, False)
    assert fine[6][:2] == ("agk", "kind a")
    assert [one.typical for one in fine[:7]] == [True, True, False, False, False, False, False]
    assert [one.held_out for one in fine[:7]] == [False] * 6 + [True]


def test_comments_and_empty_lines_count_as_lines_only():
    assert vocabulary.parse_words("\n".join(["# words", "", *small_file(), ""])) == parse_changed({})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({1: "🐕 dog | hound | pooch"}, "line 1: drawing '🐕 dog | hound | pooch' before any heading; expected '[superclass]' first."),
        ({9: "[kind b"}, "line 9: heading '[kind b'; expected '[superclass]' of 1..4 lower-case words."),
        ({9: "[kind a]"}, "line 9: superclass 'kind a' again; expected once. It stands in line 1."),
        ({2: "dog | hound | pooch"}, "line 2: drawing 'dog'; expected an emoji, a space, and names between bars."),
        ({2: "🐕 dog | Hound | pooch"}, "line 2: name 'Hound'; expected 1..4 words of a-z, hyphen and apostrophe."),
        ({2: "🐕 a b c d e | hound | pooch"}, "line 2: name 'a b c d e'; expected 1..4 words of a-z, hyphen and apostrophe."),
        ({2: "🐕 dog | hound"}, "line 2: 2 names for 'dog'; expected 3..6."),
        ({2: "🐕 dog | a | b | c | d | e | f"}, "line 2: 7 names for 'dog'; expected 3..6."),
        ({2: "🐕 dog | hound | dog"}, "line 2: a name of 'dog' stands twice; expected each once."),
        ({2: "🐕 dog | hound | pooch", 3: "🐕 cat | kitty | puss"}, "line 3: emoji '🐕' again; expected once. It stands in line 2."),
        ({2: "🐕 dog | hound | pooch", 11: "🐈 cat | kitty | dog"}, "line 11: name 'dog' of a second drawing; expected one drawing a name. It stands in line 2."),
        ({2: "🐕 dog | hound | pooch", 11: "🐈 cat | kitty | dogs"}, "line 11: name 'dogs' of a second drawing; expected one drawing a name. It stands in line 2."),
        ({2: "🐕 dog | hound | kind j"}, "line 2: name 'kind j' is a superclass or a background; expected another."),
        ({2: "🐕 dog | hound | rocks"}, "line 2: name 'rocks' is a superclass or a background; expected another."),
        (dict.fromkeys(range(5, 9), ""), "line 1: 3 drawings in 'kind a'; expected 4..14."),
        ({9: "🐕 dog | hound | pooch"}, "line 1: 15 drawings in 'kind a'; expected 4..14."),
        ({3: "! 🐕 dog | hound | pooch"}, "line 3: 'dog' is held out and typical; expected it after the first 2."),
        ({7: "! 🐕 dog | hound | pooch"}, "line 8: 'agk' is a second one held out of 'kind a'; expected one. The first stands in line 7."),
        ({7: ""}, "line 8: 'agk' is held out of 6 drawings; expected at least 7."),
        ({8: "🐕 dog | hound | pooch"}, "line 80: 9 drawings held out in all; expected 10. Mark them with '!'."),
    ],
)  # fmt: skip
def test_a_broken_rule_names_its_line(changes, message):
    with pytest.raises(InputError) as caught:
        parse_changed(changes)
    assert str(caught.value) == f"words.txt, {message}"


def test_an_empty_file_is_refused():
    with pytest.raises(InputError) as caught:
        vocabulary.parse_words("")
    assert str(caught.value) == "words.txt, line 1: 0 drawings held out in all; expected 10. Mark them with '!'."
