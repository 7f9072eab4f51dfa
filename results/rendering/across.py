"""Several data sets together, as CSV, Markdown, HTML and a picture."""

from collections.abc import Sequence
from html import escape

import pandas as pd
from matplotlib.figure import Figure

from mlrc.results.boards.across import Across
from mlrc.results.records.metric_names import RANKED_BY
from mlrc.results.records.record import UNTRAINED
from mlrc.results.rendering.plots import Plot, drawn
from mlrc.results.rendering.table import ABSENT
from mlrc.results.rendering.titles import Titles, dataset_title, loss_title, protocol_title
from mlrc.results.statistics.across import Estimate

COLUMNS = ("protocol", "digest", "setting", "datasets", "loss", "gain", "rank", "improvement")
"""Of `across.csv`; the last three with `_low` and `_high`, the ends of their 95 % intervals."""
PAIR_COLUMNS = ("protocol", "digest", "setting", "datasets", "first", "second", "first_wins", "low", "high")
"""Of `across_pairs.csv`."""


def across_tables(found: Sequence[Across]) -> dict[str, str]:
    """Give file name to content of what data sets say together; nothing where there is nothing."""
    if not found:
        return {}
    return {
        "across.csv": _csv(pd.DataFrame([row for one in found for row in _rows(one)])),
        "across_pairs.csv": _csv(
            pd.DataFrame(
                [
                    (*_place(one), *pair, *estimate)
                    for one in found
                    for pair, estimate in one.standings.pairs.items()
                    if pair[0] < pair[1]
                ],
                columns=list(PAIR_COLUMNS),
            )
        ),
        "across.md": "\n".join(map(_markdown, found)),
    }


def across_plot(one: Across) -> Plot:
    """Draw data set × loss: the mean in each cell, its colour the place on that data set."""
    return drawn("across", "Data set × loss", _told_picture(one), lambda: _picture(one))


def across_section(one: Across, titles: Titles | None = None) -> str:
    """Give the part of the page: who is where on each data set, and what all say together."""
    heads = "".join(f'<th scope="col">{escape(dataset_title(name))}</th>' for name in one.datasets)
    heads += "".join(f'<th scope="col">{name}</th>' for name in ("gain", "mean rank", "P(improvement)"))
    untrained = [UNTRAINED] if any(loss == UNTRAINED for _, loss in one.means) else []
    lines = "".join(
        f'<tr data-loss="{escape(loss)}"><th scope="row"><span title="{escape(loss)}">'
        f"{escape(loss_title(loss, titles))}</span></th>"
        f"{''.join(_place_cell(one, dataset, loss) for dataset in one.datasets)}"
        f"{''.join(f'<td>{cell}</td>' for cell in (_cells(one, loss) if loss in one.losses else [ABSENT] * 3))}</tr>"
        for loss in (*one.losses, *untrained)
    )
    told = "".join(f"<li>{escape(sentence)}</li>" for sentence in [_told_table(one), *sentences(one)])
    first = loss_title(one.losses[0], titles)
    rank = one.standings.losses[one.losses[0]].rank
    return (
        f'<section id="across-{one.digest}">\n<h2>{_title(one)}</h2>\n<p class="answer"><strong>{escape(first)} has '
        f"the best mean rank on {len(one.datasets)} data sets, {_told(rank, 1)} of {len(one.losses)} losses.</strong>"
        "</p>"
        f'<div class="scroll" role="region" tabindex="0" aria-label="across data sets"><table class="scores places">'
        f'<thead><tr><th scope="col">loss</th>{heads}</tr></thead><tbody>{lines}</tbody></table></div>\n'
        f'<ul class="caption">{told}</ul></section>'
    )


