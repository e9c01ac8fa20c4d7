"""Columns as they are typed: the grid, columns written out, presets, and everything that is wrong at once."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from llmseg.errors import InputError
from llmseg.evaluation.columns import Column
from llmseg.evaluation.grid import MOST_COLUMNS, Asked, read_columns
from llmseg.evaluation.inputs import INPUTS, change_column, read_input
from llmseg.evaluation.presets import PRESETS
from llmseg.options import MODE, PRESET, TEMPLATES, Choice
from llmseg.pipeline import SegmentOptions

BASE = Column("base")


def refusal(*, usual: tuple[str, ...] = (), **asked: object) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_columns(BASE, Asked(**asked), usual)  # type: ignore[arg-type]
    return str(caught.value).splitlines()


def test_every_field_of_a_column_is_an_input() -> None:
    own = {each.name for each in fields(SegmentOptions)} | {"expansion", "count", "seed"}
    assert set(INPUTS) == own


def test_the_grid_is_every_choice() -> None:
    columns = read_columns(BASE, Asked(varied=["mode=max,blend", "count=0,3,all"]))
    assert [(c.options.mode, c.count) for c in columns] == [
        ("max", 0), ("max", 3), ("max", None), ("blend", 0), ("blend", 3), ("blend", None),
    ]  # fmt: skip
    assert columns[1].name == "mode=max count=3"
    assert columns[1] == replace(BASE, name="mode=max count=3", count=3, options=SegmentOptions(mode="max"))


def test_columns_written_out() -> None:
    written = [
        "both: expansion=voc21 include_names=yes temperature=0.5",
        r"from a file : expansion='C:\my lists\dogs.json' window=64 negatives='sky, wall'",
    ]
    both, file = read_columns(BASE, Asked(written=written))
    assert (both.name, both.expansion) == ("both", "voc21")
    assert both.options == SegmentOptions(include_names="yes", temperature=0.5)
    assert (file.name, file.expansion) == ("from a file", r"C:\my lists\dogs.json")
    assert file.options == SegmentOptions(window=64, negatives="sky, wall")
    assert type(file.options.window) is int


def test_settings_of_all_columns() -> None:
    columns = read_columns(BASE, Asked(given=["mode=lme", "refiner=none"], varied=["expansion=off,placebo:voc21"]))
    assert [column.expansion for column in columns] == ["off", "placebo:voc21"]
    assert {column.options for column in columns} == {SegmentOptions(mode="lme", refiner="none")}


def test_a_setting_may_have_several_lines() -> None:
    given = ["templates=custom", "custom_templates=a {}.\nthe {}."]
    columns = read_columns(BASE, Asked(given=given, varied=["expansion=off,auto"]))
    assert {column.options.custom_templates for column in columns} == {"a {}.\nthe {}."}


def test_an_input_that_stands_twice() -> None:
    expected = "--vary: 'mode' stands twice; expected every input once, as mode=A,B."
    assert refusal(varied=["mode=max", "mode=blend"]) == [expected]
    assert refusal(written=["x: mode=max mode=blend"]) == ["x: 'mode' stands twice; expected every input once."]


def test_where_nobody_asks() -> None:
    assert [column.expansion for column in read_columns(BASE, Asked())] == ["off", "auto", "placebo", "shuffled"]
    listed = replace(BASE, expansion="voc21")
    expansions = [column.expansion for column in read_columns(listed, Asked())]
    assert expansions == ["off", "voc21", "placebo:voc21", "shuffled:voc21"]
    assert [column.name for column in read_columns(BASE, Asked(), ("published", "auto"))] == ["published", "auto"]


@pytest.mark.parametrize(
    ("asked", "problems"),
    [
        ({"varied": ["mode"]}, ["--vary: 'mode'; expected INPUT=VALUE,VALUE."]),
        (
            {"varied": ["mod=max"]},
            ["--vary: unknown name 'mod'; expected one of 23 names. Did you mean 'mode'?"],
        ),
        (
            {"varied": ["count=0,21", "mode=max,maxx"], "written": ["a: window=1.5", "a b"]},
            [
                "count: '21'; expected a whole number from 0 to 20.",
                "mode: unknown name 'maxx'; expected one of auto, off, paper, blend, lme, topk, max, softmax_max, "
                "softmax_sum, chils, vote. Did you mean 'max'?",
                "a: window: '1.5'; expected a whole number from 0 to 4096, or auto.",
                "--column: 'a b'; expected 'NAME: INPUT=VALUE ...'.",
            ],
        ),
        ({"varied": ["threshold=nan"]}, ["threshold: 'nan'; expected a number from 0 to 1."]),
        ({"varied": ["temperature=-0.5"]}, ["temperature: '-0.5'; expected a number from 0 to 10, or auto."]),
        ({"written": ["a: mode=max", "a:"]}, ["columns: 'a' stands twice; expected every name once."]),
        ({"written": ["a: mode='max"]}, ['--column: "a: mode=\'max": No closing quotation; expected closed quotes.']),
        ({"given": ["nonsense"]}, ["--set: 'nonsense'; expected INPUT=VALUE."]),
        (
            {"presets": ["papr"]},
            ["preset: unknown name 'papr'; expected one of paper, expansion. Did you mean 'paper'?"],
        ),
        (
            {"varied": ["attention=proxyclip", "refiner=regions"]},
            [
                "attention=proxyclip refiner=regions: 'proxyclip' needs a backbone; expected --backbone FILE too.",
                "attention=proxyclip refiner=regions: 'regions' needs masks, which no data set has; expected another one.",
            ],
        ),
        (
            {"varied": [f"{name}={','.join(map(str, range(size)))}" for name, size in (("count", 21), ("seed", 99))]},
            [f"--vary: {21 * 99} columns; expected at most {MOST_COLUMNS}."],
        ),
    ],
)
def test_everything_that_is_wrong_is_told(asked: dict[str, list[str]], problems: list[str]) -> None:
    assert refusal(**asked) == problems


def test_a_backbone_allows_what_needs_one() -> None:
    columns = read_columns(BASE, Asked(varied=["attention=proxyclip"], has_backbone=True))
    assert columns[0].options.attention == "proxyclip"


@pytest.mark.parametrize(("name", "table"), [(n, t) for n, t in INPUTS.items() if isinstance(t, Choice)])
def test_every_choice_can_be_typed(name: str, table: Choice) -> None:
    assert [read_input(name, choice) for choice in table.choices] == table.choices


def test_numbers_keep_their_kind() -> None:
    assert [read_input(name, "auto") for name in ("window", "temperature")] == [-1, -1]
    assert type(read_input("window", "-1")) is int
    assert read_input("count", "all") is None
    assert change_column(BASE, "x", {"min_area": "1e-3"}).options.min_area == 0.001


def test_presets_are_those_of_the_table() -> None:
    assert set(PRESETS) == set(PRESET.names)


def test_the_papers_ablations() -> None:
    columns = {column.name: column for column in PRESETS["paper"](BASE)}
    assert len(columns) == len(PRESETS["paper"](BASE))
    assert next(iter(columns)) == "superclass only"
    assert columns["superclass only"].expansion == "off"
    assert columns["subclasses only"].options.include_names == "no"
    assert columns["both"].options.include_names == "yes"
    counts = [column.count for name, column in columns.items() if name.startswith("number of subclasses")]
    assert counts == [0, 1, 2, 3, 5, 7, 10, 15, 20]
    assert {c.options.mode for c in columns.values()} == {"auto", *MODE.names}
    assert {c.options.templates for c in columns.values()} == {"auto", *TEMPLATES.names} - {"custom"}
    assert {"placebo", "shuffled"} <= {c.expansion for c in columns.values()}
