"""Trials that end after two folds: which, with what score, and that nothing else depends on it."""

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.state import StudyState
from mlrc.harness.plan.study import Study
from mlrc.protocols.protocol import Protocol
from mlrc.results.records.record import FoldRecord, Outcome
from mlrc.results.records.trials import SearchRules, ended
from tests.examples import examples
from tests.harness.plan.test_state import _record

SCORES = {0: (40, 20, 30, 10), 1: (39, 20, 40, 40), 2: (37, 18, 99, 99), 3: (30, 30, 30, 30), 4: (30, 27.5, 9, 9)}
"""Of the folds of each trial.

1 begins half a point below 0 and ends above it, the best of all; 2 begins 2 points below 1; 3 above it, but ends below;
4 begins 0.75 below 1 and 1.25 below 3.
"""


def _with(study: Study, **changes: object) -> Study:
    rules = {"sampler": "random", "trials": 5, "startup_trials": 0, "fold_stopping": "paired:1"}
    return replace(study, protocol=study.protocol.vary({**rules, **changes}))


def _scored(job: FoldJob, outcome: Outcome = "done") -> FoldRecord:
    record = _record(job, outcome)
    return record if outcome == "diverged" else replace(record, best_score=float(SCORES[job.number][job.fold]))


def _searched(
    study: Study, order: Random | None = None, known: Iterable[FoldRecord] = (), diverged: tuple[int, int] = (-1, -1)
) -> tuple[StudyState, list[FoldRecord]]:
    records = list(known)
    state = StudyState(study, records, (), set())
    while jobs := list(state.ready("search")):
        job = order.choice(jobs) if order else jobs[0]
        records.append(_scored(job, "diverged" if (job.number, job.fold) == diverged else "done"))
        state.take(records[-1], held=False)
    return state, records


def test_a_trial_ends_after_two_folds_when_it_lies_too_far_below_the_best_one_on_these(study: Study) -> None:
    state, records = _searched(_with(study))
    assert [sum(record.number == number for record in records) for number in range(5)] == [4, 4, 2, 4, 4]
    gained = 34.75 - 29.5  # by the other folds of trial 1, the best one before
    assert [trial.score for trial in state.history] == [25, 34.75, 27.5 + gained, 30, 18.875]
    assert (state.spared, state.left("search")) == (2, 0)


def test_the_first_two_folds_are_offered_before_the_others_and_those_only_if_they_are_needed(study: Study) -> None:
    state = StudyState(_with(study), (), (), set())
    offered = []
    while jobs := list(state.ready("search")):
        offered.append([(job.number, job.fold) for job in jobs])
        for job in jobs:
            state.take(_scored(job), held=False)
    first, rest = (0, 1), (2, 3)
    halves = [(0, first), (0, rest), (1, first), (1, rest), (2, first), (3, first), (3, rest), (4, first), (4, rest)]
    assert offered == [[(number, fold) for fold in folds] for number, folds in halves]


MARGINS = [("none", 0), ("paired:2", 0), ("paired:1.9", 1), ("paired:0.7", 2), ("paired:0", 3)]


@pytest.mark.parametrize(("stopping", "stopped"), MARGINS)
def test_the_margin_decides_and_none_stops_nothing(study: Study, stopping: str, stopped: int) -> None:
    _, records = _searched(_with(study, fold_stopping=stopping))
    assert len(records) == 20 - 2 * stopped


def test_a_trial_that_diverges_in_its_first_folds_ends_with_nothing_and_is_no_measure_for_others(study: Study) -> None:
    state, records = _searched(_with(study), diverged=(1, 1))
    assert [trial.score for trial in state.history][:2] == [25, 0]
    assert sum(record.number == 1 for record in records) == 2
    state, records = _searched(_with(study), diverged=(0, 3))
    assert state.history[0].score == 0
    assert sum(record.number == 1 for record in records) == 4


def test_trials_of_a_batch_are_held_against_the_batches_before_alone(study: Study) -> None:
    _, records = _searched(_with(study, parallel_trials=2))
    assert [sum(record.number == number for record in records) for number in range(5)] == [4, 4, 2, 4, 4]
    _, records = _searched(_with(study, parallel_trials=5, fold_stopping="paired:0"))
    assert len(records) == 20


def test_a_trial_at_work_is_held_against_finished_batches_alone(study: Study) -> None:
    study = _with(study, parallel_trials=2)
    before = [_scored(job) for number in (0, 1) for job in study.jobs("search", number, {})]
    beside = [replace(_record(job), best_score=50.0) for job in study.jobs("search", 2, {})]
    at_work = [replace(_record(job), best_score=28.9) for job in study.jobs("search", 3, {})[:2]]
    found = ended([*before, *beside, *at_work], SearchRules.of(study.protocol.to_json()))
    assert not found[3].stopped  # 0.6 points below trial 1, 21 below the one beside it
    one_by_one = SearchRules.of(study.protocol.vary({"parallel_trials": 1}).to_json())
    assert ended([*before, *beside, *at_work], one_by_one)[3].stopped


@examples(30)
@given(
    seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 20), q=st.integers(1, 4), margin=st.sampled_from([0, 0.5, 1, 3])
)
def test_the_records_alone_say_what_each_trial_came_to_whatever_was_done_first(
    tiny_protocol: Protocol, seed: int, cut: int, q: int, margin: float
) -> None:
    study = Study(protocol=tiny_protocol, dataset="tiny", fingerprint="f", loss="contrastive")
    study = _with(study, parallel_trials=q, fold_stopping=f"paired:{margin:g}")
    order = Random(seed)  # noqa: S311 no secret
    _, torn = _searched(study, order)
    state, records = _searched(study, order, torn[:cut])
    straight, known = _searched(study)
    assert state.history == straight.history
    assert {record.key for record in records} == {record.key for record in known}
    found = ended(records, SearchRules.of(study.protocol.to_json()))
    assert [found[number].score for number in range(5)] == [trial.score for trial in state.history]
    assert state.spared == 2 * sum(one.stopped for one in found.values())
    best = max(found, key=lambda number: found[number].score)
    assert not found[best].stopped
