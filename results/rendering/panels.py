"""A panel per loss, with an address of its own: what stands behind its numbers, and how to make them again."""

import math
from collections.abc import Sequence
from html import escape

from mlrc.results.boards.leaderboard import Board
from mlrc.results.boards.parameters import ParameterRow, Ranges, parameters
from mlrc.results.boards.trials import TrialRow, trials
from mlrc.results.records.evidence import Evidence
from mlrc.results.records.metric_names import RANKED_BY
from mlrc.results.records.record import BASELINES
from mlrc.results.rendering.search_tables import place, plain, share_of, span
from mlrc.results.rendering.strips import Scale, axis, dot, panel_of, scale, strip
from mlrc.results.rendering.titles import Titles, loss_title
from mlrc.results.statistics.exact import mean


def panels(board: Board, name: str, ranges: Ranges, titles: Titles | None = None) -> str:
    """Give the panels of all losses of a board, in the order of its table.

    Args:
        board: with rows.
        name: of the board in addresses.
        ranges: of the searches, as far as they are known.
        titles: of losses.
    """
    found = {one.loss: one for one in board.evidence}
    values, tried = parameters(board, ranges), trials(board)
    known = _scale_of_repeats(board)
    blocks = "".join(
        _panel(
            board,
            found[loss],
            [row for row in values if row.loss == loss],
            [row for row in tried if row.loss == loss],
            known,
            named=(panel_of(name, loss), loss_title(loss, titles)),
        )
        for loss in board.losses
    )
    told = "Open a loss: its repeats, parameters, trials, versions and keys, and the command that makes them again."
    return f'<h3>Behind the numbers</h3><p class="told">{told}</p><div class="panels">{blocks}</div>'


def _scale_of_repeats(board: Board) -> dict[str, Scale]:
    """Give each setting's scale, the same in all panels so that they can be compared."""
    values = {setting: [run.scores(setting).get(RANKED_BY) for run in board.runs] for setting in board.settings}
    return {
        setting: scale([one for one in of if one is not None])
        for setting, of in values.items()
        if any(one is not None for one in of)
    }


def _panel(
    board: Board,
    evidence: Evidence,
    values: Sequence[ParameterRow],
    tried: Sequence[TrialRow],
    known: dict[str, Scale],
    *,
    named: tuple[str, str],
) -> str:
    address, title = named
    rank = next(
        (row.ranks for row in board.rows if row.loss == evidence.loss and row.metric == RANKED_BY and row.ranks), None
    )
    parts = [
        _repeats(evidence, known),
        _parameters(values),
        _search(tried),
        _making(board, evidence),
        _again(board, evidence),
    ]
    brief = f", rank {rank}" if rank else ""
    return (
        f'<details class="loss" id="{address}" data-loss="{escape(evidence.loss)}"><summary>{escape(title)} '
        f'<code>{escape(evidence.loss)}</code><span class="told">{brief}</span></summary>{"".join(parts)}</details>'
    )


def _repeats(evidence: Evidence, known: dict[str, Scale]) -> str:
    found = []
    for setting, of_setting in known.items():
        values = [run.scores(setting)[RANKED_BY] for run in evidence.runs if RANKED_BY in run.scores(setting)]
        if not values:
            continue
        told = ", ".join(f"{value:.2f}" for value in values)
        marks = "".join(dot(of_setting, value) for value in values)
        found.append(
            f"<ul><li><span>{len(values)} repeats, {setting}</span>{strip(of_setting, marks, told)}"
            f"<output>{mean(values):.2f}</output></li></ul>{axis(of_setting, f'{RANKED_BY}, {setting} (%): {told}')}"
        )
    return f'<div class="strips repeats">{"".join(found)}</div>'


