"""R@1 against steps: whose steps, what time they took, and where it is not drawn."""

import csv
from dataclasses import replace
from io import StringIO

import pytest

from mlrc.results.boards.leaderboard import Board, boards
from mlrc.results.records.record import FoldRecord
from mlrc.results.rendering.report import rendered_report
from mlrc.results.rendering.steps import steps_plots, steps_tables
from mlrc.results.statistics.steps import course
from tests.results.studies import make

HISTORY = ((0, 10.0), (1, 30.0), (2, 20.0))


def _board(metric: str = "P@1", *, told: bool = True) -> Board:
    """Two folds whose epochs have 10 and 15 steps; the second repeat is ahead by 2 points."""
    made = make({"triplet": 30.0}, trials=0, folds=2, repeats=2, fields={"selection_metric": metric})
    for record in list(made.records.folds.values()):
        made.records.add(_trained(record, told=told))
    (board,) = boards(made.records, made.per_class)
    return board


def _trained(record: FoldRecord, *, told: bool) -> FoldRecord:
    history = tuple((epoch, score + 2 * record.number) for epoch, score in HISTORY)
    iterations = (20, 30)[record.fold] if told else None
    return replace(record, history=history, best_epoch=1, best_score=history[1][1], seconds=50.0, iterations=iterations)


def test_scores_are_the_latest_of_each_training_at_its_own_steps() -> None:
    found = course(_board().evidence[0])
    assert found is not None
    assert found.steps.tolist() == [0, 10, 15, 20, 30]
    assert found.scores.tolist() == [11, 21, 31, 26, 21]
    assert found.half == pytest.approx([12.706] * 5, abs=1e-3)  # t of 1 degree of freedom, standard error 1
    assert found.seconds_per_step == pytest.approx(200 / 100)


def test_the_table_has_a_row_per_step_with_its_time() -> None:
    rows = list(csv.DictReader(StringIO(steps_tables([_board()])["steps.csv"])))
    assert [(row["step"], row["score"], row["seconds"]) for row in rows][1:3] == [
        ("10", "21.0000", "20.0000"),
        ("15", "31.0000", "30.0000"),
    ]


def test_the_report_draws_it_the_same_each_time() -> None:
    first, second = (steps_plots(_board())[0] for _ in range(2))
    assert first.svg == second.svg
    assert first.told.startswith("Latest validation R@1")
    files = rendered_report([_board()], {})
    assert "steps.csv" in files
    assert any(name.endswith("-steps.svg") for name in files)


@pytest.mark.parametrize("board", [_board("MAP@R"), _board(told=False)], ids=["another metric", "steps not told"])
def test_nothing_is_drawn_of_another_metric_or_without_steps(board: Board) -> None:
    assert steps_plots(board) == []
    assert steps_tables([board]) == {}
