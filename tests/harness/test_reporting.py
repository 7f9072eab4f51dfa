"""The report with what the harness adds: parameter importances and pictures."""

from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from harness.canary import PARAMS, PROTOCOL, canary
from harness.final import EmbeddingFiles
from harness.images.glyphs import open_glyphs
from harness.importance import MINIMUM_TRIALS, importances, of_trials
from harness.plugins import LOSSES
from harness.reporting import write_full_report
from harness.search import Trial
from tests.results.studies import make

SPACE = {"matters": FloatDistribution(0, 1), "idle": FloatDistribution(0, 1)}


def _trials(number: int) -> list[Trial]:
    points = np.random.default_rng(0).random((number, 2))
    return [Trial({"matters": float(a), "idle": float(b)}, score=float(100 * (1 - (a - 0.3) ** 2))) for a, b in points]


def test_a_parameter_that_decides_the_score_is_the_important_one() -> None:
    shares = of_trials(SPACE, _trials(30))
    assert shares["matters"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)
    assert shares == of_trials(SPACE, _trials(30))


def test_too_few_trials_or_parameters_say_nothing() -> None:
    assert of_trials(SPACE, _trials(MINIMUM_TRIALS - 1)) == {}
    assert of_trials({"matters": SPACE["matters"]}, [Trial({"matters": 0.1}, 1.0)] * 20) == {}
    assert of_trials(SPACE, [trial._replace(score=1.0) for trial in _trials(20)]) == {}


def test_a_loss_that_is_not_installed_is_passed_over() -> None:
    assert importances(make({"somebodys_own": 50.0}, trials=20).records) == {}


def test_the_page_shows_pictures_where_embeddings_were_kept(tmp_path: Path) -> None:
    images = open_glyphs(tmp_path / "data")
    made = make({"triplet": 50.0, "contrastive": 40.0}, fingerprint=images.fingerprint)
    runs = made.write(tmp_path / "runs")
    run = next(run for run in made.records.runs.values() if run.loss == "triplet")
    official = images.facts.official_trainval_classes
    assert official is not None
    test_images = int(np.count_nonzero(images.labels >= official))
    for key in run.fold_keys:
        embeddings = np.random.default_rng(0).normal(size=(test_images, 4)).astype(np.float32)
        EmbeddingFiles(runs).save(key, embeddings)
    write_full_report(runs, tmp_path / "out", root=tmp_path / "data")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "triplet, concatenation of repeat 0" in page
    assert page.count('<div class="query">') == 12
    write_full_report(runs, tmp_path / "plain")
    assert "concatenation of repeat" not in (tmp_path / "plain" / "report.html").read_text(encoding="utf-8")


def test_the_canary_searches_nothing_and_its_parameters_are_valid(tmp_path: Path) -> None:
    comparison = canary(tmp_path)
    assert {study.loss: study.trials for study in comparison.studies} == {
        "untrained": 0,
        "contrastive": 0,
        "proxy_anchor": 0,
    }
    for name, params in PARAMS.items():
        LOSSES.find(name).check(params)
    assert {study.protocol for study in comparison.studies} == {PROTOCOL}
