"""How a run ends whose trainings fail, or whose files cannot be used: with a status, and sentences that say why."""

import errno
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from mlrc.harness.cli import app
from mlrc.harness.engine.attempts import next_job
from mlrc.harness.engine.events import OnEvent
from mlrc.harness.engine.execute import Execute
from mlrc.harness.engine.perform import do, record_of
from mlrc.harness.engine.workplace import FoldOutcome, JobOutcome, Workplace
from mlrc.harness.images.glyphs import DATASET
from mlrc.harness.machine.stopping import DISK_FULL, FAILED
from mlrc.harness.plan.job import FoldJob, Job, ScoreJob
from mlrc.harness.plan.split import test_images as images_of_the_test
from mlrc.harness.study import conduct
from mlrc.harness.training.fold import Trained
from mlrc.results.records.record import Outcome

SET = ["--set", "embedding_size=4", "--set", "trials=1", "--set", "startup_trials=1", "--set", "repeats=2"]


class Machine:
    """Stands for all workers: trainings take no time, and those of some losses fail."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fails: set[str] = set()
        self.breaks: Callable[[], None] = lambda: None
        self._images = DATASET.open(root)

    def run(self, *words: str) -> Result:
        places = ["--root", str(self.root), "--runs", str(self.root / "runs")]
        losses = ["--losses", "contrastive,triplet", "--protocol", "quick", *SET]
        return CliRunner().invoke(app, [*words, "--dataset", "glyphs", *losses, *places])

    def retry(self) -> Result:
        return CliRunner().invoke(app, ["retry", "--runs", str(self.root / "runs")])

    def in_processes(self, workplace: Workplace, workers: int, on_event: OnEvent, **rest: object) -> Execute:
        def execute(jobs: Iterable[Job]) -> Iterator[JobOutcome]:
            started: set[str] = set()
            while job := next_job(jobs, started):
                self.breaks()
                if isinstance(job, ScoreJob):
                    yield do(job, workplace, lambda *_: None, lambda: False)
                else:
                    yield self._trained(job, workplace)

        return execute

    def _trained(self, job: FoldJob, workplace: Workplace) -> FoldOutcome:
        outcome: Outcome = "failed" if job.loss in self.fails else "done"
        message = "ValueError: the loss is wrong" if job.loss in self.fails else ""
        trained = Trained(outcome, None, ((0, 1.0), (4, 2.0)), 4, 2.0, message)
        shape = len(images_of_the_test(self._images, "half")), 4
        embeddings = np.random.default_rng(int(job.key[:8], 16)).normal(size=shape).astype(np.float32)
        held = embeddings if outcome == "done" and job.stage != "search" else None
        return FoldOutcome(job, record_of(job, trained, workplace, 0.0), held)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine(tmp_path)
    monkeypatch.setattr(conduct, "in_processes", found.in_processes)
    return found


def test_a_loss_that_fails_has_no_row_a_sentence_and_a_status_and_comes_back_by_a_retry(machine: Machine) -> None:
    machine.fails = {"contrastive"}
    done = machine.run("run")
    assert done.exit_code == FAILED
    assert "glyphs contrastive: trial 0, fold 0 failed: ValueError: the loss is wrong\n" in done.stderr
    assert f"then: mlrc retry --runs {machine.root / 'runs'}, and the same command." in done.stderr.splitlines()[-1]
    table = (machine.root / "runs" / "leaderboard.csv").read_text()
    assert ",triplet," in table
    assert ",contrastive," not in table
    assert (
        "contrastive: no repeat is finished, so it has no row; failed, and to be done again: search 0, fold 0."
        in (machine.root / "runs" / "table.md").read_text()
    )
    assert machine.run("run").exit_code == FAILED, "nothing changes before the retry"
    machine.fails = set()
    assert "1 trainings are planned again" in machine.retry().stdout
    assert machine.run("run").exit_code == 0
    assert ",contrastive," in (machine.root / "runs" / "leaderboard.csv").read_text()


def test_where_every_loss_fails_there_is_no_report_and_the_same_status(machine: Machine) -> None:
    machine.fails = {"contrastive", "triplet", "untrained"}
    assert machine.run("run").exit_code == FAILED
    assert not (machine.root / "runs" / "leaderboard.csv").exists()
    assert machine.run("search").exit_code == FAILED


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EROFS, "Read-only file system", "a/file"), "a/file must be usable, but is not (Read-only file"),
        (OSError(errno.EMFILE, "Too many open files"), "raise the limit (ulimit -n)"),
        (OSError(errno.ENOSPC, "No space left on device"), "the whole run takes up to"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence_with_a_status(machine: Machine, error: OSError, told: str) -> None:
    def breaks() -> None:
        raise error

    machine.breaks = breaks
    done = machine.run("run")
    assert done.exit_code == DISK_FULL
    assert told in done.stderr.splitlines()[-1]
    machine.breaks = lambda: None
    assert machine.run("run").exit_code == 0


def test_a_runs_folder_that_is_moved_in_mid_run_is_not_made_anew(machine: Machine) -> None:
    def move_it() -> None:
        if (machine.root / "runs").exists():
            (machine.root / "runs").rename(machine.root / "moved")

    machine.breaks = move_it
    done = machine.run("run")
    assert done.exit_code == DISK_FULL
    assert "it is not there, or was moved while at work; put it back" in done.stderr
    assert not (machine.root / "runs").exists()
