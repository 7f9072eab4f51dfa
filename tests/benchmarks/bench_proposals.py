"""What the proposals of a search cost the run: made at once in the driver, and in a thread beside it.

    python -m tests.benchmarks.bench_proposals [--seconds 0.2] [--trials 12] [--losses 4] [--workers 2]

Trainings are made up: each sleeps for `--seconds`, so that what a run takes above its trainings is the driver's, and
above all the proposals'. Claim: with several studies at work, proposals in the background cost no more wall time than
one study's own wait, and the records are the same.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from mlrc.harness.engine.workplace import FoldOutcome, JobOutcome
from mlrc.harness.plan.job import FoldJob, Job
from mlrc.harness.plan.state import StudyState
from mlrc.harness.plan.study import Study
from mlrc.harness.plan.trials import Ask, at_once
from mlrc.harness.study.conduct import in_the_background
from mlrc.harness.study.drive import drive
from mlrc.protocols.quick import QUICK
from mlrc.results.records.ledger import Ledger
from tests.harness.conftest import ENVIRONMENT
from tests.harness.plan.test_state import _record

LOSSES = ("contrastive", "triplet", "multi_similarity", "normalized_softmax", "proxy_anchor", "arcface", "cosface")


def _executor(workers: int, seconds: float) -> object:
    def train(job: FoldJob) -> FoldOutcome:
        time.sleep(seconds)
        return FoldOutcome(job, _record(job), None)

    def execute(jobs: Iterable[Job]) -> Iterator[JobOutcome]:
        begun: set[str] = set()
        at_work: set[Future[FoldOutcome]] = set()
        with ThreadPoolExecutor(workers) as pool:
            while True:
                while len(at_work) < workers:
                    job = next(islice((job for job in jobs if job.key not in begun), 1), None)
                    if not isinstance(job, FoldJob):
                        break
                    begun.add(job.key)
                    at_work.add(pool.submit(train, job))
                if not at_work:
                    return
                done, at_work = wait(at_work, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)

    return execute


def _measure(studies: list[Study], workers: int, seconds: float, ask: Ask) -> tuple[float, float, set[str]]:
    with TemporaryDirectory() as folder, Ledger(Path(folder)) as ledger:
        started, processor = time.perf_counter(), time.process_time()
        states = [StudyState(study, (), (), set(), ask) for study in studies]
        drive(
            states,
            _executor(workers, seconds),  # type: ignore[arg-type] # it is an executor
            ledger,
            environment=ENVIRONMENT,
            until="search",
            on_record=lambda *_: None,
        )
        return time.perf_counter() - started, time.process_time() - processor, set(ledger.records.folds)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--losses", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    rules = QUICK.vary({"trials": given.trials, "startup_trials": 3})
    studies = [Study(protocol=rules, dataset="none", fingerprint="0", loss=loss) for loss in LOSSES[: given.losses]]
    bound = given.losses * given.trials * rules.folds * given.seconds / given.workers
    first = Study(protocol=rules.vary({"trials": 5}), dataset="none", fingerprint="0", loss="triplet")
    _measure([first], 4, 0, at_once)  # imports
    lines = [("proposals", "wall s", "above the trainings", "driver's processor s", "share of the wall"), ("---",) * 5]
    keys = []
    with in_the_background() as ask:
        for name, how in (("at once", at_once), ("in the background", ask)):
            wall, processor, found = _measure(studies, given.workers, given.seconds, how)
            keys.append(found)
            lines.append(
                (name, f"{wall:.1f}", f"{wall / bound - 1:+.0%}", f"{processor:.1f}", f"{processor / wall:.0%}")
            )
    sys.stdout.write("".join(f"| {' | '.join(line)} |\n" for line in lines))
    sys.stdout.write(f"{bound:.1f} s of trainings; the same records: {keys[0] == keys[1]}\n")


if __name__ == "__main__":
    main()
