"""Trials in batches: the same bytes with any number of workers, whichever is done first, killed and resumed."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from mlrc.harness.engine.execute import Execute
from mlrc.harness.engine.workplace import FoldOutcome, JobOutcome, Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plan.job import FoldJob, Job
from mlrc.harness.plan.study import Study, of_all_searches
from mlrc.results.records.ledger import LEDGER, read
from mlrc.results.records.lines import to_line
from mlrc.results.records.record import Record
from mlrc.results.rendering.report import read_boards, tables
from tests.harness.driving import driven
from tests.harness.in_this_process import in_this_process
from tests.harness.plan.test_state import _record


class KilledError(Exception):
    """Stands for a SIGKILL of the driver."""


def _stub(jobs: Iterable[Job]) -> Iterator[JobOutcome]:
    """Train nothing: a score that follows from the job's key."""
    for job in jobs:
        assert isinstance(job, FoldJob)
        yield FoldOutcome(job, _record(job), None)


def _crowd(do: Execute, workers: int, order: Random, killed_after: int | None = None) -> Execute:
    """Have so many jobs at work at once, of which any may end first."""

    def execute(jobs: Iterable[Job]) -> Iterator[JobOutcome]:
        at_work: list[Job] = []
        begun: set[str] = set()
        done = 0
        while True:
            for job in jobs:
                if len(at_work) == workers:
                    break
                if job.key not in begun:
                    begun.add(job.key)
                    at_work.append(job)
            if not at_work:
                return
            if done == killed_after:
                raise KilledError
            done += 1
            yield from do([at_work.pop(order.randrange(len(at_work)))])

    return execute


def _lines(runs: Path) -> list[str]:
    records = read(runs / LEDGER)
    folds = (replace(fold, seconds=0.0, processor_seconds=None) for fold in records.folds.values())
    every: list[Record] = [*records.protocols.values(), *folds, *records.runs.values()]
    return sorted(map(to_line, every))


@pytest.fixture
def studies(study: Study) -> list[Study]:
    changes = {"parallel_trials": 4, "trials": 10, "startup_trials": 2, "searches": 2}
    return of_all_searches(replace(study, protocol=study.protocol.vary(changes)))


def test_a_search_in_batches_of_four_is_the_same_with_one_two_and_eight_workers_killed_and_resumed(
    tmp_path: Path, studies: list[Study], tiny_images: ImageSet
) -> None:
    def searched(name: str, workers: int, *kills: int) -> list[str]:
        order = Random(workers + len(kills))  # noqa: S311 no secret
        for kill in kills:
            with pytest.raises(KilledError):
                driven(tmp_path / name, studies, tiny_images, _crowd(_stub, workers, order, kill), until="search")
        driven(tmp_path / name, studies, tiny_images, _crowd(_stub, workers, order), until="search")
        return _lines(tmp_path / name)

    alone = searched("one", 1)
    assert len(alone) == 1 + 2 * 10 * 4
    assert searched("two", 2) == alone
    assert searched("eight", 8, 3, 17, 22) == alone


def test_as_many_trainings_as_a_batch_has_are_offered_at_once(studies: list[Study], tmp_path: Path) -> None:
    offered: list[int] = []

    def execute(jobs: Iterable[Job]) -> Iterator[JobOutcome]:
        offered.append(len(list(jobs)))
        yield from ()

    driven(tmp_path, studies[:1], None, execute)  # type: ignore[arg-type] # nothing is done
    assert offered == [4 * 4]


def test_a_whole_study_in_batches_gives_the_same_bytes_with_eight_workers_killed_and_resumed(
    tmp_path: Path, study: Study, tiny_images: ImageSet, workplace: Workplace
) -> None:
    honest = in_this_process(workplace, lambda *_: None)
    changes = {"parallel_trials": 4, "trials": 5, "startup_trials": 4, "repeats": 2}
    study = replace(study, protocol=study.protocol.vary(changes))
    driven(tmp_path / "one", [study], tiny_images, honest)
    order = Random(8)  # noqa: S311 no secret
    for kill in (7, 11):
        with pytest.raises(KilledError):
            driven(tmp_path / "eight", [study], tiny_images, _crowd(honest, 8, order, kill))
    driven(tmp_path / "eight", [study], tiny_images, _crowd(honest, 8, order))
    assert _lines(tmp_path / "eight") == _lines(tmp_path / "one")
    by_name = [tables(read_boards(tmp_path / name)) for name in ("one", "eight")]
    assert [name for name in by_name[0] if by_name[0][name] != by_name[1][name] and name != "cost.csv"] == []
