"""What TensorBoard reads back of a study."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from numpy.testing import assert_allclose
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from mlrc.harness.cli import app
from mlrc.harness.engine.events import Event, Lost, Validated
from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.study import Study
from mlrc.harness.watch.scalars import FOLDER, Scalars
from mlrc.results.records.evidence import trial_score
from tests.harness.driving import driven
from tests.harness.in_this_process import in_this_process

Points = list[tuple[int, float]]


def _read(folder: Path) -> dict[str, Points]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_the_curves_of_folds_trials_and_repeats_are_those_of_the_ledger(
    tmp_path: Path, study: Study, tiny_images: ImageSet, workplace: Workplace
) -> None:
    told: list[Event] = []
    with Scalars(tmp_path, [study]) as scalars:

        def tell(event: Event) -> None:
            told.append(event)
            scalars.told(event)

        records = driven(tmp_path, [study], tiny_images, in_this_process(workplace, tell), on_record=scalars.recorded)
    folder = tmp_path / FOLDER / "tiny" / f"contrastive {study.protocol.digest}"
    for record in records.folds.values():
        kind = "trial" if record.stage == "search" else "repeat"
        curves = _read(folder / f"{kind} {record.number}" / f"fold {record.fold}")
        assert_allclose(curves["validation/MAP@R"], record.history, rtol=1e-6)
        validations = [event for event in told if isinstance(event, Validated) and event.job.key == record.key]
        assert_allclose(curves["training/loss"], [(event.epoch, event.loss) for event in validations[1:]], rtol=1e-6)
    curves = _read(folder)
    means = [
        trial_score(fold for fold in records.folds.values() if (fold.stage, fold.number) == ("search", number))
        for number in range(study.trials)
    ]
    best = [max(means[: number + 1]) for number in range(len(means))]
    assert_allclose(curves["search/trial mean of MAP@R"], list(enumerate(means)), rtol=1e-6)
    assert_allclose(curves["search/best mean of MAP@R"], list(enumerate(best)), rtol=1e-6)
    for setting in ("separated", "concatenated"):
        scores = sorted((run.number, getattr(run, setting)["P@1"]) for run in records.runs.values())
        assert_allclose(curves[f"test, {setting}/P@1"], scores, rtol=1e-6)


def test_a_training_that_goes_on_after_its_process_died_has_one_curve(
    tmp_path: Path, study: Study, job: FoldJob
) -> None:
    with Scalars(tmp_path, [study]) as scalars:
        scalars.told(Validated(job, 0, 10.0, float("nan")))
        scalars.told(Validated(job, 2, 20.0, 0.5))
        scalars.told(Lost(job, "its process died"))
        assert not scalars._folds
        scalars.told(Validated(job, 4, 30.0, 0.25))
    (folder,) = {path.parent for path in (tmp_path / FOLDER).rglob("*tfevents*")}
    assert _read(folder) == {
        "validation/MAP@R": [(0, 10.0), (2, 20.0), (4, 30.0)],
        "training/loss": [(2, 0.5), (4, 0.25)],
    }


def test_a_training_without_validation_has_a_loss_alone_and_stages_have_folders_of_their_own(
    tmp_path: Path, study: Study, job: FoldJob
) -> None:
    on_test = replace(job.protocol, epoch_choice="best_on_test", validation_fraction=0.0, folds=1, trials=0)
    with Scalars(tmp_path, [study]) as scalars:
        scalars.told(Validated(replace(job, stage="schedule"), 1, 10.0, 0.5))
        scalars.told(Validated(replace(job, stage="final"), 1, float("nan"), 0.25))
        scalars.told(Validated(replace(job, stage="final", protocol=on_test), 1, 30.0, 0.125))
    found = [_read(path.parent) for path in sorted((tmp_path / FOLDER).rglob("*tfevents*"))]
    assert sorted(found, key=lambda curves: curves["training/loss"][0][1]) == [
        {"test, while training/MAP@R": [(1, 30.0)], "training/loss": [(1, 0.125)]},
        {"training/loss": [(1, 0.25)]},
        {"validation/MAP@R": [(1, 10.0)], "training/loss": [(1, 0.5)]},
    ]


def test_the_points_of_a_sweep_over_a_parameter_have_curves_of_their_own(tmp_path: Path, study: Study) -> None:
    margins = {0.5: 10.0, 0.25: 20.0}
    points = [replace(study, params={"pos_margin": 0.0, "neg_margin": margin}) for margin in margins]
    with Scalars(tmp_path, points) as scalars:
        for point, score in zip(points, margins.values(), strict=True):
            scalars.told(Validated(point.jobs("final", 0, point.params or {})[0], 1, score, 0.5))
    found = [_read(path.parent)["validation/MAP@R"] for path in (tmp_path / FOLDER).rglob("*tfevents*")]
    assert sorted(found) == [[(1, 10.0)], [(1, 20.0)]]


def test_a_missing_package_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mlrc.harness.watch.scalars")
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard")
    words = ["search", "--dataset", "glyphs", "--losses", "contrastive", "--protocol", "quick", "--tensorboard"]
    result = CliRunner().invoke(app, [*words, "--root", str(tmp_path), "--runs", str(tmp_path), "--no-cache"])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "Error: --tensorboard needs the package tensorboard, which is not installed; "
        "install it with: pip install 'mlrc[tensorboard]'"
    )
