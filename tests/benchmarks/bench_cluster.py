"""What a cluster of many devices does with a comparison: the harness's own planning, in simulated time.

    python -m tests.benchmarks.bench_cluster                    100 devices, the rows of the table, some ten minutes
    python -m tests.benchmarks.bench_cluster --losses 1 --datasets 1 --batches 1,4      some of it

`drive`, `Frontier`, `StudyState`, proposals and the ledger are those of a run; devices and clock are not. A training
takes what one of the same loss took in the published ledgers, so that losses differ and spread as they were measured.
The mean is brought to a data set's size: five times the least iterations of the paper's protocol on CUB, Cars196 and
SOP, at the 0.057 s that an H200 took for one. Points are drawn by chance, since what the search proposes changes
nothing here; a batch is there after as long as a proposal of the Gaussian process took, one batch after the other.

A comparison can't end before its work is spread evenly over all devices, nor before its longest study alone: the
batches of its search one after the other, then its repeats. The longer of the two is the bound.
"""

import argparse
import heapq
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from mlrc.harness.engine.attempts import next_job
from mlrc.harness.engine.workplace import JobOutcome
from mlrc.harness.plan.job import FoldJob, Job, Params
from mlrc.harness.plan.search import Trial, propose
from mlrc.harness.plan.state import StudyState
from mlrc.harness.plan.study import Study
from mlrc.harness.plan.trials import Propose, at_once
from mlrc.harness.plugins import LOSSES
from mlrc.harness.study.drive import drive
from mlrc.protocols.protocol import Protocol
from mlrc.protocols.reality_check import REALITY_CHECK
from mlrc.results.records.ledger import LEDGER, Ledger, read
from mlrc.results.records.record import UNTRAINED, FoldRecord, RunRecord
from tests.benchmarks.bench_engine import PLACE, outcome_of

PUBLISHED = Path(__file__).parents[2] / "results" / "published" / "evidence"
STEP_SECONDS = 0.057
"""Of BN-Inception at batch 32 on an H200, see README.md."""
ITERATIONS = {"cub200": 5_000, "cars196": 7_500, "sop": 20_000}
SCORE_SECONDS = 5.0
COLUMNS = (
    *("losses × data sets", "q", "trainings", "hours", "work spread evenly", "longest study", "times the bound"),
    *("devices' time used", "driver per training", "ledger"),
)


class Simulated(NamedTuple):
    """What one comparison came to.

    Attributes:
        trainings: number of them.
        makespan: seconds from the first to the last.
        even: seconds of the work spread evenly over all devices.
        longest: seconds of the longest study alone.
        busy: most devices at work at once.
        driver: seconds of processor time of the driver, its ledger included.
        ledger: bytes.
    """

    trainings: int
    makespan: float
    even: float
    longest: float
    busy: int
    driver: float
    ledger: int

    @property
    def utilisation(self) -> float:
        """Share of the devices' time that trained or scored."""
        return self.even / self.makespan

    @property
    def over_the_bound(self) -> float:
        """How many times the bound it took."""
        return self.makespan / max(self.even, self.longest)


class Durations:
    """Seconds of each training: a function of the job alone."""

    def __init__(self, measured: dict[str, list[float]]) -> None:
        mean = fmean(second for seconds in measured.values() for second in seconds)
        self._shares = {loss: [second / mean for second in seconds] for loss, seconds in measured.items()}

    def of(self, job: Job) -> float:
        """Give the seconds that a job takes."""
        if not isinstance(job, FoldJob):
            return SCORE_SECONDS
        scale = ITERATIONS[job.dataset] * STEP_SECONDS
        if job.stage == "untrained":
            return 0.05 * scale
        shares = self._shares[job.loss]
        return scale * shares[job.seed % len(shares)]


