"""The splits against the Reality Check's own tables, and by properties that hold for any number of classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrc.protocols.splits import Fold, class_folds, fold_images, images_of, trainval_classes


def _four_folds(num_trainval: int) -> tuple[Fold, ...]:
    return class_folds(num_trainval, folds=4, validation_fraction=0.25)


# (classes, fold) → blocks of train classes, block of validation classes, first and last inclusive.
TABLE = {
    (200, 0): ([(0, 74)], (75, 99)),
    (200, 1): ([(25, 99)], (0, 24)),
    (200, 2): ([(50, 99), (0, 24)], (25, 49)),
    (200, 3): ([(75, 99), (0, 49)], (50, 74)),
    (196, 0): ([(0, 73)], (74, 97)),
    (196, 1): ([(24, 97)], (0, 23)),
    (196, 2): ([(49, 97), (0, 24)], (25, 48)),
    (196, 3): ([(73, 97), (0, 48)], (49, 72)),
    (22634, 0): ([(0, 8487)], (8488, 11316)),
    (22634, 1): ([(2829, 11316)], (0, 2828)),
    (22634, 2): ([(5658, 11316), (0, 2828)], (2829, 5657)),
    (22634, 3): ([(8487, 11316), (0, 5657)], (5658, 8486)),
}


def _block(ends: tuple[int, int]) -> list[int]:
    return list(range(ends[0], ends[1] + 1))


@pytest.mark.parametrize(("classes", "fold"), TABLE)
def test_folds_of_cub_cars_and_sop_are_those_of_the_study(classes: int, fold: int) -> None:
    train, validation = TABLE[classes, fold]
    got = _four_folds(trainval_classes(classes))[fold]
    assert got.train.tolist() == [label for ends in train for label in _block(ends)]
    assert got.validation.tolist() == _block(validation)


@pytest.mark.parametrize(("classes", "never"), [(200, []), (196, [24, 73]), (22634, [8487])])
def test_classes_never_validated_are_those_of_the_study(classes: int, never: list[int]) -> None:
    trainval = trainval_classes(classes)
    validated = np.concatenate([fold.validation for fold in _four_folds(trainval)])
    assert sorted(set(range(trainval)) - set(validated.tolist())) == never


@pytest.mark.parametrize(("classes", "trainval"), [(200, 100), (196, 98), (22634, 11317), (7, 3)])
def test_the_first_half_of_the_classes_is_trainval(classes: int, trainval: int) -> None:
    assert trainval_classes(classes) == trainval


@given(st.integers(min_value=8, max_value=10**9))
def test_a_quarter_of_trainval_is_an_eighth_of_all_classes_floored_as_the_study_floors_it(classes: int) -> None:
    assert int(0.25 * trainval_classes(classes)) == int(classes * 0.125)


@given(st.integers(min_value=4, max_value=400), st.integers(min_value=2, max_value=6))
def test_folds_are_disjoint_in_classes_and_cover_every_class_once(trainval: int, folds: int) -> None:
    folds = min(folds, trainval)
    for number, fold in enumerate(class_folds(trainval, folds=folds, validation_fraction=0.25)):
        assert sorted([*fold.train, *fold.validation]) == list(range(trainval))
        assert len(fold.validation) == trainval // 4
        start = int(number / folds * trainval)
        assert [*fold.train, *fold.validation] == [(start + step) % trainval for step in range(trainval)]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_images_of_classes_keep_the_order_of_the_dataset(drawn: list[int]) -> None:
    labels = np.array(drawn, dtype=np.int64)
    chosen = np.unique(labels)[::2]
    found = images_of(labels, chosen)
    assert np.all(np.diff(found) > 0)
    assert set(labels[found].tolist()) == set(chosen.tolist())
    assert len(found) == sum(label in set(chosen.tolist()) for label in drawn)


def test_images_of_a_fold_are_those_of_its_classes() -> None:
    labels = np.repeat(np.arange(8), 3)
    fold = _four_folds(8)[3]
    images = fold_images(labels, fold)
    assert set(labels[images.train]) == {6, 7, 0, 1, 2, 3}
    assert set(labels[images.validation]) == {4, 5}


def test_too_few_classes_for_the_folds_is_one_sentence_with_the_numbers() -> None:
    with pytest.raises(ValueError, match="need at least 4 trainval classes, but there are 3"):
        _four_folds(3)
    with pytest.raises(ValueError, match="need at least 4 trainval classes, but there are 3"):
        class_folds(3, folds=2, validation_fraction=0.3)
    with pytest.raises(ValueError, match="folds must not exceed the 8 trainval classes, .* but got 9; use"):
        class_folds(8, folds=9, validation_fraction=0.25)


def test_without_validation_all_classes_train() -> None:
    (fold,) = class_folds(3, folds=1, validation_fraction=0)
    assert (fold.train.tolist(), fold.validation.tolist()) == ([0, 1, 2], [])
