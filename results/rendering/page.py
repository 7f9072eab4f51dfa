"""`report.html`: one file that answers first and then shows what is behind it; opens from disk, loads nothing."""

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
from mlrc.results.rendering.answer import answer
from mlrc.results.rendering.caption import caption
from mlrc.results.rendering.cite import bibtex
from mlrc.results.rendering.gallery import Gallery, Picture, Query
from mlrc.results.rendering.matrix import comparisons
from mlrc.results.rendering.page_tables import all_metrics, cost, scores
from mlrc.results.rendering.panels import panels
from mlrc.results.rendering.plots import Plot, anchor
from mlrc.results.rendering.search_tables import found_parameters
from mlrc.results.rendering.strips import intervals
from mlrc.results.rendering.table import sources
from mlrc.results.rendering.titles import Titles, dataset_title, protocol_title
from mlrc.results.statistics.levels import MARGIN

__all__ = ["anchor", "page"]

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_SCRIPTS = ("report.js", "report_pairs.js")


def page(
    boards: Sequence[Board],
    plots: Mapping[str, Sequence[Plot]],
    galleries: Sequence[Gallery] = (),
    references: Mapping[tuple[str, str], Sequence[Reference]] | None = None,
    *,
    margin: float = MARGIN,
    ranges: Ranges | None = None,
    together: Sequence[Across] = (),
    titles: Titles | None = None,
) -> str:
    """Give the page.

    Args:
        boards: with rows.
        plots: anchor of a board (see `anchor`) to its plots.
        galleries: of any loss of any board.
        references: (dataset, protocol) to the rows of papers beside ours.
        margin: percent points within which a difference is of no interest.
        ranges: loss to the ranges of its search, as far as they are known.
        together: what several data sets under the same rules say.
        titles: loss to what a reader calls it, as far as that is known.
    """
    assets = files("mlrc.results.rendering") / "assets"
    links, parts = [], []
    for one in together:
        links.append(
            f'<li><a href="#across-{one.digest}">Across data sets, {escape(protocol_title(one.protocol))}</a></li>'
        )
        parts.append(across_section(one, titles))
    for board in boards:
        links.append(f'<li><a href="#{anchor(board)}">{_title(board)}</a></li>')
        of_board = [one for one in galleries if (one.dataset, one.digest) == (board.dataset, board.digest)]
        beside = (references or {}).get((board.dataset, board.protocol), ())
        drawn = plots.get(anchor(board), ())
        parts.append(_section(board, drawn, of_board, beside, margin, ranges=ranges or {}, titles=titles or {}))
    names = ", ".join(dict.fromkeys(dataset_title(board.dataset) for board in boards))
    script = "".join((assets / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>Metric learning: {escape(names)}</title>
<style>
{(assets / "report.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
<h1>Deep metric learning losses, compared</h1>
<nav aria-label="Contents"><ul>{"".join(links)}</ul></nav>
</header>
<main>
{chr(10).join(parts)}
</main>
<script>
"use strict";
{script}</script>
</body>
</html>
"""


def _section(
    board: Board,
    plots: Sequence[Plot],
    galleries: Sequence[Gallery],
    references: Sequence[Reference],
    margin: float,
    *,
    ranges: Ranges,
    titles: Titles,
) -> str:
    name = anchor(board)
    told = "".join(f"<li>{escape(sentence)}</li>" for sentence in [*caption(board), *sources(references)])
    first, *others = (intervals(board, setting, name, titles) for setting in board.settings)
    parts = [
        f'<section id="{name}">\n<h2>{_title(board)}</h2>',
        _answer(answer(board, titles)),
        first,
        _notes(board.notes),
        _tools(board),
        scores(board, references, name, titles),
        f'<details class="how"><summary>How to read these numbers</summary><ul class="caption">{told}</ul></details>',
        *(f"<details><summary>The intervals of single models</summary>{one}</details>" for one in others if one),
        panels(board, name, ranges, titles),
        comparisons(board, margin, name, titles),
        *(_figure(plot) for plot in plots if plot.name != "scores"),
        _folded("All parameters and trials", found_parameters(board, ranges)),
        _galleries(galleries),
        all_metrics(board.rows, titles),
        cost(board, titles),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _title(board: Board) -> str:
    named = f"{escape(dataset_title(board.dataset))}, {escape(protocol_title(board.protocol))}"
    return f'<span title="{escape(board.dataset)}, {escape(board.protocol)}">{named}</span>'


def _answer(sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    first, *others = map(escape, sentences)
    return f'<p class="answer"><strong>{first}</strong> {" ".join(others)}</p>'


def _tools(board: Board) -> str:
    """Give what narrows the table and takes it away; of use with a script alone."""
    columns = [*(board.settings if len(board.settings) > 1 else ()), *board.metrics]
    options = "".join(f"<option>{escape(one)}</option>" for one in ("all", *columns))
    buttons = "".join(
        f'<button type="button" data-copy="{kind}">{shown}</button>'
        for kind, shown in (("markdown", "Markdown"), ("csv", "CSV"), ("latex", "LaTeX"), ("bibtex", "BibTeX"))
    )
    return (
        '<div class="tools needs-script"><label>Losses <input type="search" class="filter" placeholder="proxy, margin">'
        f'</label> <label>Columns <select class="columns">{options}</select></label> <span class="copy" role="group" '
        f'aria-label="Copy what is shown">Copy {buttons}</span><span class="copied" role="status"></span>'
        f'<template class="bibtex">{escape(bibtex(board))}</template></div>'
    )


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>{content}</details>" if content else ""


def _notes(notes: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<div class="notes" role="note"><ul>{items}</ul></div>' if items else ""


def _figure(plot: Plot) -> str:
    """Give a plot as the page's own picture, or else as matplotlib drew it."""
    address = "" if plot.inline else "data:image/svg+xml;base64," + base64.b64encode(plot.svg).decode()
    alt = escape(f"{plot.title}. {plot.told}")
    drawn = plot.inline or f'<div class="plot"><img src="{address}" alt="{alt}"></div>'
    told = f'<p class="told">{escape(plot.told)}</p>'
    return f"<details open><summary>{escape(plot.title)}</summary>{told}{drawn}</details>"


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
        f'<figure class="tile {kind}"><img src="{escape(picture.image)}" alt="{kind}: {label}">'
        f"<figcaption>{sign}{label}</figcaption></figure>"
    )
