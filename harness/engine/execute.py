"""Who does the jobs: worker processes here, or a cluster (`cluster`). Both keep one contract, `Execute`.

`execute(jobs)` starts jobs as places become free and yields each outcome as it comes. It iterates `jobs` anew after
every outcome that the caller has taken in, so `jobs` may be a live view that by then offers more; each starts once.
Once `stop` says so no job is started, those at work leave a checkpoint, and the iteration ends.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from mlrc.harness.engine.crew import Crew, Place
from mlrc.harness.engine.events import OnEvent
from mlrc.harness.engine.lending import lenders
from mlrc.harness.engine.workplace import JobOutcome, Workplace
from mlrc.harness.machine.stopping import Stop
from mlrc.harness.plan.job import Job

Execute = Callable[[Iterable[Job]], Iterator[JobOutcome]]

POLL_SECONDS = 0.5
"""How long a wish to stop may go unnoticed while no worker has anything to tell."""


class Hands(Protocol):
    """Several jobs at work at once."""

    @property
    def busy(self) -> int:
        """How many are at work."""
        ...

    def employ(self, jobs: Iterable[Job], /) -> None:
        """Give every free place a job, as far as there are jobs."""
        ...

    def hear(self, timeout: float, /) -> Iterator[JobOutcome]:
        """Wait until there is something to tell, or for `timeout` seconds, and give the outcomes among it."""
        ...

    def stop(self, reason: str, /) -> None:
        """Have the jobs at work leave a checkpoint and end."""
        ...

    def dismiss(self) -> None:
        """End what is at work at once."""
        ...


def in_processes(
    workplace: Workplace,
    workers: int,
    on_event: OnEvent,
    *,
    devices: Sequence[str] = (),
    stop: Stop | None = None,
) -> Execute:
    """Do jobs in `workers` processes, spread evenly over the devices (that of the workplace, if none is named).

    A worker that dies or hangs takes only its own job with it. That job is begun again, or goes on from its checkpoint,
    beside the others, and alone on its device at the last attempt, as does one that ran out of memory; after a bounded
    number of attempts an outcome says that it failed. A process in which something failed is replaced.
    """
    asked = stop or Stop()
    names = tuple(devices) or (workplace.device,)
    of_places = [names[number % len(names)] for number in range(workers)]
    shared = [name for name in names if name.startswith("cuda") and of_places.count(name) > 1]
    cores = cores_of(of_places)

    def execute(jobs: Iterable[Job]) -> Iterator[JobOutcome]:
        with lenders(shared) as lender:
            places = [
                Place(
                    number,
                    replace(
                        workplace,
                        device=device,
                        share=share(device, of_places.count(device)),
                        lender=lender.get(device, ""),
                        cores=cores[number],
                    ),
                )
                for number, device in enumerate(of_places)
            ]
            yield from work_off(jobs, Crew(places, on_event), asked)

    return execute


def cores_of(devices: Sequence[str]) -> list[tuple[int, ...]]:
    """Give the processor cores that each of several workers on GPUs keeps to, an equal part of those there are.

    What feeds a GPU then keeps its caches. A worker that computes on the processor goes where there is room, and so do
    all where there are more workers than cores, or the system has no such wish to hear.
    """
    there = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    each = len(there) // len(devices)
    if len(devices) < 2 or not each or not all(device.startswith("cuda") for device in devices):
        return [()] * len(devices)
    return [tuple(there[number * each : (number + 1) * each]) for number in range(len(devices))]


def work_off(jobs: Iterable[Job], hands: Hands, stop: Stop) -> Iterator[JobOutcome]:
    """Let hands do jobs until none is left or `stop` says so, and yield each outcome as it comes."""
    stopping = False
    try:
        while True:
            if stop() and not stopping:
                stopping = True
                hands.stop(stop.reason)
            if not stopping:
                hands.employ(jobs)
            if not hands.busy:
                return
            yield from hands.hear(POLL_SECONDS)
    finally:
        hands.dismiss()


def share(device: str, sharing: int) -> float:
    """Give the share of a device that one of `sharing` jobs on it has; each has a processor core of its own."""
    return 1.0 if device == "cpu" else 1.0 / sharing
