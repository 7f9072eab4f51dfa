"""An executor without worker processes, so that tests can count, break and patch what a job does."""

from collections.abc import Iterable, Iterator

from mlrc.harness.engine.attempts import next_job
from mlrc.harness.engine.events import OnEvent, Started, Validated
from mlrc.harness.engine.execute import Execute
from mlrc.harness.engine.perform import perform
from mlrc.harness.engine.workplace import FoldOutcome, Workplace
from mlrc.harness.machine.stopping import Stop
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.training.fold import StoppedError


def in_this_process(workplace: Workplace, on_event: OnEvent, stop: Stop | None = None) -> Execute:
    """Do one job after the other, here."""
    asked = stop or Stop()

    def execute(jobs: Iterable[FoldJob]) -> Iterator[FoldOutcome]:
        started: set[str] = set()
        while not asked() and (job := next_job(jobs, started)):
            on_event(Started(job, workplace.device, 1))

            def told(epoch: int, score: float, loss: float, job: FoldJob = job) -> None:
                on_event(Validated(job, epoch, score, loss))

            try:
                yield perform(job, workplace, told, asked)
            except StoppedError:
                return

    return execute
