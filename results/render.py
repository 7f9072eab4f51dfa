"""Rows to text: CSV and Markdown. Everything here is a value in and a string out."""

from collections.abc import Mapping, Sequence
from io import StringIO

import pandas as pd

from results.leaderboard import SETTINGS, CostRow, Row
from results.record import ProtocolRecord

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
PAPER_METRICS = ("P@1", "RP", "MAP@R")
"""The columns of the Reality Check's tables, in their order; nDCG@k is added at its largest k."""


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


def tables_markdown(rows: Sequence[Row], protocols: Mapping[str, ProtocolRecord]) -> str:
    """Give `table.md`: one table per dataset and protocol, losses as rows, the best value of each column in bold.

    Args:
        rows: of the leaderboard, in its order.
        protocols: digest to its record, for the captions.
    """
    text = StringIO()
    for dataset, digest in dict.fromkeys((row.dataset, row.digest) for row in rows):
        mine = [row for row in rows if (row.dataset, row.digest) == (dataset, digest)]
        text.write(f"## {dataset}, {mine[0].protocol}\n\n")
        text.write(_table(mine))
        text.write(f"\n{caption(mine, protocols.get(digest))}\n\n")
    return text.getvalue().rstrip("\n") + "\n"


def caption(rows: Sequence[Row], protocol: ProtocolRecord | None) -> str:
    """Say what a reader must know to read the table right."""
    first = rows[0]
    repeats = sorted({row.n for row in rows})
    trials = {row.loss: row for row in rows}
    diverged = [f"{row.loss} {row.diverged} of {row.trials}" for row in trials.values() if row.diverged]
    sentences = [
        f"Protocol {first.protocol} (digest {first.digest}), percent.",
        f"Mean ± half width of the 95 % Student-t interval over n = {' or '.join(map(str, repeats))} repeats, which "
        "covers seed noise only; one repeat has no interval. The bootstrap over test classes is in leaderboard.csv.",
        "Concatenated is an ensemble of the fold models; separated is their mean.",
        "The row “untrained” is the trunk's pooled output before any training.",
    ]
    if protocol:
        cut = protocol.fields["cut"]
        sentences.append(
            f"Split into trainval and test classes: {dict(cut['named']).get(first.dataset, cut['default'])}."
        )
    if protocol and protocol.changes:
        changes = ", ".join(f"{name} {new} instead of {old}" for name, (old, new) in sorted(protocol.changes.items()))
        sentences.append(f"Differs from {first.protocol.split('+', 1)[0]} in {changes}.")
    sentences.append(
        f"Trials in which a fold diverged or failed: {', '.join(diverged)}." if diverged else "No trial diverged."
    )
    return " ".join(sentences)


def _table(rows: Sequence[Row]) -> str:
    ndcg = sorted((row.metric for row in rows if row.metric.startswith("nDCG@")), key=lambda name: int(name[5:]))
    metrics = [*PAPER_METRICS, *ndcg[-1:]]
    columns = [(setting, metric) for setting in reversed(SETTINGS) for metric in metrics]
    cells = {(row.loss, row.setting, row.metric): row for row in rows}
    losses = list(dict.fromkeys(row.loss for row in rows))
    best = {column: max(round(cells[loss, *column].mean, 2) for loss in losses) for column in columns}
    header = ["loss", *(f"{setting} {metric}" for setting, metric in columns)]
    lines = [header, ["---", *("---:" for _ in columns)]]
    for loss in losses:
        line = [loss]
        for column in columns:
            row = cells[loss, *column]
            cell = f"{row.mean:.2f}" + ("" if row.ci95 is None else f" ± {row.ci95:.2f}")
            line.append(f"**{cell}**" if round(row.mean, 2) == best[column] else cell)
        lines.append(line)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format="%.4f", lineterminator="\n")
