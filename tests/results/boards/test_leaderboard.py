"""From records to rows: what counts, what is left out and said, what is never ranked together."""

from collections.abc import Set
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlrc.results.boards.leaderboard import boards, costs
from mlrc.results.records.evidence import gather
from mlrc.results.records.ledger import LEDGER, Records
from mlrc.results.records.metric_names import metric_order, table_metrics
from mlrc.results.records.per_class import PerClassFiles
from mlrc.results.records.record import UNTRAINED, FoldRecord, RunRecord
from mlrc.results.rendering.page_tables import cost
from mlrc.results.rendering.report import read_boards, tables, write_report
from mlrc.results.rendering.spreadsheet import cost_csv, leaderboard_csv, read_leaderboard_csv
from mlrc.results.statistics.intervals import class_intervals, half_width
from tests.results.studies import CLASSES, QUERIES, SHARES, Made, make, merged

MEANS = {"triplet": 60.0, UNTRAINED: 20.0, "contrastive": 40.0}


def _run(made: Made, loss: str, number: int) -> RunRecord:
    return next(run for run in made.records.runs.values() if (run.loss, run.number) == (loss, number))


def _without(records: Records, *, folds: Set[str] = frozenset(), runs: Set[str] = frozenset()) -> Records:
    kept = Records(protocols=dict(records.protocols))
    kept.folds.update({key: fold for key, fold in records.folds.items() if key not in folds})
    kept.runs.update({key: run for key, run in records.runs.items() if key not in runs})
    return kept


def test_a_row_holds_mean_interval_and_class_interval_of_its_repeats() -> None:
    made = make(MEANS)
    (board,) = boards(made.records, made.per_class)
    row = next(row for row in board.rows if (row.loss, row.setting, row.metric) == ("triplet", "separated", "MAP@R"))
    runs = [_run(made, "triplet", number) for number in range(3)]
    assert row.mean == pytest.approx(np.mean([run.separated["MAP@R"] for run in runs]))
    assert row.ci95 == half_width([run.separated["MAP@R"] for run in runs])
    sums = np.mean([made.per_class[run.key]["separated/MAP@R"] for run in runs], axis=0)
    (expected,) = class_intervals(sums[None, None], np.full(CLASSES, QUERIES)) or []
    assert row.classes == pytest.approx(expected, rel=1e-6)
    assert (row.n, row.trials, row.diverged, row.commit) == (3, 2, 0, "0123456789ab")


def test_rows_are_sorted_by_the_mean_of_the_loss_with_the_untrained_trunk_last_and_by_metric() -> None:
    made = make(MEANS)
    rows = boards(made.records, made.per_class)[0].rows
    assert list(dict.fromkeys(row.loss for row in rows)) == ["triplet", "contrastive", UNTRAINED]
    assert [row.metric for row in rows[: len(SHARES)]] == ["P@1", "RP", "MAP@R", "nDCG@1", "nDCG@8", "R@1", "R@8"]


def test_protocols_and_datasets_are_never_ranked_together() -> None:
    other = make({"contrastive": 70.0}, protocol="quick+lr=0.1", digest="eeeeeeeeeeee", changes={"lr": (0.01, 0.1)})
    elsewhere = make({"contrastive": 70.0}, dataset="omniglot")
    together = merged(make(MEANS), other, elsewhere)
    found = boards(together.records, together.per_class)
    assert [(board.dataset, board.digest, board.losses) for board in found] == [
        ("glyphs", "d0d0d0d0d0d0", ("triplet", "contrastive", UNTRAINED)),
        ("glyphs", "eeeeeeeeeeee", ("contrastive",)),
        ("omniglot", "d0d0d0d0d0d0", ("contrastive",)),
    ]
    assert found[0].contests["concatenated", "MAP@R"].losses == ("contrastive", "triplet")
    assert found[1].contests == {}


def test_the_commits_of_all_repeats_are_told() -> None:
    made = make({"triplet": 50.0})
    run = _run(made, "triplet", 1)
    made.records.add(replace(run, environment=replace(run.environment, commit="fedcba987654")))
    (board,) = boards(made.records, made.per_class)
    assert {row.commit for row in board.rows} == {"0123456789ab fedcba987654"}


