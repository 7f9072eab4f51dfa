"""`report.html`: one file with tables, comparisons, plots and pictures that opens from disk and loads nothing else."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby

from mlrc.results.boards.across import Across
from mlrc.results.boards.leaderboard import Board
from mlrc.results.boards.papers import Reference
from mlrc.results.boards.parameters import Ranges
from mlrc.results.rendering.across import across_section
from mlrc.results.rendering.caption import caption
from mlrc.results.rendering.gallery import Gallery, Picture, Query
from mlrc.results.rendering.page_tables import all_metrics, comparisons, cost, scores
from mlrc.results.rendering.plots import Plot
from mlrc.results.rendering.search_tables import found_parameters
from mlrc.results.rendering.table import sources
from mlrc.results.statistics.levels import MARGIN

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(
    boards: Sequence[Board],
    plots: Mapping[str, Sequence[Plot]],
    galleries: Sequence[Gallery] = (),
    references: Mapping[tuple[str, str], Sequence[Reference]] | None = None,
    *,
    margin: float = MARGIN,
    ranges: Ranges | None = None,
    together: Mapping[str, tuple[Across, Plot]] | None = None,
) -> str:
    """Give the page.

    Args:
        boards: with rows.
        plots: anchor of a board (see `anchor`) to its plots.
        galleries: of any loss of any board.
        references: (dataset, protocol) to the rows of papers beside ours.
        margin: percent points within which a difference is of no interest.
        ranges: loss to the ranges of its search, as far as they are known.
        together: digest to what several data sets say together, and its picture.
    """
    assets = files("mlrc.results.rendering") / "assets"
    links = "".join(f'<li><a href="#{anchor(board)}">{_title(board)}</a></li>' for board in boards)
    sections = "\n".join(
        _section(
            board,
            plots.get(anchor(board), ()),
            [one for one in galleries if (one.dataset, one.digest) == (board.dataset, board.digest)],
            (references or {}).get((board.dataset, board.protocol), ()),
            margin,
            ranges=ranges or {},
        )
        for board in boards
    )
    for one, plot in (together or {}).values():
        links += f'<li><a href="#across-{one.digest}">Across data sets, {escape(one.protocol)}</a></li>'
        sections += "\n" + across_section(one, _figure(plot))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>Metric learning: {escape(", ".join(dict.fromkeys(board.dataset for board in boards)))}</title>
<style>
{(assets / "report.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
<h1>Deep metric learning losses, compared</h1>
<p>Press a column's heading to sort by it.</p>
<nav aria-label="Contents"><ul>{links}</ul></nav>
</header>
<main>
{sections}
</main>
<script>
{(assets / "report.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def anchor(board: Board) -> str:
    """Give the name of a board in addresses and file names."""
    return "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in f"{board.dataset}-{board.digest}")


def _section(
    board: Board,
    plots: Sequence[Plot],
    galleries: Sequence[Gallery],
    references: Sequence[Reference],
    margin: float,
    *,
    ranges: Ranges,
) -> str:
    told = "".join(f"<li>{escape(sentence)}</li>" for sentence in [*caption(board), *sources(references)])
    parts = [
        f'<section id="{anchor(board)}">\n<h2>{_title(board)}</h2>',
        _notes(board.notes),
        scores(board, references),
        f'<ul class="caption">{told}</ul>',
        comparisons(board, margin),
        *(_figure(plot) for plot in plots),
        found_parameters(board, ranges),
        _galleries(galleries),
        all_metrics(board.rows),
        cost(board),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _title(board: Board) -> str:
    return f"{escape(board.dataset)}, {escape(board.protocol)}"


def _notes(notes: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<div class="notes" role="note"><ul>{items}</ul></div>' if items else ""


def _figure(plot: Plot) -> str:
    address = "data:image/svg+xml;base64," + base64.b64encode(plot.svg).decode()
    return (
        f'<h3>{escape(plot.title)}</h3><figure><div class="plot"><img src="{address}" '
        f'alt="{escape(plot.title)}. {escape(plot.told)}"></div>'
        f"<figcaption>{escape(plot.told)}</figcaption></figure>"
    )


def _galleries(galleries: Sequence[Gallery]) -> str:
    if not galleries:
        return ""
    told = (
        "Test queries with the highest, the median and the lowest average precision in the concatenation (of one "
        "model, in itself), and their nearest neighbours. Solid frame and ✓: of the query's class; dashed frame and "
        "✗: of another."
    )
    by_loss = groupby(galleries, key=lambda gallery: gallery.loss)
    blocks = (
        f"<details{' open' * (number == 0)}><summary>{escape(loss)}</summary>{''.join(map(_gallery, mine))}</details>"
        for number, (loss, mine) in enumerate(by_loss)
    )
    return f'<h3>What was retrieved</h3><p class="told">{told}</p>{"".join(blocks)}'


def _gallery(gallery: Gallery) -> str:
    return f"<h4>{escape(gallery.loss)}, {escape(gallery.model)}</h4>" + "".join(map(_query, gallery.queries))


def _query(query: Query) -> str:
    neighbours = "".join(_tile(picture, "right" if picture.right else "wrong") for picture in query.neighbours)
    return (
        f'<div class="query"><p>{query.kind}: average precision {query.average_precision:.1f} %</p>'
        f"{_tile(query.picture, 'asked')}{neighbours}</div>"
    )


def _tile(picture: Picture, kind: str) -> str:
    sign = {"right": "✓ ", "wrong": "✗ ", "asked": ""}[kind]
    label = escape(picture.label)
    return (
        f'<figure class="tile {kind}"><img src="{escape(picture.image)}" alt="{kind}: {label}" '
        f'class="small"><figcaption>{sign}{label}</figcaption></figure>'
    )
