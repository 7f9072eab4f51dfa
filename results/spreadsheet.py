"""Rows to CSV, and back for those who compare tables."""

from collections.abc import Sequence
from io import StringIO

import pandas as pd

from results.leaderboard import CostRow, Row
from results.statistics import Interval

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
)


def leaderboard_csv(rows: Sequence[Row]) -> str:
    """Give `leaderboard.csv`: scores in percent with four decimals, empty where there is no interval."""
    table = pd.DataFrame(
        [
            {
                **{name: getattr(row, name) for name in COLUMNS if hasattr(row, name)},
                "class_low": row.classes.low if row.classes else None,
                "class_high": row.classes.high if row.classes else None,
            }
            for row in rows
        ],
        columns=list(COLUMNS),
    )
    return _csv(table)


def cost_csv(rows: Sequence[CostRow]) -> str:
    """Give `cost.csv`: hours with four decimals."""
    return _csv(pd.DataFrame([vars(row) for row in rows], columns=list(CostRow.__dataclass_fields__)))


def read_leaderboard_csv(text: str) -> list[Row]:
    """Give the rows of a `leaderboard.csv`.

    Raises:
        ValueError: it lacks a column, or a cell holds no number where one must be.
    """
    try:
        table = pd.read_csv(StringIO(text), dtype={"digest": str, "commit": str}, keep_default_na=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise ValueError(f"it is no table ({error})") from None
    if missing := [name for name in COLUMNS if name not in table.columns]:
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
    )


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format="%.4f", lineterminator="\n")
