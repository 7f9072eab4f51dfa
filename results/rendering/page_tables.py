"""The tables of the report page as HTML: scores, comparisons, every metric, cost."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from mlrc.results.boards.leaderboard import Board, Row, costs
from mlrc.results.boards.papers import Reference
from mlrc.results.rendering.strips import breakable, linked
from mlrc.results.rendering.table import ABSENT, Cell, layout
from mlrc.results.rendering.titles import Titles, loss_title
from mlrc.results.statistics.ranks import Ranks


def scores(board: Board, references: Sequence[Reference], name: str = "board", titles: Titles | None = None) -> str:
    """Give the table in the paper's layout, sortable, with ranks; a name leads to its loss's panel.

    Args:
        board: with rows.
        references: rows of papers.
        name: of the board in addresses.
        titles: of losses.
    """
    plan = layout(board, references)
    per = len(plan.metrics) + 1
    groups = "".join(f'<th colspan="{per}" scope="colgroup">{escape(setting)}</th>' for setting in plan.settings)
    columns = [column for _ in plan.settings for column in (*plan.metrics, "rank")]
    heads = _heading("loss", "ascending") + "".join(
        _heading(column, "ascending" if column == "rank" else "descending") for column in columns
    )
    if board.verified:
        groups += "<td></td>"
        heads += _heading("verified", "ascending", "text")
    lines = []
    for line in plan.lines:
        cells = []
        for number, rank in enumerate(line.ranks):
            cells += [_score(cell) for cell in line.cells[number * (per - 1) : (number + 1) * (per - 1)]]
            cells.append(_place(rank))
        if board.verified:
            of_line = "" if line.is_reference else board.verified.get(line.title, "")
            cells.append(f'<td class="text">{escape(of_line)}</td>')
        kind = ' class="paper"' if line.is_reference else f' data-loss="{escape(line.title)}"'
        shown = breakable(line.title) if line.is_reference else linked(line.title, name, titles)
        lines.append(f'<tr{kind}><th scope="row">{shown}</th>{"".join(cells)}</tr>')
    caption = f"{board.dataset}, {board.protocol}: percent, mean ± half width of the 95 % interval"
    head = f'<tr class="groups"><td></td>{groups}</tr><tr>{heads}</tr>'
    return _scroll(head, lines, "sortable scores", "scores", caption)


def all_metrics(rows: Sequence[Row], titles: Titles | None = None) -> str:
    """Give every row of the leaderboard with both intervals, folded away."""
    heads = "".join(_heading(name, "ascending", "text") for name in ("loss", "setting", "metric"))
    numbers = ("mean", "± 95 %, seeds", "n", "95 %, classes", "diverged")
    heads += "".join(_heading(name, "descending") for name in numbers)
    lines = []
    for row in rows:
        half = ABSENT if row.ci95 is None else f"{row.ci95:.2f}"
        classes = f"{row.classes.low:.2f} to {row.classes.high:.2f}" if row.classes else ABSENT
        lines.append(
            f'<tr><th scope="row">{_named(row.loss, titles)}</th><td class="text">{row.setting}</td>'
            f'<td class="text">{escape(row.metric)}</td>{_value(row.mean, f"{row.mean:.2f}")}{_value(row.ci95, half)}'
            f"{_value(row.n, str(row.n))}{_value(row.classes.low if row.classes else None, classes)}"
            f"{_value(row.diverged, f'{row.diverged} of {row.trials}')}</tr>"
        )
    table = _scroll(f"<tr>{heads}</tr>", lines, "sortable", "all metrics")
    return f"<details><summary>Every metric, with both intervals</summary>{table}</details>"


def cost(board: Board, titles: Titles | None = None) -> str:
    """Give the trainings and device hours of every loss, and its processor hours where any loss has them told."""
    rows = costs(board)
    told_of_processors = any(row.processor_hours is not None for row in rows)
    names = ("trainings", "search hours", "repeat hours", *(["processor hours"] if told_of_processors else []))
    heads = _heading("loss", "ascending")
    heads += "".join(_heading(name, "descending") for name in names)
    heads += _heading("device", "ascending", "text")
    search, final = math.fsum(row.search_hours for row in rows), math.fsum(row.final_hours for row in rows)
    lines = [
        f'<tr><th scope="row">{_named(row.loss, titles)}</th>{_value(row.jobs, str(row.jobs))}'
        f"{_value(row.search_hours, f'{row.search_hours:.2f}')}{_value(row.final_hours, f'{row.final_hours:.2f}')}"
        f"{_processor(row.processor_hours) if told_of_processors else ''}"
        f'<td class="text">{escape(row.devices)}</td></tr>'
        for row in rows
    ]
    told = f"{search + final:.2f} device hours: {search:.2f} of the search, {final:.2f} of the repeats."
    return f'<h3>Cost</h3><p class="told">{told}</p>' + _scroll(f"<tr>{heads}</tr>", lines, "sortable", "cost")


def _processor(hours: float | None) -> str:
    return _value(None, ABSENT) if hours is None else _value(hours, f"{hours:.2f}")


def _scroll(head: str, lines: Iterable[str], kind: str, label: str, caption: str = "") -> str:
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table class="{kind}">{told}'
        f"<thead>{head}</thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _named(loss: str, titles: Titles | None) -> str:
    return f'<span title="{escape(loss)}">{breakable(loss_title(loss, titles))}</span>'


def _heading(name: str, first: str, kind: str = "number") -> str:
    return f'<th scope="col" class="{kind}" data-first="{first}"><button type="button">{escape(name)}</button></th>'


def _place(ranks: Ranks | None) -> str:
    """Give a cell that sorts by the best place, then by the worst."""
    return _value(None, ABSENT) if ranks is None else _value(ranks.low + ranks.high / 1000, str(ranks))


def _score(cell: Cell | None) -> str:
    if cell is None:
        return _value(None, ABSENT)
    sd = "" if cell.sd is None else f" ({cell.sd:.2f})"
    half = "" if cell.half is None else f'<span class="half"> ± {cell.half:.2f}{sd}</span>'
    return _value(cell.mean, f"{cell.mean:.2f}{half}", "best" if cell.bold else "")


def _value(value: float | None, shown: str, kind: str = "") -> str:
    marked = f' class="{kind}"' if kind else ""
    # to sort by
    return f'<td{marked} data-value="{"" if value is None else f"{value:.6g}"}">{shown}</td>'
