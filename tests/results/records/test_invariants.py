"""Scores that contradict each other are found, each kind by its sentence."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlrc.results.records.invariants import broken, require_sound
from mlrc.results.records.record import RunRecord
from mlrc.results.rendering.report import write_report
from tests.results.studies import Made, make


@pytest.fixture
def made() -> Made:
    return make({"triplet": 50.0}, repeats=2)


def _run(made: Made) -> RunRecord:
    return next(iter(made.records.runs.values()))


def test_true_scores_break_nothing(made: Made) -> None:
    for key, run in made.records.runs.items():
        assert broken(run, made.per_class[key]) == []
        assert broken(run, None) == []


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        ({"R@1": 40.0}, "P@1 = R@1 = nDCG@1 must hold"),
        ({"nDCG@1": 40.0}, "P@1 = R@1 = nDCG@1 must hold"),
        ({"MAP@R": 45.0}, "MAP@R ≤ RP must hold"),
        ({"P@1": 101.0, "R@1": 101.0, "nDCG@1": 101.0}, "P@1 must lie in [0, 100], but is 101.0"),
        ({"RP": -1.0}, "RP must lie in [0, 100]"),
        ({"MAP@R": float("nan")}, "MAP@R must lie in [0, 100]"),
        ({"R@8": 3.0}, "R@1 ≤ R@8 must hold"),
    ],
)
def test_each_rule_is_checked_in_both_settings(made: Made, scores: Mapping[str, float], sentence: str) -> None:
    run = _run(made)
    in_separated = replace(run, separated={**run.separated, **scores})
    in_concatenated = replace(run, concatenated={**run.concatenated, **scores})
    assert any(found.startswith(f"separated {sentence}") for found in broken(in_separated, None))
    assert any(found.startswith(f"concatenated {sentence}") for found in broken(in_concatenated, None))


def test_numbers_that_are_only_nearly_right_are_found(made: Made) -> None:
    scores = _run(made).separated
    for changes in ({"R@1": scores["R@1"] + 1e-3}, {"MAP@R": scores["RP"] + 1e-3}, {"R@8": scores["R@1"] - 1e-3}):
        assert broken(replace(_run(made), separated={**scores, **changes}), None)
    rounded = {name: value + 1e-9 for name, value in scores.items()}
    assert broken(replace(_run(made), separated=rounded), made.per_class[_run(made).key]) == []


def test_recall_grows_with_k_as_a_number_not_as_a_word(made: Made) -> None:
    scores = _run(made).separated
    falling = {**scores, "R@2": scores["R@8"] + 2, "R@10": scores["R@8"] + 1}
    (found,) = broken(_with(made, falling), None)
    assert found.startswith("separated R@2 ≤ R@8 must hold")
    rising = {**scores, "R@2": scores["R@8"] - 1, "R@10": scores["R@8"] + 1}
    assert broken(_with(made, rising), None) == []


def _with(made: Made, separated: Mapping[str, float]) -> RunRecord:
    return replace(_run(made), separated=separated)


def test_scores_must_be_what_their_per_class_sums_give(made: Made) -> None:
    run = _run(made)
    sums = made.per_class[run.key]
    altered = {**sums, "separated/RP": sums["separated/RP"] * 1.001}
    assert ["separated RP must be what its per-class sums give" in one for one in broken(run, altered)] == [True]
    assert "separated RP has no per-class sums" in broken(run, {k: v for k, v in sums.items() if k != "separated/RP"})
    assert any("test classes" in sentence for sentence in broken(replace(run, test_classes=3), sums))


def test_a_report_over_altered_scores_is_refused_and_writes_nothing(made: Made, tmp_path: Path) -> None:
    run = _run(made)
    made.records.add(replace(run, separated={name: value + 0.01 for name, value in run.separated.items()}))
    with pytest.raises(ValueError, match="cannot be true"):
        write_report(made.write(tmp_path / "runs"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_sound_repeat_passes(made: Made) -> None:
    run = _run(made)
    require_sound(run, {name: np.array(values) for name, values in made.per_class[run.key].items()})
