"""The crew's rules with scripted workers: where a job goes, what is tried again, and what is recorded at last."""

import signal
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from mlrc.harness.engine import crew as crews
from mlrc.harness.engine import execute, watchdog
from mlrc.harness.engine.attempts import UnfitError
from mlrc.harness.engine.events import Closed, Event, Lost, Started, Told
from mlrc.harness.engine.execute import in_processes
from mlrc.harness.engine.serving import STOPPED, Death
from mlrc.harness.engine.worker import Inbox
from mlrc.harness.engine.workplace import FoldOutcome, Workplace
from mlrc.harness.machine.stopping import Stop
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.study import Study
from tests.harness.engine.scripted import PLACE, Message, Script, ScriptedWorker, failed, outcome_of
from tests.harness.in_this_process import trainings


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
    outcomes = trainings(execute(jobs))
    assert not script.alive
    return script, outcomes


def test_every_job_is_done_once(monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]) -> None:
    script, outcomes = _do(monkeypatch, jobs, lambda job, attempt: [Told(0, 1.0, 1.0), outcome_of(job)], workers=3)
    assert {outcome.job.key for outcome in outcomes} == {job.key for job in jobs}
    assert len(script.attempts) == len(jobs)


def test_workers_are_spread_evenly_over_the_devices_and_know_their_share(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    seen: dict[str, set[float]] = {}
    script = Script(lambda job, attempt: [outcome_of(job)])

    def noted(number: int, workplace: Workplace, inbox: Inbox) -> ScriptedWorker:
        seen.setdefault(workplace.device, set()).add(workplace.share)
        return script.worker(number, workplace, inbox)

    monkeypatch.setattr(crews, "Worker", noted)
    list(in_processes(PLACE, 6, lambda event: None, devices=("cuda:0", "cuda:1", "cuda:2", "cpu"))(jobs))
    assert seen == {"cuda:0": {1 / 2}, "cuda:1": {1 / 2}, "cuda:2": {1.0}, "cpu": {1.0}}
    first = [device for _, device, _, _ in script.attempts[:6]]
    assert sorted(first) == ["cpu", "cuda:0", "cuda:0", "cuda:1", "cuda:1", "cuda:2"]


def test_a_job_that_runs_out_of_memory_is_tried_once_more_alone_on_its_device(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    victim = jobs[1]

    def tell(job: FoldJob, attempt: int) -> list[Message]:
        return [outcome_of(job, "memory", "out of memory")] if job == victim and attempt == 1 else [outcome_of(job)]

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
        return [outcome_of(job, "memory", "out of memory")] if job == jobs[0] and attempt == 1 else [outcome_of(job)]

    script = Script(tell)
    monkeypatch.setattr(crews, "Worker", script.worker)
    assert len(list(in_processes(PLACE, 2, lambda event: None, devices=("cuda:0",))(jobs))) == len(jobs)
    assert [share for job, share in shares if job == jobs[0]] == [0.5, 1.0]
    assert {share for job, share in shares if job != jobs[0]} == {0.5}


def test_a_job_that_runs_out_of_memory_alone_is_recorded_asfailed(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    script, outcomes = _do(monkeypatch, jobs[:1], lambda job, attempt: [outcome_of(job, "memory", "out of memory")])
    assert [outcome.record.outcome for outcome in outcomes] == ["failed"]
    assert [alone for *_, alone, _ in script.attempts] == [False, True]


def test_a_job_whose_worker_dies_is_tried_beside_the_others_then_alone_and_then_recorded_with_the_last_words(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    victim = jobs[0]
    death = Death(-11, "Fatal Python error: Segmentation fault | in conv2d {}")
    script, outcomes = _do(
        monkeypatch, jobs, lambda job, attempt: [death] if job == victim else [outcome_of(job)], workers=2
    )
    records = {outcome.job.key: outcome.record for outcome in outcomes}
    assert records.pop(victim.key).message == (
        "its process died 3 times, at last with exit code -11 (SIGSEGV); it said last: "
        "Fatal Python error: Segmentation fault | in conv2d {}"
    )
    assert {record.outcome for record in records.values()} == {"done"}
    assert [alone for job, _, alone, _ in script.attempts if job == victim] == [False, False, True]
    order = [job for job, *_ in script.attempts]
    assert order.index(jobs[2]) < len(order) - 1 - order[::-1].index(victim), "the others went on meanwhile"


def test_after_a_failure_the_process_is_replaced_and_what_looks_like_the_device_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    workers: dict[str, list[ScriptedWorker]] = {}

    def tell(job: FoldJob, attempt: int) -> list[Message]:
        workers.setdefault(job.key, []).append(script.at_work[-1])
        if job == jobs[0]:
            return [outcome_of(job, "device", "CUDA error: an illegal memory access")]
        return [failed(job)] if job == jobs[2] else [outcome_of(job)]

    script = Script(tell)
    monkeypatch.setattr(crews, "Worker", script.worker)
    outcomes = trainings(in_processes(PLACE, 1, lambda event: None, devices=("cuda:0",))(jobs))
    assert [outcome.job for outcome in outcomes if outcome.failed] == [jobs[0], jobs[2]]
    first, second = workers[jobs[0].key]
    assert first is not second
    assert second is not workers[jobs[1].key][0]
    assert workers[jobs[2].key] == workers[jobs[1].key]
    assert workers[jobs[3].key] != workers[jobs[2].key]
    assert workers[jobs[4].key] == workers[jobs[3].key]


def test_a_place_where_one_job_after_the_other_fails_is_closed_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    told: list[Event] = []

    def tell(job: FoldJob, attempt: int) -> list[Message]:
        return [failed(job) if script.at_work[-1].place_device == "cuda:1" else outcome_of(job)]

    script = Script(tell)
    monkeypatch.setattr(crews, "Worker", script.worker)
    many = [replace(job, number=number) for job in jobs[:4] for number in range(8)]
    outcomes = trainings(in_processes(PLACE, 2, told.append, devices=("cuda:0", "cuda:1"))(many))
    assert len(outcomes) == len(many)
    assert sum(outcome.failed for outcome in outcomes) == crews.FAILURES_IN_A_ROW
    (closed,) = [event for event in told if isinstance(event, Closed)]
    assert closed == Closed("worker 1 on cuda:1", "4 jobs in a row failed there, the last one: the loss is wrong")


def test_a_process_that_dies_before_it_begins_is_no_fault_of_its_job_and_if_all_do_the_run_ends(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    stillborn = 0

    def begin(number: int, workplace: Workplace, inbox: Inbox) -> ScriptedWorker:
        worker = script.worker(number, workplace, inbox)
        worker.ready = not stillborn
        return worker

    def tell(job: FoldJob, attempt: int) -> list[Message]:
        nonlocal stillborn
        stillborn -= 1
        return [outcome_of(job)] if script.at_work[-1].ready else [Death(-9)]

    script = Script(tell)
    monkeypatch.setattr(crews, "Worker", begin)
    stillborn = 5
    outcomes = trainings(in_processes(PLACE, 2, lambda event: None)(jobs))
    assert {outcome.record.outcome for outcome in outcomes} == {"done"}
    stillborn = 100
    with pytest.raises(UnfitError, match=r"must be able to begin, .* dies before: .* with exit code -9 \(SIGKILL\)"):
        list(in_processes(PLACE, 2, lambda event: None)(jobs))


def test_a_worker_that_hangs_is_ended_and_its_job_done_again(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    monkeypatch.setattr(watchdog, "LEAST_SECONDS", 0.05)
    monkeypatch.setattr(execute, "POLL_SECONDS", 0.01)
    told: list[Event] = []
    _, outcomes = _do(
        monkeypatch,
        jobs[:2],
        lambda job, attempt: [] if attempt == 1 and job == jobs[0] else [outcome_of(job)],
        on_event=told.append,
    )
    assert {outcome.record.outcome for outcome in outcomes} == {"done"}
    (lost,) = [event for event in told if isinstance(event, Lost)]
    assert lost.message == (
        "its process died 1 times, at last ended because its process gave no sign of life for 0 seconds"
    )


def test_a_worker_that_does_not_hear_the_wish_to_stop_keeps_nobody_from_ending(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    stop = Stop()
    monkeypatch.setattr(execute, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(crews, "GRACE_SECONDS", 0.05)
    script = Script(lambda job, attempt: [])
    script.deaf = True
    monkeypatch.setattr(crews, "Worker", script.worker)
    stop.signal = None

    def on_event(event: Event) -> None:
        if isinstance(event, Started):
            stop.signal = signal.SIGTERM

    assert not list(in_processes(PLACE, 2, on_event, stop=stop)(jobs))
    assert not script.alive


def test_deaths_of_a_job_that_gets_further_each_time_are_not_counted_together(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    def tell(job: FoldJob, attempt: int) -> list[Message]:
        return [Told(attempt, 1.0, 1.0), Death(-9)] if attempt < 6 else [outcome_of(job)]

    script, outcomes = _do(monkeypatch, jobs[:1], tell)
    assert [outcome.record.outcome for outcome in outcomes] == ["done"]
    assert len(script.attempts) == 6


def test_a_worker_that_was_asked_to_stop_by_someone_else_costs_no_attempt(
    monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]
) -> None:
    def tell(job: FoldJob, attempt: int) -> list[Message]:
        return [STOPPED] if attempt < 6 else [outcome_of(job)]

    _, outcomes = _do(monkeypatch, jobs[:1], tell)
    assert [outcome.record.outcome for outcome in outcomes] == ["done"]


def test_a_full_disk_ends_everything_and_records_nothing(monkeypatch: pytest.MonkeyPatch, jobs: list[FoldJob]) -> None:
    script = Script(lambda job, attempt: [outcome_of(job, "disk", "No space left on device")])
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
        return [] if job == jobs[1] else [outcome_of(job)]  # the second is at work until it is asked to stop

    script = Script(tell)
    monkeypatch.setattr(crews, "Worker", script.worker)
    outcomes = []
    for outcome in in_processes(PLACE, 2, lambda event: None, stop=stop)(jobs):
        outcomes.append(outcome)
        stop.signal = signal.SIGTERM
    assert [outcome.job for outcome in outcomes] == [jobs[0]]
    assert len(script.attempts) == 2
    assert not script.alive
