"""How many trainings share a GPU: the fewest that do nearly the most, found by trying."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plan.job import Params
from mlrc.harness.plan.study import Study, baselines
from mlrc.harness.study import comparison as comparisons
from mlrc.harness.study import sharing
from mlrc.harness.study.comparison import Comparison, checked_comparison
from mlrc.harness.study.sharing import advice, chosen, measured
from mlrc.protocols.protocol import Protocol


@pytest.fixture
def compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_protocol: Protocol, tiny_images: ImageSet
) -> Comparison:
    monkeypatch.setattr(comparisons, "open_dataset", lambda name, root: tiny_images)
    monkeypatch.chdir(tmp_path)
    return checked_comparison(
        dataset="tiny", losses=["contrastive"], protocol=tiny_protocol, root=tmp_path, device="cpu"
    )


@pytest.mark.parametrize(
    ("speeds", "expected"),
    [({1: 10.0}, 1), ({1: 10.0, 2: 19.0, 4: 30.0, 8: 31.0}, 4), ({1: 10.0, 2: 10.4}, 1), ({1: 10.0, 2: 8.0}, 1)],
)
def test_the_fewest_are_chosen_that_do_nearly_as_much_as_any(speeds: Mapping[int, float], expected: int) -> None:
    assert chosen(speeds) == expected
    assert advice(speeds).endswith(f"; the best is --per-device {expected}.")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({1: 10.0, 2: 18.0, 4: 18.5, 8: 40.0}, {1: 10.0, 2: 18.0, 4: 18.5}),
        ({1: 10.0, 2: None}, {1: 10.0}),
        ({1: 10.0, 2: 20.0, 4: 40.0, 8: 80.0}, {1: 10.0, 2: 20.0, 4: 40.0, 8: 80.0}),
    ],
)
def test_more_are_tried_until_they_give_no_more_or_do_not_fit(
    compared: Comparison,
    monkeypatch: pytest.MonkeyPatch,
    answers: Mapping[int, float | None],
    expected: Mapping[int, float],
) -> None:
    def speed(place: Workplace, study: Study, params: Params, number: int, device: str, *, window: float) -> float:
        assert study.loss == "contrastive"
        assert device == "cpu"
        assert study.protocol.iterations_per_epoch == 10
        found = answers[number]
        if found is None:
            raise RuntimeError("out of memory")
        return found

    monkeypatch.setattr(sharing, "steps_per_second", speed)
    assert measured(compared) == expected


def test_one_that_does_not_fit_alone_is_told(compared: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    def speed(*_: object, **__: object) -> float:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(sharing, "steps_per_second", speed)
    with pytest.raises(RuntimeError, match="out of memory"):
        measured(compared)


def test_heads_are_tried_with_a_loss_and_not_with_what_no_loss_made(
    compared: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, loss = compared.studies
    of_heads = baselines(loss.protocol.vary({"trains": "head"}), loss.dataset, loss.fingerprint)
    asked = []

    def speed(_place: Workplace, study: Study, *_: object, **__: object) -> float:
        asked.append(study.loss)
        return 1.0

    monkeypatch.setattr(sharing, "steps_per_second", speed)
    measured(replace(compared, studies=(*of_heads, loss)), [1])
    assert asked == ["contrastive"]
