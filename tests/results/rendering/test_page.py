"""The report's page and plots: whole, self-contained, the same every time."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mlrc.results.boards.leaderboard import Board, boards
from mlrc.results.records.record import UNTRAINED
from mlrc.results.rendering.matrix import comparisons
from mlrc.results.rendering.page import page
from mlrc.results.rendering.plots import plots
from mlrc.results.rendering.report import write_report
from tests.results.rendering.conftest import gallery
from tests.results.studies import make

VOID = {"meta", "img", "input", "br", "link", "wbr"}


class _Elements(HTMLParser):
    """Checks that every element is closed where it must be, and keeps all addresses and ids."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_loads_nothing(html: str) -> None:
    elements = _Elements()
    elements.feed(html)
    assert elements.open == []
    assert all(re.match(r"data:image/|#", address) for address in elements.addresses)
    assert {address[1:] for address in elements.addresses if address.startswith("#")} == set(elements.ids)
    assert {"glyphs-d0d0d0d0d0d0--triplet", "glyphs-d0d0d0d0d0d0--untrained"} <= set(elements.ids)
    assert len(elements.ids) == len(set(elements.ids))
    assert "default-src 'none'" in html


def test_what_columns_are_sorted_by_has_no_digits_that_depend_on_the_number_of_threads(html: str) -> None:
    values = re.findall(r'data-value="([^"]+)"', html)
    assert values
    assert max(len(re.sub(r"e.*|\D", "", value)) for value in values) <= 10  # leading zeros, and six digits
    assert all(float(value) == float(f"{float(value):.6g}") for value in values)


def test_of_the_galleries_the_first_losss_is_open() -> None:
    (board,) = boards((study := make({"triplet": 60.0, "contrastive": 40.0})).records, study.per_class)
    galleries = [replace(gallery("glyphs"), loss=loss) for loss in ("contrastive", "contrastive", "triplet")]
    text = page([board], {}, [*galleries, replace(gallery("glyphs"), digest="another")])
    assert re.findall(r"<details( open)?><summary>(contrastive|triplet)", text) == [
        (" open", "contrastive"),
        ("", "triplet"),
    ]
    assert text.count('<div class="query">') == 3


def test_names_cannot_break_the_page() -> None:
    study = make({"<script>alert(1)</script>": 50.0, "b&b": 40.0}, dataset='"><b>', protocol="quick&co")
    found = boards(study.records, study.per_class)
    text = page(found, {})
    elements = _Elements()
    elements.feed(text)
    assert elements.open == []
    assert text.count("<script>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_a_report_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    runs = make({"triplet": 60.0, "contrastive": 40.0}).write(tmp_path / "runs")
    first, second = (write_report(runs, tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in first] == [path.name for path in second]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_a_report_holds_tables_page_and_plots_in_two_formats(tmp_path: Path) -> None:
    runs = make({"triplet": 60.0, "contrastive": 40.0}).write(tmp_path / "runs")
    names = {path.relative_to(tmp_path / "out").as_posix() for path in write_report(runs, tmp_path / "out")}
    assert {"leaderboard.csv", "comparisons.csv", "cost.csv", "table.md", "table.tex", "report.html"} <= names
    for plot in ("scores", "budget", "convergence", "validation"):
        for kind in ("svg", "png"):
            assert f"plots/glyphs-d0d0d0d0d0d0-{plot}.{kind}" in names
    assert names == {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan")])
def test_a_margin_that_is_not_positive_is_refused(tmp_path: Path, margin: float) -> None:
    runs = make({"triplet": 60.0, "contrastive": 40.0}).write(tmp_path / "runs")
    with pytest.raises(ValueError, match="margin must be positive"):
        write_report(runs, tmp_path / "out", margin=margin)
    assert not (tmp_path / "out").exists()


def test_more_losses_than_colours_have_a_panel_each() -> None:
    study = make({f"loss_{number}": 40.0 + number for number in range(8)}, fields={"iterations_per_epoch": 25})
    (board,) = boards(study.records, study.per_class)
    told = {plot.name: plot.told for plot in plots(board)}
    assert "grey: the other losses." in told["budget"]
    assert told["convergence"].endswith("grey: the other losses.")
    few = make({"triplet": 40.0}, fields={"iterations_per_epoch": 25})
    (board,) = boards(few.records, few.per_class)
    assert not any("grey" in plot.told for plot in plots(board))


def test_only_what_there_is_gets_drawn() -> None:
    study = make({UNTRAINED: 20.0})
    (board,) = boards(study.records, {})
    assert [plot.name for plot in plots(board)] == ["scores"]


def test_the_comparison_colours_who_is_surely_better(found: list[Board]) -> None:
    matrix = comparisons(found[0], 1.0).split("<h4>MAP@R, concatenated</h4>")[1].split("</table>")[0]
    rows = {
        name.replace("<wbr>", ""): re.findall(r'<td class="(\w+)"', cells)
        for name, cells in re.findall(r'<th scope="row"><span[^>]*>(.*?)</span></th>(.*?)</tr>', matrix)
    }
    order = list(rows)
    assert set(order[:2]) == {"triplet", "margin_per_class"}
    assert order[2:] == ["contrastive", "a_loss"]
    assert rows[order[0]] == ["self", "level", "better", "better"]
    assert rows["contrastive"] == ["worse", "worse", "self", "better"]
    assert rows["a_loss"] == ["worse", "worse", "worse", "self"]


def test_equivalent_losses_are_marked_and_the_margin_is_stated() -> None:
    study = make({"triplet": 50.0, "contrastive": 50.0}, repeats=10, noise=0.05)
    found = boards(study.records, study.per_class)
    assert page(found, {}, margin=2.5).count(") ≈</small>") == 2 * 8
    assert "≈: surely within ± 2.5 points of each other" in page(found, {}, margin=2.5)
    assert page(found, {}, margin=0.001).count("≈</small>") == 0
