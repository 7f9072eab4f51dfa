"""Variances of a few repeats are drawn towards what all losses have in common, by as much as they agree."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from mlrc.results.statistics import moderation
from mlrc.results.statistics.moderation import FEWEST, moderated, prior


def _drawn(freedom: int, prior_freedom: float, scale: float, losses: int, seed: int = 0) -> list[float]:
    generator = np.random.default_rng(seed)
    true = scale * prior_freedom / generator.chisquare(prior_freedom, size=losses)
    return [float(one) for one in true * generator.chisquare(freedom, size=losses) / freedom]


@pytest.mark.parametrize("freedom", [2, 9])
@pytest.mark.parametrize("prior_freedom", [3.0, 10.0])
def test_the_prior_is_found_again_from_many_losses(freedom: int, prior_freedom: float) -> None:
    found = prior(_drawn(freedom, prior_freedom, 0.4, 20_000), [freedom] * 20_000)
    assert found.freedom == pytest.approx(prior_freedom, rel=0.15)
    assert found.variance == pytest.approx(0.4, rel=0.05)


def test_the_prior_follows_from_the_moments_of_logarithms() -> None:
    variances, freedoms = _drawn(3, 4.0, 1.0, 12), [3] * 12
    found = prior(variances, freedoms)
    logs = np.log(variances) - special.digamma(1.5) + np.log(1.5)
    assert special.polygamma(1, found.freedom / 2) == pytest.approx(logs.var(ddof=1) - special.polygamma(1, 1.5))
    middle = logs.mean() + special.digamma(found.freedom / 2) - np.log(found.freedom / 2)
    assert found.variance == pytest.approx(math.exp(middle))


def test_each_variance_is_the_mean_of_its_own_and_the_prior_by_degrees_of_freedom() -> None:
    variances, freedoms = _drawn(3, 4.0, 1.0, 12), [3] * 12
    known = prior(variances, freedoms)
    for before, after in zip(variances, moderated(variances, freedoms), strict=True):
        assert after.variance == pytest.approx(
            (known.freedom * known.variance + 3 * before) / (known.freedom + 3), rel=1e-12
        )
        assert after.freedom == min(known.freedom + 3, 36)


def test_variances_that_agree_better_than_chance_are_taken_for_one() -> None:
    found = moderated([1.0, 1.01, 0.99, 1.02, 1.0], [3] * 5)
    assert len({one.variance for one in found}) == 1
    assert {one.freedom for one in found} == {15.0}


def test_few_variances_and_those_that_are_mostly_nothing_are_left_alone() -> None:
    few = [1.0, 2.0, 3.0, 4.0]
    assert len(few) < FEWEST
    assert moderated(few, [2] * 4) == [(variance, 2) for variance in few]
    assert moderated([0.0, 0.0, 0.0, 1.0, 0.0], [2] * 5) == [(0.0, 2), (0.0, 2), (0.0, 2), (1.0, 2), (0.0, 2)]


def test_a_loss_without_any_noise_does_not_make_the_others_certain() -> None:
    found = moderated([0.0, *_drawn(3, 20.0, 1.0, 12)], [3] * 13)
    assert found[0].variance > 0
    assert max(one.freedom for one in found) < 10


@given(st.floats(1e-9, 1e6))
def test_the_inverse_of_the_trigamma_function_is_one(value: float) -> None:
    assert special.polygamma(1, moderation._trigamma_inverse(value)) == pytest.approx(value, rel=1e-6)


def test_intervals_from_moderated_variances_cover_the_truth() -> None:
    """21 losses of three repeats each, many tables: Student's t with the moderated degrees of freedom."""
    generator = np.random.default_rng(1)
    covered = []
    for _ in range(300):
        scale = 4.0 / generator.chisquare(4.0, size=21)
        samples = generator.normal(0, np.sqrt(scale)[:, None], size=(21, 3))
        found = moderated(samples.var(axis=1, ddof=1).tolist(), [2] * 21)
        for mean, one in zip(samples.mean(axis=1), found, strict=True):
            covered.append(abs(mean) <= stats.t.ppf(0.975, one.freedom) * math.sqrt(one.variance / 3))
    assert 0.93 <= np.mean(covered) <= 0.96
