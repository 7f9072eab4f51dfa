"""Trials that are proposed while the driver goes on: the same trials, and no study waits for another's."""

from concurrent.futures import Future
from dataclasses import replace
from threading import Timer

from mlrc.harness.plan.job import FoldJob, Params
from mlrc.harness.plan.state import Frontier, StudyState
from mlrc.harness.plan.study import Study
from mlrc.harness.plan.trials import Propose
from mlrc.harness.study.conduct import in_the_background
from mlrc.results.records.record import FoldRecord
from tests.harness.plan.test_state import _record


class Asked:
    """Proposals that are made when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Propose, Future[list[Params]]]] = []

    def ask(self, propose: Propose) -> Future[list[Params]]:
        self.waiting.append((propose, Future()))
        return self.waiting[-1][1]

    def answer(self) -> None:
        propose, future = self.waiting.pop(0)
        future.set_result(propose())


def _with(study: Study, **changes: object) -> Study:
    return replace(
        study, protocol=study.protocol.vary({"sampler": "random", "trials": 2, "startup_trials": 0, **changes})
    )


def _jobs(states: list[StudyState]) -> list[FoldJob]:
    return [job for job in Frontier(states, "search") if isinstance(job, FoldJob)]


def test_no_study_waits_for_what_is_proposed_to_another(study: Study) -> None:
    study, asked = _with(study), Asked()
    slow = StudyState(study, (), (), set(), asked.ask)
    quick = StudyState(replace(study, loss="multi_similarity"), (), (), set())
    jobs = iter(Frontier([slow, quick], "search"))
    assert [next(jobs).loss for _ in range(4)] == ["multi_similarity"] * 4
    assert slow.left("search") == 8
    Timer(0.05, asked.answer).start()
    assert [next(jobs).loss for _ in range(4)] == ["contrastive"] * 4
    assert next(jobs, None) is None


def test_who_asks_for_jobs_waits_where_all_are_proposed_and_then_gets_them(study: Study) -> None:
    asked = Asked()
    state = StudyState(_with(study), (), (), set(), asked.ask)
    assert not list(state.ready("search"))
    Timer(0.05, asked.answer).start()
    first = _jobs([state])
    assert {job.number for job in first} == {0}
    for job in first:
        state.take(_record(job), held=False)
    assert state.proposing is not None
    asked.answer()
    assert {job.number for job in _jobs([state])} == {1}


def test_what_is_recorded_of_a_batch_is_not_asked_for(study: Study) -> None:
    study, asked = _with(study, parallel_trials=2), Asked()
    jobs = _jobs([StudyState(study, (), (), set())])
    state = StudyState(study, [_record(jobs[0]), _record(jobs[-1], "failed")], (), set(), asked.ask)
    assert not asked.waiting
    assert [record.key for record in state.failures("search")] == [jobs[-1].key]
    assert _jobs([state]) == []
    half = StudyState(study, [_record(jobs[0], "failed")], (), set(), asked.ask)
    asked.answer()
    assert _jobs([half]) == []
    assert [record.key for record in half.failures("search")] == [jobs[0].key]


def test_a_search_in_the_background_is_that_of_one_that_waits(study: Study) -> None:
    study = _with(study, sampler="gp", trials=5, startup_trials=2, parallel_trials=2)

    def searched(state: StudyState) -> list[FoldRecord]:
        while jobs := _jobs([state]):
            state.take(_record(jobs[-1]), held=False)
        return sorted(state.records, key=lambda record: record.key)

    with in_the_background() as ask:
        found = searched(StudyState(study, (), (), set(), ask))
    assert len(found) == 20
    assert found == searched(StudyState(study, (), (), set()))
