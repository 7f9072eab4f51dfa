"""The tables and plots of a sweep: numbers by hand, what is missing, what papers print beside ours."""

from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from mlrc.results.boards.papers import Printed
from mlrc.results.boards.sweep import sweep_tables
from mlrc.results.records.ledger import LEDGER, Records
from mlrc.results.records.lines import to_line
from mlrc.results.records.record import Record, SweepPoint, SweepRecord
from mlrc.results.rendering.sweep_plots import _places, sweep_plot
from mlrc.results.rendering.sweep_report import write_sweeps
from mlrc.results.rendering.sweep_table import sweep_csv, sweep_markdown
from tests.results.studies import make, merged

SWEEP = SweepRecord(
    key="k" * 16,
    name="sizes",
    title="Embedding size",
    source="Somebody, table 1",
    note="",
    dataset="glyphs",
    fingerprint="f1f1f1f1f1f1f1f1",
    factors=("embedding_size",),
    points=tuple(
        SweepPoint(
            labels=(label,),
            loss="triplet",
            digest=digest * 12,
            params={"margin": 0.1},
            printed=(("arXiv1", "Triplet", f"table 1, {label}"),),
        )
        for label, digest in (("64", "a"), ("128", "b"))
    ),
)
PAPERS = [
    Printed(
        source="arXiv1",
        protocol="",
        dataset=dataset,
        loss="triplet",
        title="Triplet loss",
        place=f"table 1, {label}, 3 runs",
        setting="",
        metric=metric,
        mean=mean,
        sd=sd,
    )
    for dataset, label, metric, mean, sd in (
        ("cub200", "64", "R@1", 50.5, 0.25),
        ("cub200", "128", "R@1", 60, None),
        ("cub200", "128", "NMI", 70, None),
    )
]


@pytest.fixture
def records() -> Records:
    made = merged(
        make({"triplet": 40.0}, digest="a" * 12, repeats=3), make({"triplet": 60.0}, digest="b" * 12, repeats=2, seed=1)
    ).records
    made.add(SWEEP)
    return made


def test_mean_deviation_and_interval_are_those_of_the_repeats(records: Records) -> None:
    (table,) = sweep_tables(records)
    scores = [run.concatenated["MAP@R"] for run in records.runs.values() if run.digest == "a" * 12]
    found = table.points[0].scores["concatenated", "MAP@R"]
    assert found.n == len(scores) == 3
    assert found.mean == pytest.approx(sum(scores) / 3)
    assert found.sd == pytest.approx(stats.tstd(scores))
    low, _ = stats.t.interval(0.95, 2, loc=found.mean, scale=stats.sem(scores))
    assert found.ci95 == pytest.approx(found.mean - low)


def test_the_table_has_a_row_per_point_with_the_papers_number_beside(records: Records) -> None:
    lines = sweep_markdown(sweep_tables(records, PAPERS)[0]).splitlines()
    assert lines[2].startswith("| embedding_size | conc. P@1 |")
    assert lines[2].endswith("| paper, cub200: R@1 | n |")
    assert [line.split(" | ")[0] for line in lines[4:6]] == ["| 64", "| 128"]
    assert lines[4].endswith("| 50.5 (0.25) | 3 |")
    assert lines[5].endswith("| 60 | 2 |")
    assert "After Somebody, table 1. Parameters were given, not searched: margin 0.1." in lines[7]


def test_repeats_that_are_missing_are_said(records: Records) -> None:
    record = records.protocols["b" * 12]
    records.protocols[record.digest] = replace(record, fields={**record.fields, "repeats": 5})
    assert "Repeats are missing of 128:" in sweep_markdown(sweep_tables(records)[0])


def test_the_caption_warns_and_tells_the_rules_that_all_points_share(records: Records) -> None:
    for digest, size in (("a" * 12, 64), ("b" * 12, 128)):
        record = records.protocols[digest]
        changes = {"lr": (0.1, 0.2), "embedding_size": (512, size)}
        records.protocols[digest] = replace(
            record, changes=changes, fields={**record.fields, "epoch_choice": "best_on_test"}
        )
    told = sweep_markdown(sweep_tables(records)[0])
    assert "All differ from quick in lr 0.2 instead of 0.1." in told
    assert told.count("The epoch was chosen on the test set") == 1


