"""The executors keep one contract: every job once, whoever does it, and a death costs nobody else anything."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from harness.events import Event, Started, Validated
from harness.execute import Execute, in_processes, in_this_process
from harness.images.glyphs import DATASET
from harness.plan import FoldJob, Study
from harness.work import FoldOutcome, Workplace
from harness.worker import Worker
from protocols.protocol import PerDataset
from protocols.quick import QUICK
from tests.harness.conftest import ENVIRONMENT

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


def _executors(workplace: Workplace) -> dict[str, Execute]:
    return {
        "here": in_this_process(workplace, lambda *_: None),
        "one": in_processes(workplace, 1, lambda *_: None),
        "two": in_processes(workplace, 2, lambda *_: None),
    }


def _content(outcome: FoldOutcome) -> dict[str, object]:
    return {name: value for name, value in vars(outcome.record).items() if name != "seconds"}


def test_every_executor_gives_the_same_outcomes(glyphs: tuple[Workplace, list[FoldJob]]) -> None:
    workplace, jobs = glyphs
    results = {}
    for name, execute in _executors(workplace).items():
        outcomes = list(execute(jobs))
        assert sorted(outcome.job.key for outcome in outcomes) == sorted(job.key for job in jobs)
        results[name] = {outcome.job.key: _content(outcome) for outcome in outcomes}
    assert results["here"] == results["one"] == results["two"]
    assert all(content["outcome"] == "done" for content in results["here"].values())


def test_jobs_that_become_ready_later_are_done_too(glyphs: tuple[Workplace, list[FoldJob]]) -> None:
    workplace, (first, second, *_) = glyphs

    for name, execute in _executors(workplace).items():
        done: list[str] = []

        class Chain:
            """Offers the second job only when the first is done."""

            def __iter__(self, done: list[str] = done) -> Iterator[FoldJob]:
                yield first
                if first.key in done:
                    yield second

        for outcome in execute(Chain()):
            done.append(outcome.job.key)  # noqa: PERF401 the chain reads it meanwhile
        assert done == [first.key, second.key], name


def test_progress_is_told_while_a_job_is_at_work(glyphs: tuple[Workplace, list[FoldJob]]) -> None:
    workplace, (job, *_) = glyphs
    for make in (in_this_process, lambda place, tell: in_processes(place, 1, tell)):
        told: list[Event] = []
        list(make(workplace, told.append)([job]))
        assert isinstance(told[0], Started)
        assert [(event.job.key, event.epoch) for event in told if isinstance(event, Validated)] == [
            (job.key, 0),
            (job.key, 1),
        ]


def test_an_exception_in_a_job_becomes_a_record_that_tells_it(glyphs: tuple[Workplace, list[FoldJob]]) -> None:
    job = glyphs[1][0]
    wrong = Workplace(roots={"glyphs": ("no_such_set", Path())}, device="cpu", environment=ENVIRONMENT)
    for execute in _executors(wrong).values():
        (outcome,) = execute([job])
        assert outcome.record.outcome == "failed"
        assert "No dataset named 'no_such_set'" in outcome.record.message
        assert outcome.record.key == job.key


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def pids(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process numbers of all workers, in the order of their start."""
    seen: list[int] = []
    begin = Worker.__init__

    def noted(self: Worker, number: int, workplace: Workplace) -> None:
        begin(self, number, workplace)
        assert self.pid is not None
        seen.append(self.pid)

    monkeypatch.setattr(Worker, "__init__", noted)
    return seen


def test_a_worker_that_is_killed_costs_one_attempt_of_its_own_job(
    glyphs: tuple[Workplace, list[FoldJob]], pids: list[int]
) -> None:
    workplace, jobs = glyphs
    killed: list[str] = []

    def kill_once(event: Event) -> None:
        if isinstance(event, Validated) and not killed:
            killed.append(event.job.key)
            _kill(pids[:1])

    outcomes = list(in_processes(workplace, 1, kill_once)(jobs))
    assert len(pids) == 2
    assert {outcome.job.key: outcome.record.outcome for outcome in outcomes} == dict.fromkeys(
        (job.key for job in jobs), "done"
    )


def test_a_job_whose_workers_die_again_and_again_is_recorded_as_failed_and_the_others_are_done(
    glyphs: tuple[Workplace, list[FoldJob]], pids: list[int]
) -> None:
    workplace, jobs = glyphs
    victim = jobs[1].key

    def kill_always(event: Event) -> None:
        if isinstance(event, Validated) and event.job.key == victim:
            _kill(pids[-1:])

    outcomes = {outcome.job.key: outcome.record for outcome in in_processes(workplace, 1, kill_always)(jobs)}
    assert outcomes.pop(victim).message == "its process died 3 times, at last with exit code -9 (SIGKILL)"
    assert {record.outcome for record in outcomes.values()} == {"done"}


def test_leaving_early_ends_the_workers(glyphs: tuple[Workplace, list[FoldJob]], pids: list[int]) -> None:
    workplace, jobs = glyphs
    outcomes = in_processes(workplace, 2, lambda *_: None)(jobs)
    next(outcomes)
    close: Callable[[], None] = outcomes.close  # type: ignore[attr-defined]
    close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
