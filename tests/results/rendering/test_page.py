"""The report's page and plots: whole, self-contained, the same every time, and right in a real browser."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mlrc.results.boards.leaderboard import Board, boards
from mlrc.results.boards.papers import Reference
from mlrc.results.records.record import UNTRAINED
from mlrc.results.rendering.gallery import Gallery, Picture, Query
from mlrc.results.rendering.matrix import comparisons
from mlrc.results.rendering.page import anchor, page
from mlrc.results.rendering.plots import plots
from mlrc.results.rendering.report import write_report
from tests.results import chromium
from tests.results.studies import make, merged

MEANS = {UNTRAINED: 20.0, "triplet": 60.0, "margin_per_class": 60.5, "contrastive": 40.0, "a_loss": 30.0}
DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
PAPER = Reference(loss="triplet", title="Triplet (paper)", values={("concatenated", "P@1"): 41.0}, source="A paper")
VOID = {"meta", "img", "input", "br", "link", "wbr"}


def _gallery(dataset: str) -> Gallery:
    neighbours = tuple(Picture(image=DOT, label="b<i>", right=right) for right in (True, False))
    query = Query(kind="worst", picture=Picture(image=DOT, label="a"), average_precision=12.5, neighbours=neighbours)
    return Gallery(dataset=dataset, digest="d0d0d0d0d0d0", loss="triplet", model="fold 0", queries=(query,))


@pytest.fixture(scope="module")
def found() -> list[Board]:
    variant = make({"triplet": 50.0}, repeats=1, protocol="quick+lr=0.1", digest="e" * 12, changes={"lr": (0.01, 0.1)})
    study = merged(make(MEANS, diverged=[("triplet", 0, 1)], fields={"iterations_per_epoch": 25}), variant)
    return boards(study.records, study.per_class)


@pytest.fixture(scope="module")
def html(found: list[Board]) -> str:
    drawn = {anchor(board): plots(board, {"triplet": {"margin": 0.7, "loss_lr": 0.3}}) for board in found}
    return page(found, drawn, [_gallery("glyphs")], {("glyphs", "quick"): [PAPER]})


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
    galleries = [replace(_gallery("glyphs"), loss=loss) for loss in ("contrastive", "contrastive", "triplet")]
    text = page([board], {}, [*galleries, replace(_gallery("glyphs"), digest="another")])
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


@pytest.fixture(scope="module")
def tab() -> Iterator[chromium.Page]:
    if chromium.PROGRAM is None:
        pytest.skip("no Chromium is installed")
    with chromium.tab() as opened:
        yield opened


@pytest.fixture(scope="module")
def written(html: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_without_errors_and_needs_no_sideways_scrolling(
    tab: chromium.Page, written: Path, width: int
) -> None:
    tab.errors.clear()
    tab.open(written, width=width)
    assert tab.ask("document.title") == "Metric learning: Glyphs"
    assert tab.ask("document.documentElement.scrollWidth") <= width
    assert tab.ask("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    sizes = "[...document.querySelectorAll('p, td, li')].map((one) => parseFloat(getComputedStyle(one).fontSize))"
    assert min(tab.ask(sizes)) >= 12
    assert tab.errors == []


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-one losses, one with a name as long as any of ours."""
    names = [f"loss_{letter}" for letter in "abcdefghijklmnopqrst"]
    means = {name: 40.0 + place for place, name in enumerate(names)}
    study = make({UNTRAINED: 20.0, **means, "mean_field_classwise_multi_similarity": 50.0}, noise=3.0)
    path = tmp_path_factory.mktemp("crowded") / "report.html"
    path.write_text(page(boards(study.records, study.per_class), {}), encoding="utf-8")
    return path


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 1440])
def test_no_table_scrolls_sideways_on_a_desktop_even_with_twenty_one_losses(
    tab: chromium.Page, written: Path, crowded: Path, width: int
) -> None:
    for path in (written, crowded):
        tab.open(path, width=width)
        tab.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        wide = "[...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth).length"
        assert tab.ask(wide) == 0
        assert tab.ask("document.querySelectorAll('.scroll').length") >= 4


