"""Found parameters and trials: their lines, their place in the range, the panel of the report."""

import csv
import re
from dataclasses import replace
from io import StringIO

import pytest

from mlrc.results.boards.leaderboard import boards
from mlrc.results.boards.parameters import Range
from mlrc.results.boards.trials import trials
from mlrc.results.rendering.panels import _search
from mlrc.results.rendering.search_tables import found_parameters, parameters_csv, place, trials_csv
from tests.results.searched import searched
from tests.results.studies import make

RANGES = {"triplet": {"margin": Range(low=0.0, high=0.4)}}


@pytest.mark.parametrize(
    ("value", "known", "told"),
    [
        (0.1, Range(low=0.0, high=0.4), "25%"),
        (1e-2, Range(low=1e-4, high=1.0, log=True), "50%"),
        ("mean", Range(choices=("mean", "max")), ""),
        (3, Range(low=3, high=3), ""),
    ],
)
def test_a_place_is_told_on_the_ranges_own_scale(value: float | str, known: Range, told: str) -> None:
    assert place(value, known) == told


def test_the_chosen_trial_is_the_best_and_a_diverged_one_scores_nothing() -> None:
    made = make({"untrained": 10.0, "triplet": 50.0}, trials=3, diverged=[("triplet", 2, 1)])
    (board,) = boards(made.records, made.per_class)
    rows = trials(board)
    assert [(row.trial, row.score, row.outcome, row.chosen) for row in rows] == [
        (0, 21.5, "done", False),
        (1, 26.5, "done", True),
        (2, 0.0, "diverged", False),
    ]
    lines = list(csv.DictReader(StringIO(trials_csv([board]))))
    assert [(line["score"], line["chosen"], line["parameter"], line["value"]) for line in lines][1] == (
        *("26.5000", "True"),
        *("margin", "0.1"),
    )


def test_parameters_are_told_with_their_range_where_it_is_known() -> None:
    made = make({"triplet": 50.0, "contrastive": 40.0})
    (board,) = boards(made.records, made.per_class)
    lines = {line["loss"]: line for line in csv.DictReader(StringIO(parameters_csv([board], RANGES)))}
    assert (lines["triplet"]["value"], lines["triplet"]["low"], lines["triplet"]["high"]) == ("0.1", "0", "0.4")
    assert (lines["contrastive"]["value"], lines["contrastive"]["low"]) == ("0.1", "")


def test_the_panel_shows_value_range_place_and_every_trial() -> None:
    made = make({"triplet": 50.0})
    (board,) = boards(made.records, made.per_class)
    panel = found_parameters(board, RANGES)
    assert "0 to 0.4" in panel
    assert "25%" in panel
    assert "1 ★" in panel
    assert "margin 0.1" in panel


def test_a_board_without_parameters_has_no_panel() -> None:
    made = make({"untrained": 50.0})
    (board,) = boards(made.records, made.per_class)
    assert found_parameters(board, RANGES) == ""


def test_each_search_has_its_own_parameters_trials_and_winner() -> None:
    made = searched({"untrained": 10.0, "triplet": 50.0}, 2)
    (board,) = boards(made.records, made.per_class)
    assert [(row.search, row.trial, row.chosen) for row in trials(board)] == [
        *((0, 0, False), (0, 1, True)),
        *((1, 0, False), (1, 1, True)),
    ]
    lines = list(csv.DictReader(StringIO(parameters_csv([board], RANGES))))
    assert [(line["loss"], line["search"], line["value"]) for line in lines] == [
        *(("triplet", "0", "0.1"), ("triplet", "1", "0.1")),
    ]
    assert "triplet, search 1" in found_parameters(board, RANGES)


def test_the_panel_of_several_searches_tells_each_winner_and_begins_each_line_anew() -> None:
    made = searched({"triplet": 50.0}, 2, trials=1)
    (board,) = boards(made.records, made.per_class)
    panel = _search(trials(board))
    assert "the best on validation classes: trial 0 of search 0 with 21.50 %, trial 0 of search 1 with 21.50 %" in panel
    assert "the best so far of each search" in panel
    rows = [replace(row, score=score) for row, score in zip(trials(board), (60.0, 40.0), strict=True)]
    tops = re.findall(r'<line [^>]*y1="([0-9.]+)"', _search(rows))
    assert float(tops[1]) > float(tops[0])  # lower on the page: the second line is not the first one's best