def test_a_metric_that_one_repeat_lacks_has_no_row() -> None:
    made = make({"triplet": 50.0})
    run = _run(made, "triplet", 1)
    made.records.add(replace(run, separated={name: value for name, value in run.separated.items() if name != "R@8"}))
    (board,) = boards(made.records, {})
    assert {row.metric for row in board.rows} == set(SHARES) - {"R@8"}


def test_two_versions_of_a_datasets_images_stand_apart() -> None:
    together = merged(make(MEANS), make({"triplet": 30.0}, fingerprint="abababababababab"))
    assert [board.dataset for board in boards(together.records, together.per_class)] == [
        "glyphs@abababab",
        "glyphs@f1f1f1f1",
    ]


def test_the_untrained_trunk_has_rows_and_no_rank() -> None:
    made = make(MEANS)
    (board,) = boards(made.records, made.per_class)
    assert UNTRAINED in board.losses
    assert UNTRAINED not in board.contests["separated", "P@1"].ranks


def test_a_diverged_trial_is_counted_once_however_many_folds_diverged() -> None:
    made = make(MEANS, diverged=[("triplet", 0, 1), ("triplet", 0, 2)])
    (board,) = boards(made.records, made.per_class)
    assert {row.diverged for row in board.rows if row.loss == "triplet"} == {1}
    assert {row.diverged for row in board.rows if row.loss == "contrastive"} == {0}


def test_a_repeat_whose_fold_diverged_is_missing_and_said() -> None:
    made = make(MEANS)
    run = _run(made, "triplet", 1)
    broken = made.records.folds[run.fold_keys[2]]
    records = _without(made.records, runs={run.key})
    records.add(replace(broken, outcome="diverged", best_score=None, best_epoch=None))
    (board,) = boards(records, made.per_class)
    assert {row.n for row in board.rows if row.loss == "triplet"} == {2}
    assert board.notes == ("triplet: repeat 1 has no score (fold 2 diverged).",)


def test_what_failed_before_a_repeat_was_scored_or_in_another_search_is_not_said_of_it() -> None:
    made = make({"triplet": 60.0}, repeats=2)
    fold = made.records.folds[_run(made, "triplet", 1).fold_keys[2]]
    made.records.add(replace(fold, key="an earlier attempt", outcome="failed"))
    made.records.add(replace(fold, key="another search", outcome="diverged", number=5, params={"margin": 9.0}))
    (board,) = boards(made.records, made.per_class)
    assert board.notes == ()


def test_the_order_of_the_ledger_changes_nothing() -> None:
    made = make(MEANS)
    turned = Records(
        protocols=made.records.protocols,
        folds=dict(reversed(made.records.folds.items())),
        runs=dict(reversed(made.records.runs.items())),
    )
    assert boards(turned, made.per_class)[0].rows == boards(made.records, made.per_class)[0].rows
    assert tables(boards(turned, made.per_class)) == tables(boards(made.records, made.per_class))
    assert [run.number for run in boards(turned, made.per_class)[0].evidence[1].runs] == [0, 1, 2]


def test_one_repeat_of_an_untrained_trunk_is_enough_where_it_is_pretrained() -> None:
    for weights, notes in (("sha256", ()), ("", ("untrained: 1 of 3 repeats are finished.",))):
        made = make({UNTRAINED: 20.0}, fields={"weights": weights})
        records = _without(made.records, runs={_run(made, UNTRAINED, number).key for number in (1, 2)})
        (board,) = boards(records, made.per_class)
        assert board.notes == notes


def test_evidence_does_not_depend_on_the_order_in_which_trainings_ended() -> None:
    records = make(MEANS).records
    for key in reversed(list(records.folds)):
        records.folds[key] = records.folds.pop(key)
    for key in reversed(list(records.runs)):
        records.runs[key] = records.runs.pop(key)
    assert gather(records) == gather(make(MEANS).records)


def test_unfinished_repeats_are_said() -> None:
    made = make(MEANS)
    records = _without(made.records, runs={_run(made, "triplet", number).key for number in (1, 2)})
    (board,) = boards(records, made.per_class)
    assert board.notes == ("triplet: 1 of 3 repeats are finished.",)
    assert {row.ci95 for row in board.rows if row.loss == "triplet"} == {None}


def test_a_loss_that_is_still_searched_has_no_row_and_is_said() -> None:
    made = make(MEANS)
    records = _without(made.records, runs={_run(made, "triplet", number).key for number in range(3)})
    (board,) = boards(records, made.per_class)
    assert board.losses == ("contrastive", UNTRAINED)
    assert board.notes == ("triplet: no repeat is finished, so it has no row.",)
    assert "triplet" in {row.loss for row in costs(board)}


