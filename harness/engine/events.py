"""What happens while jobs are at work, told by an executor to whoever shows or logs it; nothing depends on it."""

from collections.abc import Callable
from typing import NamedTuple

from mlrc.harness.plan.job import Job


class Started(NamedTuple):
    """An attempt at a job has begun."""

    job: Job
    place: str
    attempt: int


class Validated(NamedTuple):
    """A training was validated: score in percent, mean training loss over the epoch (not a number in epoch 0).

    Where nothing validates the score is not a number, and so many epochs are over.
    """

    job: Job
    epoch: int
    score: float
    loss: float


class Lost(NamedTuple):
    """An attempt came to nothing, and the job will be done again."""

    job: Job
    message: str


class Stopping(NamedTuple):
    """No job is begun any more; those at work save where they are."""

    reason: str
    at_work: int


class Closed(NamedTuple):
    """Nothing is begun at a place any more, as too much failed there in a row."""

    place: str
    message: str


Event = Started | Validated | Lost | Stopping | Closed
OnEvent = Callable[[Event], None]


class Told(NamedTuple):
    """A validation of the job at work."""

    epoch: int
    score: float
    loss: float


class Alive(NamedTuple):
    """The job at work has moved since the last sign of it."""
