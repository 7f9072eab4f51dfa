"""What a job has been through, and whether it is worth another attempt; the same for processes here and for Ray."""

from collections.abc import Iterable
from dataclasses import dataclass

from mlrc.harness.engine.perform import record_of
from mlrc.harness.engine.workplace import FoldOutcome, Workplace
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.training.fold import Trained

DEATHS = 3
"""How many workers may die over a job without its getting further, before it is recorded as failed."""


MEMORY_ATTEMPTS = 2
"""How often a job that runs out of memory is tried; from the second time on it has its device for itself."""


@dataclass
class Trouble:
    """What a job has been through.

    Attributes:
        memory: how often it ran out of memory.
        deaths: how many processes died over it since it last got further.
        seconds: that those processes spent on it.
        furthest: epoch of its last validation.
    """

    memory: int = 0
    deaths: int = 0
    seconds: float = 0.0
    furthest: int = -1
    furthest_at_death: int = -1

    @property
    def attempt(self) -> int:
        """The number of the attempt that comes next, 1 for the first."""
        return 1 + self.memory + self.deaths

    def got_to(self, epoch: int) -> None:
        """Take in a validation."""
        self.furthest = max(self.furthest, epoch)

    def out_of_memory(self) -> bool:
        """Take in that it ran out of memory; say whether it is worth another attempt."""
        self.memory += 1
        return self.memory < MEMORY_ATTEMPTS

    def died(self, seconds: float) -> bool:
        """Take in that its process died after `seconds`; say whether it is worth another attempt."""
        self.seconds += seconds
        self.deaths = self.deaths + 1 if self.furthest <= self.furthest_at_death else 1
        self.furthest_at_death = self.furthest
        return self.deaths < DEATHS


def failed(job: FoldJob, workplace: Workplace, trouble: Trouble, message: str) -> FoldOutcome:
    """Give the outcome of a job that is not worth another attempt."""
    trained = Trained("failed", None, (), None, None, message)
    return FoldOutcome(job, record_of(job, trained, workplace, trouble.seconds), None)


def next_job(jobs: Iterable[FoldJob], started: set[str]) -> FoldJob | None:
    """Give the first job that was not started yet, and note that it is."""
    for job in jobs:
        if job.key not in started:
            started.add(job.key)
            return job
    return None
