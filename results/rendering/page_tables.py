"""The tables of the report page as HTML: scores, comparisons, every metric, cost."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from mlrc.results.boards.leaderboard import Board, Row, costs
from mlrc.results.boards.papers import Reference
from mlrc.results.records.metric_names import RANKED_BY
from mlrc.results.rendering.table import ABSENT, Cell, layout
from mlrc.results.statistics.levels import ALPHA
from mlrc.results.statistics.outperforming import MEANINGFUL
from mlrc.results.statistics.pairs import Contest, Pair
from mlrc.results.statistics.ranks import Ranks

FULL_CELLS = 6
"""With more losses, the cells of a comparison show the difference alone, so that the matrix fits a screen."""
_IN_FULL = ", with the 95 % interval; below, how often one repeat of the row wins on other classes, likewise"
_IN_BRIEF = "; the 95 % interval and how often the row wins are in comparisons.csv, and shown under the pointer"


def scores(board: Board, references: Sequence[Reference]) -> str:
    """Give the table in the paper's layout, sortable, with ranks."""
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
        kind = ' class="paper"' if line.is_reference else ""
        lines.append(f'<tr{kind}><th scope="row">{_breakable(line.title)}</th>{"".join(cells)}</tr>')
    return _scroll(f'<tr class="groups"><td></td>{groups}</tr><tr>{heads}</tr>', lines, "sortable", "scores")


def comparisons(board: Board, margin: float) -> str:
    """Give a matrix of all pairs of losses per setting and metric; empty where nothing can be compared.

    Args:
        board: with the losses.
        margin: percent points within which a difference is of no interest.
    """
    shown: list[str] = []
    others: list[str] = []
    for setting in board.settings:
        for metric in board.metrics:
            contest = board.contests.get((setting, metric))
            if contest:
                block = f"<h4>{escape(metric)}, {setting}</h4>{_matrix(contest, margin, board.losses)}"
                (shown if metric == RANKED_BY else others).append(block)
    if not shown:
        return ""
    small = all(len(contest.losses) <= FULL_CELLS for contest in board.contests.values())
    told = (
        f"Row minus column in percent points over repeats and test classes{_IN_FULL if small else _IN_BRIEF}. "
        f"P: the probability; *: surely above ½ and at least {MEANINGFUL}, a meaningful difference. "
        "Blue: surely better, orange: surely worse (after correction for all pairs), white: cannot be told apart. "
        f"≈: surely within ± {margin:g} points of each other (two one-sided tests, corrected likewise)."
    )
    more = f"<details><summary>The other metrics</summary>{''.join(others)}</details>" if others else ""
    return f'<h3>Comparison</h3><p class="told">{told}</p>{"".join(shown)}{more}'


def _matrix(contest: Contest, margin: float, losses: Sequence[str]) -> str:
    equivalence = contest.equivalence(margin)
    order = [loss for loss in losses if loss in contest.losses]
    full = len(order) <= FULL_CELLS
    heads = "".join(f'<th scope="col"><span>{escape(loss)}</span></th>' for loss in order)
    lines = []
    for loss in order:
        cells = []
        for other in order:
            if loss == other:
                cells.append('<td class="self"></td>')
                continue
            alike = "≈" * (equivalence[loss, other] <= ALPHA)
            cells.append(_pair(contest.pairs[loss, other], f"{loss} − {other}", alike, full=full))
        lines.append(f'<tr><th scope="row">{_breakable(loss)}</th>{"".join(cells)}</tr>')
    return _scroll(f"<tr><td></td>{heads}</tr>", lines, "matrix full" if full else "matrix brief", "comparison")


def _pair(pair: Pair, name: str, alike: str, *, full: bool) -> str:
    low, high = pair.difference.interval()
    kind = ("better" if pair.difference.mean > 0 else "worse") if pair.told_apart else "level"
    interval = f"{_signed(low)} to {_signed(high)}"
    odds = pair.outperforming
    wins = f"P {odds.probability:.2f} ({odds.low:.2f}–{odds.high:.2f}){' *' if odds.meaningful else ''}"
    if full:
        shown = f"{_signed(pair.difference.mean)}<small>{interval}</small><small>{wins} {alike}</small>"
        return f'<td class="{kind}">{shown}</td>'
    told = escape(f"{name}: {_signed(pair.difference.mean)} ({interval}), {wins}")
    return f'<td class="{kind}" title="{told}">{_signed(pair.difference.mean, 1)}<small>{alike}</small></td>'


def all_metrics(rows: Sequence[Row]) -> str:
    """Give every row of the leaderboard with both intervals, folded away."""
    heads = "".join(_heading(name, "ascending", "text") for name in ("loss", "setting", "metric"))
    numbers = ("mean", "± 95 %, seeds", "n", "95 %, classes", "diverged")
    heads += "".join(_heading(name, "descending") for name in numbers)
    lines = []
    for row in rows:
        half = ABSENT if row.ci95 is None else f"{row.ci95:.2f}"
        classes = f"{row.classes.low:.2f} to {row.classes.high:.2f}" if row.classes else ABSENT
        lines.append(
            f'<tr><th scope="row">{_breakable(row.loss)}</th><td class="text">{row.setting}</td>'
            f'<td class="text">{escape(row.metric)}</td>{_value(row.mean, f"{row.mean:.2f}")}{_value(row.ci95, half)}'
            f"{_value(row.n, str(row.n))}{_value(row.classes.low if row.classes else None, classes)}"
            f"{_value(row.diverged, f'{row.diverged} of {row.trials}')}</tr>"
        )
    table = _scroll(f"<tr>{heads}</tr>", lines, "sortable", "all metrics")
    return f"<details><summary>Every metric, with both intervals</summary>{table}</details>"


def cost(board: Board) -> str:
    """Give the trainings and device hours of every loss, and its processor hours where any loss has them told."""
    rows = costs(board)
    told_of_processors = any(row.processor_hours is not None for row in rows)
    names = ("trainings", "search hours", "repeat hours", *(["processor hours"] if told_of_processors else []))
    heads = _heading("loss", "ascending")
    heads += "".join(_heading(name, "descending") for name in names)
    heads += _heading("device", "ascending", "text")
    search, final = math.fsum(row.search_hours for row in rows), math.fsum(row.final_hours for row in rows)
    lines = [
        f'<tr><th scope="row">{_breakable(row.loss)}</th>{_value(row.jobs, str(row.jobs))}'
        f"{_value(row.search_hours, f'{row.search_hours:.2f}')}{_value(row.final_hours, f'{row.final_hours:.2f}')}"
        f"{_processor(row.processor_hours) if told_of_processors else ''}"
        f'<td class="text">{escape(row.devices)}</td></tr>'
        for row in rows
    ]
    told = f"{search + final:.2f} device hours: {search:.2f} of the search, {final:.2f} of the repeats."
    return f'<h3>Cost</h3><p class="told">{told}</p>' + _scroll(f"<tr>{heads}</tr>", lines, "sortable", "cost")


def _processor(hours: float | None) -> str:
    return _value(None, ABSENT) if hours is None else _value(hours, f"{hours:.2f}")


def _scroll(head: str, lines: Iterable[str], kind: str, label: str) -> str:
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table class="{kind}">'
        f"<thead>{head}</thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _signed(value: float, decimals: int = 2) -> str:
    return f"{value:+.{decimals}f}".replace("-", "−")


def _breakable(name: str) -> str:
    """Give a name that a narrow column may break after its underscores."""
    return escape(name).replace("_", "_<wbr>")


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
