"""The simulated cluster in miniature: its clock obeys the bounds that no plan can beat."""

import pytest

from mlrc.harness.plugins import LOSSES
from mlrc.protocols.reality_check import REALITY_CHECK
from tests.benchmarks.bench_cluster import SCORE_SECONDS, Durations, measured_seconds, simulated

SMALL = REALITY_CHECK.vary({"trials": 6, "startup_trials": 2, "repeats": 1, "folds": 2, "sampler": "random"})
EVEN = Durations({"contrastive": [1.0], "triplet": [1.0]})
TRAINING = 5_000 * 0.057


@pytest.mark.parametrize(
    ("batch", "devices", "rounds"), [(1, 100, 6), (3, 100, 2), (6, 100, 1), (1, 1, 12), (6, 1, 12)]
)
def test_equal_trainings_take_as_many_rounds_as_their_batches_and_devices_leave(
    batch: int, devices: int, rounds: int
) -> None:
    protocol = SMALL.vary({"parallel_trials": batch})
    found = simulated(protocol, ["contrastive"], ["cub200"], devices, durations=EVEN, proposal_seconds=0.0)
    assert found.trainings == 6 * 2 + 2
    final = 2 if devices == 1 else 1
    assert found.makespan == pytest.approx((rounds + final) * TRAINING + SCORE_SECONDS)
    assert found.over_the_bound == pytest.approx(1.0)
    assert found.busy == min(devices, 2 * batch if batch > 1 else 2)


def test_proposals_are_waited_for_one_after_the_other() -> None:
    quick, slow = (
        simulated(SMALL, ["contrastive", "triplet"], ["cub200"], 4, durations=EVEN, proposal_seconds=seconds)
        for seconds in (0.0, 50.0)
    )
    # the second search waits for the first one's proposal at the beginning, and each then for its own six
    assert slow.makespan == pytest.approx(quick.makespan + (1 + 6) * 50.0)
    assert slow.trainings == quick.trainings == 2 * (6 * 2 + 2)
    assert slow.ledger > 500 * slow.trainings


def test_every_searched_loss_that_was_published_has_measured_seconds() -> None:
    measured = measured_seconds()
    assert len([loss for loss in measured if LOSSES.find(loss).space]) >= 20
    assert all(seconds > 0 for of_loss in measured.values() for seconds in of_loss)
