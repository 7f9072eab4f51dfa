"""The crew's rules with scripted workers: where a job goes, what is tried again, and what is recorded at last."""

import signal
from collections.abc import Callable, Iterable
from multiprocessing import Pipe

import pytest

from mlrc.harness.engine import crew as crews
from mlrc.harness.engine import execute
from mlrc.harness.engine.events import Event, Lost, Started, Told
from mlrc.harness.engine.execute import in_processes
from mlrc.harness.engine.perform import record_of
from mlrc.harness.engine.worker import STOPPED, Death
from mlrc.harness.engine.workplace import FoldOutcome, Shortage, Workplace
from mlrc.harness.machine.stopping import Stop
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.study import Study
from mlrc.harness.training.fold import Trained
from tests.harness.conftest import ENVIRONMENT

Message = FoldOutcome | Told | Death
PLACE = Workplace(roots={}, device="cpu", environment=ENVIRONMENT)


def _outcome(job: FoldJob, shortage: Shortage = "", message: str = "") -> FoldOutcome:
    trained = Trained("failed" if shortage else "done", None, (), None, None, message)
    return FoldOutcome(job, record_of(job, trained, PLACE, 1.0), None, shortage=shortage)


class Script:
    """Stands for all worker processes: what each attempt at a job tells, and what was seen of the attempts.

    Attributes:
        attempts: (job, device, alone, who else was at work on that device).
        alive: the workers that were begun and not dismissed.
    """

    def __init__(self, tell: Callable[[FoldJob, int], list[Message]]) -> None:
        self._tell = tell
        self.attempts: list[tuple[FoldJob, str, bool, list[FoldJob]]] = []
        self.alive: list[ScriptedWorker] = []
        self.at_work: list[ScriptedWorker] = []

    def worker(self, number: int, workplace: Workplace) -> "ScriptedWorker":
        return ScriptedWorker(self, workplace)

    def begun(self, worker: "ScriptedWorker") -> list[Message]:
        here = [other for other in self.at_work if other.place_device == worker.place_device]
        assert not worker.alone or [one for one in self.alive if one.place_device == worker.place_device] == [worker]
        attempt = 1 + sum(job == worker.job for job, *_ in self.attempts)
        self.attempts.append((worker.job, worker.place_device, worker.alone, [other.job for other in here]))
        self.at_work.append(worker)
        return self._tell(worker.job, attempt)


class ScriptedWorker:
    def __init__(self, script: Script, workplace: Workplace) -> None:
        self._script = script
        self.workplace, self.place_device = workplace, workplace.device
        self.connection, self._theirs = Pipe()
        self.started_at = 0.0
        self.alone = False
        self.job: FoldJob
        script.alive.append(self)

    def start(self, job: FoldJob, *, alone: bool) -> bool:
        self.job, self.alone = job, alone
        for message in self._script.begun(self):
            self._theirs.send(message)
        return True

    def receive(self) -> Message:
        message: Message = self.connection.recv()
        if not isinstance(message, Told):
            self._script.at_work.remove(self)
        return message

    def ask_to_stop(self) -> None:
        self._theirs.send(STOPPED)

    def dismiss(self) -> None:
        if self in self._script.alive:
            self._script.alive.remove(self)


@pytest.fixture
def jobs(study: Study) -> list[FoldJob]:
    return [job for number in range(2) for job in study.jobs("search", number, {"pos_margin": 0.0, "neg_margin": 0.5})]


def _do(
    monkeypatch: pytest.MonkeyPatch,
    jobs: Iterable[FoldJob],
    tell: Callable[[FoldJob, int], list[Message]],
    *,
    workers: int = 2,
    devices: tuple[str, ...] = ("cpu",),
    on_event: Callable[[Event], None] = lambda event: None,
    stop: Stop | None = None,
) -> tuple[Script, list[FoldOutcome]]:
    script = Script(tell)
    monkeypatch.setattr(crews, "Worker", script.worker)
    execute = in_processes(PLACE, workers, on_event, devices=devices, stop=stop)
    outcomes = list(execute(jobs))
    assert not script.alive
    return script, outcomes


def test_every_job_is_done_once(monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]) -> None:
    script, outcomes = _do(monkeypatch, jobs, lambda job, attempt: [Told(0, 1.0, 1.0), _outcome(job)], workers=3)
    assert {outcome.job.key for outcome in outcomes} == {job.key for job in jobs}
    assert len(script.attempts) == len(jobs)


