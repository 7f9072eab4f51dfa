"""What a finished comparison tells of one to come: how many repeats a difference takes, or that classes are too few."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlrc.harness.study.foresight import foresight, require_difference
from mlrc.results.boards.leaderboard import Board, boards
from mlrc.results.boards.sight import sights
from mlrc.results.publishing.place import PUBLISHED
from tests.results.statistics.simulated import Table, judged
from tests.results.studies import make


def _board() -> Board:
    made = make({f"loss{number}": 50.0 for number in range(6)}, repeats=4, noise=1.0)
    return boards(made.records, made.per_class)[0]


def test_a_smaller_difference_takes_more_repeats_and_more_losses_take_more_too() -> None:
    board = _board()
    needed = {
        (difference, losses): [sight.needed for sight in sights(board, difference, losses)]
        for difference, losses in ((2.0, 3), (1.0, 3), (1.0, 12))
    }
    for fewer, more in (((2.0, 3), (1.0, 3)), ((1.0, 3), (1.0, 12))):
        for one, other in zip(needed[fewer], needed[more], strict=True):
            assert one is not None
            assert other is not None
            assert one < other


def test_so_many_repeats_see_the_difference_in_four_tables_of_five() -> None:
    table = Table(classes=300, repeats=4, losses=6, unequal="no")
    contest = judged(table, np.random.default_rng(0))
    (sight, *_) = sights(replace(_board(), contests={("concatenated", "MAP@R"): contest}), 1.2, 6)
    assert sight.needed is not None
    assert sight.needed > 4
    truth = replace(table, repeats=sight.needed, truth=[1.2])
    generator = np.random.default_rng(1)
    found = [judged(truth, generator).pairs["loss00", "loss01"].told_apart for _ in range(120)]
    assert 0.65 <= np.mean(found) <= 0.95


def test_few_classes_are_said_to_be_too_few_whatever_the_repeats() -> None:
    told = foresight(0.5, "grocery", 3, PUBLISHED)
    assert told[0].startswith("To tell apart two typical losses of 3 that differ by 0.5 points of MAP@R")
    assert len(told) == 3
    assert all("takes more classes, as any number of repeats tells" in sentence for sentence in told[1:])


def test_what_is_no_difference_or_no_run_is_one_sentence(tmp_path: Path) -> None:
    require_difference(None, None)
    for detect, like in ((1.0, None), (None, "omniglot")):
        with pytest.raises(ValueError, match="give both, not --"):
            require_difference(detect, like)
    for wrong in (0.0, -1.0, float("nan"), 101.0):
        with pytest.raises(ValueError, match="must be positive and at most 100"):
            require_difference(wrong, "omniglot")
    with pytest.raises(FileNotFoundError, match="there is no 'nothing'"):
        foresight(1.0, "nothing", 2, tmp_path)
    alone = make({"triplet": 50.0}).write(tmp_path / "alone")
    with pytest.raises(ValueError, match="compares nothing"):
        foresight(1.0, str(alone), 2, tmp_path)
