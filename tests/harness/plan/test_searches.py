"""Several searches of a loss: each independent, the first as if it were the only one, and batches of trials."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrc.harness.plan import trials
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.search import Trial, propose
from mlrc.harness.plan.state import StudyState
from mlrc.harness.plan.study import Study, of_all_searches
from mlrc.protocols.protocol import Protocol
from mlrc.results.records.record import FoldRecord
from tests.examples import examples
from tests.harness.plan.test_state import _record


def _searched(study: Study, order: Random | None = None, known: Iterable[FoldRecord] = ()) -> list[FoldRecord]:
    """Do the trainings of a search, in any order that is offered."""
    records = list(known)
    state = StudyState(study, records, (), set())
    while jobs := list(state.ready("search")):
        job = order.choice(jobs) if order else jobs[0]
        records.append(_record(job))
        state.take(records[-1], held=False)
    return records


def _keys(records: Iterable[FoldRecord]) -> set[str]:
    return {record.key for record in records}


@pytest.fixture
def study(study: Study) -> Study:
    """With trials that are quick to propose."""
    return _with(study, sampler="random", trials=6)


def _with(study: Study, **changes: object) -> Study:
    return replace(study, protocol=study.protocol.vary(changes))


def test_the_first_of_several_searches_has_the_seed_and_the_jobs_of_a_single_one(study: Study) -> None:
    first, second, third = of_all_searches(_with(study, searches=3))
    assert (first.seed, _keys(_searched(first))) == (study.seed, _keys(_searched(study)))
    assert first.owns(_searched(study)[0])
    assert len({one.seed for one in (first, second, third)}) == 3
    assert not second.owns(_searched(study)[0])


def test_searches_share_no_job_and_no_seed_not_even_with_the_same_parameters(study: Study) -> None:
    several = [replace(one, params={}) for one in of_all_searches(_with(study, searches=3))]
    jobs = [job for one in several for number in range(2) for job in one.jobs("final", number, {})]
    assert len({job.key for job in jobs}) == len({job.seed for job in jobs}) == len(jobs) == 24
    assert {job.search for job in jobs} == {0, 1, 2}


def test_more_searches_leave_those_that_are_there_alone(study: Study) -> None:
    one = _searched(study)
    for several in (2, 3):
        states = [StudyState(each, one, (), set()) for each in of_all_searches(_with(study, searches=several))]
        assert [state.left("search") for state in states] == [0, *[24] * (several - 1)]
    assert {record.search for record in one} == {0}


def _batches(study: Study, size: int) -> Iterator[list[int]]:
    state = StudyState(study, (), (), set())
    while jobs := list(state.ready("search")):
        yield sorted({job.number for job in jobs})
        for job in jobs:
            state.take(_record(job), held=False)
    assert len(state.history) == study.trials


@pytest.mark.parametrize(
    ("size", "batches"), [(1, [[n] for n in range(6)]), (4, [[0, 1, 2, 3], [4, 5]]), (9, [[*range(6)]])]
)
def test_trials_are_offered_in_batches_and_the_last_one_is_what_is_left(
    study: Study, size: int, batches: list[list[int]]
) -> None:
    assert list(_batches(_with(study, parallel_trials=size), size)) == batches


def test_a_batch_is_proposed_from_the_finished_batches_alone(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def noted(space: object, history: list[Trial], **options: object) -> object:
        asked.append((len(history), len(options["pending"])))  # type: ignore[arg-type]
        return propose(space, history, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(trials, "propose", noted)
    _searched(_with(study, parallel_trials=4), Random(1))  # noqa: S311 no secret
    assert asked == [(0, 0), (0, 1), (0, 2), (0, 3), (4, 0), (4, 1)]


@examples(12)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 24))
def test_whatever_is_done_first_and_wherever_it_is_killed_a_search_in_batches_is_the_same(
    tiny_protocol: Protocol, seed: int, cut: int
) -> None:
    protocol = tiny_protocol.vary({"parallel_trials": 4, "trials": 6, "startup_trials": 4})
    study = Study(protocol=protocol, dataset="tiny", fingerprint="f", loss="contrastive")
    order = Random(seed)  # noqa: S311 no secret
    torn = _searched(study, order)[:cut]
    assert _keys(_searched(study, order, torn)) == _keys(_searched(study))


def test_the_history_has_no_gap_where_a_later_trial_is_done_first(study: Study) -> None:
    state = StudyState(_with(study, parallel_trials=3), (), (), set())
    jobs: dict[int, list[FoldJob]] = {}
    for job in state.ready("search"):
        jobs.setdefault(job.number, []).append(job)
    for number, complete in ((1, 0), (0, 2), (2, 3)):
        for job in jobs[number]:
            state.take(_record(job), held=False)
        assert len(state.history) == complete
    assert [trial.params for trial in state.history] == [jobs[number][0].params for number in range(3)]