def test_workers_are_spread_evenly_over_the_devices_and_know_their_share(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    seen: dict[str, set[float]] = {}
    script = Script(lambda job, attempt: [_outcome(job)])

    def noted(number: int, workplace: Workplace) -> ScriptedWorker:
        seen.setdefault(workplace.device, set()).add(workplace.share)
        return script.worker(number, workplace)

    monkeypatch.setattr(crews, "Worker", noted)
    list(in_processes(PLACE, 6, lambda event: None, devices=("cuda:0", "cuda:1"))(jobs))
    assert seen == {"cuda:0": {1 / 3}, "cuda:1": {1 / 3}}
    first = [device for _, device, _, _ in script.attempts[:6]]
    assert sorted(first) == ["cuda:0"] * 3 + ["cuda:1"] * 3


def test_a_job_that_runs_out_of_memory_is_tried_once_more_alone_on_its_device(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    victim = jobs[1]

    def tell(job: FoldJob, attempt: int) -> list[Message]:
        return [_outcome(job, "memory", "out of memory")] if job == victim and attempt == 1 else [_outcome(job)]

    told: list[Event] = []
    devices = ("cuda:0", "cuda:1")
    script, outcomes = _do(monkeypatch, jobs, tell, workers=4, devices=devices, on_event=told.append)
    assert {outcome.record.outcome for outcome in outcomes} == {"done"}
    assert len(outcomes) == len(jobs)
    (first, again) = [attempt for attempt in script.attempts if attempt[0] == victim]
    assert again[1:] == (first[1], True, [])
    assert [event for event in told if isinstance(event, Lost)] == [Lost(victim, "out of memory")]
    assert [event.attempt for event in told if isinstance(event, Started) and event.job == victim] == [1, 2]


def test_a_job_that_is_alone_has_the_whole_device_and_those_after_it_their_share_again(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    shares: list[tuple[FoldJob, float]] = []

    def tell(job: FoldJob, attempt: int) -> list[Message]:
        shares.append((job, script.at_work[-1].workplace.share))
        return [_outcome(job, "memory", "out of memory")] if job == jobs[0] and attempt == 1 else [_outcome(job)]

    script = Script(tell)
    monkeypatch.setattr(crews, "Worker", script.worker)
    assert len(list(in_processes(PLACE, 2, lambda event: None, devices=("cuda:0",))(jobs))) == len(jobs)
    assert [share for job, share in shares if job == jobs[0]] == [0.5, 1.0]
    assert {share for job, share in shares if job != jobs[0]} == {0.5}


def test_a_job_that_runs_out_of_memory_alone_is_recorded_as_failed(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    script, outcomes = _do(monkeypatch, jobs[:1], lambda job, attempt: [_outcome(job, "memory", "out of memory")])
    assert [outcome.record.outcome for outcome in outcomes] == ["failed"]
    assert [alone for *_, alone, _ in script.attempts] == [False, True]


def test_a_job_whose_worker_dies_is_tried_alone_and_then_recorded_with_the_last_words(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    victim = jobs[2]
    death = Death(-11, "Fatal Python error: Segmentation fault | in conv2d")
    script, outcomes = _do(
        monkeypatch, jobs, lambda job, attempt: [death] if job == victim else [_outcome(job)], workers=2
    )
    records = {outcome.job.key: outcome.record for outcome in outcomes}
    assert records.pop(victim.key).message == (
        "its process died 3 times, at last with exit code -11 (SIGSEGV); it said last: "
        "Fatal Python error: Segmentation fault | in conv2d"
    )
    assert {record.outcome for record in records.values()} == {"done"}
    assert [(alone, others) for job, _, alone, others in script.attempts if job == victim][1:] == [
        (True, []),
        (True, []),
    ]


def test_deaths_of_a_job_that_gets_further_each_time_are_not_counted_together(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    def tell(job: FoldJob, attempt: int) -> list[Message]:
        return [Told(attempt, 1.0, 1.0), Death(-9)] if attempt < 6 else [_outcome(job)]

    script, outcomes = _do(monkeypatch, jobs[:1], tell)
    assert [outcome.record.outcome for outcome in outcomes] == ["done"]
    assert len(script.attempts) == 6


def test_a_worker_that_was_asked_to_stop_by_someone_else_costs_no_attempt(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    def tell(job: FoldJob, attempt: int) -> list[Message]:
        return [STOPPED] if attempt < 6 else [_outcome(job)]

    _, outcomes = _do(monkeypatch, jobs[:1], tell)
    assert [outcome.record.outcome for outcome in outcomes] == ["done"]


def test_a_full_disk_ends_everything_and_records_nothing(monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]) -> None:
    script = Script(lambda job, attempt: [_outcome(job, "disk", "No space left on device")])
    monkeypatch.setattr(crews, "Worker", script.worker)
    with pytest.raises(OSError, match="No space left on device"):
        list(in_processes(PLACE, 2, lambda event: None)(jobs))
    assert not script.alive


def test_after_a_stop_no_job_begins_and_those_that_end_meanwhile_are_taken_in(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    stop = Stop()
    monkeypatch.setattr(execute, "POLL_SECONDS", 0.01)

    def tell(job: FoldJob, attempt: int) -> list[Message]:
        return [] if job == jobs[1] else [_outcome(job)]  # the second is at work until it is asked to stop

    script = Script(tell)
    monkeypatch.setattr(crews, "Worker", script.worker)
    outcomes = []
    for outcome in in_processes(PLACE, 2, lambda event: None, stop=stop)(jobs):
        outcomes.append(outcome)
        stop.signal = signal.SIGTERM
    assert [outcome.job for outcome in outcomes] == [jobs[0]]
    assert len(script.attempts) == 2
    assert not script.alive
