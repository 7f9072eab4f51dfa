"""Drift of golden values: unchanged formulas are the same, and a fault in one is named."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution
from pytorch_metric_learning.reducers import SumReducer

from mlrc.harness.guard import goldens
from mlrc.harness.guard.golden_training import of_training
from mlrc.harness.guard.goldens import judge, of_loss, of_metrics, of_split, to_text
from mlrc.harness.metrics import retrieval as metrics
from mlrc.harness.plugins import LOSSES
from mlrc.losses.spec import LossSpec
from mlrc.losses.triplet import SPEC as TRIPLET
from mlrc.protocols import splits
from mlrc.protocols.quick import QUICK
from mlrc.results.publishing.place import PUBLISHED
from mlrc.results.publishing.verdict import Verdicts

REFERENCE = PUBLISHED / "references" / "goldens" / "values.json"


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, float]]:
    return goldens.goldens()


def test_each_class_of_devices_has_values_of_its_own(tmp_path: Path) -> None:
    names = {kind: goldens.stored_in(tmp_path, torch.device(kind)).name for kind in ("cpu", "cuda:1", "mps")}
    assert names == {"cpu": "values.json", "cuda:1": "values-cuda.json", "mps": "values-mps.json"}
    goldens.stored_in(tmp_path, torch.device("cpu")).write_text(to_text({"a": {"value": 1.0}}), encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"values-cuda\.json, which are kept per class of devices"):
        judge(goldens.stored_in(tmp_path, torch.device("cuda")), {"a": {"value": 1.0}})


def test_values_are_of_the_device_that_is_asked_for() -> None:
    """The meta device holds no numbers, so whatever is computed on it fails at the first one that is read."""
    of_loss(TRIPLET, torch.device("cpu"))
    of_training(QUICK, "contrastive", torch.device("cpu"))
    with pytest.raises((RuntimeError, NotImplementedError)):
        of_loss(TRIPLET, torch.device("meta"))
    with pytest.raises((RuntimeError, NotImplementedError)):
        of_training(QUICK, "contrastive", torch.device("meta"))


def _moved(verdicts: Verdicts) -> set[str]:
    return {finding.subject for finding in verdicts.findings if finding.verdict == "moved"}


def test_every_formula_is_what_it_was(found: dict[str, dict[str, float]]) -> None:
    verdicts = judge(REFERENCE, found)
    assert _moved(verdicts) == set()
    assert verdicts.status == 0
    assert verdicts.notes == (), "store the goldens of new losses: mlrc goldens --accept REASON"


def test_every_loss_has_finite_values_and_a_gradient(found: dict[str, dict[str, float]]) -> None:
    assert {f"loss {name}" for name in LOSSES.names()} <= set(found)
    for subject, values in found.items():
        assert np.isfinite(list(values.values())).all(), subject
        if subject.startswith("loss "):
            assert values["centre: gradient"] > 0, subject


def _tampered(tmp_path: Path, subject: str, right: dict[str, float], wrong: dict[str, float]) -> Verdicts:
    path = tmp_path / "values.json"
    path.write_text(to_text({subject: right}), encoding="utf-8")
    assert judge(path, {subject: right}).status == 0
    return judge(path, {subject: wrong})


def _with_flipped(spec: LossSpec, name: str) -> LossSpec:
    def build(num_classes: int, embedding_size: int, **params: Any) -> Any:
        return spec.build(num_classes, embedding_size, **{**params, name: -params[name]})

    return replace(spec, build=build)


MARGINS = [
    (loss, name)
    for loss in LOSSES.names()
    for name, distribution in LOSSES.find(loss).space.items()
    if "margin" in name and isinstance(distribution, FloatDistribution)
]


@pytest.mark.parametrize(("loss", "name"), MARGINS)
def test_no_loss_has_a_margin_whose_sign_could_flip_unseen(tmp_path: Path, loss: str, name: str) -> None:
    spec = LOSSES.find(loss)
    assert _tampered(tmp_path, f"loss {loss}", of_loss(spec), of_loss(_with_flipped(spec, name))).status == 1


def test_a_reducer_that_sums_instead_of_averaging_is_moved(tmp_path: Path) -> None:
    def build(num_classes: int, embedding_size: int, **params: Any) -> Any:
        loss: Any = TRIPLET.build(num_classes, embedding_size, **params)
        loss.reducer = SumReducer()
        return loss

    wrong = of_loss(replace(TRIPLET, build=build))
    assert _tampered(tmp_path, "loss triplet", of_loss(TRIPLET), wrong).status == 1


def test_a_value_that_is_off_by_a_thousandth_is_moved(tmp_path: Path) -> None:
    right = of_loss(TRIPLET)
    wrong = {name: 1.001 * value for name, value in right.items()}
    assert _tampered(tmp_path, "loss triplet", right, wrong).status == 1


def test_a_metric_that_is_off_by_one_rank_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = of_metrics()
    values = metrics.values

    def shifted(relevant: NDArray[np.bool_], positives: NDArray[np.int64], *names: Any) -> Any:
        return values(np.roll(relevant, 1, axis=1), positives, *names)

    monkeypatch.setattr(metrics, "values", shifted)
    verdicts = _tampered(tmp_path, "metrics", right, of_metrics())
    moved = {finding.measure for finding in verdicts.findings if finding.verdict == "moved"}
    assert {"separated P@1", "concatenated MAP@R", "separated nDCG@8"} <= moved


def test_folds_that_start_one_class_later_are_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = of_split(196)
    class_folds = splits.class_folds

    def later(num_trainval: int, **options: float) -> Iterator[splits.Fold]:
        for fold in class_folds(num_trainval, **options):  # type: ignore[arg-type] # as it was called
            yield splits.Fold((fold.train + 1) % num_trainval, (fold.validation + 1) % num_trainval)

    monkeypatch.setattr(goldens, "class_folds", later)
    assert _tampered(tmp_path, "split of cars196", right, of_split(196)).status == 1


def test_missing_and_broken_goldens_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="mlrc goldens --accept REASON"):
        judge(tmp_path / "values.json", {})
    (tmp_path / "values.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="must be JSON"):
        judge(tmp_path / "values.json", {})
