"""Rows and comparisons to CSV, and rows back for those who compare tables."""

from collections.abc import Sequence
from io import StringIO

import pandas as pd

from mlrc.results.boards.leaderboard import Board, CostRow, Row
from mlrc.results.boards.parameters import ParameterRow
from mlrc.results.statistics.curves import epochs_to_best
from mlrc.results.statistics.intervals import Interval
from mlrc.results.statistics.ranks import Ranks

COLUMNS = (
    "dataset",
    "protocol",
    "digest",
    "loss",
    "setting",
    "metric",
    "mean",
    "ci95",
    "n",
    "class_low",
    "class_high",
    "diverged",
    "trials",
    "commit",
    "sd",
    "rank_low",
    "rank_high",
    "could_be_best",
    "searches",
)
"""`rank_low` to `rank_high`: the places that the loss may have in this metric; empty where it is not compared."""
_LATER = {"sd", "rank_low", "rank_high", "could_be_best", "searches"}
"""Columns that older tables lack."""

PAIR_COLUMNS = (
    "dataset",
    "protocol",
    "digest",
    "setting",
    "metric",
    "first",
    "second",
    "difference",
    "low",
    "high",
    "first_wins",
    "p_equal",
    "margin",
    "p_apart",
    "first_wins_low",
    "first_wins_high",
    "meaningful",
    "equivalent_within",
    "repeats_needed",
)
"""Of `comparisons.csv`. `difference`: first minus second, percent points, with its 95 % interval `low` to `high`;
`first_wins`: `Pair.outperforming` with its 95 % interval, and whether it is `meaningful` for either of the two;
`p_equal`: how often equal losses differ as much, `p_apart`: how often losses that differ by `margin` or more lie as
close; both corrected for all pairs in the column. `equivalent_within`: the smallest margin at which the latter is at
most 0.05; `repeats_needed` (of each loss; searches where there are several): to tell a difference of this size apart in
four tables of five, empty where no number is enough on as many classes."""
_SHARES = ("first_wins", "first_wins_low", "first_wins_high")
"""Columns that hold no more than two decimals."""


PARAMETER_COLUMNS = (
    "dataset",
    "protocol",
    "digest",
    "loss",
    "search",
    "parameter",
    "value",
    "searched",
    "low",
    "high",
    "log",
    "choices",
)
"""`searched`: whether a search found the value, from `low` to `high`, on a `log` scale, or among `choices`."""


def leaderboard_csv(rows: Sequence[Row]) -> str:
    """Give `leaderboard.csv`: scores in percent with four decimals, empty where there is no interval."""
    return _csv(leaderboard_frame(rows))


def leaderboard_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Give the leaderboard with the columns `COLUMNS`, scores in percent, missing where there is no interval."""
    frame = pd.DataFrame(
        [
            {
                **{name: getattr(row, name) for name in COLUMNS if hasattr(row, name)},
                "class_low": row.classes.low if row.classes else None,
                "class_high": row.classes.high if row.classes else None,
                "rank_low": row.ranks.low if row.ranks else None,
                "rank_high": row.ranks.high if row.ranks else None,
            }
            for row in rows
        ],
        columns=list(COLUMNS),
    )
    return frame.astype({"rank_low": "Int64", "rank_high": "Int64", "could_be_best": "boolean"})


def cost_csv(rows: Sequence[CostRow]) -> str:
    """Give `cost.csv`: hours with four decimals."""
    return _csv(cost_frame(rows))


def cost_frame(rows: Sequence[CostRow]) -> pd.DataFrame:
    """Give what each loss took, in hours."""
    return pd.DataFrame([vars(row) for row in rows], columns=list(CostRow.__dataclass_fields__))


def parameters_frame(rows: Sequence[ParameterRow]) -> pd.DataFrame:
    """Give the parameters of the losses with the columns `PARAMETER_COLUMNS`, missing where no range is known."""
    return pd.DataFrame(
        [
            {
                **{name: getattr(row, name) for name in PARAMETER_COLUMNS if hasattr(row, name)},
                **(vars(row.range) | {"choices": row.range.choices or None} if row.range else {}),
            }
            for row in rows
        ],
        columns=list(PARAMETER_COLUMNS),
    )


def convergence_csv(boards: Sequence[Board]) -> str:
    """Give `convergence.csv`: the epochs to the best score of each loss whose repeats were validated."""
    rows = [
        (board.dataset, board.protocol, board.digest, one.loss, *pace)
        for board in boards
        for one in board.evidence
        if (pace := epochs_to_best(one))
    ]
    columns = ["dataset", "protocol", "digest", "loss", "epochs_to_best", "ci95", "n"]
    return _csv(pd.DataFrame(rows, columns=columns))


def comparisons_csv(boards: Sequence[Board], margin: float) -> str:
    """Give `comparisons.csv`: every two losses once, in the order of `PAIR_COLUMNS`."""
    frame = comparisons_frame(boards, margin)
    for name in _SHARES:
        frame[name] = frame[name].map("{:.2f}".format)
    return _csv(frame)


def comparisons_frame(boards: Sequence[Board], margin: float) -> pd.DataFrame:
    """Give every two losses once, with the columns `PAIR_COLUMNS`; `margin` in percent points."""
    rows = []
    for board in boards:
        for (setting, metric), contest in board.contests.items():
            equivalence = contest.equivalence(margin)
            for (first, second), pair in contest.pairs.items():
                if first < second:
                    place = (board.dataset, board.protocol, board.digest, setting, metric, first, second)
                    low, high = pair.difference.interval()
                    wins = pair.outperforming
                    told = (pair.difference.mean, low, high, wins.probability, pair.adjusted)
                    more = (wins.low, wins.high, wins.meaningful, pair.within, pair.needed)
                    rows.append((*place, *told, margin, equivalence[first, second], *more))
    return pd.DataFrame(rows, columns=list(PAIR_COLUMNS)).astype({"repeats_needed": "Int64"})


def read_leaderboard_csv(text: str) -> list[Row]:
    """Give the rows of a `leaderboard.csv`.

    Raises:
        ValueError: it lacks a column, or a cell holds no number where one must be.
    """
    try:
        table = pd.read_csv(StringIO(text), dtype={"digest": str, "commit": str}, keep_default_na=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise ValueError(f"it is no table ({error})") from None
    if missing := [name for name in COLUMNS if name not in {*table.columns, *_LATER}]:
        raise ValueError(f"it lacks the column {missing[0]}")
    return [_row({str(name): str(cell) for name, cell in cells.items()}) for cells in table.to_dict("records")]


def _row(cells: dict[str, str]) -> Row:
    classes = (cells["class_low"], cells["class_high"])
    return Row(
        dataset=cells["dataset"],
        protocol=cells["protocol"],
        digest=cells["digest"],
        loss=cells["loss"],
        setting=cells["setting"],
        metric=cells["metric"],
        mean=float(cells["mean"]),
        ci95=float(cells["ci95"]) if cells["ci95"] else None,
        n=int(cells["n"]),
        classes=Interval(float(classes[0]), float(classes[1])) if all(classes) else None,
        diverged=int(cells["diverged"]),
        trials=int(cells["trials"]),
        commit=cells["commit"],
        sd=float(cells["sd"]) if cells.get("sd") else None,
        ranks=Ranks(int(cells["rank_low"]), int(cells["rank_high"])) if cells.get("rank_low") else None,
        could_be_best=cells["could_be_best"] == "True" if cells.get("could_be_best") else None,
        searches=int(cells.get("searches") or 1),
    )


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format="%.4f", lineterminator="\n")
