"""The protocol as a value: what its digest covers, how variants are derived, what a record stands for."""

import hashlib
import json
import pickle
from dataclasses import MISSING, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrc.harness.plugins import PROTOCOLS
from mlrc.protocols.protocol import NOT_IN_DIGEST, PerDataset, Protocol, completed, digest_of, of
from mlrc.protocols.quick import QUICK
from mlrc.protocols.reality_check import REALITY_CHECK
from mlrc.protocols.reality_check_frozen import REALITY_CHECK_FROZEN

OTHER: dict[str, Any] = {
    "name": "other",
    "family": "other",
    "similarity": "euclidean",
    "trunk": "resnet50",
    "weights": "0" * 64,
    "pooling": "max",
    "channels": "RGB",
    "optimizer": "adam",
    "loss_optimizer": "adamw",
    "precision": "bfloat16",
    "selection_metric": "RP",
    "mean": (1.0, 2.0, 3.0),
    "std": (1.0, 2.0, 3.0),
    "crop_scale": (0.2, 1.0),
    "crop_ratio": (0.5, 2.0),
    "momentum": 0.5,
    "loss_momentum": 0.5,
    "ndcg_at": (3,),
    "recall_at": PerDataset((3,)),
    "cut": PerDataset("official"),
    "images_per_class_pairs": 8,
    "images_per_class_classes": 2,
    "batch_size": 64,
    "frozen_batch_norm": False,
    "flip": 0.25,
    "validation_fraction": 0.5,
    "sampling": "random",
    "lr_decay": PerDataset(0.5),
    "epoch_choice": "best_on_test",
    "nmi": PerDataset(True),
    "sampler": "random",
    "fold_stopping": "paired:2",
    "trains": "head",
    "head": "mlp:7",
    "views": 3,
    "step": "graph",
    "scaling": "unit",
}
WITHOUT_VALIDATION = replace(REALITY_CHECK, folds=1, trials=0, validation_fraction=0, epoch_choice="last")
BASE = {
    "epoch_choice": WITHOUT_VALIDATION,
    "two_stages": replace(WITHOUT_VALIDATION, two_stages=True, validation_fraction=0.5),
    "views": REALITY_CHECK_FROZEN,
    "scaling": REALITY_CHECK_FROZEN,
}


@pytest.mark.parametrize("field", [one.name for one in fields(Protocol) if one.name not in NOT_IN_DIGEST])
def test_the_digest_covers_every_field(field: str) -> None:
    base = BASE.get(field, REALITY_CHECK)
    value = getattr(base, field)
    other = OTHER.get(field, PerDataset(77) if isinstance(value, PerDataset) else None)
    changes: dict[str, Any] = {field: (not value if isinstance(value, bool) else value + 1) if other is None else other}
    if field == "two_stages":
        changes["validation_fraction"] = 0
    changed = replace(base, **changes)
    assert changed.digest != base.digest
    assert list(changed.diff(base)) == ([] if field == "name" else sorted(changes, key=list(base.to_json()).index))


