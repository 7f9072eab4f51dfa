"""What a job has been through, and whether it is worth another attempt; the same for processes here and for Ray."""

from collections.abc import Iterable
from dataclasses import dataclass

from mlrc.harness.engine.perform import record_of
from mlrc.harness.engine.workplace import FoldOutcome, JobOutcome, ScoreOutcome, Workplace
from mlrc.harness.plan.job import Job, ScoreJob
from mlrc.harness.training.fold import Trained

DEATHS = 3
"""How many workers may die over a job without its getting further, before it is recorded as failed."""

MEMORY_ATTEMPTS = 2
"""How often a job that runs out of memory is tried; from the second time on it has its device for itself."""

DEVICE_ATTEMPTS = 2
"""How often a job is tried that a device seems to have broken under; each time in a fresh process."""

NODE_DEATHS = 10
"""How many nodes of a cluster may die under a job before it counts as what kills them."""


class UnfitError(Exception):
    """A machine lacks what the jobs need; a person has to see to it, and the same command goes on then."""


@dataclass
class Trouble:
    """What a job has been through.

    Attributes:
        memory: how often it ran out of memory.
        device: how often a device seemed to break under it.
        nodes: how many nodes died under it, which is no fault of the job.
        deaths: how many processes died over it since it last got further.
        seconds: that those processes spent on it.
        furthest: epoch of its last validation.
    """

    memory: int = 0
    device: int = 0
    nodes: int = 0
    deaths: int = 0
    seconds: float = 0.0
    furthest: int = -1
    furthest_at_death: int = -1

    @property
    def attempt(self) -> int:
        """The number of the attempt that comes next, 1 for the first."""
        return 1 + self.memory + self.device + self.nodes + self.deaths

    @property
    def last(self) -> bool:
        """Whether the next death is one too many."""
        return self.deaths == DEATHS - 1

    def got_to(self, epoch: int) -> None:
        """Take in a validation."""
        self.furthest = max(self.furthest, epoch)

    def out_of_memory(self) -> bool:
        """Take in that it ran out of memory; say whether it is worth another attempt."""
        self.memory += 1
        return self.memory < MEMORY_ATTEMPTS

    def device_broke(self) -> bool:
        """Take in that its device seemed to break; say whether it is worth another attempt."""
        self.device += 1
        return self.device < DEVICE_ATTEMPTS

    def node_died(self) -> bool:
        """Take in that its node died; say whether it is worth another attempt."""
        self.nodes += 1
        return self.nodes < NODE_DEATHS

    def died(self, seconds: float) -> bool:
        """Take in that its process died after `seconds`; say whether it is worth another attempt."""
        self.seconds += seconds
        self.deaths = self.deaths + 1 if self.furthest <= self.furthest_at_death else 1
        self.furthest_at_death = self.furthest
        return self.deaths < DEATHS


def failed(job: Job, workplace: Workplace, trouble: Trouble, message: str) -> JobOutcome:
    """Give the outcome of a job that is not worth another attempt."""
    if isinstance(job, ScoreJob):
        return ScoreOutcome(job, None, message=message)
    trained = Trained("failed", None, (), None, None, message)
    return FoldOutcome(job, record_of(job, trained, workplace, trouble.seconds), None)


def next_job(jobs: Iterable[Job], started: set[str]) -> Job | None:
    """Give the first job that was not started yet, and note that it is."""
    for job in jobs:
        if job.key not in started:
            started.add(job.key)
            return job
    return None
