"""The report's page in a real browser: what fits, what is read out, sorted, sent, copied and printed."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlrc.results.boards.leaderboard import boards
from mlrc.results.records.record import UNTRAINED
from mlrc.results.rendering.page import page
from tests.results import chromium
from tests.results.studies import make


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