def test_missing_fold_records_are_said() -> None:
    made = make(MEANS)
    keys = set(_run(made, "triplet", 0).fold_keys[:2])
    (board,) = boards(_without(made.records, folds=keys), made.per_class)
    assert board.notes == ("triplet: 2 fold records behind its repeats are missing in the ledger.",)


def test_repeats_of_an_earlier_search_are_left_out_and_said() -> None:
    made = make(MEANS)
    old = _run(made, "triplet", 0)
    records = Records(protocols=made.records.protocols, folds=made.records.folds)
    records.add(replace(old, key="an older run", params={"margin": 9.0}))
    records.runs.update(made.records.runs)
    (board,) = boards(records, made.per_class)
    assert {row.n for row in board.rows if row.loss == "triplet"} == {3}
    assert board.notes == ("triplet: 1 repeats with parameters of another search are left out.",)


def test_missing_per_class_sums_leave_the_mean_and_take_away_the_comparison() -> None:
    made = make({**MEANS, "margin": 30.0})
    del made.per_class[_run(made, "triplet", 2).key]
    (board,) = boards(made.records, made.per_class)
    assert {row.classes for row in board.rows if row.loss == "triplet"} == {None}
    assert board.contests["concatenated", "RP"].losses == ("contrastive", "margin")
    assert board.notes == ("triplet: per-class sums are missing, so it is compared with no other.",)


def test_an_unknown_loss_and_an_unknown_protocol_have_rows_like_any_other() -> None:
    made = make({"somebodys_own": 30.0})
    made.records.protocols.clear()
    (board,) = boards(made.records, made.per_class)
    assert board.losses == ("somebodys_own",)
    assert board.record is None


def test_costs_are_the_hours_of_search_and_repeats() -> None:
    (board,) = boards(make(MEANS, trials=5).records, {})
    row = next(row for row in costs(board) if row.loss == "triplet")
    assert (row.jobs, row.devices) == (32, "cpu")
    assert (row.search_hours, row.final_hours) == pytest.approx((0.2, 0.12))


def test_trainings_that_shared_a_device_cost_their_share_of_it() -> None:
    made = make({"triplet": 60.0})
    for record in list(made.records.folds.values()):
        made.records.add(replace(record, share=0.25))
    (board,) = boards(made.records, {})
    assert costs(board)[0].final_hours == pytest.approx(0.03)


def test_processor_hours_are_told_where_every_training_tells_them() -> None:
    made = make({"triplet": 60.0, "margin": 50.0})
    for record in list(made.records.folds.values()):
        made.records.add(replace(record, processor_seconds=18.0))
    (board,) = boards(made.records, {})
    row = next(row for row in costs(board) if row.loss == "triplet")
    assert row.processor_hours == pytest.approx(row.jobs * 18 / 3600)
    assert "processor hours" in cost(board)
    silent = next(record for record in made.records.folds.values() if record.loss == "triplet")
    made.records.add(replace(silent, processor_seconds=None))
    (board,) = boards(made.records, {})
    assert {row.loss for row in costs(board) if row.processor_hours is None} == {"triplet"}
    assert cost_csv(costs(board)).splitlines()[0].endswith(",devices,processor_hours")
    (board,) = boards(make({"triplet": 60.0}).records, {})
    assert "processor hours" not in cost(board)


def test_the_csv_has_the_promised_columns_and_comes_back_as_it_was() -> None:
    made = make(MEANS, repeats=2)
    (board,) = boards(made.records, made.per_class)
    text = leaderboard_csv(board.rows)
    assert text.splitlines()[0] == (
        "dataset,protocol,digest,loss,setting,metric,mean,ci95,n,class_low,class_high,diverged,trials,commit,sd,"
        "rank_low,rank_high,could_be_best,searches"
    )
    assert leaderboard_csv(read_leaderboard_csv(text)) == text


def test_a_table_that_is_no_leaderboard_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the column loss"):
        read_leaderboard_csv("dataset,protocol,digest\n")
    with pytest.raises(ValueError, match="no table"):
        read_leaderboard_csv("")


