"""The executors keep one contract: every job once, whoever does it, and a death costs nobody else anything."""

import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlrc.harness.engine.events import Event, Lost, Started, Stopping, Validated
from mlrc.harness.engine.execute import in_processes
from mlrc.harness.engine.serving import Death
from mlrc.harness.engine.worker import Inbox, Worker
from mlrc.harness.engine.workplace import FoldOutcome, Workplace
from mlrc.harness.images.glyphs import DATASET
from mlrc.harness.machine.environment import processor
from mlrc.harness.machine.stopping import Stop
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.study import Study
from mlrc.protocols.protocol import PerDataset
from mlrc.protocols.quick import QUICK
from tests.harness.conftest import ENVIRONMENT
from tests.harness.in_this_process import in_this_process, trainings

SMALL = QUICK.vary(
    {"embedding_size": 8, "batch_size": 8, "iterations_per_epoch": 1, "max_epochs": 1, "cut": PerDataset("official")}
)


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workplace, list[FoldJob]]:
    """A workplace that worker processes can find too, and the four jobs of a trial."""
    root = tmp_path_factory.mktemp("root")
    images = DATASET.open(root)
    study = Study(protocol=SMALL, dataset="glyphs", fingerprint=images.fingerprint, loss="contrastive")
    place = Workplace(roots={"glyphs": ("glyphs", root)}, device="cpu", environment=ENVIRONMENT)
    return place, study.jobs("search", 0, {"pos_margin": 0.0, "neg_margin": 0.5})


def _content(outcome: FoldOutcome) -> dict[str, object]:
    """Give what is recorded, but for the time that it took."""
    timed = ("seconds", "processor_seconds")
    return {name: value for name, value in vars(outcome.record).items() if name not in timed}


def test_processes_give_the_outcomes_of_this_process_and_tell_of_every_validation(
    glyphs: tuple[Workplace, list[FoldJob]],
) -> None:
    workplace, jobs = glyphs
    results, told = [], []
    for make in (in_this_process, lambda place, tell: in_processes(place, 2, tell)):
        events: list[Event] = []
        outcomes = trainings(make(workplace, events.append)(jobs))
        assert sorted(outcome.job.key for outcome in outcomes) == sorted(job.key for job in jobs)
        results.append({outcome.job.key: _content(outcome) for outcome in outcomes})
        told.append(sorted((event.job.key, event.epoch) for event in events if isinstance(event, Validated)))
        assert {event.job.key for event in events if isinstance(event, Started)} == {job.key for job in jobs}
    here, there = results
    assert all(content["outcome"] == "done" for content in here.values())
    host = {"environment": replace(ENVIRONMENT, host=socket.gethostname(), processor=processor())}
    assert {key: content | host for key, content in here.items()} == there
    assert told[0] == told[1] == sorted((job.key, epoch) for job in jobs for epoch in (0, 1))


def test_jobs_that_become_ready_later_are_done_too(glyphs: tuple[Workplace, list[FoldJob]]) -> None:
    workplace, (first, second, *_) = glyphs
    done: list[str] = []

    class Chain:
        """Offers the second job only when the first is done."""

        def __iter__(self) -> Iterator[FoldJob]:
            yield first
            if first.key in done:
                yield second

    for outcome in in_this_process(workplace, lambda event: None)(Chain()):
        done.append(outcome.job.key)  # noqa: PERF401 the chain reads it meanwhile
    assert done == [first.key, second.key]


def test_an_exception_in_a_job_becomes_a_record_that_tells_it(glyphs: tuple[Workplace, list[FoldJob]]) -> None:
    job = glyphs[1][0]
    wrong = Workplace(roots={"glyphs": ("no_such_set", Path())}, device="cpu", environment=ENVIRONMENT)
    (outcome,) = trainings(in_this_process(wrong, lambda event: None)([job]))
    assert outcome.record.outcome == "failed"
    assert "No dataset named 'no_such_set'" in outcome.record.message
    assert outcome.record.key == job.key


def _kill(pids: Iterable[int], how: signal.Signals = signal.SIGKILL) -> None:
    for pid in pids:
        os.kill(pid, how)


