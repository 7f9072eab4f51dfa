"""The answer of a board: who could be the best, by how much it leads, and what cannot be told."""

import re

from mlrc.results.boards.leaderboard import boards
from mlrc.results.records.record import UNTRAINED
from mlrc.results.rendering.answer import answer
from mlrc.results.rendering.page import page
from mlrc.results.rendering.titles import dataset_title, loss_title, protocol_title
from tests.results.studies import make, merged

LED = r"leads {} by \d+\.\d\d points \([+−]\d+\.\d\d to [+−]\d+\.\d\d\)"


def test_one_loss_far_ahead_is_the_best_one() -> None:
    study = make({UNTRAINED: 20.0, "triplet": 70.0, "margin": 50.0, "contrastive": 30.0})
    (board,) = boards(study.records, study.per_class)
    first, lead, pairs, baseline = answer(board, {"triplet": "Triplet"})
    assert first.startswith("Triplet is the best of 3 losses, with ")
    assert re.search(LED.format("margin"), lead)
    assert pairs == "All pairs of losses are told apart."
    assert baseline.startswith("3 of 3 losses have a higher mean than the untrained trunk (")


def test_of_losses_that_cannot_be_told_apart_each_could_be_the_best() -> None:
    study = make({"triplet": 50.0, "margin": 50.0, "contrastive": 20.0}, noise=3.0)
    (board,) = boards(study.records, study.per_class)
    told = " ".join(answer(board))
    assert re.match(r"(triplet or margin|margin or triplet) could be the best\.", told)
    assert "which, among all pairs, is not told apart from nothing" in told
    assert "1 of 3 pairs of losses cannot be told apart." in told


def test_where_nothing_is_compared_the_answer_says_so() -> None:
    study = make({"triplet": 50.0, "contrastive": 20.0}, repeats=1)
    (board,) = boards(study.records, {})
    assert "Nothing is ranked here: repeats or losses are missing." in " ".join(answer(board))
    lone = make({"triplet": 50.0})
    (board,) = boards(lone.records, lone.per_class)
    assert "there is one loss" in " ".join(answer(board))


def test_the_answer_stands_before_the_intervals_and_these_before_the_table() -> None:
    study = make({UNTRAINED: 20.0, "triplet": 70.0, "margin": 50.0})
    text = page(boards(study.records, study.per_class), {}, titles={"triplet": "Triplet <1>"})
    places = [text.index(mark) for mark in ('class="answer"', 'class="strips"', '<table class="sortable scores"')]
    assert places == sorted(places)
    assert 'title="triplet">Triplet &lt;1&gt;</a>' in text


def test_a_name_without_a_title_stays_as_it_is() -> None:
    assert loss_title("multi_similarity", {"multi_similarity": "MS"}) == "MS"
    assert loss_title("no_such_loss", {"multi_similarity": "MS"}) == "no_such_loss"
    assert dataset_title("cub200@12345678") == "CUB-200-2011@12345678"
    assert dataset_title("folder:grocery") == "grocery"
    assert protocol_title("quick+lr=0.1") == "Quick + lr=0.1"


def test_a_loss_that_cannot_be_compared_leaves_the_others_their_answer() -> None:
    study = merged(make({"margin": 60.0}, repeats=1), make({"triplet": 50.0, "contrastive": 20.0}))
    (board,) = boards(study.records, study.per_class)
    told = " ".join(answer(board))
    assert "Nothing is ranked" not in told
    assert told.startswith("triplet is the best of 2 losses")
    assert re.search(r"margin has a higher mean \(\d+\.\d\d %\) but cannot be compared\.", told)