def test_one_repeat_is_said_to_have_no_interval(records: Records) -> None:
    for key in [key for key, run in records.runs.items() if run.number > 0]:
        del records.runs[key]
    told = sweep_markdown(sweep_tables(records)[0])
    assert "One repeat, so no number has an interval or a standard deviation." in told
    assert "Student-t" not in told


def test_a_point_without_repeats_is_an_empty_row_and_no_number(records: Records) -> None:
    records.add(replace(SWEEP, points=(*SWEEP.points, replace(SWEEP.points[0], labels=("256",), digest="c" * 12))))
    (table,) = sweep_tables(records)
    assert sweep_markdown(table).splitlines()[6].startswith("| 256 | – | –")
    assert "256" not in sweep_csv([table])


def test_the_hours_of_a_sweep_stand_in_cost_csv_and_not_in_its_table(records: Records, tmp_path: Path) -> None:
    files = []
    for name, seconds in (("a", 36.0), ("b", 99.9)):
        runs = tmp_path / name
        runs.mkdir()
        folds = [replace(fold, seconds=seconds) for fold in records.folds.values()]
        every: list[Record] = [*records.protocols.values(), *folds, *records.runs.values(), SWEEP]
        (runs / LEDGER).write_text("".join(to_line(record) + "\n" for record in every), encoding="utf-8")
        files.append({path.name: path.read_bytes() for path in write_sweeps(runs, runs)})
    assert {name for name in files[0] if files[0][name] != files[1][name]} == {"cost.csv"}
    assert files[0]["cost.csv"].count(b"\n") == 1 + 2  # a protocol per point


def test_the_csv_keeps_every_metric_of_both_settings(records: Records) -> None:
    (table,) = sweep_tables(records)
    rows = sweep_csv([table]).splitlines()
    assert rows[0] == "sweep,dataset,protocol,digest,loss,factors,point,setting,metric,mean,sd,ci95,n"
    assert len(rows) == 1 + 2 * 2 * len(table.metrics)


def test_a_repeat_of_one_model_has_one_setting(records: Records) -> None:
    for key, run in records.runs.items():
        records.runs[key] = replace(run, fold_keys=run.fold_keys[:1])
    (table,) = sweep_tables(records)
    assert table.settings == ("separated",)
    assert sweep_markdown(table).splitlines()[2].startswith("| embedding_size | P@1 |")


@pytest.mark.parametrize(
    ("labels", "places", "logarithmic"),
    [
        (["1", "4", "16"], [1, 4, 16], False),
        (["1/9", "1", "9"], [1 / 9, 1, 9], True),
        (["0.01", "1", "100"], [0.01, 1, 100], True),
        (["0", "0.01", "100"], [0, 1, 2], False),
        (["all", "-max"], [0, 1], False),
    ],
)
def test_numbers_stand_by_value_and_words_in_their_order(
    labels: list[str], places: list[float], logarithmic: bool
) -> None:
    found, is_logarithmic = _places(labels)
    assert found == pytest.approx(places)
    assert is_logarithmic == logarithmic


def test_plots_are_the_same_bytes_every_time_and_none_without_a_repeat(records: Records) -> None:
    one, other = (sweep_plot(sweep_tables(records, PAPERS)[0]) for _ in range(2))
    assert one is not None
    assert one == other
    assert b"<svg" in one.svg
    records.runs.clear()
    assert sweep_plot(sweep_tables(records)[0]) is None


def test_two_factors_are_a_map_with_a_number_in_every_field(records: Records) -> None:
    points = tuple(
        replace(point, labels=(label, size))
        for point, (label, size) in zip(SWEEP.points, (("1", "a"), ("2", "b")), strict=True)
    )
    records.sweeps.clear()
    records.add(replace(SWEEP, factors=("k", "size"), points=points))
    plot = sweep_plot(sweep_tables(records)[0])
    assert plot is not None
    assert plot.told == "Mean over repeats, concatenated."
