"""The traditional protocols from end to end: who trains on what, who sees test images, what a stop leaves."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlrc.harness.engine import inputs
from mlrc.harness.engine import perform as work
from mlrc.harness.engine.execute import Execute
from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.images.dataset import ArrayPixels, ImageSet
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.parameters import given
from mlrc.harness.plan.split import split
from mlrc.harness.plan.study import Study
from mlrc.harness.plugins import LOSSES, PROTOCOLS
from mlrc.harness.study.comparison import Comparison, checked_comparison
from mlrc.harness.training.fold import Trained, train_fold
from mlrc.harness.training.saved_model import load
from mlrc.protocols.protocol import PerDataset, Protocol
from mlrc.protocols.quick import QUICK
from mlrc.results.records.ledger import LEDGER, Ledger, Records, read
from mlrc.results.records.record import Stage
from tests.harness.conftest import SpyPixels
from tests.harness.driving import drive_on, states_of
from tests.harness.in_this_process import in_this_process

TRADITIONAL = [name for name in PROTOCOLS.names() if name.startswith("traditional")]
PAPER_LOSS = {
    "traditional_mpa": "multi_proxy_anchor",
    "traditional_mean_field": "mean_field_classwise_multi_similarity",
    "traditional_proxy_nca_pp": "proxy_nca_pp",
}
SMALL = [
    *("trunk=small_conv", "weights=", "channels=grey", "maximum=1", "mean=0.5", "std=0.5", "frozen_batch_norm=false"),
    *("flip=0", "repeats=2", "max_epochs=3", "embedding_size=8", "plateau_patience=1", "batch_size=16"),
]


def _last(changes: Iterable[str]) -> list[str]:
    """Give changes of which each field has one: a test's own in place of those of all."""
    return list({change.partition("=")[0]: change for change in changes}.values())


def small(name: str, *more: str, side: int = 16) -> Protocol:
    warm_up = ["warm_up=1"] if PROTOCOLS.find(name).warm_up else []
    return PROTOCOLS.find(name).set(_last([*SMALL, f"resize={side}", f"crop={side}", *warm_up, *more]))


def _whole(runs: Path, studies: Iterable[Study], images: ImageSet, execute: Execute) -> Records:
    """Do the studies to their end, of which nothing is left then."""
    with Ledger(runs) as ledger:
        states = states_of(studies, ledger)
        drive_on(states, images, execute, ledger)
        assert [state.left("final") for state in states] == [0] * len(states)
    return read(runs / LEDGER)


def study_of(protocol: Protocol, images: ImageSet, loss: str, params: dict[str, float] | None = None) -> Study:
    return Study(protocol=protocol, dataset="tiny", fingerprint=images.fingerprint, loss=loss, params=params or {})


def on_tiny(
    runs: Path, protocol: Protocol, images: ImageSet, workplace: Workplace, execute: Execute | None = None
) -> Records:
    study = study_of(protocol, images, "proxy_nca_pp", {"temperature": 1 / 9})
    return _whole(runs, [study], images, execute or in_this_process(workplace, lambda *_: None))