@pytest.mark.browser
def test_on_a_phone_a_name_leaves_room_for_the_numbers(tab: chromium.Page, crowded: Path) -> None:
    tab.open(crowded, width=390)
    width = "Math.max(...[...document.querySelectorAll('tbody th')].map((one) => one.offsetWidth))"
    assert tab.ask(width) <= 130


SET = (
    "(() => {{ const one = document.querySelector('{0}'); one.value = '{1}'; one.dispatchEvent(new Event('{2}')); }})()"
)
SHOWN = (
    "[...document.querySelectorAll('table.scores tbody tr')].filter((one) => !one.hidden)"
    ".map((one) => one.dataset.loss)"
)
NUMBER, SHARE = r"[+−]\d+\.\d\d", r"[01]\.\d\d"


@pytest.mark.browser
def test_a_large_comparison_is_read_out_by_keyboard_and_pointer_and_as_one_against_the_others(
    tab: chromium.Page, crowded: Path
) -> None:
    tab.errors.clear()
    tab.open(crowded, width=1440)
    readout = "document.querySelector('.readout').textContent"
    cells = "document.querySelectorAll('.matrix.brief tbody tr')[0].cells"
    names = tab.ask("[...document.querySelectorAll('.matrix.brief tbody th')].map((one) => one.textContent)")
    assert len(names) == 21
    tab.ask(f"{cells}[2].focus()")
    told = rf"{NUMBER} \({NUMBER} to {NUMBER}\), P {SHARE} \({SHARE}–{SHARE}\)( \*)?; .*\."
    assert re.fullmatch(rf"{names[0]} − {names[1]}: {told}", tab.ask(readout))
    down = f"{cells}[2].dispatchEvent(new KeyboardEvent('keydown', {{key: 'ArrowRight', bubbles: true}}))"
    tab.ask(down)
    assert tab.ask(readout).startswith(f"{names[0]} − {names[2]}: ")
    pick = SET.format(".one", "20", "change")
    forth = tab.ask(f"{cells}[21].textContent")
    tab.ask(pick)
    lines = tab.ask("[...document.querySelectorAll('.against li')].map((one) => one.textContent)")
    assert len(lines) == 20
    assert lines[0].startswith(f"− {names[0]}")
    back = {"▲": "▼", "△": "▽", "·": "·", "≈": "≈"}[forth[0]]
    assert lines[0].removeprefix(f"− {names[0]}")[0] == back
    assert "vs." in tab.ask("location.hash")
    assert tab.errors == []


@pytest.mark.browser
def test_a_view_of_filter_columns_order_and_open_panels_can_be_sent_as_its_address(
    tab: chromium.Page, crowded: Path
) -> None:
    tab.open(crowded, width=1280)
    tab.ask(SET.format(".filter", "loss_a, mean_field", "input"))
    tab.ask(SET.format(".columns", "MAP@R", "change"))
    tab.click("table.scores thead tr:last-child th:first-child button")
    tab.ask("document.querySelector('details.loss[data-loss=loss_a]').open = true")
    tab.ask("new Promise((done) => setTimeout(done, 50))")
    assert tab.ask(SHOWN) == ["loss_a", "mean_field_classwise_multi_similarity"]
    view = tab.ask("location.href")
    tab.open(crowded, width=1280)
    assert len(tab.ask(SHOWN)) == 22
    tab.open(crowded, width=1280, at=view[view.index("#") :])
    assert tab.ask(SHOWN) == ["loss_a", "mean_field_classwise_multi_similarity"]
    assert tab.ask("document.querySelectorAll('details.loss[open]').length") == 1
    heads = "[...document.querySelectorAll('table.scores thead tr:last-child th')].filter((one) => !one.hidden)"
    assert tab.ask(f"{heads}.map((one) => one.textContent)") == ["loss", "MAP@R", "rank", "MAP@R", "rank"]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("markdown", r"\| loss \| Concatenated .* MAP@R \|.*\n\| --- \| ---: .*\n\| \*?\*?[a-z]"),
        ("csv", r"loss,Concatenated .*\n"),
        ("latex", r"% needs \\usepackage\{booktabs\}\n\\begin\{tabular\}\{lc+\}\n"),
        ("bibtex", r"@inproceedings\{musgrave2020metric"),
    ],
)
def test_what_is_shown_is_copied(tab: chromium.Page, crowded: Path, kind: str, told: str) -> None:
    tab.open(crowded, width=1280)
    tab.ask(SET.format(".filter", "loss_t", "input"))
    tab.click(f"[data-copy={kind}]")
    tab.ask("new Promise((done) => setTimeout(done, 100))")
    text = tab.ask("document.querySelector('.copied').dataset.text")
    assert re.match(told, text)
    assert tab.ask("document.querySelector('.copied').textContent") != ""
    if kind != "bibtex":
        assert text.count("loss_t" if kind != "latex" else r"loss\_t") == 1
        assert "loss_a" not in text.replace("\\", "")