def _parameters(rows: Sequence[ParameterRow]) -> str:
    if not rows:
        return "<p>No parameters.</p>"
    lines = []
    for row in rows:
        where = "" if row.range is None or not row.searched else place(row.value, row.range)
        marks = ""
        if where and row.range is not None and not isinstance(row.value, str):
            whole = Scale(-4, 104, ())
            marks = strip(whole, dot(whole, 100 * share_of(row.value, row.range)), f"{where} of the range")
        shown = "given" if not row.searched else "" if row.range is None else span(row.range)
        search = f" (search {row.search})" if row.search else ""
        lines.append(
            f'<tr><th scope="row">{escape(row.parameter)}{search}</th><td>{escape(plain(row.value))}</td>'
            f'<td class="text">{escape(shown)}</td><td class="range">{marks}</td></tr>'
        )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("parameter", "value", "range", "place in it"))
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="parameters"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _search(rows: Sequence[TrialRow]) -> str:
    if not rows:
        return ""
    scores = [row.score for row in rows]
    known = scale(scores)
    drawn, best = [], -math.inf
    line: list[str] = []
    step = 100 / max(len(rows), 1)
    several = len({row.search for row in rows}) > 1
    for number, row in enumerate(rows):
        best = row.score if not number or row.search != rows[number - 1].search else max(best, row.score)
        across = (number + 0.5) * step
        up, top = (56 - 52 * known.share(one) for one in (row.score, best))
        of_search = f"search {row.search}, " * several
        kind = ' class="chosen"' if row.chosen else "" if row.outcome == "done" else ' class="short"'
        told = f"{of_search}trial {row.trial}: {row.score:.2f} % ({row.outcome}{', chosen' * row.chosen})"
        drawn.append(f'<circle{kind} cx="{across:.2f}%" cy="{up:.1f}" r="4"><title>{told}</title></circle>')
        line.append(f'<line x1="{number * step:.2f}%" x2="{(number + 1) * step:.2f}%" y1="{top:.1f}" y2="{top:.1f}"/>')
    short = sum(row.outcome != "done" for row in rows)
    chosen = ", ".join(
        f"trial {row.trial}{f' of search {row.search}' * several} with {row.score:.2f} %" for row in rows if row.chosen
    )
    told = (
        f"{len(rows)} trials, {short} not trained to the end; the best on validation classes: {chosen}. Dots: trials; "
        f"line: the best so far{' of each search' * several}."
    )
    marks = "".join([*line, *drawn])
    return f'<svg class="search" role="img" aria-label="{told}">{marks}</svg><p class="told">{told}</p>'


def _making(board: Board, evidence: Evidence) -> str:
    made = [*(fold.environment for fold in evidence.folds), *(run.environment for run in evidence.runs)]
    hours = math.fsum(fold.seconds * fold.share for fold in evidence.folds) / 3600
    versions = sorted({f"{name} {version}" for one in made for name, version in one.versions.items()})
    keys = " ".join(f"<code>{run.key}</code>" for run in evidence.runs)
    facts = {
        "Trainings": f"{len(evidence.folds)}, {hours:.2f} device hours",
        "Commit": escape(" ".join(sorted({one.commit for one in made}))),
        "Devices": escape(" ".join(sorted({one.device for one in made}))),
        "Versions": escape(", ".join(versions)),
        "Protocol's digest": f"<code>{board.digest}</code>",
        "Ledger's keys of the repeats": keys,
    }
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{told}</dd>" for name, told in facts.items()) + "</dl>"


def _again(board: Board, evidence: Evidence) -> str:
    """Give the command that makes the numbers again; files that it needs are named by their SHA-256."""
    fields = board.record.fields if board.record else {}
    weights = str(fields.get("weights") or "")
    words = ["mlrc run", f"--dataset {board.dataset.partition('@')[0]} --root DIR"]
    words += [f"--losses {_with(board, evidence.loss)}"]
    words += [f"--protocol {board.record.parent if board.record else board.protocol}"]
    words += ["--weights FILE"] * bool(weights) + _sets(board) + _params(evidence)
    told = "At that commit, the same numbers on the same kind of processor"
    told += ", where it comes along with any loss" * (evidence.loss in BASELINES)
    told += f"; the file of weights has the SHA-256 {weights}:" if weights else ":"
    return f'<p class="told">{told}</p><pre>{escape(" ".join(words))}</pre>'


def _with(board: Board, loss: str) -> str:
    """Give the loss to name in a command: the first of the board, or any, for a row that no loss made."""
    return loss if loss not in BASELINES else next((one for one in board.losses if one not in BASELINES), "LOSS")


def _sets(board: Board) -> list[str]:
    """Give the options that make the protocol of its parent; what a trunk brings along comes with its name."""
    changes = {name: new for name, (_, new) in board.record.changes.items()} if board.record else {}
    trunk = [f"--trunk {changes['trunk']}"] if "trunk" in changes else []
    brought = {"weights", *(("trunk", "channels", "maximum", "mean", "std") if trunk else ())}
    return trunk + [
        f"--set {target}={_given(value)}"
        for name, new in changes.items()
        if name not in brought
        for target, value in _per_dataset(name, new)
    ]


def _per_dataset(name: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict) and set(value) == {"default", "named"}:
        return [(name, value["default"]), *((f"{name}.{dataset}", of_one) for dataset, of_one in value["named"])]
    return [(name, value)]


def _params(evidence: Evidence) -> list[str]:
    """Give the parameters that were given and not searched."""
    if evidence.search or not evidence.runs or evidence.loss in BASELINES:
        return []
    return [f"--param {evidence.loss}.{name}={_given(value)}" for name, value in evidence.runs[0].params.items()]


def _given(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