def _place_cell(one: Across, dataset: str, loss: str) -> str:
    """Give a mean with its place on that data set, in one of four shades."""
    mean = one.means.get((dataset, loss))
    if mean is None:
        return f"<td>{ABSENT}</td>"
    if loss not in one.losses:
        return f"<td>{mean:.2f}</td>"
    place = 1 + sum(one.means[dataset, other] > mean for other in one.losses)
    shade = min(3, 4 * (place - 1) // len(one.losses))
    return f'<td class="shade{shade}">{mean:.2f} <small>{place}.</small></td>'


def _told_table(one: Across) -> str:
    return f"Mean {RANKED_BY}, {one.setting}, and the place on each data set; the darker, the better the place."


def sentences(one: Across) -> list[str]:
    """Say what the numbers are."""
    return [
        f"{RANKED_BY}, {one.setting}, on {', '.join(one.datasets)}; protocol {one.protocol} (digest {one.digest}).",
        "Gain: the share of the way from the untrained trunk to 100 %, mean over data sets, percent.",
        "Mean rank: of the place on each data set among these losses; the best first.",
        "P(improvement): how often one repeat beats one of another loss, mean over data sets and other losses.",
        "95 % intervals: 2,000 draws of the repeats (of the searches, where there are several of each loss) and of the "
        "test classes within each data set (stratified "
        "bootstrap, percentiles). They say nothing of other data sets, of which there would have to be more.",
    ]


def _markdown(one: Across) -> str:
    lines = ["| loss | gain | mean rank | P(improvement) |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {loss} | {' | '.join(_cells(one, loss))} |" for loss in one.losses]
    return f"## {_title(one)}\n\n" + "\n".join(lines) + f"\n\n{' '.join(sentences(one))}\n"


def _cells(one: Across, loss: str) -> list[str]:
    standing = one.standings.losses[loss]
    return [_told(standing.gain, 1), _told(standing.rank, 1), _told(standing.improvement, 2)]


def _told(estimate: Estimate | None, decimals: int) -> str:
    if estimate is None:
        return ABSENT
    value, low, high = (f"{end:.{decimals}f}" for end in estimate)
    return f"{value} ({low}–{high})"


def _rows(one: Across) -> list[dict[str, str | float | None]]:
    rows: list[dict[str, str | float | None]] = []
    for loss in one.losses:
        standing = one.standings.losses[loss]
        row: dict[str, str | float | None] = dict(zip(COLUMNS, (*_place(one), loss), strict=False))
        for name, estimate in zip(COLUMNS[5:], (standing.gain, standing.rank, standing.improvement), strict=True):
            ends = estimate or (None, None, None)
            row |= {name: ends[0], f"{name}_low": ends[1], f"{name}_high": ends[2]}
        rows.append(row)
    return rows


def _place(one: Across) -> tuple[str, str, str, str]:
    return one.protocol, one.digest, one.setting, " ".join(one.datasets)


def _title(one: Across) -> str:
    return f"Across {len(one.datasets)} data sets, {escape(protocol_title(one.protocol))}"


def _told_picture(one: Across) -> str:
    return f"Mean {RANKED_BY}, {one.setting}; the darker, the better the place on that data set."


def _picture(one: Across) -> Figure:
    losses = [*one.losses, *([UNTRAINED] if any(loss == UNTRAINED for _, loss in one.means) else [])]
    figure = Figure(figsize=(2.2 + 1.5 * len(one.datasets), 1.0 + 0.26 * len(losses)))
    axes = figure.subplots()
    places = []
    for loss in losses:
        mine = []
        for dataset in one.datasets:
            others = [one.means[dataset, other] for other in one.losses]
            mean = one.means.get((dataset, loss))
            mine.append(sum(other > mean for other in others) if mean is not None else len(others))
        places.append(mine)
    axes.imshow(places, cmap="Blues_r", aspect="auto", vmin=0, vmax=max(len(one.losses), 1) * 1.6)
    for line, loss in enumerate(losses):
        for column, dataset in enumerate(one.datasets):
            if (dataset, loss) in one.means:
                text = f"{one.means[dataset, loss]:.1f}"
                axes.text(column, line, text, ha="center", va="center", fontsize=8)
    axes.set_xticks(range(len(one.datasets)), one.datasets)
    axes.set_yticks(range(len(losses)), losses)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    return figure


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, float_format="%.4f", lineterminator="\n")
