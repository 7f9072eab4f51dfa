"""What the searches found: the parameters of each loss within their range and the score of each trial, CSV and HTML."""

import math
from collections.abc import Sequence
from html import escape

import pandas as pd

from mlrc.results.boards.leaderboard import Board
from mlrc.results.boards.parameters import ParameterRow, Range, Ranges, Value, parameters
from mlrc.results.boards.trials import TrialRow, trials
from mlrc.results.rendering.caption import told_parameters
from mlrc.results.rendering.spreadsheet import PARAMETER_COLUMNS, parameters_frame

TRIAL_COLUMNS = (
    *("dataset", "protocol", "digest", "loss", "search", "trial"),
    *("score", "outcome", "chosen", "parameter", "value"),
)
"""Of `trials.csv`, a line per parameter of a trial; see `mlrc.results.boards.trials.TrialRow`."""


def parameters_csv(boards: Sequence[Board], ranges: Ranges) -> str:
    """Give `parameters.csv`: the parameters that each loss was tested with, every digit of them."""
    rows = [row for board in boards for row in parameters(board, ranges)]
    table = parameters_frame(rows).astype(object)
    for name in ("value", "low", "high"):
        table[name] = [_exact(value) for value in table[name]]
    table["choices"] = [" ".join(map(str, one)) if isinstance(one, tuple) else "" for one in table["choices"]]
    return table[list(PARAMETER_COLUMNS)].to_csv(index=False, lineterminator="\n")


def trials_csv(boards: Sequence[Board]) -> str:
    """Give `trials.csv`: what each trial of each search tried and scored; percent with four decimals."""
    lines = [
        (*_place(row), row.search, row.trial, f"{row.score:.4f}", row.outcome, row.chosen, name, _exact(value))
        for board in boards
        for row in trials(board)
        for name, value in sorted(row.params.items())
    ]
    return pd.DataFrame(lines, columns=list(TRIAL_COLUMNS)).to_csv(index=False, lineterminator="\n")


def found_parameters(board: Board, ranges: Ranges) -> str:
    """Give the panel of the report: found parameters, and folded away every trial; empty where nothing has any."""
    rows, tried = parameters(board, ranges), trials(board)
    if not rows:
        return ""
    told = (
        "The parameters of the repeats. Where a search found them: the range it had, and where in it the value lies "
        "(0 % low, 100 % high, on the range's own scale); one at an end asks for a wider range."
    )
    head = "".join(f'<th scope="col" class="text">{name}</th>' for name in ("parameter", "value", "range", "place"))
    lines = "".join(_line(row) for row in rows)
    table = _scroll(f'<tr><th scope="col">loss</th>{head}</tr>', lines, "parameters")
    return f'<h3>Parameters</h3><p class="told">{told}</p>{table}{_trials(tried)}'


def _line(row: ParameterRow) -> str:
    where = "" if row.range is None or not row.searched else place(row.value, row.range)
    shown = "given" if not row.searched else "" if row.range is None else span(row.range)
    return (
        f'<tr><th scope="row">{_name(row)}</th><td class="text">{escape(row.parameter)}</td>'
        f'<td class="text">{escape(plain(row.value))}</td><td class="text">{escape(shown)}</td>'
        f'<td class="text">{where}</td></tr>'
    )


def _trials(rows: Sequence[TrialRow]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f'<tr><th scope="row">{_name(row)}</th><td>{row.trial}{" ★" * row.chosen}</td>'
        f"<td>{row.score:.2f}{f' ({row.outcome})' * (row.outcome != 'done')}</td>"
        f'<td class="text">{escape(told_parameters(row.params))}</td></tr>'
        for row in rows
    )
    head = "<tr>" + "".join(f'<th scope="col">{name}</th>' for name in ("loss", "trial", "validation %", "parameters"))
    table = _scroll(head + "</tr>", lines, "trials")
    return f"<details><summary>Every trial; ★: the best, whose parameters the repeats have</summary>{table}</details>"


def place(value: Value, known: Range) -> str:
    """Say where in its range a number lies, in percent of the range on its own scale; empty for a choice."""
    if known.choices or isinstance(value, str) or known.low is None or known.high is None or known.low == known.high:
        return ""
    return f"{share_of(value, known):.0%}"


def share_of(value: float, known: Range) -> float:
    """Give where in a range with bounds a number lies, 0 to 1, on the range's own scale."""
    ends = known.low or 0.0, value, known.high or 0.0
    low, at, high = (math.log(one) if known.log else float(one) for one in ends)
    return (at - low) / (high - low)


def span(known: Range) -> str:
    """Say from where to where a range goes, or what it may choose."""
    if known.choices:
        return ", ".join(map(str, known.choices))
    return f"{plain(known.low or 0.0)} to {plain(known.high or 0.0)}{', logarithmic' * known.log}"


def plain(value: object) -> str:
    """Write a value for a reader: of a number six digits."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return "" if value is None else str(value)


def _exact(value: object) -> str:
    """Write a number by as many digits as tell it from all others, so that a training can be given it again."""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value)).removesuffix(".0")
    return "" if value is None else str(value)


def _name(row: ParameterRow | TrialRow) -> str:
    return escape(row.loss) + (f", search {row.search}" if row.search else "")


def _place(row: TrialRow) -> tuple[str, str, str, str]:
    return row.dataset, row.protocol, row.digest, row.loss


def _scroll(head: str, lines: str, label: str) -> str:
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table>'
        f"<thead>{head}</thead><tbody>{lines}</tbody></table></div>"
    )
