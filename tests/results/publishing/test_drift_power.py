"""What a drift check finds and what it lets pass, in simulated tables of 21 losses."""

import re
from dataclasses import replace

import numpy as np
from scipy import stats

from mlrc.results.boards.leaderboard import boards
from mlrc.results.publishing.drift import Side, drift
from mlrc.results.publishing.verdict import Verdicts
from mlrc.results.statistics.intervals import half_width
from tests.results.studies import make

MADE = make({"triplet": 50.0}, repeats=2)
TEMPLATE = boards(MADE.records, MADE.per_class)[0].rows[0]


def _verdicts(verdicts: Verdicts) -> set[str]:
    return {finding.verdict for finding in verdicts.findings}


def _table(generator: np.random.Generator, n: int, shift: float = 0.0, losses: int = 21) -> Side:
    """Rows of MAP@R whose repeats scatter by 0.6 points, and of P@1 that scatter by 2; the first loss is shifted."""
    rows = []
    for number in range(losses):
        for metric, noise in (("MAP@R", 0.6), ("P@1", 2.0)):
            values = list(30 + (shift if number == 0 else 0) + generator.normal(0, noise, size=n))
            mean, half = float(np.mean(values)), half_width(values)
            rows.append(replace(TEMPLATE, loss=f"loss{number:02}", metric=metric, mean=mean, ci95=half, n=n))
    return Side(name="table", rows=rows)


def test_a_shift_of_two_points_in_one_of_21_losses_is_found_with_four_repeats() -> None:
    """Welch's test of each row alone found a third of them."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(60):
        verdicts = drift(_table(generator, 4), _table(generator, 4, shift=2.0))
        found.append(any("loss00" in one.subject and one.verdict == "moved" for one in verdicts.findings))
    assert np.mean(found) >= 0.85


def test_an_honest_re_run_of_ten_repeats_can_be_the_same_although_other_metrics_cannot_be_told() -> None:
    generator = np.random.default_rng(1)
    verdicts = [drift(_table(generator, 10, losses=10), _table(generator, 10, losses=10)) for _ in range(40)]
    assert np.mean([one.verdict == "same" for one in verdicts]) >= 0.5
    assert any("cannot tell" in _verdicts(one) for one in verdicts if one.verdict == "same")
    assert not any(finding.decides for one in verdicts for finding in one.findings if "P@1" in finding.measure)


def test_honest_re_runs_of_whole_tables_are_called_moved_in_no_more_than_5_percent() -> None:
    generator = np.random.default_rng(2)
    moved = [drift(_table(generator, 4), _table(generator, 4)).verdict == "moved" for _ in range(150)]
    assert sum(moved) <= stats.binom.ppf(0.99, len(moved), 0.05)


def test_a_check_says_which_shift_it_could_see_and_from_which_margin_on_all_would_be_the_same() -> None:
    generator = np.random.default_rng(3)
    sides = _table(generator, 4), _table(generator, 4)
    told = drift(*sides, margin=0.2)
    found = re.search(
        r"where it did by (\d\.\d\d) points; all would be the same from a margin of (\d\.\d\d)", told.rule
    )
    assert found
    assert told.verdict == "cannot tell"
    assert drift(*sides, margin=float(found[2]) + 0.005).verdict == "same"
    shift = float(found[1])
    seen = [drift(_table(generator, 4), _table(generator, 4, shift=shift)).verdict == "moved" for _ in range(60)]
    assert 0.65 <= np.mean(seen) <= 0.95
