"""The libraries as shipped: complete, in the data set's order, within the rules, and built from their sources."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import llmseg
from llmseg.cleaning import CLEANER_VERSION, clean_expansion, judge_expansion, known_nouns, report_cleaning
from llmseg.cleaning_rules import RULES, CleaningLimits
from llmseg.errors import InputError
from llmseg.expansion import expand_from_library, expand_names
from llmseg.folding import fold
from llmseg.library import library_classes, library_index, library_names, load_library
from llmseg.names import parse_names
from tools.expansions.build import SOURCES, build, main, parse_source

DATA = Path(llmseg.__file__).parent / "data" / "expansions"
WORLD = "emoji"  # made by tools.world.make_data, with rules of its own
WRITTEN = [name for name in library_names() if name != WORLD]
# Number of classes, those without any kinds (background, residual), the first ids and the last.
OFFICIAL = {
    "voc21": (21, 1, "background aeroplane bicycle bird", "tvmonitor"),
    "context60": (60, 1, "background aeroplane bicycle bird", "wood"),
    "coco81": (81, 1, "background person bicycle car", "toothbrush"),
    "cocostuff171": (171, 17, "person bicycle car motorcycle", "wood"),
    "ade150": (150, 0, "wall building sky floor tree", "flag"),
    "cityscapes19": (19, 0, "road sidewalk building wall fence pole", "bicycle"),
}


def raw(name: str) -> dict[str, object]:
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", OFFICIAL)
def test_classes_of_the_data_set(name: str) -> None:
    count, kept_whole, first, last = OFFICIAL[name]
    ids = [entry["id"] for entry in raw(name)["classes"]]
    assert len(ids) == len(set(ids)) == count
    assert ids[: len(first.split())] == first.split()
    assert ids[-1] == last
    assert sum(entry.policy == "keep" for entry in library_classes(name).classes) == kept_whole


def test_everyday_objects_are_many() -> None:
    assert len(library_classes("everyday").classes) >= 300


@pytest.mark.parametrize("name", WRITTEN)
def test_rules_hold(name: str) -> None:
    library = load_library(name)
    assert clean_expansion(library) == library
    for entry in library.classes:
        role, phrases = entry.class_name.role, entry.kept
        assert len(phrases) == 0 or 2 <= len(phrases) <= (5 if role == "stuff" else 7)
        assert (entry.class_name.policy == "keep") == (role in ("background", "residual"))
        assert role in ("thing", "stuff") or not phrases
        assert all(text == text.lower() and text.isascii() for text in phrases)
        assert {phrase.source for phrase in entry.subclasses} <= {"library"}
        assert len(entry.class_name.sense.split()) <= 12
    assert sum(bool(entry.kept) for entry in library.classes) > 0.6 * len(library.classes)


@pytest.mark.parametrize("name", WRITTEN)
def test_the_strictest_cleaning_finds_nothing(name: str) -> None:
    library = load_library(name)
    assert clean_expansion(library, CleaningLimits(strict=True)) == library
    assert report_cleaning(library) == []


def test_the_strictest_cleaning_of_the_drawings() -> None:
    library = load_library(WORLD)
    # A "hot dog" beside a group of dogs, or an "astronaut", is what the drawing shows; no group has a number of its own.
    exempt = ("other_class_word", "stereotype", "count")
    assert (
        judge_expansion(library, [rule for rule in RULES if rule not in exempt], CleaningLimits(strict=True)) == library
    )


@pytest.mark.parametrize("name", WRITTEN)
def test_with_suffixes_the_same_is_shown(name: str) -> None:
    library = load_library(name)
    suffixed = clean_expansion(library, CleaningLimits(suffix=True, known=known_nouns([library])))
    assert [entry.kept for entry in suffixed.classes] == [entry.kept for entry in library.classes]
    read = [(entry.class_name.name, item) for entry in suffixed.classes for item in entry.subclasses if item.encoded]
    assert read
    assert all(item.encoded == f"{item.text} {owner}" for owner, item in read)


@pytest.mark.parametrize("name", WRITTEN)
def test_no_wording_of_two_classes(name: str) -> None:
    owners: dict[str, set[str]] = {}
    for entry in load_library(name).classes:
        for text in (entry.class_name.name, *entry.class_name.aliases, *entry.kept):
            owners.setdefault(fold(text), set()).add(entry.class_name.name)
    assert [owned for owned in owners.values() if len(owned) > 1] == []


@pytest.mark.parametrize("name", WRITTEN)
def test_every_id_finds_its_class(name: str) -> None:
    index = library_index(name)
    for position, entry in enumerate(raw(name)["classes"]):
        assert index[fold(entry["id"])] == index[fold(entry["name"])] == position


@pytest.mark.parametrize("name", WRITTEN)
def test_a_whole_vocabulary_loses_nothing(name: str) -> None:
    expanded = expand_from_library(library_classes(name), name)
    assert expanded.classes == load_library(name).classes


@pytest.mark.parametrize("name", OFFICIAL)
def test_ids_pasted_as_a_list_get_the_same_kinds(name: str) -> None:
    typed = ", ".join(entry["id"] for entry in raw(name)["classes"])
    expansion = expand_names(parse_names(typed))
    assert expansion.provenance == {"source": f"library {name}"}
    for ours, theirs in zip(expansion.classes, load_library(name).classes, strict=True):
        lost = set(theirs.kept) - set(ours.kept)
        # Who types ADE20K's "glass" for a drinking glass has a class of that name: no "glass door" beside it.
        assert all(name == "ade150" and "glass" in phrase for phrase in lost), (ours.class_name.name, lost)


@pytest.mark.parametrize(
    ("library", "name", "kind"),
    [
        ("voc21", "dog", "golden retriever"),
        ("voc21", "tv monitor", "computer monitor"),
        ("coco81", "hot dog", "corn dog"),
        ("coco81", "bear", "polar bear"),
        ("coco81", "truck", "pickup truck"),
        ("cityscapes19", "rider", "cyclist"),
        ("context60", "sky", "cloudy sky"),
        ("cocostuff171", "fence", "picket fence"),
        ("ade150", "drinking glass", "wine glass"),
        ("everyday", "hat", "cowboy hat"),
    ],
)
def test_kinds_by_hand(library: str, name: str, kind: str) -> None:
    entry = next(entry for entry in load_library(library).classes if entry.class_name.name == name)
    assert kind in entry.kept


def test_residual_classes_are_humanised_and_kept_whole() -> None:
    classes = {entry["id"]: entry for entry in raw("cocostuff171")["classes"]}
    residual = [identity for identity, entry in classes.items() if entry["role"] == "residual"]
    assert {identity.rpartition("-")[2] for identity in residual} == {"other", "stuff"}
    assert [classes[key]["name"] for key in ("wall-other", "desk-stuff", "wall-brick")] == [
        "wall",
        "desk",
        "brick wall",
    ]


def test_provenance() -> None:
    for name in WRITTEN:
        assert load_library(name).provenance == {
            "provider": "none",
            "author": "this project",
            "source": f"tools/expansions/{name}.txt",
            "command": "python -m tools.expansions.build",
            "cleaner_version": CLEANER_VERSION,
        }


def test_files_are_what_the_sources_give(tmp_path: Path) -> None:
    assert set(build(SOURCES, tmp_path)) == set(WRITTEN)
    for name in WRITTEN:
        assert (tmp_path / f"{name}.json").read_bytes() == (DATA / f"{name}.json").read_bytes()


def test_report_is_what_the_command_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output", str(tmp_path), "--report", str(tmp_path / "report.md")]) == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| voc21 | 21 | 20 | 0 | 1 | 0 | 20 | 135 | 135 |" in printed.splitlines()
    shipped = Path(llmseg.__file__).parents[1] / "benchmarks" / "results" / "expansions.md"
    assert printed == shipped.read_text(encoding="utf-8")


def test_what_the_rules_drop_is_not_shipped(tmp_path: Path) -> None:
    lines = "car | car | thing | | | sedan, vehicle, suv\ndog | dog | thing | | | poodle, car dog"
    (tmp_path / "voc21.txt").write_text(lines, encoding="utf-8")
    built = build(tmp_path, tmp_path / "out")["voc21"]
    reasons = Counter(phrase.reason for entry in built.classes for phrase in entry.subclasses)
    assert reasons == {"": 2, "hypernym": 1, "other_class_word": 1, "too_few": 1}
    classes = json.loads((tmp_path / "out" / "voc21.json").read_text(encoding="utf-8"))["classes"]
    assert [[phrase["text"] for phrase in entry["subclasses"]] for entry in classes] == [["sedan", "suv"], []]


def test_size_of_all_files() -> None:
    assert sum(path.stat().st_size for path in DATA.glob("*.json")) < 700_000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dog | dog | thing | |", "5 fields; expected 6: id | name | role | sense | aliases | subclasses."),
        ("| dog | thing | | |", "id '' and name 'dog'; expected text in both."),
        ("dog | dog | beast | | |", "role 'beast'; expected one of thing, stuff, background, residual."),
        ("dog | dog | thing | " + "so " * 13 + " | |", "a sense of 13 words; expected at most 12."),
        ("dog | dog | thing | | a, b, c, d, e |", "5 aliases; expected at most 4."),
        ("wall-other | wall | residual | | | brick wall, stone wall", "subclasses of a residual class; expected none."),
        ("dog | dog | thing | | | poodle", "1 subclasses of a thing; expected none, or 2 to 7."),
        ("sky | sky | stuff | | | a, b, c, d, e, f", "6 subclasses of a stuff; expected none, or 2 to 5."),
        ("cats | kitty | thing | | |", "'cats' stands in line 2 too; expected every wording in one line."),
        ("tom | tom | thing | | Cats |", "'Cats' stands in line 2 too; expected every wording in one line."),
        ("puss | tom | thing | | |", "the id is a name in line 2; expected no other class of that name."),
    ],
)
def test_source_that_cannot_be_read(line: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_source(f"# a remark\ncat | cat | thing | | puss |\n{line}\n", place="x.txt")
    assert str(caught.value) == f"x.txt, line 3: {message}"


def test_source_of_no_library(tmp_path: Path) -> None:
    (tmp_path / "zoo.txt").write_text("", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        build(tmp_path, tmp_path)
    assert str(caught.value) == "zoo.txt: 'zoo' is no library; expected one named in LIBRARY."
