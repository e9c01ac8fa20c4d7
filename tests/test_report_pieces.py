"""Pieces of a report's page: matrices, figures, contact sheets, sentences."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from report_maps import Maps

from llmseg.evaluation.columns import Column
from llmseg.evaluation.measures import Interval
from llmseg.evaluation.report.confusions import normalise_matrix, pick_confused
from llmseg.evaluation.report.digest import digest_results, find_confusions, find_movements
from llmseg.evaluation.report.findings import describe_findings
from llmseg.evaluation.report.markup import Cell, show_verdict, table
from llmseg.evaluation.report.plots import Difference, draw_differences, draw_matrix
from llmseg.evaluation.report.sheets import build_sheets
from llmseg.evaluation.results import Results
from llmseg.pipeline import SegmentOptions

MATRIX = torch.tensor([[6, 2, 0, 2], [0, 5, 5, 0], [0, 0, 0, 0]])


@pytest.fixture(scope="module")
def results() -> Results:
    return Maps().results()


def test_confusions_by_hand() -> None:
    found = find_confusions(MATRIX, ("cat", "dog", "cow"))
    assert list(found) == ["cat", "dog"], "a class that is nowhere is taken for nothing"
    assert found["cat"].recall == 0.6
    assert found["cat"].taken_for == (("dog", 0.2), ("", 0.2))
    assert found["dog"].taken_for == (("cow", 0.5),)


def test_movements_are_the_difference_of_the_matrices(results: Results) -> None:
    digest = digest_results(results)
    moved = find_movements(digest, most=9)
    names = [*digest.names, ""]
    for label, name in enumerate(digest.names):
        gained = (digest.columns[1].matrix - digest.columns[0].matrix)[label].tolist()
        true = int(digest.columns[0].matrix[label].sum())
        wanted = {names[i]: gained[i] / true for i in range(6) if i != label and gained[i] > 0}
        assert dict(moved[name]) == pytest.approx(wanted)
        assert [share for _, share in moved[name]] == sorted(wanted.values(), reverse=True)


def test_a_matrix_is_normalised_by_its_rows() -> None:
    shares, rows, columns = normalise_matrix(MATRIX, ("cat", "dog", "cow"), [0, 1])
    assert (rows, columns) == (["cat", "dog"], ["cat", "dog", "other classes", "unknown"])
    assert shares == [[0.6, 0.2, 0.0, 0.2], [0.0, 0.5, 0.5, 0.0]]


def test_the_classes_confused_most_are_picked() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randint(1, 99, (30, 31), generator=generator) for _ in range(2))
    one[7] = other[7] = 0  # never true
    wrong = torch.zeros(30, dtype=torch.float64)
    for matrix in (one, other):
        for row in range(30):
            for column in range(31):
                if row != column:
                    share = matrix[row, column].double() / matrix.sum()
                    wrong[row] += share
                    if column < 30:
                        wrong[column] += share
    wrong[7] = -1
    assert pick_confused([one, other]) == sorted(wrong.argsort(descending=True)[:20].tolist())
    assert pick_confused([MATRIX]) == [0, 1]


def test_image_measures_of_a_digest(results: Results) -> None:
    from llmseg.evaluation.measures import mean_iou

    for column, counted in zip(digest_results(results).columns, results.columns, strict=True):
        assert column.image_miou == pytest.approx([mean_iou(each.matrix) for each in counted.counts])
        assert torch.equal(column.matrix, sum(each.matrix for each in counted.counts))


def test_the_column_looked_at_closely_is_no_control(results: Results) -> None:
    renamed = replace(results.columns[1], column=Column("kinds", "shuffled"))
    assert digest_results(results).best == 1
    assert digest_results(replace(results, columns=(*results.columns[:1], *results.columns[:0:-1]))).best == 2
    assert digest_results(replace(results, columns=(results.columns[0], renamed))).best == 1, "there is no other"
    assert digest_results(replace(results, columns=results.columns[:1])).best == 0


def test_a_placebo_as_good_is_said(results: Results) -> None:
    names, kinds, placebo = results.columns
    swapped = replace(results, columns=(names, replace(kinds, counts=placebo.counts), placebo))
    told = " ".join(describe_findings(digest_results(swapped)))
    assert "It is not better than its placebo “placebo <i>”" in told
    assert "comes from having several phrases, not from what they say" in told
    better = replace(results, columns=(names, kinds, replace(placebo, counts=kinds.counts)))
    assert "It is not better than its placebo" in " ".join(describe_findings(digest_results(better)))
    worse = replace(
        results, columns=(names, replace(kinds, counts=placebo.counts), replace(placebo, counts=kinds.counts))
    )
    assert "It is worse than its placebo" in " ".join(describe_findings(digest_results(worse)))


def test_no_placebo_is_said(results: Results) -> None:
    told = " ".join(describe_findings(digest_results(replace(results, columns=results.columns[:2]))))
    assert "No placebo of it was run" in told


def test_a_column_under_other_settings_is_held_against_its_own_names(results: Results) -> None:
    other = SegmentOptions(templates="short7")
    names, kinds, placebo = results.columns
    plain = replace(placebo, column=Column("names, short7", "off", options=other))
    changed = replace(kinds, column=replace(kinds.column, options=other))
    told = " ".join(describe_findings(digest_results(replace(results, columns=(names, changed, plain)))))
    assert "Against class names alone under the same settings (“names, short7”): +" in told


def test_a_column_that_hurts_is_named(results: Results) -> None:
    names, kinds, placebo = results.columns
    told = " ".join(describe_findings(digest_results(replace(results, columns=(kinds, names, placebo)))))
    assert "is worse than the baseline “kinds”" in told
    assert "Worse than the baseline: “placebo <i>” (" in told or "Worse than the baseline: “names” (" in told


def test_a_figure_is_one_element_with_every_name_as_text() -> None:
    hostile = ["$x^2$ & <g>", 'id="a" url(#b) #010105', "犬 \U0001f415", "x" * 90]
    lines = [Difference(name, Interval(n / 10, -0.1, 0.4), "neutral") for n, name in enumerate(hostile)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # letters that the font lacks are nobody's business
        svg = draw_differences(lines, 'what "it" <shows>', "one")
    root = ElementTree.fromstring(svg.replace("xlink:href", "href"))
    texts = [each.text for each in root.iter("text")]
    assert set(hostile[:3]) <= set(texts)
    assert "xxxxxxxxxxxxxxx…xxxxxxxxxxxxxx" in texts
    assert root.get("aria-label") == 'what "it" <shows>'
    assert "+20.0  [\u221210.0, +40.0]" in texts
    assert draw_differences(lines, 'what "it" <shows>', "one") == svg
    assert all(each.get("id").startswith("one-") for each in root.iter() if each.get("id"))


def test_figures_on_one_page_share_no_identifier() -> None:
    line = [Difference("dog", Interval(0.1, 0.0, 0.2), "helps")]
    ids = [
        {each.get("id") for each in ElementTree.fromstring(svg.replace("xlink:href", "href")).iter() if each.get("id")}
        for svg in (draw_differences(line, "a", "one"), draw_differences(line, "a", "two"))
    ]
    assert len(ids[0]) == len(ids[1]) > 5
    assert ids[0].isdisjoint(ids[1])


def test_a_matrix_shows_shares_where_there_are_any() -> None:
    svg = draw_matrix([[0.6, 0.4], [0.001, 0.999]], ["cat", "dog"], ["cat", "dog"], "d", "k")
    texts = [each.text for each in ElementTree.fromstring(svg.replace("xlink:href", "href")).iter("text")]
    assert [text for text in texts if text and text.isdigit()] == ["60", "40", "100"]
    assert sorted(texts)[-6:] == ["cat", "cat", "dog", "dog", "found as", "true class"]


def test_sheets_show_what_changed_most_and_what_went_worst() -> None:
    maps = Maps(images=30)
    digest = digest_results(maps.results())
    before, after = (digest.columns[n].image_miou for n in (0, 1))
    sheets = {
        sheet.title: [maps.samples.index(each.sample) for each in sheet.images] for sheet in build_sheets(digest, maps)
    }
    order = sorted(range(30), key=lambda n: before[n] - after[n])
    assert sheets["Gained most"] == order[:4]
    assert sheets["Worst"] == sorted(range(30), key=lambda n: after[n])[:4]
    assert sheets["Best"] == sorted(range(30), key=lambda n: -after[n])[:4]
    assert "Lost most" not in sheets, "none lost"


def test_a_sheet_shows_the_classes_in_the_colours_of_its_legend() -> None:
    from PIL import Image

    class Red(Maps):
        def image(self, sample: str) -> Any:
            return np.full((20, 30, 3), (255, 0, 0), np.uint8)

    maps = Red(("road", "sky", "tree", "dog"))
    for sample in maps.samples:
        maps.truths[sample] = torch.ones(20, 30, dtype=torch.int64)
    shown = build_sheets(digest_results(maps.results()), maps)[0].images[0]
    assert [title for title, _ in shown.panels] == ["picture", "truth", "names", "kinds"]
    picture, truth = (np.asarray(Image.open(io.BytesIO(shown.panels[n][1]))).astype(float) for n in (0, 1))
    assert picture.shape == (shown.size[1], shown.size[0], 3) == (140, 210, 3), "small pictures are made larger"
    assert np.abs(picture.mean((0, 1)) - (255, 0, 0)).max() < 3
    name, colour = shown.legend[0]
    assert name == "sky"
    assert np.abs(truth.mean((0, 1)) - (0.7 * np.array(colour) + 0.3 * 85)).max() < 4, "over grey, not over red"


def test_labels_of_another_data_set_are_said_and_not_drawn() -> None:
    maps = Maps(("road", "sky", "tree", "dog"))
    digest = digest_results(maps.results())
    for sample in maps.samples:
        maps.truths[sample] = torch.full((20, 30), 9)
    maps.names = tuple(map(str, range(10)))
    sheets = build_sheets(digest, maps)
    problems = {each.problem for sheet in sheets for each in sheet.images}
    assert problems == {"truth: labels up to 9; expected below 4."}


def test_a_table_says_what_its_columns_are_sorted_by() -> None:
    rows = [[Cell("<b>a</b>", 'x"<'), Cell.percent(0.5)], [Cell("b", "y"), Cell.percent(float("nan"))]]
    text = table(["na<me", "IoU"], rows, "cap<tion")
    assert '<th scope="row" data-value="x&quot;&lt;"><b>a</b></th><td data-value="0.5">50.0</td>' in text
    assert '<td data-value="">–</td>' in text
    assert "na&lt;me" in text
    assert "cap&lt;tion" in text


@pytest.mark.parametrize(("verdict", "sign"), [("helps", "▲"), ("hurts", "▼"), ("neutral", "●")])
def test_a_verdict_is_a_sign_and_a_word(verdict: str, sign: str) -> None:
    assert sign in show_verdict(verdict)
    assert f"{verdict}</span>" in show_verdict(verdict)
    assert f"({verdict})" in show_verdict(verdict, "+1.0")


def test_a_column_tells_how_it_is_unlike_the_baseline(results: Results) -> None:
    from llmseg.evaluation.report.overview import write_overview

    options = SegmentOptions(attention="naclip", custom_templates="a photo of a {}.\n" * 9)
    names, kinds, _ = results.columns
    changed = replace(kinds, column=replace(kinds.column, options=options, count=3))
    page = write_overview(digest_results(replace(results, columns=(names, changed))), plots=False)
    told = "expansion auto, 3 a class, custom_templates a photo of a {}. a photo of"
    assert told in page
    assert len(page.split("custom_templates ")[1].split(",")[0]) <= 60, "long options are cut"
    assert ", attention naclip</small>" in page
