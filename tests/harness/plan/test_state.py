"""Where a study stands: a failed training is no result, so nothing follows from it, and nothing remains of it."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from mlrc.harness.plan.job import FoldJob, ScoreJob
from mlrc.harness.plan.state import Frontier, StudyState
from mlrc.harness.plan.study import Study
from mlrc.results.records.record import FoldRecord, Outcome
from tests.harness.conftest import ENVIRONMENT


def _record(job: FoldJob, outcome: Outcome = "done") -> FoldRecord:
    score = int(job.key[:4], 16) / 65536 * 50 if outcome == "done" else None
    return FoldRecord(
        key=job.key,
        seed=job.seed,
        dataset=job.dataset,
        fingerprint=job.fingerprint,
        cut="half",
        protocol=job.protocol.name,
        digest=job.protocol.digest,
        loss=job.loss,
        params=dict(job.params),
        stage=job.stage,
        number=job.number,
        search=job.search,
        fold=job.fold,
        outcome=outcome,
        history=(),
        best_epoch=2,
        best_score=score,
        seconds=1.0,
        environment=ENVIRONMENT,
    )


def _trainings(state: StudyState) -> list[FoldJob]:
    return [job for job in Frontier([state], "final") if isinstance(job, FoldJob)]


def _whole(study: Study, known: Iterable[FoldRecord] = ()) -> list[FoldRecord]:
    """Do all trainings of a study, the first that is offered first."""
    records = list(known)
    state = StudyState(study, records, (), {record.key for record in records if record.stage == "final"})
    while jobs := _trainings(state):
        records.append(_record(jobs[0]))
        state.take(records[-1], held=jobs[0].stage == "final")
    return records


@pytest.mark.parametrize("number", [0, 5, 11, 12, 19])
def test_a_study_stands_still_at_a_failed_training_and_goes_on_as_if_it_had_never_failed(
    study: Study, number: int
) -> None:
    undisturbed = _whole(study)
    before, job = undisturbed[:number], undisturbed[number]
    state = StudyState(study, before, (), {record.key for record in before})
    (offered, *_) = _trainings(state)
    assert offered.key == job.key
    state.take(_record(offered, "failed"), held=False)
    assert not _trainings(state)
    assert state.left("final") == 0
    assert [record.key for record in state.failures("final")] == [job.key]
    assert bool(state.failures("search")) == (job.stage == "search")
    assert _whole(study, before) == undisturbed


def test_a_failed_training_stops_its_own_study_alone_and_a_diverged_one_none(study: Study) -> None:
    other = replace(study, loss="multi_similarity")
    states = [StudyState(one, (), (), set()) for one in (study, other)]
    (job, second, *_) = study.jobs("search", 0, next(iter(Frontier(states[:1], "final"))).params)
    states[0].take(_record(second, "diverged"), held=False)
    assert {one.loss for one in Frontier(states, "final")} == {"contrastive", "multi_similarity"}
    states[0].take(_record(job, "failed"), held=False)
    assert {one.loss for one in Frontier(states, "final")} == {"multi_similarity"}
    assert not states[0].history


def test_a_trial_of_which_a_fold_diverged_is_complete_and_scores_zero(study: Study) -> None:
    state = StudyState(study, (), (), set())
    for job in _trainings(state):
        state.take(_record(job, "diverged" if job.fold == 2 else "done"), held=False)
    assert [trial.score for trial in state.history] == [0]


def test_a_repeat_is_offered_to_be_scored_once_its_embeddings_are_there_and_not_after_its_scoring_failed(
    study: Study,
) -> None:
    records = _whole(study)
    final = [record for record in records if record.stage == "final"]
    state = StudyState(study, records, (), {record.key for record in final})
    jobs = [job for job in Frontier([state], "final", "folder") if isinstance(job, ScoreJob)]
    assert [(job.number, job.embeddings) for job in jobs] == [(0, "folder"), (1, "folder")]
    assert not list(Frontier([state], "search"))
    state.not_scored(jobs[0], "no memory")
    state.lost([final[-1].key])
    assert not state.to_score("folder")
    assert [job.key for job in _trainings(state)] == [final[-1].key]
    assert state.unscorable == {jobs[0].fold_keys: "no memory"}
