"""All pairs of losses as a matrix whose signs are shapes, with the values behind it for a read-out and another view."""

import json
from collections.abc import Sequence
from html import escape

from mlrc.results.boards.leaderboard import Board
from mlrc.results.records.metric_names import RANKED_BY
from mlrc.results.rendering.strips import breakable
from mlrc.results.rendering.titles import Titles, loss_title
from mlrc.results.statistics.levels import ALPHA
from mlrc.results.statistics.outperforming import MEANINGFUL
from mlrc.results.statistics.pairs import Contest, Pair

FULL_CELLS = 6
"""With more losses, a cell shows the difference alone, so that the matrix fits a screen; the rest is read out."""
_SHAPES = (
    "▲ ▼: surely better, surely worse (after correction for all pairs), and by a meaningful difference: one repeat of "
    f"the better wins on other classes in {100 * MEANINGFUL:g} % or more. △ ▽: surely, by less. "
    "·: cannot be told apart. "
)


def comparisons(board: Board, margin: float, name: str = "board", titles: Titles | None = None) -> str:
    """Give all pairs of losses of a board; empty where nothing can be compared.

    Args:
        board: with the losses.
        margin: percent points within which a difference is of no interest.
        name: of the board in addresses.
        titles: of losses.
    """
    columns = [(setting, metric) for setting in board.settings for metric in (RANKED_BY, *board.metrics)]
    contests = {
        f"{metric}, {setting}": board.contests[setting, metric]
        for setting, metric in dict.fromkeys(columns)
        if (setting, metric) in board.contests
    }
    if not contests:
        return ""
    told = (
        "Row minus column in percent points over repeats and test classes. "
        f"{_SHAPES}≈: surely within ± {margin:g} points of each other (two one-sided tests, corrected likewise). "
        "P: how often one repeat of the row wins on other classes; *: a meaningful difference."
    )
    begin = f'<h3>Who beats whom</h3><p class="told">{told}</p>'
    if all(len(contest.losses) <= FULL_CELLS for contest in contests.values()):
        return begin + _in_full(board, contests, margin, titles)
    return begin + _with_readout(board, contests, margin, name, titles)


def _in_full(board: Board, contests: dict[str, Contest], margin: float, titles: Titles | None) -> str:
    blocks = {
        label: f"<h4>{escape(label)}</h4>{_matrix(contest, margin, board.losses, titles, full=True)}"
        for label, contest in contests.items()
    }
    shown = [block for label, block in blocks.items() if label.startswith(RANKED_BY)]
    others = [block for label, block in blocks.items() if not label.startswith(RANKED_BY)]
    more = f"<details><summary>The other metrics</summary>{''.join(others)}</details>" if others else ""
    return "".join(shown) + more


def _with_readout(board: Board, contests: dict[str, Contest], margin: float, name: str, titles: Titles | None) -> str:
    first = next(iter(contests))
    order = [loss for loss in board.losses if loss in contests[first].losses]
    contests = {label: one for label, one in contests.items() if {*order} <= {*one.losses}}
    values = {
        "losses": order,
        "titles": [loss_title(loss, titles) for loss in order],
        "contests": [{"name": label, "pairs": _values(one, order, margin)} for label, one in contests.items()],
    }
    data = json.dumps(values, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    columns = "".join(f"<option>{escape(label)}</option>" for label in contests)
    losses = "".join(
        f'<option value="{place}">{escape(loss_title(loss, titles))}</option>' for place, loss in enumerate(order)
    )
    return (
        f'<div class="compare" data-name="{name}"><p class="tools needs-script"><label>Metric <select class="contest">'
        f'{columns}</select></label> <label>Against the others: <select class="one"><option value="">all pairs</option>'
        f"{losses}</select></label></p>{_matrix(contests[first], margin, order, titles, full=False)}"
        '<div class="against strips" hidden></div><p class="readout" role="status" aria-live="polite">Point at a cell, '
        "touch it, or go through the cells with the arrow keys; all values are in comparisons.csv.</p>"
        f'<script type="application/json">{data}</script></div>'
    )


def _values(contest: Contest, order: Sequence[str], margin: float) -> list[list[float | int]]:
    """Give of every two losses: difference, its ends, P, its ends, and a sum of flags (see `report_pairs.js`)."""
    equivalence = contest.equivalence(margin)
    found: list[list[float | int]] = []
    for place, loss in enumerate(order):
        for other in order[place + 1 :]:
            pair = contest.pairs[loss, other]
            odds = pair.outperforming
            flags = pair.told_apart + 2 * odds.meaningful + 4 * (equivalence[loss, other] <= ALPHA)
            numbers = (pair.difference.mean, *pair.difference.interval(), odds.probability, odds.low, odds.high)
            found.append([*(round(float(number), 2) + 0.0 for number in numbers), int(flags)])
    return found


def _matrix(contest: Contest, margin: float, losses: Sequence[str], titles: Titles | None, *, full: bool) -> str:
    equivalence = contest.equivalence(margin)
    order = [loss for loss in losses if loss in contest.losses]
    heads = "".join(
        f'<th scope="col"><span title="{escape(loss)}">{escape(loss_title(loss, titles))}</span></th>' for loss in order
    )
    lines = []
    for loss in order:
        cells = []
        for other in order:
            if loss == other:
                cells.append('<td class="self"></td>')
                continue
            cells.append(_cell(contest.pairs[loss, other], alike=equivalence[loss, other] <= ALPHA, full=full))
        name = f'<span title="{escape(loss)}">{breakable(loss_title(loss, titles))}</span>'
        lines.append(f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>')
    kind = "matrix full" if full else "matrix brief"
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="comparison"><table class="{kind}"><thead><tr>'
        f"<td></td>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(pair: Pair, *, alike: bool, full: bool) -> str:
    better = pair.difference.mean > 0
    kind = ("better" if better else "worse") if pair.told_apart else "level"
    odds = pair.outperforming
    shape = {
        "better": "▲" if odds.meaningful else "△",
        "worse": "▼" if odds.meaningful else "▽",
        "level": "≈" if alike else "·",
    }[kind]
    if not full:
        return f'<td class="{kind}">{shape}<br>{_signed(pair.difference.mean, 1)}</td>'
    low, high = pair.difference.interval()
    wins = f"P {odds.probability:.2f} ({odds.low:.2f}–{odds.high:.2f}){' *' if odds.meaningful else ''}"
    interval = f"{_signed(low)} to {_signed(high)}"
    shown = f"{shape} {_signed(pair.difference.mean)}<small>{interval}</small><small>{wins} {'≈' * alike}</small>"
    return f'<td class="{kind}">{shown}</td>'


def _signed(value: float, decimals: int = 2) -> str:
    return f"{value:+.{decimals}f}".replace("-", "−")
