"""The numbers of a report for programs and as text: read back, they are what was measured."""

from __future__ import annotations

import csv
import html
import re
from pathlib import Path

import pytest
from report_maps import HOSTILE, Maps

from llmseg.evaluation.counting import BUCKETS, measure_counts
from llmseg.evaluation.measures import mean_iou
from llmseg.evaluation.report import write_report
from llmseg.evaluation.report.wording import escape_markdown, guard_cell, percent, points, shorten
from llmseg.evaluation.results import Results
from llmseg.evaluation.verdicts import judge_column

GUARDED = dict(zip(HOSTILE, [*HOSTILE[:2], "'=1+1", *HOSTILE[3:]], strict=True))


@pytest.fixture(scope="module")
def results() -> Results:
    return Maps().results()


@pytest.fixture(scope="module")
def folder(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(results, folder)
    return folder


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def six(number: float) -> str:
    return "" if number != number else f"{number:.6f}"


def test_a_line_for_each_column(folder: Path, results: Results) -> None:
    rows = read(folder / "columns.csv")
    assert [row["column"] for row in rows] == ["names", "kinds", "placebo <i>"]
    assert [row["expansion"] for row in rows] == ["off", "auto", "placebo"]
    for number, (row, column) in enumerate(zip(rows, results.columns, strict=True)):
        measures = measure_counts(column.counts)
        assert row["miou"] == six(measures.miou)
        assert row["accuracy"] == six(measures.accuracy)
        assert row["boundary_miou"] == six(measures.boundary_miou)
        assert [row[f"miou_{name}"] for name in BUCKETS] == [six(measures.by_size[name]) for name in BUCKETS]
        if number:
            overall, *each = judge_column(results, number)
            assert [row["difference"], row["low"], row["high"]] == [six(end) for end in overall.difference]
            assert row["verdict"] == overall.verdict
            counts = [int(row[f"classes_{verdict}"]) for verdict in ("helps", "hurts", "neutral")]
            assert counts[0] == sum(one.verdict == "helps" for one in each)
            assert sum(counts) == len(each) == 4
        else:
            assert {row[name] for name in ("difference", "low", "high", "verdict", "classes_helps")} == {""}


def test_a_line_for_each_class_under_each_column(folder: Path, results: Results) -> None:
    rows = {(row["column"], row["class"]): row for row in read(folder / "classes.csv")}
    assert len(rows) == 3 * 5
    total = sum(each.matrix for each in results.columns[0].counts)
    for number, column in enumerate(results.columns):
        measures = measure_counts(column.counts)
        judged = {each.name: each for each in judge_column(results, number)[1:]} if number else {}
        for label, name in enumerate(HOSTILE):
            row = rows[column.column.name, GUARDED[name]]
            assert row["iou"] == six(measures.iou[label])
            assert row["boundary_iou"] == six(measures.boundary_iou[label])
            assert row["share"] == six(float(total[label].sum() / total.sum()))
            verdict = judged.get(name)
            assert row["verdict"] == (verdict.verdict if verdict else "")
            assert row["high"] == (six(verdict.difference.high) if verdict else "")
    assert rows["kinds", "nowhere"]["iou"] == ""


def test_a_line_for_each_image_under_each_column(folder: Path, results: Results) -> None:
    rows = read(folder / "images.csv")
    wanted = [
        (column.column.name, sample, six(mean_iou(counts.matrix)))
        for column in results.columns
        for sample, counts in zip(results.samples, column.counts, strict=True)
    ]
    assert [tuple(row.values()) for row in rows] == wanted


def test_every_pixel_is_in_the_confusion_table(folder: Path, results: Results) -> None:
    rows = read(folder / "confusion.csv")
    names = [*GUARDED.values(), ""]
    for column in results.columns:
        total = sum(each.matrix for each in column.counts)
        listed = {
            (names.index(row["truth"]), names.index(row["found"])): int(row["pixels"])
            for row in rows
            if row["column"] == column.column.name
        }
        assert listed == {(i, j): int(total[i, j]) for i, j in total.nonzero().tolist()}
        assert any(found == 5 for _, found in listed), "some pixels are left unknown"


def test_phrases_and_the_pixels_that_they_won(folder: Path) -> None:
    rows = [tuple(row.values()) for row in read(folder / "phrases.csv") if row["column"] == "kinds"]
    assert rows == [
        ("kinds", HOSTILE[0], "<b>bold</b>", "70"),
        ("kinds", HOSTILE[0], HOSTILE[0], "30"),
        ("kinds", "'=1+1", "'@cmd", "5"),
    ]


def test_no_cell_is_a_formula(folder: Path) -> None:
    for path in folder.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        bad = [cell for cell in cells if cell[:1] in set("=+@\t\r") or re.match(r"-(?![0-9.]+$)", cell)]
        assert bad == [], path.name


def test_tables_as_text_have_one_cell_for_each_name(folder: Path, results: Results) -> None:
    text = (folder / "report.md").read_text(encoding="utf-8")
    start = text.splitlines().index("## Classes") + 2
    lines = text.splitlines()[start : start + 7]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert [len(row) for row in cells] == [5] * 7
    shown = [html.unescape(re.sub(r"\\(.)", r"\1", row[0].strip())) for row in cells[2:]]
    assert shown == [name.replace("\u202e", "") for name in HOSTILE]
    measures = measure_counts(results.columns[0].counts)
    assert [row[2].strip() for row in cells[2:]] == [percent(each) for each in measures.iou]
    assert "<script" not in text
    assert "<b>" not in text


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.031, "+3.1"), (-0.031, "\u22123.1"), (0.0001, "0.0"), (-0.0001, "0.0"), (float("nan"), "–")],
)
def test_differences_have_a_sign(value: float, told: str) -> None:
    assert points(value) == told


@pytest.mark.parametrize("value", ["=1", "+1", "-1", "@x", "\tx", "\rx", "\nx"])
def test_names_that_a_spreadsheet_would_compute(value: str) -> None:
    assert guard_cell(value) == "'" + value
    assert guard_cell("a" + value) == "a" + value


def test_markdown_keeps_a_name_in_its_line() -> None:
    assert escape_markdown("a\n# b\r|c <i> [x](y)") == r"a \# b \|c &lt;i&gt; \[x\](y)"


@pytest.mark.parametrize(
    ("text", "longest", "shown"), [("abcdef", 6, "abcdef"), ("abcdefg", 6, "abc…fg"), ("ab", 1, "…")]
)
def test_long_names_keep_both_ends(text: str, longest: int, shown: str) -> None:
    assert shorten(text, longest) == shown
