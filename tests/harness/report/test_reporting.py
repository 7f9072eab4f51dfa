"""The report with what the harness adds: parameter importances and pictures."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution
from PIL import Image
from typer.testing import CliRunner, Result

from mlrc.harness.cli import app
from mlrc.harness.guard.canary import PARAMS, PROTOCOL, canary
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.metrics.scores import separated_and_concatenated
from mlrc.harness.metrics.task import Task
from mlrc.harness.plan.parameters import space
from mlrc.harness.plan.search import Trial, sobol_point
from mlrc.harness.plugins import LOSSES
from mlrc.harness.report import gallery
from mlrc.harness.report.importance import MINIMUM_TRIALS, importances, of_trials
from mlrc.harness.report.reporting import galleries_of
from mlrc.losses.spec import LOSS_LR, Value
from mlrc.protocols.protocol import PerDataset
from mlrc.results.records.ledger import LEDGER, Records, read
from mlrc.results.records.record import RunRecord
from mlrc.results.rendering.gallery import Gallery
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


def _searched(params: Callable[[int], Mapping[str, Value]]) -> Records:
    """Give the records of a search of 20 trials of soft_triple with those parameters."""
    made, found = make({"soft_triple": 50.0}, trials=20).records, Records()
    for protocol in made.protocols.values():
        found.add(protocol)
    for fold in made.folds.values():
        found.add(replace(fold, params=params(fold.number)) if fold.stage == "search" else fold)
    return found


def test_importances_are_of_what_the_search_varied_though_its_protocol_set_the_rate_of_the_loss() -> None:
    searched = space(LOSSES.find("soft_triple"), PROTOCOL.vary({"loss_lr": PerDataset(0.01)}), "glyphs")
    (of_losses,) = importances(_searched(lambda number: sobol_point(searched, number, seed=3))).values()
    assert set(of_losses["soft_triple"]) == set(searched)
    assert LOSS_LR not in searched


def test_a_search_in_a_space_that_was_narrowed_since_says_nothing() -> None:
    whole = LOSSES.find("soft_triple").space
    assert importances(_searched(lambda number: sobol_point(whole, number, seed=3)))
    assert importances(_searched(lambda number: {**sobol_point(whole, number, seed=3), "margin": 1 + number})) == {}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of image files, with the run of two losses over them, whose models were kept, in `runs` beside it."""
    folder = tmp_path_factory.mktemp("home") / "photographs"
    generator = np.random.default_rng(0)
    for label in range(12):
        (folder / f"class {label}").mkdir(parents=True)
        pattern = generator.integers(0, 200, (20, 24, 3))
        for number in range(4):
            pixels = np.clip(pattern + generator.integers(0, 56, pattern.shape), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"class {label}" / f"{number}.png")
    changes = {"resize": 16, "crop": 16, "batch_size": 8, "iterations_per_epoch": 2, "max_epochs": 2}
    options = [
        word
        for name, value in (changes | {"trials": 1, "startup_trials": 1, "repeats": 1}).items()
        for word in ("--set", f"{name}={value}")
    ]
    done = _mlrc(
        *("run", "--dataset", f"folder:{folder}", "--losses", "contrastive,triplet", "--protocol", "quick", *options),
        *("--runs", folder.parent / "runs", "--root", folder.parent, "--save-models", "--device", "cpu"),
    )
    assert done.exit_code == 0, done.output
    return folder


def _mlrc(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("root", ["photographs", "."])
def test_the_page_shows_what_losses_retrieved_whose_models_were_kept(
    photographs: Path, tmp_path: Path, root: str
) -> None:
    words = ("report", "--runs", photographs.parent / "runs", "--out", tmp_path)
    assert _mlrc(*words).exit_code == 0
    assert "concatenation of repeat" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    done = _mlrc(*words, "--root", photographs.parent / root, "--device", "cpu")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for loss in ("contrastive", "triplet"):
        for model in ("fold 0", "concatenation"):
            assert f"<h4>{loss}, {model} of repeat 0</h4>" in page
    assert page.count('<div class="query">') == 2 * 2 * 3 * 2


def test_the_gallery_is_of_the_embeddings_that_were_scored(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[RunRecord, list[NDArray[np.float32]], ImageSet]] = []

    def noted(
        run: RunRecord, folds: list[NDArray[np.float32]], images: ImageSet, *, dataset: str, similarity: str
    ) -> list[Gallery]:
        assert similarity == "cosine"
        seen.append((run, folds, images))
        return []

    monkeypatch.setattr(gallery, "of_run", noted)
    runs = photographs.parent / "runs"
    with pytest.raises(ValueError, match="models of a repeat"):
        galleries_of(read(runs / LEDGER), runs, photographs, on_progress=lambda *_: None)
    assert [run.loss for run, *_ in seen] == ["contrastive", "triplet"]
    for run, folds, images in seen:
        test = images.labels[images.labels >= 6]
        scores = separated_and_concatenated(folds, Task(test))
        assert scores.separated["MAP@R"] == pytest.approx(run.separated["MAP@R"], abs=1e-4)
        assert scores.concatenated["MAP@R"] == pytest.approx(run.concatenated["MAP@R"], abs=1e-4)


def test_a_gallery_of_other_images_or_without_models_is_refused_in_one_sentence(
    photographs: Path, tmp_path: Path
) -> None:
    runs = photographs.parent / "runs"
    other = tmp_path / "photographs"
    shutil.copytree(photographs, other)
    Image.new("RGB", (24, 20)).save(other / "class 0" / "one more.png")
    refused = _mlrc("report", "--runs", runs, "--out", tmp_path / "out", "--root", other)
    assert refused.exit_code == 2
    assert "needs its images with fingerprint" in refused.stderr
    made = make({"triplet": 50.0}).write(tmp_path / "made")
    refused = _mlrc("report", "--runs", made, "--out", tmp_path / "out", "--root", photographs)
    assert refused.exit_code == 2
    assert "mlrc run --save-models" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_the_report_of_a_long_search_says_which_parameters_mattered(tmp_path: Path) -> None:
    made = make({"contrastive": 50.0, "proxy_anchor": 40.0}, trials=MINIMUM_TRIALS)
    points = np.random.default_rng(0).random((MINIMUM_TRIALS, 2))
    for key, record in list(made.records.folds.items()):
        if record.loss == "contrastive" and record.stage == "search":
            low, high = (float(value) for value in points[record.number])
            made.records.folds[key] = replace(record, params={"pos_margin": low, "neg_margin": high})
    done = _mlrc("report", "--runs", made.write(tmp_path / "runs"), "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "plots" / "glyphs-d0d0d0d0d0d0-parameters.png").exists()
    assert "Which parameters mattered" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_margin_of_equivalence_is_the_users(tmp_path: Path) -> None:
    runs = make({"contrastive": 50.0, "triplet": 40.0}).write(tmp_path / "runs")
    assert _mlrc("report", "--runs", runs, "--out", tmp_path / "out", "--margin", "2.5").exit_code == 0
    assert "surely within ± 2.5 points" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    refused = _mlrc("report", "--runs", runs, "--out", tmp_path / "out", "--margin", "0")
    assert refused.exit_code == 2
    assert "The margin must be positive" in refused.stderr


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