def test_the_number_of_searches_is_recorded_and_in_neither_digest_nor_name() -> None:
    more = QUICK.set(["searches=3"])
    assert (more.digest, more.name, more.diff(QUICK)) == (QUICK.digest, QUICK.name, {})
    assert more.to_json()["searches"] == 3
    assert digest_of(more.to_json()) == QUICK.digest


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("searches=0", "searches must"),
        ("parallel_trials=0", "parallel_trials must"),
        ("sampler=tpe", "sampler must be gp or random"),
        ("fold_stopping=paired", "must be none, or paired:M"),
        ("fold_stopping=paired:2.0", "must be none, or paired:M"),
        ("fold_stopping=paired:-1", "must be none, or paired:M"),
    ],
)
def test_a_search_that_cannot_be_is_refused(assignment: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        QUICK.set([assignment])


@pytest.mark.parametrize("assignment", ["searches=2", "parallel_trials=2", "fold_stopping=paired:2"])
def test_where_nothing_is_searched_there_is_nothing_to_say_of_searches(assignment: str) -> None:
    with pytest.raises(ValueError, match="with trials=0"):
        QUICK.set(["trials=0", assignment])


def test_fold_stopping_looks_at_two_folds_of_more() -> None:
    with pytest.raises(ValueError, match="fewer than three folds"):
        QUICK.set(["folds=2", "fold_stopping=paired:2"])


def test_a_field_that_enters_later_leaves_the_digests_of_what_did_without_it() -> None:
    fields_ = REALITY_CHECK.to_json()
    for field in fields(Protocol):
        if field.default is not MISSING:
            del fields_[field.name]
    assert REALITY_CHECK.digest == hashlib.sha256(json.dumps(fields_, sort_keys=True).encode()).hexdigest()[:12]


def test_digests_are_the_same_in_every_process_and_version_of_python() -> None:
    # A change of a published protocol's digest means that its old rows no longer stand beside new ones: raise its
    # version, and say so in the change log, before you change this number.
    published = (
        *("reality_check", "reality_check_small", "reality_check_small_handwriting"),
        *("reality_check_frozen", "quick"),
    )
    assert {name: PROTOCOLS.find(name).digest for name in published} == {
        "reality_check": "40ccde8d9330",
        "reality_check_small": "cc4be4fe8204",
        "reality_check_small_handwriting": "16e07e0f171d",
        "reality_check_frozen": "0cc89e992792",
        "quick": "fdb677e4e74c",
    }


VARIANT = QUICK.vary({"layer_norm": True, "loss_lr": PerDataset(0.5, (("sop", 1.0),))})


@pytest.mark.parametrize("protocol", [*PROTOCOLS.survey().found.values(), VARIANT], ids=lambda one: one.name)
def test_recorded_fields_have_the_digest_of_their_protocol(protocol: Protocol) -> None:
    recorded = protocol.to_json()
    assert digest_of(recorded) == protocol.digest
    assert digest_of({**recorded, "lr": 1.0}) != protocol.digest
    assert digest_of({**recorded, "a_later_field": 1}) != protocol.digest


def test_fields_recorded_before_another_field_was_there_have_the_digest_of_their_protocol() -> None:
    for later in ("loss_lr", "layer_norm"):
        before = {name: value for name, value in QUICK.to_json().items() if name != later}
        assert digest_of(before) == QUICK.digest


@pytest.mark.parametrize(
    ("dataset", "interval", "patience"), [("cub200", 2, 9), ("cars196", 5, 14), ("sop", 20, 39), ("glyphs", 2, 9)]
)
def test_reality_check_validates_and_waits_as_the_study_did(dataset: str, interval: int, patience: int) -> None:
    assert REALITY_CHECK.validation_interval.of(dataset) == interval
    assert REALITY_CHECK.patience.of(dataset) == patience


def test_reality_check_has_the_study_s_numbers() -> None:
    p = REALITY_CHECK
    assert (p.trunk, p.pooling, p.embedding_size, p.frozen_batch_norm) == ("bn_inception", "avg", 128, True)
    assert (p.channels, p.maximum, p.mean, p.std) == ("BGR", 255, (104, 117, 128), (1, 1, 1))
    assert (p.resize, p.crop, p.crop_scale, p.crop_ratio, p.flip) == (256, 227, (0.16, 1), (0.75, 1.33), 0.5)
    assert (p.batch_size, p.images_per_class_pairs, p.images_per_class_classes) == (32, 4, 1)
    assert (p.optimizer, p.lr, p.momentum, p.weight_decay) == ("rmsprop", 1e-6, 0.9, 1e-4)
    assert (p.loss_optimizer, p.loss_momentum, p.loss_weight_decay) == ("rmsprop", 0.9, 1e-4)
    assert (p.iterations_per_epoch, p.max_epochs) == (100, 1000)
    assert (p.folds, p.trials, p.startup_trials, p.repeats, p.selection_metric) == (4, 50, 5, 10, "MAP@R")
    assert p.cut.of("sop") == "half"


def test_quick_keeps_the_rules_and_differs_in_size_alone() -> None:
    kept = {
        "folds",
        "validation_fraction",
        "selection_metric",
        "optimizer",
        "batch_size",
        "images_per_class_pairs",
        "cut",
    }
    assert not kept & QUICK.diff(REALITY_CHECK).keys()


def test_a_variant_tells_its_differences_in_name_and_digest() -> None:
    variant = QUICK.set(["trials=7", "patience.glyphs=3", "crop_scale=0.4,1", "frozen_batch_norm=true"])
    assert variant.trials == 7
    assert (variant.patience.of("glyphs"), variant.patience.of("omniglot")) == (3, QUICK.patience.of("omniglot"))
    assert variant.crop_scale == (0.4, 1.0)
    assert variant.frozen_batch_norm is True
    assert variant.name == "quick+crop_scale=0.4,1.0+frozen_batch_norm=True+patience=8,glyphs:3+trials=7"
    assert variant.parent == "quick"
    assert variant.digest != QUICK.digest


def test_setting_a_field_to_its_own_value_changes_nothing() -> None:
    assert QUICK.set([f"trials={QUICK.trials}"]) == QUICK


STEPS = (
    "lr=0.1",
    "flip=0.5",
    f"lr={QUICK.lr}",
    "crop_scale=0.4,1",
    "patience.sop=3",
    "patience.cub200=5",
    "patience.sop=8",
    "loss_lr.glyphs=0.5",
    "pooling=avg+max",
)


@given(st.lists(st.sampled_from(STEPS)), st.data())
def test_name_and_digest_of_a_variant_do_not_depend_on_the_way_to_it(steps: list[str], data: st.DataObject) -> None:
    by_steps = QUICK
    for step in steps:
        by_steps = pickle.loads(pickle.dumps(by_steps)).set([step])  # noqa: S301 of our own, as it travels to workers
    last = {step.partition("=")[0]: step for step in steps}
    assert by_steps == QUICK.set(list(last.values()))
    shuffled = QUICK.set(data.draw(st.permutations(list(last.values()))))
    assert (shuffled.name, shuffled.digest) == (by_steps.name, by_steps.digest)


def test_a_variant_of_a_variant_names_every_field_once() -> None:
    variant = QUICK.vary({"lr": 0.1}).vary({"flip": 0.5}).vary({"lr": 0.2, "trials": 2})
    assert variant.name == "quick+flip=0.5+lr=0.2+trials=2"
    assert variant.vary({"flip": QUICK.flip, "trials": QUICK.trials}).name == "quick+lr=0.2"
    assert variant.vary({"flip": QUICK.flip, "trials": QUICK.trials, "lr": QUICK.lr}) == QUICK


@pytest.mark.parametrize(("dataset", "value"), [("cub200", 9), ("glyphs", 9)])
def test_setting_a_dataset_to_its_own_value_changes_nothing(dataset: str, value: int) -> None:
    assert REALITY_CHECK.patience.of(dataset) == value
    assert REALITY_CHECK.set([f"patience.{dataset}={value}"]).digest == REALITY_CHECK.digest


def test_a_number_may_be_set_per_dataset_or_once_for_all() -> None:
    protocol = replace(QUICK, batch_size=PerDataset(32, (("sop", 64),)), images_per_class_pairs=PerDataset(4))
    assert (of(protocol.batch_size, "sop"), of(protocol.batch_size, "glyphs"), of(32, "sop")) == (64, 32, 32)
    assert of(protocol.set(["batch_size.sop=8"]).batch_size, "sop") == 8
    assert of(protocol.set(["batch_size=8"]).batch_size, "sop") == 8
    with pytest.raises(ValueError, match="images_per_class_pairs must divide batch_size=66, but got 4"):
        protocol.set(["batch_size=66"])
    assert replace(protocol, sampling="random", batch_size=66).batch_size == 66


def test_protocols_are_found_by_name() -> None:
    for name in PROTOCOLS.names():
        assert PROTOCOLS.find(name).name == name
    with pytest.raises(LookupError, match="No protocol named 'reality_chek'. Did you mean 'reality_check'?"):
        PROTOCOLS.find("reality_chek")


def test_a_record_stands_for_the_defaults_of_the_fields_that_came_later() -> None:
    fields_ = QUICK.to_json()
    old = {name: value for name, value in fields_.items() if name not in {"epoch_choice", "nmi"}}
    assert completed(old) == fields_
    assert completed({**old, "nmi": True})["nmi"] is True


@pytest.mark.parametrize(
    ("changes", "without", "what"), [({}, "trunk", "lacks trunk"), ({"tempo": 1}, "", "has tempo, unknown")]
)
def test_a_record_whose_rules_cannot_be_told_is_refused(changes: dict[str, Any], without: str, what: str) -> None:
    fields_ = {name: value for name, value in {**QUICK.to_json(), **changes}.items() if name != without}
    with pytest.raises(ValueError, match=f"must have the fields of a protocol, but 'quick' {what}"):
        completed(fields_)