def test_timing_host_and_the_number_of_trainings_at_once_change_nothing_but_the_cost(tmp_path: Path) -> None:
    made = make(MEANS)
    slower = Made(per_class=made.per_class)
    slower.records.protocols.update(made.records.protocols)
    for record in reversed(made.records.folds.values()):
        environment = replace(record.environment, host="there")
        slower.records.add(replace(record, seconds=99.9, share=0.25, environment=environment))
    for run in reversed(made.records.runs.values()):
        slower.records.add(replace(run, environment=replace(run.environment, host="there")))
    files = [tables(read_boards(one.write(tmp_path / name))) for name, one in (("a", made), ("b", slower))]
    assert {name for name in files[0] if files[0][name] != files[1][name]} == {"cost.csv"}


def test_the_device_is_told_in_the_caption_and_changes_no_number() -> None:
    made, elsewhere = make(MEANS), Made()
    elsewhere.records.protocols.update(made.records.protocols)
    jobs: list[FoldRecord | RunRecord] = [*made.records.folds.values(), *made.records.runs.values()]
    for record in jobs:
        elsewhere.records.add(replace(record, environment=replace(record.environment, device="other")))
    here, there = (tables(boards(records, made.per_class)) for records in (made.records, elsewhere.records))
    assert {name for name in here if here[name] != there[name]} == {"cost.csv", "table.md", "table.tex"}
    assert there["table.md"] == here["table.md"].replace("on cpu;", "on other;")


def test_a_half_written_last_line_is_passed_over_and_said(tmp_path: Path) -> None:
    runs = make(MEANS).write(tmp_path / "runs")
    whole = read_boards(runs)[0].rows
    assert read_boards(runs)[0].notes == ()
    with (runs / LEDGER).open("a", encoding="utf-8") as file:
        file.write('{"kind": "run", "key": "0')
    (board,) = read_boards(runs)
    assert board.rows == whole
    assert board.notes == ("The last line of the ledger is half written, so what it was to record is left out.",)
    assert board.notes[0] in tables([board])["table.md"]


def test_a_ledger_of_the_first_schema_stays_readable(tmp_path: Path) -> None:
    """The file is as it was written then, and must never be written anew."""
    (tmp_path / LEDGER).write_bytes((Path(__file__).parents[1] / "golden" / "schema_1.jsonl").read_bytes())
    (board,) = read_boards(tmp_path)
    assert board.losses == ("triplet", UNTRAINED)
    means = {(row.loss, row.setting): round(row.mean, 2) for row in board.rows if row.metric == "MAP@R"}
    assert means == {
        (UNTRAINED, "separated"): 5.54,
        (UNTRAINED, "concatenated"): 7.39,
        ("triplet", "separated"): 14.28,
        ("triplet", "concatenated"): 19.04,
    }
    assert len(board.evidence[1].folds) == 12


def test_a_broken_per_class_file_is_named(tmp_path: Path) -> None:
    runs = make(MEANS).write(tmp_path / "runs")
    path = next((runs / "per_class").iterdir())
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=path.name):
        read_boards(runs)


def test_per_class_files_are_a_mapping_over_what_is_there(tmp_path: Path) -> None:
    made = make(MEANS)
    files = PerClassFiles(made.write(tmp_path / "runs"))
    assert set(files) == set(made.per_class)
    assert len(files) == 9
    assert "nothing" not in files
    np.testing.assert_array_equal(next(iter(files.values()))["classes"], np.arange(CLASSES))


def test_a_folder_without_a_ledger_or_without_a_finished_repeat_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no ledger.jsonl"):
        write_report(tmp_path, tmp_path)
    made = make(MEANS)
    made.records.runs.clear()
    with pytest.raises(ValueError, match="No repeat .* is finished"):
        write_report(made.write(tmp_path / "runs"), tmp_path)


def test_tables_show_the_papers_metrics_and_the_longest_ndcg() -> None:
    assert table_metrics(["R@1", "nDCG@8", "MAP@R", "nDCG@100", "P@1", "RP"]) == ("P@1", "RP", "MAP@R", "nDCG@100")
    assert table_metrics(["R@1", "MAP@R"]) == ("MAP@R",)
    assert sorted(["R@10", "NMI", "R@2", "nDCG@4", "MAP@R"], key=metric_order) == [
        "MAP@R",
        "nDCG@4",
        "R@2",
        "R@10",
        "NMI",
    ]
