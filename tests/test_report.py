"""The page of a report: all that it says is measured, none of it can be more than text, and it needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from report_maps import HOSTILE, Maps

from llmseg.errors import InputError
from llmseg.evaluation.counting import measure_counts
from llmseg.evaluation.report import write_report
from llmseg.evaluation.verdicts import judge_column
from llmseg.types import UNKNOWN

VOID = {"meta", "img", "br", "link", "input", "hr"}
FILES = ["report.html", "report.md", "columns.csv", "classes.csv", "images.csv", "confusion.csv", "phrases.csv"]


class Page(HTMLParser):
    """Reads a page, refuses one whose elements do not nest, and keeps what a test asks for."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), tag
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self.open or "style" in self.open:
            return
        self.words.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def maps() -> Maps:
    return Maps()


@pytest.fixture(scope="module")
def folder(maps: Maps, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "new"
    written = write_report(maps.results(command="run --it <now>"), folder, maps)
    assert [path.name for path in written] == FILES
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES), "and no temporary file"
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def percent(number: float) -> str:
    return f"{100 * number:.1f}"


def signed(number: float) -> str:
    return f"{100 * number:+.1f}".replace("-", "\u2212")


def test_every_column_has_its_measures_and_its_verdict(page: Page, maps: Maps) -> None:
    results = maps.results()
    rows = [row for row in page.rows if len(row) == 11][1:]
    assert len(rows) == 3
    for number, (row, column) in enumerate(zip(rows, results.columns, strict=True)):
        measures = measure_counts(column.counts)
        assert row[0].startswith(column.column.name)
        assert row[1] == percent(measures.miou)
        assert row[5:7] == [percent(measures.accuracy), percent(measures.boundary_miou)]
        assert row[7:10] == ["–" if share != share else percent(share) for share in measures.by_size.values()]
        if number:
            overall, *each = judge_column(results, number)
            assert row[2] == signed(overall.difference.value)
            assert row[3] == f"{signed(overall.difference.low)} to {signed(overall.difference.high)}"
            assert row[4].split()[1] == overall.verdict
            counted = [sum(one.verdict == verdict for one in each) for verdict in ("helps", "hurts")]
            assert row[10] == "{} / {}".format(*counted)
        else:
            assert row[2:5] == ["", "", "baseline"]


def test_every_class_has_its_iou_and_its_verdict_under_every_column(page: Page, maps: Maps) -> None:
    results = maps.results()
    first = next(n for n, row in enumerate(page.rows) if row[:2] == ["class", "share of pixels"])
    rows = {row[0]: row for row in page.rows[first + 1 : first + 6]}
    for number, column in enumerate(results.columns):
        measures = measure_counts(column.counts)
        judged = {each.name: each for each in judge_column(results, number)[1:]} if number else {}
        for label, name in enumerate(HOSTILE):
            cell = rows[name.replace("\u202e", "")][2 + number]
            if name == "nowhere":
                assert cell == "–"
                continue
            assert cell.split()[0] == percent(measures.iou[label])
            if number:
                verdict = judged[name]
                assert cell.split()[-1] == f"({verdict.verdict})"
                assert signed(verdict.difference.value) in cell


def test_findings_say_what_the_numbers_say(page: Page, maps: Maps) -> None:
    text = " ".join(page.words).replace("\xa0", " ")
    results = maps.results()
    overall, *each = judge_column(results, 1)
    assert overall.verdict == "helps", "or the maps are no good for this test"
    best, base = (percent(measure_counts(results.columns[n].counts).miou) for n in (1, 0))
    assert f"“kinds” reaches a mean IoU of {best} % and is better than the baseline “names” with {base} %" in text
    assert f"It helps {sum(one.verdict == 'helps' for one in each)} of 4 classes" in text
    against = judge_column(results, 1, baseline=2)[0]
    assert (
        f"better than its placebo “placebo <i>”, as many phrases that say nothing: {signed(against.difference.value)}"
        in text
    )


def test_names_are_text_and_nothing_else(page: Page, folder: Path) -> None:
    raw = (folder / "report.html").read_text(encoding="utf-8")
    text = " ".join(page.words)
    assert "<script>alert(1)" not in raw
    assert "<script>alert(1)</script>" in text
    assert "run --it <now>" in text
    assert "<b>bold</b>" in text
    assert "street/<0>" in text
    assert len(page.named("script")) == 1
    assert page.named("i") == [each for each in page.named("i") if set(each) <= {"style"}]
    assert page.named("b") == [each for each in page.named("b") if not each]
    assert "\u202e" not in raw, "a name does not turn the rest of its line round"
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_only_the_own_script_may_run_and_nothing_is_fetched(page: Page, folder: Path) -> None:
    raw = (folder / "report.html").read_text(encoding="utf-8")
    policy = next(each["content"] for each in page.named("meta") if "http-equiv" in each)
    script = re.search(r"<script>(.*?)</script></body>", raw, re.DOTALL)
    assert script is not None
    own = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{own}'"
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/jpeg;base64,")), (tag, value)
    assert not re.search(r"url\((?!#)|@import|https?:|//[a-z]", re.sub(r"base64,[^\"]*", "", raw).split("</style>")[0])


