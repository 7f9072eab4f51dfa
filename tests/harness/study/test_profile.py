"""What a step costs: the loss's memory grows with the classes where it has proxies, and gradients are what they are."""

import json
import math

import pytest
import torch
from typer.testing import CliRunner

from mlrc.harness.cli import app
from mlrc.harness.plugins import LOSSES
from mlrc.harness.study.profile import profiles
from mlrc.protocols.quick import QUICK

SMALL = QUICK.set(["resize=8", "crop=8", "batch_size=8", "embedding_size=8"])


def test_a_loss_with_proxies_holds_more_for_more_classes_and_a_loss_of_pairs_does_not() -> None:
    found = {
        name: profiles(LOSSES.find(name), SMALL, (50, 5000), {}) for name in ("mean_field_contrastive", "contrastive")
    }
    few, many = found["mean_field_contrastive"]
    assert (few.classes, many.classes) == (50, 5000)
    assert many.loss_mib > 2 * 5000 * 8 * 4 / 2**20 > few.loss_mib
    assert many.proxies > 0
    few, many = found["contrastive"]
    assert many.loss_mib < 2 * few.loss_mib
    assert math.isnan(many.proxies)
    assert min(few.trunk, few.head) > 0


def test_times_are_medians_of_what_the_clock_tells() -> None:
    ticks = iter(range(10**6))
    threads = torch.get_num_threads()
    (one,) = profiles(LOSSES.find("triplet"), SMALL, (20,), {"margin": 0.3}, clock=lambda: next(ticks) / 1000)
    assert (one.loss_ms, one.step_ms) == pytest.approx((1, 1))
    assert torch.get_num_threads() == threads


def test_the_command_prints_a_row_per_loss_and_number() -> None:
    words = ["profile", "triplet", "proxy_anchor", "--classes", "20,40", "--json"]
    for change in ("resize=8", "crop=8", "batch_size=8", "embedding_size=8"):
        words += ["--set", change]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    rows = json.loads(found.stdout)
    assert [(row["loss"], row["classes"]) for row in rows] == [
        (loss, number) for loss in ("triplet", "proxy_anchor") for number in (20, 40)
    ]
    assert rows[0]["proxies"] is None


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [("many", "--classes takes whole numbers"), ("1", "--classes takes numbers from 2 to 1000000, but got 1.")],
)
def test_what_is_no_number_of_classes_is_one_sentence(classes: str, sentence: str) -> None:
    found = CliRunner().invoke(app, ["profile", "triplet", "--classes", classes])
    assert found.exit_code == 2
    assert sentence in found.stderr
