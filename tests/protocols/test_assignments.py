"""Values that a protocol refuses, each with its rule."""

import pytest

from mlrc.harness.plugins import PROTOCOLS
from mlrc.protocols.quick import QUICK


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("trails=3", "no field 'trails' to set. Did you mean 'trials'?"),
        ("views=2", "views must be 0 with trains=all, which augments the images of every batch, but got 2"),
        ("scaling=unit", "scaling must be none with trains=all, whose features change, but got unit"),
        ("trunk=none", "trunk must name a network with trains=all, which trains it, but got none"),
        ("trains=trunk", "trains must be all or head, but got trunk"),
        ("head=mlp:0", "head must be linear, or mlp:N such as mlp:512, but got mlp:0"),
        ("zzz=3", "no field 'zzz' to set. The fields are"),
        ("name=mine", "no field 'name' to set"),
        ("version=2", "no field 'version' to set"),
        ("trials=many", "trials takes a whole number such as 4, but got 'many'"),
        ("crop_scale=a,b", "crop_scale takes numbers, separated by commas"),
        ("trials", "takes field=value, but got 'trials'"),
        ("trials.glyphs=3", "trials is one number for all datasets"),
        ("frozen_batch_norm=maybe", "must be true or false"),
        ("folds=0", "folds must be at least 1, but got 0"),
        ("crop=33", "crop must not exceed resize=32, but got 33"),
        ("batch_size=30", "images_per_class_pairs must divide batch_size=30, but got 4"),
        ("channels=RGB", "mean must have 3 numbers for channels=RGB"),
        ("channels=CMYK", "channels must be one of grey, RGB, BGR, but got CMYK"),
        ("cut=third", "cut must be half or official"),
        ("flip=2", "flip must lie in"),
        ("lr=0", "lr must be positive"),
        ("trials=-1", "trials must be at least 0"),
        ("iterations_per_epoch=-1", "iterations_per_epoch must be at least 0, but got -1"),
        ("lr_decay.glyphs=1.5", "lr_decay must lie in (0, 1], but got 1.0, glyphs: 1.5"),
        ("loss_lr=-1", "loss_lr must be at least 0, but got -1.0"),
        ("sampling=any", "sampling must be class_balanced or random, but got any"),
        ("optimizer=sgd", "optimizer must be one of rmsprop, adam, adamw, but got sgd"),
        ("epoch_choice=best", "epoch_choice must be one of best_on_validation, last, best_on_test, but got best"),
        ("epoch_choice=last", "validation_fraction must be 0 with epoch_choice=last, but got 0.25"),
        ("validation_fraction=0", "validation_fraction must lie in (0, 1) with epoch_choice=best_on_validation"),
        ("ndcg_at=0", "ndcg_at must be at least 1, but got 0"),
        ("recall_at=0,1", "recall_at must be at least 1, but got (0, 1)"),
        ("validation_interval=0", "validation_interval must be at least 1, but got 0"),
        ("crop_scale=1", "crop_scale must be two numbers, 0.001 <= low <= high <= 1, but got 1.0"),
        ("crop_scale=0.9,0.2", "crop_scale must be two numbers, 0.001 <= low <= high <= 1, but got 0.9,0.2"),
        ("crop_scale=0.5,1.5", "crop_scale must be two numbers, 0.001 <= low <= high <= 1, but got 0.5,1.5"),
        ("crop_ratio=0,1", "crop_ratio must be two numbers, 0.01 <= low <= high <= 100, but got 0.0,1.0"),
        ("std=0", "std must be positive, but got 0.0"),
        ("maximum=0", "maximum must be positive, but got 0.0"),
        ("patience=-5", "patience must be at least 0, but got -5"),
        ("patience.glyphs=-5", "patience must be at least 0, but got 8, glyphs: -5"),
        ("startup_trials=-1", "startup_trials must be at least 0, but got -1"),
        ("momentum=-1", "momentum must lie in [0, 1), but got -1.0"),
        ("loss_momentum=1", "loss_momentum must lie in [0, 1), but got 1.0"),
        ("weight_decay=-1", "weight_decay must be at least 0, but got -1.0"),
        ("loss_weight_decay=-1", "loss_weight_decay must be at least 0, but got -1.0"),
        ("optimizer_eps=-1", "optimizer_eps must be at least 0, but got -1.0"),
        ("lr=inf", "lr must be finite, but got inf"),
        ("loss_lr.sop=nan", "loss_lr must be finite, but got 0.0, sop: nan"),
        ("crop_ratio=1,inf", "crop_ratio must be finite, but got 1.0,inf"),
        ("max_epochs=0", "max_epochs must be at least 1, but got 0"),
        ("warm_up=16", "max_epochs must exceed warm_up=16, in which the trunk does not learn, but got 16"),
        ("two_stages=true", "epoch_choice must be last or best_on_test with two_stages, whose last epoch stage 1"),
    ],
)
def test_a_wrong_assignment_is_one_sentence_with_the_rule_and_the_value(assignment: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="^[^\n]*$") as caught:
        QUICK.set([assignment])
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("max_epochs=5", "max_epochs must exceed warm_up=5, in which the trunk does not learn, but got 5"),
        ("max_epochs.sop=4", "max_epochs must exceed warm_up=5"),
        ("patience=4", "patience must be at least warm_up=5 with two_stages, but got 4"),
        ("validation_fraction=0", "validation_fraction must lie in (0, 1) with two_stages, but got 0.0"),
    ],
)
def test_stage_1_of_two_is_validated_and_outlasts_its_warm_up(assignment: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="^[^\n]*$") as caught:
        PROTOCOLS.find("traditional_proxy_nca_pp").set([assignment])
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        (
            ["epoch_choice=last", "validation_fraction=0"],
            "folds must be 1 where the final models train on all trainval",
        ),
        (["epoch_choice=last", "validation_fraction=0", "folds=1"], "trials must be 0 where the final models train on"),
        (["epoch_choice=last", "two_stages=true", "trials=0"], "folds must be 1 where the final models train on all"),
    ],
)
def test_a_protocol_that_trains_on_all_classes_has_nothing_to_search_on(assignments: list[str], sentence: str) -> None:
    with pytest.raises(ValueError, match="^[^\n]*$") as caught:
        QUICK.set(assignments)
    assert sentence in str(caught.value)
