"""Losses that were searched several times: what their rows, intervals, notes and captions say."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mlrc.results.boards.leaderboard import Board, boards
from mlrc.results.publishing.audit import KnownSplit, audit
from mlrc.results.records.evidence import gather
from mlrc.results.records.lines import from_line, to_line
from mlrc.results.records.record import FoldRecord, RunRecord
from mlrc.results.rendering.caption import caption
from mlrc.results.rendering.spreadsheet import leaderboard_csv, read_leaderboard_csv
from tests.results.searched import searched
from tests.results.studies import Made, make

MEANS = {"untrained": 20.0, "contrastive": 40.0, "triplet": 41.0}


def _board(made: Made) -> Board:
    (board,) = boards(made.records, made.per_class)
    return board


def _caption(made: Made) -> str:
    return " ".join(caption(_board(made)))


def test_a_line_of_the_first_search_is_that_of_a_single_one_and_others_come_back_with_their_number() -> None:
    made = searched(MEANS, 2)
    records: list[FoldRecord | RunRecord] = [*made.records.folds.values(), *made.records.runs.values()]
    lines = [to_line(record) for record in records]
    assert {'"search": 1' in line for line in lines} == {True, False}
    assert not any('"search": 0' in line for line in lines)
    for line in lines:
        record = from_line(line)
        assert isinstance(record, FoldRecord | RunRecord)
        assert (record.search == 1) == ('"search": 1' in line)
        assert to_line(record) == line


def test_the_interval_is_over_searches_each_with_the_mean_of_its_repeats() -> None:
    board = _board(searched(MEANS, 3, luck=2.0))
    row = next(one for one in board.rows if (one.loss, one.setting, one.metric) == ("triplet", "concatenated", "P@1"))
    runs = [run for run in board.runs if run.loss == "triplet"]
    of_search = [np.mean([run.concatenated["P@1"] for run in runs if run.search == search]) for search in range(3)]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(of_search), scale=stats.sem(of_search))
    assert (row.n, row.searches) == (9, 3)
    assert (row.mean - (row.ci95 or 0), row.mean + (row.ci95 or 0)) == pytest.approx((low, high))


def test_the_luck_of_the_search_widens_the_comparison_of_two_losses() -> None:
    name = ("concatenated", "P@1")
    still, lucky = (_board(searched(MEANS, 3, luck=luck)).contests[name] for luck in (0.0, 3.0))
    errors = [contest.pairs["contrastive", "triplet"].difference.error for contest in (still, lucky)]
    assert errors[1] > 2 * errors[0]


def test_one_search_has_the_rows_and_contests_that_it_always_had() -> None:
    board = _board(searched(MEANS, 1))
    plain = _board(make(MEANS))
    assert board.rows == plain.rows
    assert board.contests == plain.contests


def test_the_table_carries_the_number_of_searches_and_older_tables_had_one() -> None:
    rows = list(_board(searched(MEANS, 3)).rows)
    assert {(row.loss, row.searches) for row in rows} == {("untrained", 1), ("contrastive", 3), ("triplet", 3)}
    text = leaderboard_csv(rows)
    assert [row.searches for row in read_leaderboard_csv(text)] == [row.searches for row in rows]
    older = "".join(line.rsplit(",", 1)[0] + "\n" for line in text.splitlines())
    assert {row.searches for row in read_leaderboard_csv(older)} == {1}


def test_searches_that_are_not_finished_are_told() -> None:
    made = searched(MEANS, 3)
    for key, run in list(made.records.runs.items()):
        if run.loss == "triplet" and run.search == 2:
            del made.records.runs[key]
    (note,) = [one for evidence in gather(made.records) for one in evidence.notes if "2 of 3" in one]
    assert note == "triplet: 2 of 3 searches have finished repeats."
    assert any("6 of 9 repeats" in one for evidence in gather(made.records) for one in evidence.notes)


def test_trials_of_several_searches_are_never_mixed() -> None:
    evidence = next(one for one in gather(searched(MEANS, 2).records) if one.loss == "triplet")
    assert [len(one.trial_scores) for one in evidence.by_search] == [2, 2]
    assert [one.trials for one in evidence.by_search] == [{0: True, 1: True}] * 2
    for name in ("trials", "trial_scores", "stopped"):
        with pytest.raises(ValueError, match="search by search"):
            getattr(evidence, name)


def test_each_search_keeps_its_last_parameters_alone() -> None:
    made = searched(MEANS, 2)
    run = next(run for run in made.records.runs.values() if run.loss == "triplet" and run.search == 1)
    made.records.runs["older"] = replace(run, key="older", params={"margin": 0.7})
    made.records.runs.update({key: made.records.runs.pop(key) for key in list(made.records.runs) if key != "older"})
    evidence = next(one for one in gather(made.records) if one.loss == "triplet")
    assert len(evidence.runs) == 6
    assert "triplet: 1 repeats with parameters of another search are left out." in evidence.notes


def test_a_caption_says_whether_the_luck_of_the_search_is_inside() -> None:
    alone = _caption(make(MEANS, trials=4))
    assert "Each loss was searched once: the luck of that search is in no interval" in alone
    assert "fewer than 10 trials" in alone
    scores = [20.0 + 5 * trial + 1.5 for trial in range(12)]  # of `make`, the mean over its folds
    chances = [(place / 12) ** 12 - ((place - 1) / 12) ** 12 for place in range(1, 13)]
    middle = sum(chance * score for chance, score in zip(chances, scores, strict=True))
    spread = math.sqrt(sum(chance * (score - middle) ** 2 for chance, score in zip(chances, scores, strict=True)))
    assert f"median standard deviation of {spread:.2f} points" in _caption(make(MEANS, trials=12))
    several = _caption(searched(MEANS, 3))
    assert "Each loss was searched 3 times" in several
    assert "seed noise only" not in several
    assert "in each of 3 searches" in several


def test_a_caption_says_how_trials_were_proposed() -> None:
    fields = {"sampler": "random", "parallel_trials": 4}
    told = _caption(make(MEANS, fields=fields))
    assert "drawn at random" in told
    assert "batches of 4, each proposed from the finished batches alone" in told


def test_a_trial_that_ended_early_is_told_and_passes_the_audit_and_one_that_only_lacks_folds_does_not() -> None:
    made = make(MEANS, trials=3, fields={"fold_stopping": "paired:2"})
    for key, fold in list(made.records.folds.items()):
        if (fold.stage, fold.number) == ("search", 1):
            if fold.fold >= 2:
                del made.records.folds[key]
            elif fold.loss == "triplet":
                made.records.folds[key] = replace(fold, best_score=10.0, history=((0, 5.0), (8, 10.0)))
    known = {KnownSplit("glyphs", "f1f1f1f1f1f1f1f1", "official", 20, 200)}
    found = audit(made.records, made.per_class, known, lambda fields: "d0d0d0d0d0d0")
    assert [sentence.split(" on ")[0] for sentence in found] == ["contrastive"]
    assert "trial 1 has the folds [0, 1], not all 4" in found[0]
    assert "(1 of 6 did); experimental" in _caption(made)


def test_the_audit_asks_for_every_repeat_of_every_search() -> None:
    made = searched(MEANS, 2)
    known = {KnownSplit("glyphs", "f1f1f1f1f1f1f1f1", "official", 20, 200)}

    def found() -> list[str]:
        return audit(made.records, made.per_class, known, lambda fields: "d0d0d0d0d0d0")

    assert found() == []
    key = next(key for key, run in made.records.runs.items() if run.loss == "triplet" and run.search == 1)
    run, sums = made.records.runs.pop(key), made.per_class.pop(key)
    assert any("6 repeats are planned, but 5 are scored" in sentence for sentence in found())
    made.records.runs[key], made.per_class[key] = replace(run, search=0), sums
    assert found()


def test_while_a_later_search_has_trials_alone_the_repeats_come_from_one_search_so_far() -> None:
    made = searched(MEANS, 2)
    records = replace(made.records, runs={key: run for key, run in made.records.runs.items() if not run.search})
    (board,) = boards(records, made.per_class)
    told = " ".join(caption(board))
    assert "The repeats of each loss come from one search so far: the luck of that search" in told
    assert "was searched once" not in told
