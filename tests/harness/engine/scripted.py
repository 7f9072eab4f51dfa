"""Scripted workers: what a crew hears, without a process."""

from collections.abc import Callable

from mlrc.harness.engine.events import Told
from mlrc.harness.engine.perform import record_of
from mlrc.harness.engine.serving import STOPPED, Death, Ready
from mlrc.harness.engine.worker import Inbox
from mlrc.harness.engine.workplace import FoldOutcome, Shortage, Workplace
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.training.fold import Trained
from tests.harness.conftest import ENVIRONMENT

Message = FoldOutcome | Told | Ready | Death
PLACE = Workplace(roots={}, device="cpu", environment=ENVIRONMENT)


def outcome_of(job: FoldJob, shortage: Shortage = "", message: str = "") -> FoldOutcome:
    trained = Trained("failed" if shortage else "done", None, (), None, None, message)
    return FoldOutcome(job, record_of(job, trained, PLACE, 1.0), None, shortage=shortage)


def failed(job: FoldJob) -> FoldOutcome:
    trained = Trained("failed", None, (), None, None, "the loss is wrong")
    return FoldOutcome(job, record_of(job, trained, PLACE, 1.0), None)


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
        self.deaf = False
        self.at_work: list[ScriptedWorker] = []

    def worker(self, number: int, workplace: Workplace, inbox: Inbox) -> "ScriptedWorker":
        return ScriptedWorker(self, number, workplace, inbox)

    def begun(self, worker: "ScriptedWorker") -> list[Message]:
        if worker in self.at_work:
            self.at_work.remove(worker)  # its last job is over
        here = [other for other in self.at_work if other.place_device == worker.place_device]
        assert not worker.alone or [one for one in self.alive if one.place_device == worker.place_device] == [worker]
        attempt = 1 + sum(job == worker.job for job, *_ in self.attempts)
        self.attempts.append((worker.job, worker.place_device, worker.alone, [other.job for other in here]))
        self.at_work.append(worker)
        return self._tell(worker.job, attempt)


class ScriptedWorker:
    """Tells its messages as soon as it has a job; is ready unless its first one says otherwise."""

    def __init__(self, script: Script, number: int, workplace: Workplace, inbox: Inbox) -> None:
        self._script, self._inbox = script, inbox
        self.number, self.workplace, self.place_device = number, workplace, workplace.device
        self.pid = None
        self.ready = True
        self.started_at = 0.0
        self.alone = False
        self.job: FoldJob
        script.alive.append(self)

    def start(self, job: FoldJob, *, alone: bool) -> bool:
        self.job, self.alone = job, alone
        for message in self._script.begun(self):
            self._tell(message)
        return True

    def death(self) -> Death:
        raise AssertionError("a scripted worker tells of its death itself")

    def ask_to_stop(self) -> None:
        if not self._script.deaf:
            self._tell(STOPPED)

    def dismiss(self) -> None:
        for those in (self._script.alive, self._script.at_work):
            if self in those:
                those.remove(self)

    def _tell(self, message: Message) -> None:
        self._inbox.put((self, message))  # type: ignore[arg-type] # it stands for a worker