@pytest.mark.parametrize("name", TRADITIONAL)
def test_each_runs_end_to_end_on_glyphs(name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.getbasetemp() / "glyphs"
    nmi = ["nmi=true"] if name == "traditional_proxy_nca_pp" else []
    protocol = small(name, "batch_size=64", "max_epochs=2", *nmi, side=28)
    comparison: Comparison = checked_comparison(
        dataset="glyphs", losses=[PAPER_LOSS[name]], protocol=protocol, root=root, device="cpu"
    )
    here = in_this_process(comparison.workplace, lambda *_: None)
    records = _whole(tmp_path, comparison.studies, comparison.images, here)
    stages = [(fold.loss, fold.stage, fold.outcome) for fold in records.folds.values()]
    stages_of_loss: list[Stage] = ["schedule", "final"] if protocol.two_stages else ["final"]
    assert sorted(stages) == sorted(
        [("untrained", "untrained", "done"), *((PAPER_LOSS[name], stage, "done") for stage in stages_of_loss)] * 2
    )
    expected = {"P@1", "RP", "MAP@R", "R@1", "R@8", "nDCG@8"} | ({"NMI"} if nmi else set())
    for run in records.runs.values():
        assert expected <= run.separated.keys()
        assert run.separated["P@1"] == pytest.approx(run.concatenated["P@1"], abs=0.2), "one model is its own ensemble"
        assert run.cut == "official"


@pytest.mark.shared_data
@pytest.mark.parametrize("name", TRADITIONAL)
def test_each_runs_end_to_end_on_forty_characters_of_omniglot(
    name: str, tmp_path: Path, shared_data: Path, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = open_dataset("omniglot", shared_data)
    boundary = whole.facts.official_trainval_classes
    assert boundary is not None
    rows = np.flatnonzero(np.isin(whole.labels, [*range(20), *range(boundary, boundary + 20)]))
    assert isinstance(whole.pixels, ArrayPixels)
    images = replace(
        whole,
        facts=replace(whole.facts, official_trainval_classes=20),
        labels=np.unique(whole.labels[rows], return_inverse=True)[1].astype(np.int64),
        class_names=tuple(map(str, range(40))),
        pixels=ArrayPixels(whole.pixels.array[rows]),
    )
    monkeypatch.setattr(inputs, "open_dataset", lambda name, root: images)
    protocol = small(name, "batch_size=32", "embedding_size=64", side=28)
    params = given(LOSSES.find(PAPER_LOSS[name]), protocol, "omniglot", {})
    study = Study(
        protocol=protocol,
        dataset="omniglot",
        fingerprint=images.fingerprint,
        loss=PAPER_LOSS[name],
        params=params,
    )
    place = replace(workplace, roots={"omniglot": ("omniglot", shared_data)})
    records = _whole(tmp_path, [study], images, in_this_process(place, lambda *_: None))
    assert {run.cut for run in records.runs.values()} == {"official"}
    assert [run.test_images for run in records.runs.values()] == [400, 400]
    assert min(run.separated["R@1"] for run in records.runs.values()) > 10, "chance is 5 %"


def watched(monkeypatch: pytest.MonkeyPatch, images: ImageSet) -> dict[tuple[Stage, int], set[int]]:
    """Note which images every training reads, by stage and repeat."""
    assert isinstance(images.pixels, SpyPixels)
    spy = images.pixels
    found: dict[tuple[Stage, int], set[int]] = {}

    def noted(job: FoldJob, *arguments: Any, **options: Any) -> Trained:
        spy.read.clear()
        trained = train_fold(job, *arguments, **options)
        found[job.stage, job.number] = set(spy.read)
        return trained

    monkeypatch.setattr(work, "train_fold", noted)
    return found


ALL_CHOICES = {
    "best_on_validation": (QUICK, []),
    "last": (PROTOCOLS.find("traditional_mpa"), []),
    "last, two stages": (PROTOCOLS.find("traditional_proxy_nca_pp"), []),
    "best_on_test": (PROTOCOLS.find("traditional_mpa"), ["epoch_choice=best_on_test"]),
    "best_on_test, two stages": (PROTOCOLS.find("traditional_proxy_nca_pp"), ["epoch_choice=best_on_test"]),
}


@pytest.mark.parametrize("choice", ALL_CHOICES)
def test_only_best_on_test_reads_test_images_during_training_and_only_in_the_final_stage(
    choice: str, tmp_path: Path, tiny_images: ImageSet, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, changes = ALL_CHOICES[choice]
    protocol = base.set(_last([*SMALL, "resize=16", "crop=16", "batch_size=16", "warm_up=1", "trials=0", *changes]))
    found = watched(monkeypatch, tiny_images)
    records = on_tiny(tmp_path, protocol.vary({"loss_lr": PerDataset(0.1)}), tiny_images, workplace)
    test = set(split(tiny_images, protocol).test.tolist())
    assert {stage for stage, _ in found} == ({"schedule", "final"} if protocol.two_stages else {"final"})
    for (stage, _), read_ in found.items():
        assert read_
        if choice.startswith("best_on_test") and stage == "final":
            assert test <= read_
        else:
            assert not test & read_
    for fold in records.folds.values():
        validated = [epoch for epoch, _ in fold.history]
        assert bool(validated) is (not choice.startswith("last") or fold.stage == "schedule")


def test_without_validation_all_trainval_images_train_and_the_last_epoch_s_model_is_tested(
    tmp_path: Path, tiny_images: ImageSet, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = small("traditional_mpa", "batch_size=12")
    found = watched(monkeypatch, tiny_images)
    records = on_tiny(tmp_path, protocol, tiny_images, workplace)
    test = set(split(tiny_images, protocol).test.tolist())
    assert set().union(*found.values()) == set(range(len(tiny_images.labels))) - test
    for fold in records.folds.values():
        assert (fold.history, fold.best_epoch, fold.best_score) == ((), None, None)


def test_best_on_test_keeps_the_epoch_of_the_best_test_score(
    tmp_path: Path, tiny_images: ImageSet, workplace: Workplace
) -> None:
    protocol = small("traditional_mpa", "batch_size=12", "epoch_choice=best_on_test", "max_epochs=4", "lr=1e-2")
    records = on_tiny(tmp_path, protocol, tiny_images, workplace)
    for run in records.runs.values():
        fold = records.folds[run.fold_keys[0]]
        assert [epoch for epoch, _ in fold.history] == [0, 1, 2, 3, 4]
        assert run.separated["P@1"] == pytest.approx(fold.best_score)
        assert fold.best_score == max(score for epoch, score in fold.history if epoch)


def test_queries_ask_the_gallery_when_the_epoch_is_chosen_on_the_test_set(
    tmp_path: Path, tiny_images: ImageSet, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = np.arange(len(tiny_images.labels)) % 3 == 0
    images = replace(tiny_images, queries=queries)
    monkeypatch.setattr(inputs, "open_dataset", lambda name, root: images)
    protocol = small("traditional_mpa", "batch_size=12", "epoch_choice=best_on_test")
    records = on_tiny(tmp_path, protocol, images, workplace)
    for run in records.runs.values():
        assert run.queries == queries[split(images, protocol).test].sum()
        assert run.separated["P@1"] == pytest.approx(records.folds[run.fold_keys[0]].best_score)


def test_undivided_every_test_image_asks_all_others(
    tmp_path: Path, tiny_images: ImageSet, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = replace(tiny_images, queries=np.arange(len(tiny_images.labels)) % 3 == 0)
    monkeypatch.setattr(inputs, "open_dataset", lambda name, root: images)
    protocol = small("traditional_mpa", "batch_size=12", "epoch_choice=best_on_test", "max_epochs=2", "divided=false")
    records = on_tiny(tmp_path, protocol, images, workplace)
    for run in records.runs.values():
        assert run.queries is None
        assert run.separated["P@1"] == pytest.approx(records.folds[run.fold_keys[0]].best_score)


def test_a_protocol_of_distances_selects_and_tests_by_them(
    tmp_path: Path, tiny_images: ImageSet, workplace: Workplace
) -> None:
    changes = ("batch_size=12", "epoch_choice=best_on_test", "max_epochs=2", "repeats=1")
    scores = {}
    for similarity in ("cosine", "euclidean"):
        protocol = small("traditional_mpa", *changes, f"similarity={similarity}")
        records = on_tiny(tmp_path / similarity, protocol, tiny_images, workplace)
        (run,) = records.runs.values()
        scores[similarity] = run.separated["MAP@R"]
        assert run.separated["P@1"] == pytest.approx(records.folds[run.fold_keys[0]].best_score)
    assert len(set(scores.values())) == 2


@pytest.mark.parametrize(
    ("choice", "told"), [("last", {"validation", "epoch_chosen_on_test"}), ("best_on_test", {"validation"})]
)
def test_the_card_of_a_kept_model_says_by_what_its_epoch_was_chosen(
    choice: str, told: set[str], tmp_path: Path, tiny_images: ImageSet, workplace: Workplace
) -> None:
    protocol = small("traditional_proxy_nca_pp", f"epoch_choice={choice}", "repeats=1")
    keeping = in_this_process(replace(workplace, save_models=True), lambda *_: None)
    on_tiny(tmp_path, protocol, tiny_images, workplace, keeping)
    (file,) = (tmp_path / "models").glob("*.safetensors")
    model = load(file)
    assert model.protocol == protocol
    assert not told & model.card.keys()
    if choice == "best_on_test":
        assert set(model.card["epoch_chosen_on_test"]) == {"metric", "percent", "epoch", "epochs"}


def test_random_batches_need_as_many_training_images_as_a_batch_has(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch_size must not exceed the .* training images, .* got 9999"):
        checked_comparison(
            dataset="glyphs",
            losses=["multi_proxy_anchor"],
            protocol=small("traditional_mpa", "batch_size=9999"),
            root=tmp_path,
            device="cpu",
        )
