"""The printed table in the Reality Check's layout, losses as rows and settings as column groups: Markdown and LaTeX."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mlrc.results.boards.leaderboard import Board, Row
from mlrc.results.boards.papers import Reference
from mlrc.results.records.metric_names import RANKED_BY
from mlrc.results.records.record import BASELINES
from mlrc.results.rendering.caption import caption
from mlrc.results.rendering.titles import Titles, dataset_title, loss_title, protocol_title
from mlrc.results.statistics.ranks import Ranks

ABSENT = "–"


class Cell(NamedTuple):
    """A mean with the half width of its interval, percent; `bold` where the loss could be the best.

    `sd`, the standard deviation, stands beside it in the tables of traditional protocols.
    """

    mean: float
    half: float | None
    bold: bool
    sd: float | None = None


class Line(NamedTuple):
    """A row of the table: `cells` in the order of the layout's columns, `ranks` by MAP@R, one per setting."""

    title: str
    cells: tuple[Cell | None, ...]
    ranks: tuple[Ranks | None, ...]
    is_reference: bool


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A table before it has a format.

    Attributes:
        settings: heading of each column group.
        metrics: columns of each group.
    """

    settings: tuple[str, ...]
    metrics: tuple[str, ...]
    lines: tuple[Line, ...]


def layout(board: Board, references: Sequence[Reference] = ()) -> Layout:
    """Lay out the table of a board."""
    names = [(setting, metric) for setting in board.settings for metric in board.metrics]
    rows = {(row.loss, row.setting, row.metric): row for row in board.rows}
    best = {name: _best(board, name, rows) for name in names}
    lines = []
    for loss in dict.fromkeys((*board.losses, *(reference.loss for reference in references))):
        if loss in board.losses:
            mine = ((rows.get((loss, *name)), loss in best[name]) for name in names)
            cells = tuple(_cell(row, bold=bold, sd=board.traditional) for row, bold in mine)
            ranks = tuple(_rank(board, setting, loss) for setting in board.settings)
            lines.append(Line(loss, cells, ranks, is_reference=False))
        for reference in references:
            if reference.loss == loss:
                given = (reference.values.get(name) for name in names)
                cells = tuple(None if value is None else Cell(value, None, bold=False) for value in given)
                lines.append(Line(reference.title, cells, (None,) * len(board.settings), is_reference=True))
    return Layout(
        settings=tuple(_heading(board, setting) for setting in board.settings),
        metrics=board.metrics,
        lines=tuple(lines),
    )


def markdown(board: Board, references: Sequence[Reference] = ()) -> str:
    """Give a Markdown section with the table of a board and its caption."""
    plan = layout(board, references)
    header = ["loss", *(f"{setting} {column}" for setting in plan.settings for column in (*plan.metrics, "rank"))]
    lines = [header, ["---", *("---:" for _ in header[1:])]]
    for line in plan.lines:
        cells = [_marked(cell) for cell in line.cells]
        per = len(plan.metrics)
        groups = [[*cells[i * per : (i + 1) * per], _rank_text(rank)] for i, rank in enumerate(line.ranks)]
        lines.append(
            [f"*{line.title}*" if line.is_reference else line.title, *(cell for group in groups for cell in group)]
        )
    if board.verified:
        lines = [[*line, more] for line, more in zip(lines, _verified(board, plan, "---:"), strict=True)]
    table = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
    return f"## {board.dataset}, {board.protocol}\n\n{table}\n{' '.join(_sentences(board, references, ranks=True))}\n"


def latex(board: Board, references: Sequence[Reference] = (), titles: Titles | None = None) -> str:
    """Give a LaTeX table (booktabs) of a board, in the paper's layout: a short caption, and all else as notes below it.

    Args:
        board: with rows.
        references: rows of papers.
        titles: loss to what papers call it; a loss without one goes by its identifier.
    """
    plan = layout(board, references)
    ranked = any(rank for line in plan.lines for rank in line.ranks)
    per = len(plan.metrics) + ranked
    groups = " & ".join(rf"\multicolumn{{{per}}}{{c}}{{{_escaped(setting)}}}" for setting in plan.settings)
    rules = "".join(rf"\cmidrule(lr){{{2 + i * per}-{1 + (i + 1) * per}}}" for i in range(len(plan.settings)))
    columns = (*plan.metrics, *("rank",) * ranked)
    heads = " & ".join(_escaped(column) for _ in plan.settings for column in columns)
    cells = [
        [_escaped(_titled(line, titles)), *_typeset_line(line, len(plan.metrics), ranked=ranked)] for line in plan.lines
    ]
    if board.verified:
        heads = f"{heads} & verified"
        cells = [[*line, more] for line, more in zip(cells, _verified(board, plan, "")[2:], strict=True)]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table*}",
            rf"\caption{{{_escaped(_brief(board))}}}",
            rf"\label{{tab:{re.sub('[^a-zA-Z0-9]', '-', board.dataset)}-{board.digest}}}",
            r"\centering",
            r"\footnotesize",
            r"\setlength{\tabcolsep}{3pt}",
            r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%  no wider than the page",
            rf"\begin{{tabular}}{{l{'c' * (per * len(plan.settings) + bool(board.verified))}}}",
            r"\toprule",
            rf" & {groups} \\",
            rules,
            rf" & {heads} \\",
            r"\midrule",
            *(" & ".join(line) + r" \\" for line in cells),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\par\smallskip",
            rf"\parbox{{\textwidth}}{{\scriptsize {_escaped(' '.join(_sentences(board, references, ranks=ranked)))}}}",
            r"\end{table*}",
            "",
        ]
    )


def _brief(board: Board) -> str:
    """Give a caption of some three lines; what else a reader must know are notes."""
    settings = " and ".join(board.settings) if len(board.settings) > 1 else "one model"
    bold = " Bold: could be the best." if board.contests else ""
    rank = f" Rank: the places that a loss may have in {RANKED_BY}." if board.contests else ""
    return (
        f"{dataset_title(board.dataset)}, {protocol_title(board.protocol)}: percent, {settings}; mean and half width "
        f"of the 95 % interval over repeats.{bold}{rank}"
    )


def _titled(line: Line, titles: Titles | None) -> str:
    return line.title if line.is_reference else loss_title(line.title, titles)


def _typeset_line(line: Line, per: int, *, ranked: bool) -> list[str]:
    cells: list[str] = []
    for number, rank in enumerate(line.ranks):
        cells += map(_typeset, line.cells[number * per : (number + 1) * per])
        cells += [_escaped(_rank_text(rank))] * ranked
    return cells


def _verified(board: Board, plan: Layout, rule: str) -> list[str]:
    """Give the cells of the column that says how much of a row someone trained again, from the heading down."""
    return ["verified", rule, *("" if line.is_reference else board.verified.get(line.title, "") for line in plan.lines)]


def sources(references: Sequence[Reference]) -> list[str]:
    """Say where the rows of papers are printed, each place once."""
    titles: dict[str, list[str]] = {}
    for reference in references:
        titles.setdefault(reference.source, []).append(reference.title)
    return [f"{', '.join(dict.fromkeys(of_source))}: {source}." for source, of_source in titles.items()]


def _sentences(board: Board, references: Sequence[Reference], *, ranks: bool) -> list[str]:
    return [*caption(board, ranks=ranks), *board.notes, *sources(references)]


def _best(board: Board, name: tuple[str, str], rows: Mapping[tuple[str, str, str], Row]) -> frozenset[str]:
    """Give the losses that could be the best; one without a comparison counts by its mean."""
    means = {loss: rows[loss, *name].mean for loss in board.losses if loss not in BASELINES and (loss, *name) in rows}
    contest = board.contests.get(name)
    if len(means) < 2:
        return frozenset()
    top = max(round(means[loss], 2) for loss in (contest.best if contest else means))
    alone = [loss for loss, mean in means.items() if round(mean, 2) >= top]
    return contest.best.union(alone) if contest else frozenset(alone)


def _cell(row: Row | None, *, bold: bool, sd: bool) -> Cell | None:
    return Cell(row.mean, row.ci95, bold, row.sd if sd else None) if row else None


def _rank(board: Board, setting: str, loss: str) -> Ranks | None:
    contest = board.contests.get((setting, RANKED_BY))
    return contest.ranks.get(loss) if contest else None


def _heading(board: Board, setting: str) -> str:
    run = next(run for run in board.runs if run.loss not in BASELINES or {*board.losses} <= {*BASELINES})
    dimensions = run.embedding_size * (len(run.fold_keys) if setting == "concatenated" else 1)
    return f"{setting.capitalize() if len(board.settings) > 1 else 'One model'} ({dimensions}-dim)"


def _marked(cell: Cell | None) -> str:
    if cell is None:
        return ABSENT
    text = f"{cell.mean:.2f}" + ("" if cell.half is None else f" ± {cell.half:.2f}")
    text += "" if cell.sd is None else f" ({cell.sd:.2f})"
    return f"**{text}**" if cell.bold else text


def _rank_text(rank: Ranks | None) -> str:
    return ABSENT if rank is None else str(rank)


def _typeset(cell: Cell | None) -> str:
    if cell is None:
        return "--"
    text = f"{cell.mean:.2f}" + ("" if cell.half is None else rf" \pm {cell.half:.2f}")
    text += "" if cell.sd is None else rf"\ ({cell.sd:.2f})"
    return rf"$\mathbf{{{text}}}$" if cell.bold else f"${text}$"


_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "α": r"$\alpha$",
    "≤": r"$\le$",
    "…": r"\ldots{}",
    "–": "--",
    "“": "``",
    "”": "''",
}


def _escaped(text: str) -> str:
    """Give text that LaTeX prints as it is; signs that it may lack, such as those of an error message, become `?`."""
    return "".join(_LATEX.get(sign, sign if sign.isascii() else "?") for sign in text)
