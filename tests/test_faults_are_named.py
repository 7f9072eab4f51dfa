"""What CI runs names a fault in a loss, a search space, a metric, the split, an optimizer's setting and a protocol.

Tables and evidence edited by hand: tests/results/publishing/test_published.py; trained scores:
tests/harness/guard/test_canary.py.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import TripletMarginLoss
from torch import nn, optim
from typer.testing import CliRunner

from mlrc.harness.cli import app
from mlrc.harness.guard import goldens
from mlrc.harness.guard.canary import PARAMS
from mlrc.harness.metrics import retrieval as metrics
from mlrc.harness.plugins import PROTOCOLS
from mlrc.harness.training import optimization
from mlrc.losses import circle
from mlrc.protocols import quick, splits
from mlrc.protocols.quick import QUICK


def _break_a_loss(patch: pytest.MonkeyPatch) -> None:
    init = TripletMarginLoss.__init__

    def flipped(self: nn.Module, margin: float = 0.05, **options: object) -> None:
        init(self, margin=-margin, **options)

    patch.setattr(TripletMarginLoss, "__init__", flipped)


def _break_a_search_space(patch: pytest.MonkeyPatch) -> None:
    space = {**circle.SPEC.space, "m": FloatDistribution(0, 1.1)}
    patch.setattr(circle, "SPEC", replace(circle.SPEC, space=space))


def _break_the_metrics(patch: pytest.MonkeyPatch) -> None:
    values = metrics.values

    def shifted(relevant: NDArray[np.bool_], positives: NDArray[np.int64], *names: Any) -> Any:
        return values(np.roll(relevant, 1, axis=1), positives, *names)

    patch.setattr(metrics, "values", shifted)


def _break_the_split(patch: pytest.MonkeyPatch) -> None:
    def rounded(num_trainval: int, *, folds: int, validation_fraction: float) -> tuple[splits.Fold, ...]:
        """Round where the study floors; of the three datasets only Cars has classes that do not divide evenly."""
        whole = round(validation_fraction * num_trainval + 0.49) / num_trainval
        return splits.class_folds(num_trainval, folds=folds, validation_fraction=whole)

    patch.setattr(goldens, "class_folds", rounded)


def _break_an_optimizer(patch: pytest.MonkeyPatch) -> None:
    right = optimization._optimizer

    def wrong(name: str, groups: Any, *, momentum: float, **numbers: float) -> optim.Optimizer:
        return right(name, groups, momentum=momentum - (0.01 if name == "adam" else 0), **numbers)

    patch.setattr(optimization, "_optimizer", wrong)


def _break_a_protocol(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(quick, "QUICK", replace(QUICK, lr=1.01e-4))


def test_every_fault_is_named_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {
        _break_a_loss: {"loss triplet", "loss triplet_batch_hard", "loss triplet_semi_hard"},
        _break_a_search_space: {"loss circle"},
        _break_the_metrics: {"metrics"},
        _break_the_split: {"split of cars196", "split of sop"},
        _break_an_optimizer: {f"training with {loss} under traditional_proxy_nca_pp" for loss in PARAMS},
        _break_a_protocol: {f"training with {loss} under quick" for loss in PARAMS},
    }
    PROTOCOLS.survey()  # those that derive from another do so before it is broken
    for fault in named:
        fault(monkeypatch)
    result = CliRunner().invoke(app, ["goldens", "--json", str(tmp_path / "goldens.json")])
    assert result.exit_code == 1, result.output
    findings = json.loads((tmp_path / "goldens.json").read_text(encoding="utf-8"))["findings"]
    assert {one["subject"] for one in findings if one["verdict"] != "same"} == set.union(*named.values())
    for subject in set.union(*named.values()):
        assert f"| moved | {subject} |" in result.stdout
