"""A sweep: which trainings it plans, what it refuses, and that its table is of the points it says."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plugins import PROTOCOLS
from mlrc.harness.study import comparison, sweep
from mlrc.harness.study.sweep import Planned
from mlrc.harness.training import batches
from mlrc.protocols.protocol import Protocol
from mlrc.protocols.sweeps import SWEEPS, Sweep, factor, losses
from mlrc.results.records.ledger import LEDGER, Ledger, read
from mlrc.results.records.record import FoldRecord, RunRecord
from mlrc.results.rendering.sweep_report import write_sweeps
from tests.harness.driving import driven
from tests.harness.in_this_process import in_this_process

Plan = Callable[..., Planned]


@pytest.fixture
def plan(tiny_images: ImageSet, tiny_protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Plan a sweep of the contrastive loss over the given `--vary` texts."""

    def planned(
        *vary: str,
        loss: str = "contrastive",
        asked: Sweep | None = None,
        images: ImageSet = tiny_images,
        **options: Any,
    ) -> Planned:
        for module in (sweep, comparison):
            monkeypatch.setattr(module, "open_dataset", lambda name, root: images)
        params = ["pos_margin=0", "neg_margin=0.5"] if asked is None and loss == "contrastive" else []
        given = {
            "protocol": tiny_protocol,
            "repeats": 2,
            "root": Path("nowhere"),
            "device": "cpu",
            "params": params,
            **options,
        }
        return sweep.planned_sweep(asked or own(*vary, loss=loss), dataset="tiny", **given)

    return planned


def own(*vary: str, loss: str = "contrastive", several: tuple[str, ...] = ()) -> Sweep:
    """Give a sweep over `--vary` texts, of several losses as a factor of its own."""
    factors = (*(factor(text) for text in vary), *([losses(*several)] if several else []))
    return Sweep(name="own", title="Own", source="", loss=loss, protocol="quick", factors=factors)


def _done(planned: Planned, images: ImageSet, workplace: Workplace, runs: Path) -> int:
    """Do what a sweep plans; give the number of trainings that it took."""
    done: list[FoldRecord | RunRecord] = []
    with Ledger(runs) as ledger:
        ledger.append([planned.record])
    here = in_this_process(workplace, lambda *_: None)
    driven(runs, planned.comparison.studies, images, here, on_record=lambda state, record: done.append(record))
    return sum(isinstance(record, FoldRecord) for record in done)


def test_every_combination_is_one_study_without_a_search(plan: Plan) -> None:
    planned = plan("pos_margin=0,0.1", "embedding_size=4,8,16")
    studies = planned.comparison.studies
    assert [point.labels for point in planned.record.points] == [
        (margin, size) for margin in ("0", "0.1") for size in ("4", "8", "16")
    ]
    assert [study.protocol.embedding_size for study in studies] == [4, 8, 16] * 2
    assert [study.params and study.params["pos_margin"] for study in studies] == [0.0] * 3 + [0.1] * 3
    assert {study.trials for study in studies} == {0}
    assert {study.protocol.repeats for study in studies} == {2}
    assert all("embedding_size" in study.protocol.name for study in studies if study.protocol.embedding_size != 8)


def test_points_share_a_ledger_and_each_gets_its_own_scores(
    tmp_path: Path, plan: Plan, tiny_images: ImageSet, workplace: Workplace
) -> None:
    planned = plan("pos_margin=0,0.4")  # the same protocol and loss: the parameters alone tell them apart
    assert _done(planned, tiny_images, workplace, tmp_path) == 2 * 2 * 4
    runs = list(read(tmp_path / LEDGER).runs.values())
    write_sweeps(tmp_path, tmp_path)
    table = pd.read_csv(tmp_path / "sweep.csv", dtype={"point": str}).query("setting == 'concatenated'")
    for label, margin in (("0", 0.0), ("0.4", 0.4)):
        scores = [run.concatenated["MAP@R"] for run in runs if run.params["pos_margin"] == margin]
        row = table.query(f"point == '{label}' and metric == 'MAP@R'").iloc[0]
        assert row["mean"] == pytest.approx(sum(scores) / 2, abs=1e-4)
        assert row["sd"] == pytest.approx(pd.Series(scores).std(), abs=1e-4)
        assert row["n"] == 2
    assert _done(planned, tiny_images, workplace, tmp_path) == 0


def test_a_wider_sweep_goes_on_from_a_narrower_one(
    tmp_path: Path, plan: Plan, tiny_images: ImageSet, workplace: Workplace
) -> None:
    _done(plan("pos_margin=0,0.4"), tiny_images, workplace, tmp_path)
    assert _done(plan("pos_margin=0,0.2,0.4"), tiny_images, workplace, tmp_path) == 2 * 4