@pytest.fixture
def pids(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process numbers of all workers, in the order of their start."""
    seen: list[int] = []
    begin = Worker.__init__

    def noted(self: Worker, number: int, workplace: Workplace, inbox: Inbox) -> None:
        begin(self, number, workplace, inbox)
        assert self.pid is not None
        seen.append(self.pid)

    monkeypatch.setattr(Worker, "__init__", noted)
    return seen


def test_a_job_whose_workers_die_again_and_again_is_recorded_as_failed_and_the_others_are_done(
    glyphs: tuple[Workplace, list[FoldJob]], pids: list[int], tmp_path: Path
) -> None:
    workplace, jobs = glyphs
    victim = jobs[1].key

    def kill_always(event: Event) -> None:
        if isinstance(event, Validated) and event.job.key == victim:
            _kill(pids[-1:], signal.SIGSEGV)

    place = replace(workplace, runs=tmp_path)
    outcomes = {outcome.job.key: outcome.record for outcome in trainings(in_processes(place, 1, kill_always)(jobs))}
    message = outcomes.pop(victim).message
    assert message.startswith("its process died 3 times, at last with exit code -11 (SIGSEGV); it said last: ")
    assert "Fatal Python error: Segmentation fault" in message
    assert "most recent call first" in message
    assert {record.outcome for record in outcomes.values()} == {"done"}


def test_a_worker_that_is_dead_before_its_first_job_costs_the_job_no_attempt(
    glyphs: tuple[Workplace, list[FoldJob]], pids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace, (job, *_) = glyphs
    begin = Worker.__init__

    def dead_at_first(self: Worker, number: int, workplace: Workplace, inbox: Inbox) -> None:
        begin(self, number, workplace, inbox)
        if len(pids) == 1:
            self._process.kill()
            self._process.join()

    monkeypatch.setattr(Worker, "__init__", dead_at_first)
    told: list[Event] = []
    (outcome,) = trainings(in_processes(workplace, 1, told.append)([job]))
    assert outcome.record.outcome == "done"
    assert [event.attempt for event in told if isinstance(event, Started)] == [1, 1]
    assert [event.message for event in told if isinstance(event, Lost)] == [
        "a process died before it could begin, with exit code -9 (SIGKILL)"
    ]


def test_leaving_early_ends_the_workers(glyphs: tuple[Workplace, list[FoldJob]], pids: list[int]) -> None:
    workplace, jobs = glyphs
    outcomes = in_processes(workplace, 1, lambda *_: None)(jobs)
    next(outcomes)
    close: Callable[[], None] = outcomes.close  # type: ignore[attr-defined]
    close()
    assert len(pids) == 1
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("whom", ["the driver's wish", "a SIGTERM to the worker"])
def test_a_job_that_is_stopped_leaves_a_checkpoint_and_goes_on_from_it(
    glyphs: tuple[Workplace, list[FoldJob]], pids: list[int], tmp_path: Path, whom: str
) -> None:
    workplace, (job, *_) = glyphs
    long = replace(job, protocol=SMALL.vary({"max_epochs": 20, "iterations_per_epoch": 20}))
    place, stop, told = replace(workplace, runs=tmp_path), Stop(), []

    def stop_once(event: Event) -> None:
        told.append(event)
        if isinstance(event, Validated) and len(told) == 2:  # begun, then validated before training
            if whom == "the driver's wish":
                stop.signal = signal.SIGINT
            else:
                _kill(pids[:1], signal.SIGTERM)

    outcomes = trainings(in_processes(place, 1, stop_once, stop=stop)([long]))
    if whom == "the driver's wish":
        assert not outcomes
        assert isinstance(told[-1], Stopping)
        assert (tmp_path / "checkpoints" / f"{long.key}.pt").exists()
        outcomes = trainings(in_processes(place, 1, told.append)([long]))
    assert [event.epoch for event in told if isinstance(event, Validated)] == [0, 4, 8, 12, 16, 20]
    assert [outcome.record.outcome for outcome in outcomes] == ["done"]


def test_a_stop_does_not_wait_for_a_worker_that_is_still_being_set_up(
    glyphs: tuple[Workplace, list[FoldJob]], monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace, (job, *_) = glyphs
    stop = Stop()

    def stop_at_once(event: Event) -> None:
        if isinstance(event, Started):
            stop.signal = signal.SIGTERM

    heard: list[Death] = []
    death = Worker.death

    def noted(self: Worker) -> Death:
        heard.append(death(self))
        return heard[-1]

    monkeypatch.setattr(Worker, "death", noted)
    assert not list(in_processes(workplace, 1, stop_at_once, stop=stop)([job]))
    assert [one.exitcode for one in heard] == [-signal.SIGKILL]
