"""The traditional protocols have the numbers of their papers, dataset by dataset."""

from typing import Any

import pytest

from mlrc.harness.plan.parameters import given
from mlrc.harness.plugins import LOSSES
from mlrc.protocols.protocol import PerDataset, Protocol, of
from mlrc.protocols.traditional_mean_field import TRADITIONAL_MEAN_FIELD as MEAN_FIELD
from mlrc.protocols.traditional_mpa import TRADITIONAL_MPA as MPA
from mlrc.protocols.traditional_proxy_nca_pp import TRADITIONAL_PROXY_NCA_PP as PROXY_NCA_PP

TRADITIONAL = (MPA, MEAN_FIELD, PROXY_NCA_PP)
DATASETS = ("cub200", "cars196", "sop", "inshop")


@pytest.mark.parametrize("protocol", TRADITIONAL, ids=lambda protocol: protocol.name)
def test_they_train_on_all_classes_search_nothing_and_take_the_last_epoch(protocol: Protocol) -> None:
    assert (protocol.epoch_choice, protocol.folds, protocol.trials) == ("last", 1, 0)
    assert protocol.validation_fraction == (0.5 if protocol.two_stages else 0)
    assert [protocol.cut.of(name) for name in ("cub200", "cars196", "sop", "inshop", "omniglot", "folder:mine")] == [
        "half",
        "half",
        "official",
        "official",
        "official",
        "half",
    ]
    assert protocol.recall_at.of("cub200") == protocol.recall_at.of("cars196") == (1, 2, 4, 8)
    assert protocol.recall_at.of("sop") == (1, 10, 100, 1000)
    assert protocol.recall_at.of("inshop") == (1, 10, 20, 30, 40, 50)


@pytest.mark.parametrize(
    ("protocol", "fields"),
    [
        (
            MPA,
            {
                "trunk": "bn_inception",
                "pooling": "gem:3",
                "embedding_size": 512,
                "optimizer": "adamw",
                "loss_optimizer": "adamw",
                "sampling": "random",
                "crop": 224,
                "resize": 256,
                "clip_gradients": 0,
                "warm_up": 0,
                "repeats": 3,
            },
        ),
        (
            MEAN_FIELD,
            {
                "trunk": "bn_inception",
                "pooling": "avg+max",
                "embedding_size": 512,
                "optimizer": "adamw",
                "weight_decay": 1e-4,
                "loss_weight_decay": 1e-4,
                "sampling": "random",
                "batch_size": 180,
                "crop": 224,
                "resize": 256,
                "clip_gradients": 10,
                "warm_up": 1,
                "max_epochs": 60,
                "selection_metric": "MAP@R",
            },
        ),
        (
            PROXY_NCA_PP,
            {
                "trunk": "resnet50",
                "pooling": "max",
                "layer_norm": True,
                "embedding_size": 2048,
                "optimizer": "adam",
                "loss_optimizer": "adam",
                "optimizer_eps": 1.0,
                "weight_decay": 0,
                "loss_weight_decay": 0,
                "sampling": "class_balanced",
                "crop": 256,
                "resize": 288,
                "crop_scale": (0.08, 1),
                "clip_gradients": 10,
                "warm_up": 5,
                "two_stages": True,
                "plateau_patience": 4,
                "repeats": 5,
                "selection_metric": "P@1",
            },
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Protocol) else "",
)
def test_numbers_that_hold_for_every_dataset(protocol: Protocol, fields: dict[str, Any]) -> None:
    assert {name: getattr(protocol, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("protocol", "field", "values"),
    [
        # In the order CUB, Cars, SOP, In-Shop; MPA's paper has no In-Shop.
        (MPA, "batch_size", (180, 64, 180, 180)),
        (MPA, "lr", (1e-4, 1e-4, 5e-4, 1e-4)),
        (MPA, "loss_lr", (1e-2, 1e-2, 5e-2, 1e-2)),
        (MPA, "lr_step", (20, 20, 20, 20)),
        (MPA, "lr_decay", (0.5, 0.5, 0.5, 0.5)),
        (MPA, "max_epochs", (60, 60, 100, 60)),
        (MPA, "ndcg_at", ((2, 4, 8), (2, 4, 8), (10, 100), (2, 4, 8))),
        (MPA, "nmi", (False, False, False, False)),
        (MEAN_FIELD, "frozen_batch_norm", (True, True, False, False)),
        (MEAN_FIELD, "lr", (1e-4, 1e-4, 6e-4, 6e-4)),
        (MEAN_FIELD, "loss_lr", (1e-2, 1e-2, 6e-2, 6e-2)),
        (MEAN_FIELD, "lr_step", (10, 20, 20, 20)),
        (MEAN_FIELD, "lr_decay", (0.5, 0.5, 0.25, 0.25)),
        (MEAN_FIELD, "patience", (10, 10, 10, 10)),
        (PROXY_NCA_PP, "batch_size", (32, 32, 192, 192)),
        (PROXY_NCA_PP, "images_per_class_pairs", (4, 4, 3, 3)),
        (PROXY_NCA_PP, "images_per_class_classes", (4, 4, 3, 3)),
        (PROXY_NCA_PP, "lr", (4e-3, 4e-3, 2.4e-2, 2.4e-2)),
        (PROXY_NCA_PP, "loss_lr", (4e-3, 4e-3, 2.4e-2, 2.4e-2)),
        (PROXY_NCA_PP, "lr_step", (0, 0, 0, 0)),
        (PROXY_NCA_PP, "lr_decay", (0.1, 0.1, 0.1, 0.1)),
        (PROXY_NCA_PP, "max_epochs", (45, 45, 85, 85)),  # 5 of them the warm-up
        (PROXY_NCA_PP, "nmi", (True, True, False, False)),
    ],
)
def test_numbers_per_dataset(protocol: Protocol, field: str, values: tuple[object, ...]) -> None:
    assert tuple(of(getattr(protocol, field), dataset) for dataset in DATASETS) == values


def test_mean_fields_learn_two_thousand_times_as_fast_as_the_trunk_and_other_proxies_a_hundred_times() -> None:
    spec = LOSSES.find("mean_field_contrastive")
    for dataset in DATASETS:
        rate = of(MEAN_FIELD.lr, dataset)
        assert given(spec, MEAN_FIELD, dataset, {})["loss_lr"] == pytest.approx(2000 * rate)
        assert MEAN_FIELD.loss_lr.of(dataset) == pytest.approx(100 * rate)


@pytest.mark.parametrize("protocol", TRADITIONAL, ids=lambda protocol: protocol.name)
def test_no_training_ends_early_but_by_the_mean_field_s_patience(protocol: Protocol) -> None:
    endless = [protocol.patience.of(dataset) >= of(protocol.max_epochs, dataset) for dataset in DATASETS]
    assert endless == [protocol is not MEAN_FIELD] * len(DATASETS)
    assert protocol.validation_interval == PerDataset(1)
    assert protocol.iterations_per_epoch == 0