@pytest.mark.parametrize(
    ("vary", "options", "sentence"),
    [
        (["margn=1"], {}, "'margn' must be a parameter of loss 'contrastive' or a field .* neither. Did you mean"),
        (["repeats=1,2"], {}, "must not vary repeats, because .* give it with --repeats"),
        (["trials=1,2"], {}, "must not vary trials, because a sweep has no search"),
        (["cut.tiny=half,official"], {}, "must not vary cut"),
        (["version=1,2"], {}, "must not vary version"),
        (["pos_margin=0,-3"], {}, r"pos_margin=-3.0 of loss 'contrastive' must lie in"),
        (["pos_margin=0,0.0"], {}, "The points 0 and 0.0 must differ, but are the same training"),
        (["pos_margin=0", "pos_margin=1"], {}, "Two factors must have two names"),
        (["lr=1e-3", "crop=8", "flip=0"], {}, "varies one or two factors, but got 3"),
        (
            ["embedding_size=4"],
            {"loss": "circle"},
            "has no published parameters for .* with --param NAME=VALUE",
        ),
    ],
)
def test_what_cannot_be_varied_gets_one_sentence(
    plan: Plan, vary: list[str], options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        plan(*vary, **options)


SMALL = (
    "trunk=small_conv",
    "weights=",
    "channels=grey",
    "mean=0.5",
    "std=0.5",
    "resize=8",
    "crop=8",
    "embedding_size=4",
)


@pytest.mark.parametrize("name", SWEEPS)
def test_every_point_of_the_papers_ablations_can_be_built(
    plan: Plan, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "require_a_batch", lambda *_: None)  # their batches are larger than the tiny set
    asked = SWEEPS[name]
    field = asked.factors[0].name
    small = [text for text in SMALL if not text.startswith(field)]
    protocol = PROTOCOLS.find(asked.protocol).set([*small, "batch_size=8", "cut=half"])
    planned = plan(asked=asked, protocol=protocol)
    points = math.prod(len(one.choices) for one in asked.factors)
    assert len(planned.record.points) == len(planned.comparison.studies) == points


def test_an_enhancement_may_be_another_loss(plan: Plan) -> None:
    protocol = PROTOCOLS.find("traditional_proxy_nca_pp").set([*SMALL, "batch_size=8", "cut=half"])
    points = plan(asked=SWEEPS["proxy_nca_pp_enhancements"], protocol=protocol).record.points
    by_label = {point.labels[0]: point for point in points}
    assert by_label["-prob"].loss == "proxy_nca_classic"
    assert by_label["-prob"].params == {"scale": 9.0, "loss_lr": 400.0, "proxy_std": 1 / 8}
    assert by_label["all"].params == {"temperature": 1 / 9, "loss_lr": 400.0}
    assert by_label["-scale"].params == {"temperature": 1.0, "loss_lr": 400.0}
    assert by_label["-fast"].params == {"temperature": 1 / 9, "loss_lr": 4e-3}
    assert {by_label[label].loss for label in ("all", "-scale", "-norm", "-cbs", "-max", "-fast")} == {"proxy_nca_pp"}
    assert len({by_label[label].digest for label in ("all", "-norm", "-cbs", "-max")}) == 4


def test_rates_of_the_enhancements_are_those_of_the_dataset(plan: Plan, tiny_images: ImageSet) -> None:
    sop = replace(tiny_images, facts=replace(tiny_images.facts, name="sop"))
    protocol = PROTOCOLS.find("traditional_proxy_nca_pp").set([*SMALL, "batch_size=12", "cut=half"])
    asked = SWEEPS["proxy_nca_pp_enhancements"]
    points = plan(asked=asked, protocol=protocol, images=sop).record.points
    rates = {point.labels[0]: point.params["loss_lr"] for point in points}
    assert rates == {label: 0.024 if label == "-fast" else 240 for label in rates}


def test_a_sweep_may_name_several_losses(plan: Plan) -> None:
    points = plan(asked=own("embedding_size=4,8", several=("contrastive", "triplet"))).record.points
    assert [(point.labels, point.loss) for point in points] == [
        ((size, loss), loss) for size in ("4", "8") for loss in ("contrastive", "triplet")
    ]


def test_a_composite_factor_sets_several_things_at_once(plan: Plan) -> None:
    points = plan("variant=small:embedding_size=4,pos_margin=0.1;wide:embedding_size=16").record.points
    assert [(point.labels[0], point.params["pos_margin"]) for point in points] == [("small", 0.1), ("wide", 0.0)]


def test_what_is_set_twice_at_one_point_is_refused(plan: Plan) -> None:
    with pytest.raises(ValueError, match="embedding_size must be set once"):
        plan("variant=a:embedding_size=4;b:embedding_size=16", "embedding_size=8")
