"""What becomes of jobs on a Ray cluster, with a scripted one: what is tried again, alone or not, and recorded."""

import signal
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
import torch
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayTaskError, TaskCancelledError, WorkerCrashedError

from mlrc.harness.engine.attempts import UnfitError
from mlrc.harness.engine.cluster.connection import Cluster
from mlrc.harness.engine.cluster.jobs import on_cluster
from mlrc.harness.engine.cluster.node import Begun, Unfit, require_fit
from mlrc.harness.engine.events import Closed, Event, Lost, Started, Stopping, Told
from mlrc.harness.engine.perform import record_of
from mlrc.harness.engine.workplace import FoldOutcome, Shortage, Workplace
from mlrc.harness.machine import environment
from mlrc.harness.machine.stopping import Stop
from mlrc.harness.plan.job import FoldJob, Job
from mlrc.harness.plan.study import Study
from mlrc.harness.training.fold import Trained
from tests.harness.conftest import ENVIRONMENT
from tests.harness.in_this_process import trainings

PLACE = Workplace(roots={}, device="cpu", environment=ENVIRONMENT)
Ending = FoldOutcome | Unfit | None | Exception


def _outcome(job: FoldJob, shortage: Shortage = "") -> FoldOutcome:
    trained = Trained("failed" if shortage else "done", None, (), None, None, shortage)
    return FoldOutcome(job, record_of(job, trained, PLACE, 1.0), None, shortage=shortage)


def _ray_says(kind: Callable[..., Exception], *words: object) -> Exception:
    return kind(*words)


class Script(Cluster):
    """Stands for a cluster with two places: how each attempt at a job ends, and what was seen of the attempts.

    Attributes:
        attempts: (job, alone, who else Ray had).
        cancelled: jobs that were taken back.
    """

    def __init__(self, end: Callable[[FoldJob, int], Ending], *, begins: bool = True) -> None:
        self.device, self.share = "cuda:0", 0.5
        self.left_out: list[Unfit] = []
        self.nodes = 2
        self._end = end
        self._begins = begins
        self._at_work: dict[int, FoldJob] = {}
        self._messages: list[tuple[str, Begun | Told]] = []
        self.attempts: list[tuple[FoldJob, bool, list[FoldJob]]] = []
        self.cancelled: list[FoldJob] = []

    def places(self) -> int:
        return 2

    def begin(self, job: Job, workplace: Workplace, *, alone: bool) -> int:
        assert workplace.share == (1.0 if alone else 0.5)
        assert isinstance(job, FoldJob)
        self.attempts.append((job, alone, list(self._at_work.values())))
        self._at_work[len(self.attempts)] = job
        if self._begins:
            self._messages.append((job.key, Begun("a node")))
        return len(self.attempts)

    def ended(self, references: Iterable[int], timeout: float) -> list[int]:
        given = list(references)
        assert given == list(self._at_work)
        return given[:1] if self._begins or self.cancelled else []

    def outcome(self, reference: int) -> FoldOutcome | Unfit | None:
        job = self._at_work.pop(reference)
        ending = self._end(job, sum(job == other for other, *_ in self.attempts))
        if isinstance(ending, Exception):
            raise ending
        return ending

    def leave_out(self, unfit: Unfit) -> None:
        self.left_out.append(unfit)

    def require_a_node(self) -> None:
        if len(self.left_out) >= self.nodes:
            raise UnfitError(self.left_out[-1].sentence)

    def at_address(self, address: str) -> list[str]:
        return ["a", "b"]

    def lost(self, node: str) -> bool:
        return False

    def cancel(self, reference: int, *, force: bool) -> None:
        self.cancelled.append(self._at_work[reference])

    def messages(self, *, stopping: bool) -> list[tuple[str, Begun | Told]]:
        messages, self._messages = self._messages, []
        return messages


@pytest.fixture
def jobs(study: Study) -> list[FoldJob]:
    return [job for number in range(2) for job in study.jobs("search", number, {"pos_margin": 0.0, "neg_margin": 0.5})]


def _do(script: Script, jobs: list[FoldJob], stop: Stop | None = None) -> tuple[list[FoldOutcome], list[Event]]:
    events: list[Event] = []
    return trainings(on_cluster(script, PLACE, events.append, stop)(jobs)), events


def test_no_more_jobs_are_given_to_ray_than_there_are_places(jobs: list[FoldJob]) -> None:
    script = Script(lambda job, attempt: _outcome(job))
    outcomes, _ = _do(script, jobs)
    assert {outcome.job.key for outcome in outcomes} == {job.key for job in jobs}
    assert max(len(others) for *_, others in script.attempts) == 1


