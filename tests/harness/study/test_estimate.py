"""What `mlrc plan` says: counts, hours that move with the work, and nothing touched to find out."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlrc.harness.cli import app
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plan.split import split
from mlrc.harness.plan.study import repeats
from mlrc.harness.study import comparison as comparisons
from mlrc.harness.study.comparison import Comparison, checked_comparison
from mlrc.harness.study.disk import LEDGER_LINE, needed
from mlrc.harness.study.estimate import Estimate, estimate
from mlrc.harness.training import model as models
from mlrc.harness.trunks.catalogue import find_trunk
from mlrc.protocols.protocol import Protocol
from tests.harness.conftest import SpyPixels


class Ticks:
    """A clock on which every look takes a second, so that an iteration does."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 1.0
        return self._now


@pytest.fixture
def compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_protocol: Protocol, tiny_images: ImageSet
) -> Comparison:
    monkeypatch.setattr(comparisons, "open_dataset", lambda name, root: tiny_images)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(8), raising=False)
    monkeypatch.chdir(tmp_path)
    losses = ["contrastive", "proxy_anchor"]
    return checked_comparison(dataset="tiny", losses=losses, protocol=tiny_protocol, root=tmp_path, device="cpu")


def _vary(compared: Comparison, **changes: object) -> Comparison:
    studies = [replace(study, protocol=study.protocol.vary(changes)) for study in compared.studies]
    return replace(compared, studies=tuple(studies))


def _hours(compared: Comparison, workers: int = 1) -> float:
    return estimate(compared, workers, clock=Ticks()).hours


def test_hours_are_iterations_validations_and_tests_at_the_speed_of_this_device(compared: Comparison) -> None:
    found = estimate(compared, 1, clock=Ticks())
    # 3 trials x 4 folds + 2 repeats x 4 folds of 2 losses, 4 epochs of 2 iterations, a second each
    iterations = 2 * 20 * 8
    # 3 validations each of 2 of 8 classes with 6 images; 48 test images for 3 x 8 models; 1/36 s each
    images = 40 * 3 * 12 + 24 * 48
    assert found.hours == pytest.approx((iterations + images / 36) / 3600)
    assert [row[:4] for row in found.rows] == [
        ("untrained", "0", "8", "0"),
        ("contrastive", "12", "8", "160"),
        ("proxy_anchor", "12", "8", "160"),
        ("all", "24", "24", "320"),
    ]


def test_hours_move_with_iterations_and_trials_and_fall_with_workers(compared: Comparison) -> None:
    one = _hours(compared)
    twice = _hours(_vary(compared, iterations_per_epoch=4))
    assert twice - one == pytest.approx(2 * 20 * 8 / 3600)
    assert _hours(_vary(compared, trials=6)) > one
    assert _hours(compared, workers=4) == pytest.approx(one / 4)


@pytest.mark.parametrize(("workers", "at_once"), [(3, 3), (100, 8)])
def test_no_more_trainings_run_at_once_than_there_are_processors(
    compared: Comparison, workers: int, at_once: int
) -> None:
    assert estimate(compared, workers, clock=Ticks()).at_once == at_once


def test_no_more_trainings_run_at_once_than_all_studies_have_folds(compared: Comparison) -> None:
    few = replace(compared, studies=compared.studies[:1])
    assert few.studies[0].protocol.folds == estimate(few, 8, clock=Ticks()).at_once == 4


def test_without_a_search_all_repeats_of_a_study_may_run_at_once(compared: Comparison) -> None:
    given = [replace(study, params={"pos_margin": 0.0, "neg_margin": 1.0}) for study in compared.studies[1:2]]
    few = replace(compared, studies=(*compared.studies[:1], *given))
    without_folds = _vary(few, folds=1, trials=0, repeats=3)
    assert estimate(without_folds, 8, clock=Ticks()).at_once == 3 + 1


def test_the_disk_holds_the_features_of_the_untrained_trunk_for_as_long_as_it_is_scored(compared: Comparison) -> None:
    alone = replace(compared, studies=compared.studies[:1])
    (study,) = alone.studies
    embeddings = len(alone.test) * find_trunk(study.protocol.trunk).features * 4
    trainings = study.protocol.folds * repeats(study)
    network = models.build(alone.studies[0].protocol, seed=0)
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    part = max(embeddings, weights)  # of the file that is being written
    assert needed(alone, 0, models_kept=False) == trainings * (embeddings + LEDGER_LINE) + part


def test_the_disk_grows_with_the_workers_that_keep_checkpoints(compared: Comparison) -> None:
    found: Sequence[Estimate] = [estimate(compared, workers, clock=Ticks()) for workers in (1, 2)]
    assert 0 < found[0].disk < found[1].disk
    assert "takes up to" in str(found[0])


def test_the_calibration_reads_training_images_only_and_leaves_no_file(
    tmp_path: Path, compared: Comparison, tiny_images: ImageSet
) -> None:
    assert isinstance(tiny_images.pixels, SpyPixels)
    tiny_images.pixels.read.clear()
    estimate(compared, 1)
    train = split(tiny_images, compared.studies[0].protocol).folds[0].train
    assert tiny_images.pixels.read
    assert tiny_images.pixels.read <= set(train.tolist())
    assert not list(tmp_path.iterdir())


def test_the_command_prints_the_plan(tmp_path: Path) -> None:
    words = ["plan", "--dataset", "glyphs", "--losses", "contrastive", "--protocol", "quick", "--root", str(tmp_path)]
    result = CliRunner().invoke(app, [*words, "--device", "cpu", "--workers", "2"])
    assert result.exit_code == 0
    assert "11,200" in result.stdout
    assert "hours at most with" in result.stdout
    assert not list(tmp_path.rglob("ledger*"))
