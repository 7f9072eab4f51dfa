"""An executor without worker processes, so that tests can count, break and patch what a job does."""

from collections.abc import Callable, Iterable, Iterator

from mlrc.harness.engine.attempts import next_job
from mlrc.harness.engine.events import OnEvent, Started, Validated
from mlrc.harness.engine.execute import Execute
from mlrc.harness.engine.perform import do
from mlrc.harness.engine.workplace import FoldOutcome, JobOutcome, Workplace
from mlrc.harness.machine.stopping import Stop
from mlrc.harness.plan.job import Job
from mlrc.harness.training.fold import StoppedError


def in_this_process(workplace: Workplace, on_event: OnEvent, stop: Stop | None = None) -> Execute:
    """Do one job after the other, here."""
    asked = stop or Stop()

    def execute(jobs: Iterable[Job]) -> Iterator[JobOutcome]:
        started: set[str] = set()
        while not asked() and (job := next_job(jobs, started)):
            on_event(Started(job, workplace.device, 1))

            def told(epoch: int, score: float, loss: float, job: Job = job) -> None:
                on_event(Validated(job, epoch, score, loss))

            try:
                yield do(job, workplace, told, asked)
            except StoppedError:
                return

    return execute


def altered(execute: Execute, change: Callable[[FoldOutcome], FoldOutcome]) -> Execute:
    """Do jobs as another executor does, with what it says of trainings changed."""

    def changed(jobs: Iterable[Job]) -> Iterator[JobOutcome]:
        for outcome in execute(jobs):
            yield change(outcome) if isinstance(outcome, FoldOutcome) else outcome

    return changed


def trainings(outcomes: Iterable[JobOutcome]) -> list[FoldOutcome]:
    """Give what came of trainings."""
    return [outcome for outcome in outcomes if isinstance(outcome, FoldOutcome)]
