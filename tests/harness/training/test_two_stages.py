"""The two stages of ProxyNCA++: what the first may see, what it tells the second, what a stop or a failure leaves."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlrc.harness.engine import perform as work
from mlrc.harness.engine.workplace import FoldOutcome, JobOutcome, Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plan.job import FoldJob, Job
from mlrc.harness.plan.schedule import recorded
from mlrc.harness.plan.split import split
from mlrc.harness.plan.study import cost
from mlrc.harness.training.fold import Subset, Trained, train_fold
from mlrc.results.records.evidence import gather
from mlrc.results.records.record import Stage
from tests.harness.conftest import SpyPixels
from tests.harness.in_this_process import altered, in_this_process
from tests.harness.training.test_traditional import on_tiny, small, study_of, watched


def test_stage_1_sees_one_half_of_the_training_classes_judges_on_the_other_and_stage_2_trains_on_all(
    tmp_path: Path, tiny_images: ImageSet, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_by = watched(monkeypatch, tiny_images)
    subsets = {}
    parts = work._parts

    def noted(job: FoldJob, *arguments: Any) -> tuple[Subset, Subset | None]:
        subsets[job.stage] = parts(job, *arguments)
        return subsets[job.stage]

    monkeypatch.setattr(work, "_parts", noted)
    on_tiny(tmp_path, small("traditional_proxy_nca_pp", "repeats=1"), tiny_images, workplace)

    def classes(indices: Iterable[int]) -> set[int]:
        return {int(tiny_images.labels[index]) for index in indices}

    train, validation = subsets["schedule"]
    assert validation is not None
    assert (classes(train.indices), classes(validation.indices)) == (set(range(4)), set(range(4, 8)))
    assert classes(read_by["schedule", 0]) == set(range(8)), "the test classes are 8 to 15"
    train, validation = subsets["final"]
    assert (classes(train.indices), validation) == (set(range(8)), None)
    assert list(train.indices) == sorted(train.indices)
    assert classes(read_by["final", 0]) == set(range(8))


def test_stage_1_reads_no_test_image_even_when_its_training_is_over(
    tiny_images: ImageSet, workplace: Workplace
) -> None:
    study = study_of(small("traditional_proxy_nca_pp"), tiny_images, "proxy_nca_pp")
    assert isinstance(tiny_images.pixels, SpyPixels)
    stage_1, final = (study.jobs(stage, 0, {"temperature": 1 / 9})[0] for stage in ("schedule", "final"))
    outcome = work.perform(stage_1, workplace, lambda *_: None, lambda: False)
    assert (outcome.record.outcome, outcome.embeddings) == ("done", None), outcome.record.message
    test = set(split(tiny_images, study.protocol).test.tolist())
    assert not test & tiny_images.pixels.read
    work.perform(final, workplace, lambda *_: None, lambda: False)
    assert test <= tiny_images.pixels.read


def test_stage_2_repeats_what_the_record_of_its_own_stage_1_says(
    tmp_path: Path, tiny_images: ImageSet, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = small("traditional_proxy_nca_pp", "max_epochs=6")
    jobs: dict[tuple[Stage, int], FoldJob] = {}

    def noted(job: FoldJob, *arguments: Any, **options: Any) -> Trained:
        jobs[job.stage, job.number] = job
        return train_fold(job, *arguments, **options)

    monkeypatch.setattr(work, "train_fold", noted)
    records = on_tiny(tmp_path, protocol, tiny_images, workplace)
    for number in (0, 1):
        stage_1 = records.folds[jobs["schedule", number].key]
        assert len(stage_1.history) == 7
        assert jobs["final", number].recorded == recorded(stage_1.history, protocol)
        assert jobs["schedule", number].recorded is None
    assert jobs["schedule", 0].seed != jobs["schedule", 1].seed
    assert cost(study_of(protocol, tiny_images, "proxy_nca_pp")) == (0, 4, 24)


def test_a_stage_1_that_came_to_nothing_has_no_stage_2_and_the_others_go_on(
    tmp_path: Path, tiny_images: ImageSet, workplace: Workplace
) -> None:
    honest = in_this_process(workplace, lambda *_: None)

    def diverging(outcome: FoldOutcome) -> FoldOutcome:
        if (outcome.job.stage, outcome.job.number) == ("schedule", 0):
            return FoldOutcome(outcome.job, replace(outcome.record, outcome="diverged"), None)
        return outcome

    one_diverges = altered(honest, diverging)
    records = on_tiny(tmp_path, small("traditional_proxy_nca_pp"), tiny_images, workplace, one_diverges)
    assert [(fold.stage, fold.number) for fold in records.folds.values()] == [
        ("schedule", 0),
        ("schedule", 1),
        ("final", 1),
    ]
    assert [run.number for run in records.runs.values()] == [1]
    notes = next(iter(gather(records))).notes
    assert notes == ("proxy_nca_pp: repeat 0 has no score (fold 0 diverged).",)


@pytest.mark.parametrize("stops", [(0,), (1, 0, 1)])
def test_two_stages_that_stop_anywhere_and_go_on_give_the_same_records(
    stops: tuple[int, ...], tmp_path: Path, tiny_images: ImageSet, workplace: Workplace
) -> None:
    protocol = small("traditional_proxy_nca_pp")
    whole = in_this_process(workplace, lambda *_: None)

    class KilledError(Exception):
        pass

    for count in stops:

        def stopped(jobs: Iterable[Job], count: int = count) -> Iterator[JobOutcome]:
            for number, outcome in enumerate(whole(jobs)):
                if number == count:
                    raise KilledError
                yield outcome

        with pytest.raises(KilledError):
            on_tiny(tmp_path / "parts", protocol, tiny_images, workplace, stopped)
    parts = on_tiny(tmp_path / "parts", protocol, tiny_images, workplace)
    undisturbed = on_tiny(tmp_path / "whole", protocol, tiny_images, workplace)
    assert {key: run.separated for key, run in parts.runs.items()} == {
        key: run.separated for key, run in undisturbed.runs.items()
    }
    assert parts.folds.keys() == undisturbed.folds.keys()