def test_anchors_lead_somewhere_and_no_identifier_stands_twice(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [str(each["href"]) for each in page.named("a")]
    assert links == [f"#{key}" for key in ("summary", "classes", "confusions", "images", "phrases", "notes")]
    targets = [attributes.get(name) for _, attributes in page.tags for name in ("href", "xlink:href")]
    assert {str(target)[1:] for target in targets if target} <= set(ids)
    clips = {str(attributes.get("clip-path"))[5:-1] for _, attributes in page.tags if attributes.get("clip-path")}
    assert clips <= set(ids)


def test_figures_and_pictures_say_what_they_show(page: Page) -> None:
    figures = [each for each in page.named("svg") if each.get("role") == "img"]
    assert len(figures) == len(page.named("svg")) == 4
    assert all(each["aria-label"] for each in figures)
    pictures = page.named("img")
    assert len(pictures) == 6 * 4, "few images are not shown twice"
    assert all(each["alt"] and each["width"] and each["height"] for each in pictures)


def test_figures_take_their_colours_from_the_page(folder: Path) -> None:
    raw = (folder / "report.html").read_text(encoding="utf-8")
    figures = re.findall(r"<svg.*?</svg>", raw, re.DOTALL)
    for figure in figures:
        assert set(re.findall(r"var\(--([a-z]+)\)", figure)) <= {
            "ink", "muted", "rule", "accent", "paper", "helps", "hurts", "neutral",
        }  # fmt: skip
        assert not re.search(r'style="[^"]*#[0-9a-f]{6}', figure)
        assert "font-family" not in figure
    assert all(f"--{name}:" in raw for name in ("ink", "rule", "helps", "hurts", "neutral"))


def test_the_same_results_give_the_same_bytes(maps: Maps, folder: Path, tmp_path: Path) -> None:
    for path in write_report(maps.results(command="run --it <now>"), tmp_path, maps):
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_without_matplotlib_there_is_all_but_the_figures(
    maps: Maps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    write_report(maps.results(), tmp_path, maps)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.named("svg") == []
    assert "pip install llmseg[report]" in page.words
    assert len(page.named("table")) == 4
    assert len(page.named("img")) == 24


def test_plots_leave_matplotlib_as_it_was(maps: Maps, tmp_path: Path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    sys.modules.pop("matplotlib.pyplot", None)
    write_report(maps.results(), tmp_path)
    assert dict(mpl.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules


def test_one_column_is_reported_without_comparisons(maps: Maps, tmp_path: Path) -> None:
    write_report(maps.results(1), tmp_path, maps)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    text = " ".join(page.words)
    assert "It is the only column, so nothing is compared." in text
    assert "Gained most" not in text
    assert len(page.named("img")) == 6 * 3
    assert len(page.named("svg")) == 1, "its matrix"


def test_one_image_says_that_its_intervals_mean_nothing(tmp_path: Path) -> None:
    maps = Maps(("road", "sky", "tree", "dog"), images=1)
    write_report(maps.results(), tmp_path, maps)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "There is one image only" in " ".join(page.words)
    assert len(page.named("img")) == 4


def test_images_of_which_nothing_counts(tmp_path: Path) -> None:
    maps = Maps(("road", "sky", "tree", "dog"), images=2)
    for sample in maps.samples:
        maps.truths[sample].fill_(UNKNOWN)
    for path in write_report(maps.results(), tmp_path, maps):
        assert "nan" not in path.read_text(encoding="utf-8"), path.name


def test_an_image_that_cannot_be_read_any_more_says_so(maps: Maps, tmp_path: Path) -> None:
    class Gone(Maps):
        def image(self, sample: str) -> Any:
            raise InputError(f"cannot read '{sample}'; expected a picture.", place="image")

    write_report(maps.results(), tmp_path, Gone())
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.named("img") == []
    assert "No picture: image: cannot read 'street/<0>'; expected a picture." in "".join(page.words)


@pytest.mark.parametrize(("columns", "images"), [(0, 2), (1, 0)])
def test_nothing_to_report(columns: int, images: int, tmp_path: Path) -> None:
    results = Maps(images=images).results(columns)
    with pytest.raises(InputError) as caught:
        write_report(results, tmp_path)
    assert str(caught.value) == f"results: {columns} columns of {images} images; expected at least one of each."
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(maps: Maps, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="expected a writable folder"):
        write_report(maps.results(), tmp_path / "file")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_a_page_of_many_classes_and_large_pictures_stays_small(tmp_path: Path) -> None:
    from PIL import Image

    names = tuple(f"class {n} with a rather long name" for n in range(60))

    class Large(Maps):
        def image(self, sample: str) -> Any:
            generator = torch.Generator().manual_seed(self.samples.index(sample))
            return torch.randint(256, (600, 900, 3), generator=generator, dtype=torch.uint8).numpy()

    maps = Large(names, images=20)
    write_report(maps.results(), tmp_path, maps)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(page) < 5e6, "even of noise, which compresses worst"
    pictures = re.findall(r'base64,([^"]*)"', page)
    assert len(pictures) == 12 * 4, "no image lost anything"
    sizes = {Image.open(io.BytesIO(base64.b64decode(each))).size for each in pictures}
    assert sizes == {(320, 213)}