@pytest.mark.parametrize("how", ["the GPU", "the node"])
def test_a_job_out_of_memory_is_tried_once_more_alone_and_then_recorded(jobs: list[FoldJob], how: str) -> None:
    victim = jobs[1]

    def end(job: FoldJob, attempt: int) -> Ending:
        if job != victim:
            return _outcome(job)
        return _outcome(job, "memory") if how == "the GPU" else _ray_says(OutOfMemoryError, "Task was killed. More.")

    script = Script(end)
    outcomes, events = _do(script, jobs)
    assert [alone for job, alone, _ in script.attempts if job == victim] == [False, True]
    failed = [outcome.record for outcome in outcomes if outcome.record.outcome == "failed"]
    assert [(record.key, record.message) for record in failed] == [
        (victim.key, "memory" if how == "the GPU" else "out of memory: Task was killed")
    ]
    assert len(outcomes) == len(jobs)
    assert [event.attempt for event in events if isinstance(event, Started) and event.job == victim] == [1, 2]


def test_a_job_whose_process_dies_three_times_is_recorded_with_what_ray_says(jobs: list[FoldJob]) -> None:
    script = Script(lambda job, attempt: WorkerCrashedError() if job == jobs[0] else _outcome(job))
    outcomes, events = _do(script, jobs)
    (failed,) = [outcome.record for outcome in outcomes if outcome.record.outcome == "failed"]
    assert failed.message.startswith("its process died 3 times, at last with WorkerCrashedError: The worker died")
    assert len([event for event in events if isinstance(event, Lost)]) == 2
    assert len(outcomes) == len(jobs)


def test_a_node_that_dies_is_no_fault_of_its_jobs(jobs: list[FoldJob]) -> None:
    def end(job: FoldJob, attempt: int) -> Ending:
        return _ray_says(NodeDiedError, "The node died.") if job == jobs[0] and attempt < 6 else _outcome(job)

    script = Script(end)
    outcomes, events = _do(script, jobs)
    assert {outcome.record.outcome for outcome in outcomes} == {"done"}
    assert not any(alone for _, alone, _ in script.attempts)
    assert {event.message for event in events if isinstance(event, Lost)} == {"its node died: The node died."}


def test_a_node_that_lacks_something_is_left_out_and_only_the_last_one_ends_the_run(jobs: list[FoldJob]) -> None:
    script = Script(lambda job, attempt: Unfit("a", "no dataset") if len(script.attempts) == 1 else _outcome(job))
    outcomes, events = _do(script, jobs[:1])
    assert [outcome.record.outcome for outcome in outcomes] == ["done"]
    assert [event for event in events if isinstance(event, Closed)] == [Closed("Ray's node a", "no dataset")]
    assert [event.attempt for event in events if isinstance(event, Started)] == [1, 1]
    script = Script(lambda job, attempt: Unfit(f"node {attempt}", "no dataset"))
    with pytest.raises(UnfitError, match="no dataset"):
        _do(script, jobs[:1])
    assert [unfit.node for unfit in script.left_out] == ["node 1", "node 2"]


def test_a_node_with_another_commit_or_package_is_refused_and_one_without_history_is_not() -> None:
    here = environment.current(torch.device("cpu"))
    node_as_driver = replace(PLACE, environment=here)
    require_fit(node_as_driver)
    require_fit(replace(PLACE, environment=replace(here, commit="v0.1.0")))
    with pytest.raises(UnfitError, match=r"must have the driver's code.* for 0123456789ab; check out the same"):
        require_fit(replace(PLACE, environment=replace(here, commit="0123456789ab")))
    with pytest.raises(UnfitError, match=r"has pillow .* for 1\.0; install the same"):
        require_fit(replace(PLACE, environment=replace(here, versions={**here.versions, "pillow": "1.0"})))


def test_a_stop_takes_back_what_waits_in_ray_s_queue(jobs: list[FoldJob]) -> None:
    stop = Stop()
    script = Script(lambda job, attempt: TaskCancelledError(), begins=False)
    script.ended = _then(script.ended, lambda: setattr(stop, "signal", signal.SIGTERM))  # type: ignore[method-assign]
    outcomes, events = _do(script, jobs, stop)
    assert not outcomes
    assert script.cancelled == jobs[:2]
    assert [event for event in events if isinstance(event, Stopping)] == [Stopping("SIGTERM", 0)]


def _then(call: Callable[..., list[int]], after: Callable[[], None]) -> Callable[..., list[int]]:
    def both(*arguments: object) -> list[int]:
        given = call(*arguments)
        after()
        return given

    return both


def test_a_node_that_cannot_do_any_job_ends_the_run(jobs: list[FoldJob]) -> None:
    error = _ray_says(RayTaskError, "do", "traceback", ModuleNotFoundError("No module named 'harness'"))
    script = Script(lambda job, attempt: error)
    with pytest.raises(UnfitError, match="one says: ModuleNotFoundError"):
        _do(script, jobs)
    assert script.cancelled == jobs[1:2]