def measured_seconds() -> dict[str, list[float]]:
    """Give the seconds of each loss's trainings in the published ledgers, each ledger brought to a mean of 1."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for path in sorted(PUBLISHED.iterdir()):
        records = [one for one in read(path / LEDGER).folds.values() if one.stage in ("search", "final")]
        mean = fmean(record.seconds for record in records)
        for record in records:
            found[record.loss].append(record.seconds / mean)
    return dict(found)


class Devices:
    """Devices that work in simulated time, and whoever proposes trials beside them."""

    def __init__(self, number: int, seconds: Callable[[Job], float], proposal_seconds: float) -> None:
        self.now, self.worked, self.busy = 0.0, 0.0, 0
        self.own = 0.0  # seconds of processor time that the simulation itself took
        self._number, self._seconds, self._proposal = number, seconds, proposal_seconds
        self._proposer_free = 0.0
        self._ready: dict[tuple[str, str], float] = {}

    def ask(self, study: Study, propose_batch: Propose) -> Future[list[Params]]:
        """Propose here and now, and note when the batch would be there."""
        future = at_once(propose_batch)
        self._proposer_free = max(self.now, self._proposer_free) + self._proposal * len(future.result())
        self._ready[study.dataset, study.loss] = self._proposer_free
        return future

    def execute(self, offered: Iterable[Job]) -> Iterator[JobOutcome]:
        """Do jobs in the order of their ends."""
        started: set[str] = set()
        at_work: list[tuple[float, int, Job]] = []
        count = 0
        while True:
            while len(at_work) < self._number and (job := next_job(offered, started)):
                began = time.thread_time()
                seconds, count = self._seconds(job), count + 1
                begins = max(self.now, self._ready.get((job.dataset, job.loss), 0.0) if job.stage == "search" else 0.0)
                heapq.heappush(at_work, (begins + seconds, count, job))
                self.worked += seconds
                self.busy = max(self.busy, len(at_work))
                self.own += time.thread_time() - began
            if not at_work:
                return
            began = time.thread_time()
            self.now, _, job = heapq.heappop(at_work)
            outcome = outcome_of(job)
            self.own += time.thread_time() - began
            yield outcome


def simulated(
    protocol: Protocol,
    losses: Sequence[str],
    datasets: Sequence[str],
    devices: int,
    *,
    durations: Durations,
    proposal_seconds: float,
) -> Simulated:
    """Let a comparison be driven to its end by so many devices."""
    place = Devices(devices, durations.of, proposal_seconds)
    studies = [
        Study(protocol=protocol, dataset=dataset, fingerprint=f"{number:016x}", loss=loss)
        for number, dataset in enumerate(datasets)
        for loss in losses
    ]
    trained: list[FoldRecord] = []

    def recorded(state: StudyState, record: FoldRecord | RunRecord) -> None:
        del state
        if isinstance(record, FoldRecord):
            trained.append(record)

    began = time.thread_time()
    states = [StudyState(study, (), (), set(), partial(place.ask, study)) for study in studies]
    with tempfile.TemporaryDirectory() as runs, Ledger(Path(runs)) as ledger:
        drive(states, place.execute, ledger, environment=PLACE.environment, until="final", on_record=recorded)
        size = ledger.path.stat().st_size
    return Simulated(
        trainings=len(trained),
        makespan=place.now,
        even=place.worked / devices,
        longest=max(_alone(state, durations, protocol.parallel_trials) for state in states),
        busy=place.busy,
        driver=time.thread_time() - began - place.own,
        ledger=size,
    )


def _alone(state: StudyState, durations: Durations, batch: int) -> float:
    """Give the seconds of a study that has every device for itself: of each batch, and of the repeats, the longest."""
    slowest: defaultdict[tuple[str, int], float] = defaultdict(float)
    for record in state.records:
        (job,) = [
            job
            for job in state.study.jobs(record.stage, record.number, record.params)
            if job.fold == record.fold and record.loss != UNTRAINED
        ]
        step = record.stage, record.number // batch if record.stage == "search" else 0
        slowest[step] = max(slowest[step], durations.of(job))
    return sum(slowest.values()) + SCORE_SECONDS


def seconds_of_a_proposal(trials: int) -> float:
    """Time the Gaussian process over a search of some loss with two parameters: the mean of its trials."""
    space, history, took = LOSSES.find("multi_similarity").space, list[Trial](), list[float]()
    chance = random.Random(0)  # noqa: S311 made-up scores
    for _ in range(trials):
        began = time.thread_time()
        params = propose(space, history, seed=1, startup=REALITY_CHECK.startup_trials)
        took.append(time.thread_time() - began)
        history.append(Trial(params, chance.random() * 30))
    return fmean(took)


def main(words: Sequence[str] | None = None) -> int:
    """Simulate and print the rows of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--losses", default="1,3,21", help="numbers of losses")
    parser.add_argument("--datasets", default="1,3", help="numbers of data sets")
    parser.add_argument("--batches", default="1,4,8", help="values of parallel_trials")
    parser.add_argument("--set", action="append", default=[], help="field=value of the protocol")
    parser.add_argument("--proposal", type=float, help="seconds of a proposal; timed by default")
    given = parser.parse_args(words)
    measured = measured_seconds()
    durations = Durations(measured)
    rules = REALITY_CHECK.set(given.set)
    proposal = given.proposal if given.proposal is not None else seconds_of_a_proposal(rules.trials)
    _say(f"a proposal takes {proposal:.2f} s of processor time")
    _say(f"| {' | '.join(COLUMNS)} |")
    _say(f"| --- |{' ---: |' * (len(COLUMNS) - 1)}")
    names = [name for name in measured if LOSSES.find(name).space]
    for losses, datasets in ((a, b) for a in _numbers(given.losses) for b in _numbers(given.datasets)):
        for batch in _numbers(given.batches):
            protocol = rules.vary({"sampler": "random", "parallel_trials": batch})
            chosen, sets = names[:losses], list(ITERATIONS)[:datasets]
            found = simulated(protocol, chosen, sets, given.devices, durations=durations, proposal_seconds=proposal)
            _say(
                f"| {losses} × {datasets} | {batch} | {found.trainings:,} | {found.makespan / 3600:.1f} | "
                f"{found.even / 3600:.1f} | {found.longest / 3600:.1f} | {found.over_the_bound:.2f} | "
                f"{found.utilisation:.0%} | {1000 * found.driver / found.trainings:.1f} ms | "
                f"{found.ledger / 2**20:.1f} MiB |"
            )
    return 0


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
