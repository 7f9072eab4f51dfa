"""The page of all numbers that papers print."""

from collections.abc import Sequence

from mlrc.results.boards.papers import Printed
from mlrc.results.records.metric_names import SETTINGS, metric_order
from mlrc.results.rendering.table import ABSENT


def papers_markdown(printed: Sequence[Printed]) -> str:
    """Give a page with a table per paper and dataset."""
    sections = ["# Numbers that the papers print\n\nPercent; ± is the standard deviation that the paper gives.\n"]
    for source, dataset in dict.fromkeys((one.source, one.dataset) for one in printed):
        mine = [one for one in printed if (one.source, one.dataset) == (source, dataset)]
        columns = sorted({(one.setting, one.metric) for one in mine}, key=_column_order)
        header = ["loss", "place", *(f"{setting} {metric}".strip() for setting, metric in columns)]
        lines = [header, ["---", "---", *("---:" for _ in columns)]]
        for title, place in dict.fromkeys((one.title, one.place) for one in mine):
            cells = {(one.setting, one.metric): one for one in mine if (one.title, one.place) == (title, place)}
            lines.append([title, place, *(_cell(cells.get(column)) for column in columns)])
        table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        sections.append(f"## {source}, {dataset}\n\n{table}")
    return "\n".join(sections)


def _column_order(column: tuple[str, str]) -> tuple[int, tuple[int, int, int, str]]:
    setting, metric = column
    return -SETTINGS.index(setting) if setting in SETTINGS else 0, metric_order(metric)


def _cell(printed: Printed | None) -> str:
    if printed is None:
        return ABSENT
    return f"{printed.mean:g}" + ("" if printed.sd is None else f" ± {printed.sd:g}")