@pytest.mark.browser
def test_in_the_dark_the_page_is_dark_and_an_address_opens_its_panel(tab: chromium.Page, crowded: Path) -> None:
    tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    tab.open(crowded, width=390)
    assert tab.ask("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
    tab.send("Emulation.setEmulatedMedia", features=[])
    assert tab.ask("document.documentElement.scrollWidth") <= 390
    tab.ask("location.hash = '#glyphs-d0d0d0d0d0d0--loss_b'")
    tab.ask("new Promise((done) => setTimeout(done, 100))")
    assert tab.ask("[...document.querySelectorAll('details.loss[open]')].map((one) => one.dataset.loss)") == ["loss_b"]


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


@pytest.mark.browser
def test_pressing_a_heading_sorts_the_table_and_pressing_again_turns_it(tab: chromium.Page, written: Path) -> None:
    tab.open(written, width=1280)
    names = "[...document.querySelectorAll('table.sortable')[0].tBodies[0].rows].map((row) => row.cells[0].innerText)"
    sort = "document.querySelectorAll('table.sortable th[aria-sort]').length"
    before = tab.ask(names)
    tab.click("table.sortable thead tr:last-child th:nth-child(2) button")
    descending = tab.ask(names)
    assert descending[:3] in (
        ["triplet", "margin_per_class", "Triplet (paper)"],
        ["margin_per_class", "triplet", "Triplet (paper)"],
    )
    assert descending[-1] == UNTRAINED
    tab.click("table.sortable thead tr:last-child th:nth-child(2) button")
    assert tab.ask(names) == descending[::-1]
    tab.click("table.sortable thead tr:last-child th:first-child button")
    assert tab.ask(names) == sorted(before, key=str.lower)
    assert tab.ask(sort) == 1
    tab.click("table.sortable thead tr:last-child th:nth-child(6) button")
    assert tab.ask(names)[-2:] == ["Triplet (paper)", UNTRAINED]  # without a rank, at the end in either order
    assert set(tab.ask(names)[:2]) == {"triplet", "margin_per_class"}  # the first rank comes first
    tab.click("table.sortable thead tr:last-child th:nth-child(6) button")
    assert set(tab.ask(names)[-2:]) == {"Triplet (paper)", UNTRAINED}
    assert tab.errors == []


@pytest.mark.browser
def test_the_page_prints(tab: chromium.Page, written: Path, tmp_path: Path) -> None:
    tab.open(written, width=1280)
    tab.send("Emulation.setEmulatedMedia", media="print")
    assert tab.ask("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert tab.ask("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
    tab.send("Emulation.setEmulatedMedia", media="")
    tab.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.browser
def test_the_browser_does_hear_errors_and_requests(tab: chromium.Page, tmp_path: Path) -> None:
    """So that an empty list means something."""
    (tmp_path / "bad.html").write_text(
        '<script>console.error("one"); nothing();</script><img src="http://127.0.0.1:9/x">', encoding="utf-8"
    )
    tab.errors.clear()
    tab.open(tmp_path / "bad.html", width=800)
    told = " ".join(tab.errors)
    assert "one" in told
    assert "nothing is not defined" in told
    assert "asks the network for http://127.0.0.1:9/x" in told
    tab.errors.clear()
