"""The lines of the plots, against what the records say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mlrc.results.records.evidence import Evidence, gather
from mlrc.results.records.record import FoldRecord
from mlrc.results.statistics.curves import convergence, epochs_to_best, validation
from tests.results.searched import searched
from tests.results.studies import FOLDS, make


def _evidence(**changes: object) -> Evidence:
    (evidence,) = gather(make({"triplet": 50.0}, trials=3, repeats=2, diverged=[("triplet", 1, 0)]).records)
    return replace(evidence, **changes)  # type: ignore[arg-type] # the tests give fields


def _with_history(record: FoldRecord, *history: tuple[int, float]) -> FoldRecord:
    return replace(record, history=history)


def test_the_score_of_a_trial_is_the_mean_of_its_folds_or_nothing() -> None:
    assert _evidence().trial_scores == {0: 21.5, 1: 0.0, 2: 31.5}


def test_a_training_without_validation_has_no_curve() -> None:
    evidence = _evidence()
    silent = tuple(_with_history(record) if record.fold == 0 else record for record in evidence.final)
    assert [fold for fold, _ in validation(replace(evidence, final=silent))] == [1, 2, 3, 1, 2, 3]
    np.testing.assert_array_equal(convergence(replace(evidence, final=silent), 1).x, [0, 4, 8])


def test_every_training_of_the_repeats_has_its_validation_curve() -> None:
    found = validation(_evidence())
    assert [fold for fold, _ in found] == [0, 1, 2, 3, 0, 1, 2, 3]
    np.testing.assert_array_equal(found[1][1].x, [0, 4, 8])
    np.testing.assert_array_equal(found[1][1].y, [5, 19, 21])


def test_convergence_keeps_the_best_score_of_a_training_that_stopped() -> None:
    evidence = _evidence()
    fast = _with_history(evidence.final[0], (0, 10.0), (2, 30.0), (4, 20.0))
    slow = _with_history(evidence.final[FOLDS], (0, 10.0), (4, 20.0), (8, 50.0))
    curve = convergence(replace(evidence, final=(fast, slow)), iterations_per_epoch=100)
    np.testing.assert_array_equal(curve.x, [0, 200, 400, 800])
    np.testing.assert_array_equal(curve.y, [10, 20, 25, 40])
    assert curve.half is not None
    assert curve.half[0] == 0
    assert curve.half[1] == pytest.approx(12.706 * 10, rel=1e-3)


def test_epochs_to_the_best_are_a_mean_over_folds_and_an_interval_over_repeats() -> None:
    evidence = _evidence()
    epochs = iter([2, 4, 6, 8, 4, 6, 8, 10])
    paced = tuple(replace(record, best_epoch=next(epochs)) for record in evidence.final)
    found = epochs_to_best(replace(evidence, final=paced))
    assert found is not None
    assert (found.mean, found.n) == (6.0, 2)
    assert found.half == pytest.approx(12.706 * 1.0, rel=1e-3)  # repeats of 5 and 7 epochs
    one = epochs_to_best(replace(evidence, final=paced[:FOLDS]))
    assert one is not None
    assert (one.mean, one.half, one.n) == (5.0, None, 1)
    silent = tuple(_with_history(record) for record in evidence.final)
    assert epochs_to_best(replace(evidence, final=silent)) is None


def test_one_repeat_converges_without_a_band() -> None:
    evidence = _evidence()
    assert convergence(replace(evidence, final=evidence.final[:FOLDS]), 1).half is None


def test_repeats_of_two_searches_are_as_many_whatever_their_numbers() -> None:
    (several,) = gather(searched({"triplet": 50.0}, 2, repeats=2).records)
    epochs = iter([2] * FOLDS + [4] * FOLDS + [6] * FOLDS + [8] * FOLDS)
    paced = tuple(replace(record, best_epoch=next(epochs)) for record in several.final)
    found = epochs_to_best(replace(several, final=paced))
    assert found is not None
    assert (found.mean, found.n) == (5.0, 4)
    fast = _with_history(several.final[0], (0, 10.0), (4, 20.0))
    slow = _with_history(several.final[2 * FOLDS], (0, 10.0), (4, 40.0))
    assert (fast.number, slow.number) == (0, 0)
    half = convergence(replace(several, final=(fast, slow)), 1).half
    assert half is not None
    assert half[1] == pytest.approx(12.706 * 10, rel=1e-3)


def test_intervals_of_curves_and_of_paces_are_over_searches_where_there_are_several() -> None:
    made = searched({"triplet": 50.0}, 3)
    (evidence,) = gather(made.records)
    paced = tuple(
        replace(record, best_epoch=4 + 4 * record.search, history=((0, 5.0), (4, 20.0 + record.search)))
        for record in evidence.final
    )
    found = epochs_to_best(replace(evidence, final=paced))
    assert found is not None
    assert (found.mean, found.n) == (8.0, 9)
    assert found.half == pytest.approx(stats.t.ppf(0.975, 2) * 4 / np.sqrt(3))
    band = convergence(replace(evidence, final=paced), 1).half
    assert band is not None
    assert band[-1] == pytest.approx(stats.t.ppf(0.975, 2) / np.sqrt(3))
