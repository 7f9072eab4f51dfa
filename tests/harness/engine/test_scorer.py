"""Repeats that are scored beside the driver get the scores of those it scores itself, and hold it up less."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mlrc.harness.engine import scorer as scorers
from mlrc.harness.engine.execute import Execute, UnfitError
from mlrc.harness.engine.repeat import EmbeddingFiles
from mlrc.harness.engine.scorer import Scorer
from mlrc.harness.engine.workplace import FoldOutcome, Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.metrics.task import Task
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.study import Study
from mlrc.results.records.ledger import LEDGER, read
from tests.harness.conftest import ENVIRONMENT
from tests.harness.driving import driven
from tests.harness.in_this_process import in_this_process


def _told(runs: Path, study: Study, images: ImageSet, execute: Execute) -> list[str]:
    """Do what is left of a study; give the kinds of the records in the order in which they came."""
    told: list[str] = []
    driven(runs, [study], images, execute, on_record=lambda state, record: told.append(type(record).__name__))
    return told


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorers, "AT_ONCE", 0)


def test_a_repeat_is_scored_elsewhere_with_the_same_numbers_and_trainings_go_on_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study: Study, tiny_images: ImageSet, workplace: Workplace
) -> None:
    execute = in_this_process(workplace, lambda event: None)
    here = _told(tmp_path / "here", study, tiny_images, execute)
    assert here[-6:] == ["RunRecord", *["FoldRecord"] * 4, "RunRecord"]
    monkeypatch.setattr(scorers, "AT_ONCE", 0)
    there = _told(tmp_path / "there", study, tiny_images, execute)
    assert there[-6:] == [*["FoldRecord"] * 4, "RunRecord", "RunRecord"]
    runs = [
        {key: (run.separated, run.concatenated) for key, run in read(tmp_path / name / LEDGER).runs.items()}
        for name in ("here", "there")
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) == 2


@pytest.mark.usefixtures("elsewhere")
def test_what_a_stop_leaves_unscored_is_scored_by_the_next_driver(
    tmp_path: Path, study: Study, tiny_images: ImageSet, workplace: Workplace
) -> None:
    whole = in_this_process(workplace, lambda event: None)

    def stopped(jobs: Iterable[FoldJob]) -> Iterator[FoldOutcome]:
        for number, outcome in enumerate(whole(jobs), start=1):
            yield outcome
            if number == study.trials * 4 + 4:
                return

    started = time.monotonic()
    assert "RunRecord" not in _told(tmp_path, study, tiny_images, stopped)
    assert time.monotonic() - started < 60
    told = _told(tmp_path, study, tiny_images, whole)
    assert (told.count("FoldRecord"), told.count("RunRecord")) == (4, 2)


@pytest.mark.usefixtures("elsewhere")
def test_what_breaks_a_score_is_told_by_the_driver(
    tmp_path: Path, study: Study, tiny_images: ImageSet, workplace: Workplace
) -> None:
    files = EmbeddingFiles(tmp_path)
    found = Scorer(files, Task.of(tiny_images, np.arange(4)), ENVIRONMENT)
    (outcome,) = in_this_process(workplace, lambda event: None)([study.jobs("untrained", 0, {})[0]])
    try:
        found.begin(study, [outcome.record])
        with pytest.raises(FileNotFoundError, match=outcome.record.key):
            list(found.ended(wait=True))
        assert found._process is not None
        found._process.kill()
        with pytest.raises(UnfitError, match="died with exit code -9"):
            list(found.ended(wait=True))
        with pytest.raises(UnfitError, match="died with exit code -9"):
            found._ask()
    finally:
        found.dismiss()
    assert found._process is None
