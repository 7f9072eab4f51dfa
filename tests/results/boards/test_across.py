"""Several data sets together: the numbers of slow loops, the same bytes every time, intervals that hold."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from mlrc.results.boards.across import across
from mlrc.results.boards.leaderboard import boards
from mlrc.results.records.record import UNTRAINED
from mlrc.results.rendering.across import across_plot, across_section, sentences
from mlrc.results.rendering.report import rendered_report, tables
from mlrc.results.statistics.across import Stratum, _weights, standings
from mlrc.results.statistics.intervals import RESAMPLES, SEED
from tests.results.statistics.simulated import Table, drawn
from tests.results.studies import Made, make, merged

MEANS = {"triplet": 60.0, "margin": 50.0, "contrastive": 40.0, UNTRAINED: 20.0}


def _made() -> Made:
    one = make(MEANS)
    other = make({**MEANS, "triplet": 45.0}, dataset="omniglot", seed=1)
    return merged(one, other, make(MEANS, dataset="cub200", digest="e" * 12, seed=2))


def _strata(generator: np.random.Generator, table: Table, sets: int = 2) -> list[Stratum]:
    found = []
    for _ in range(sets):
        sums, counts = drawn(table, generator)
        searches = {loss: list(range(len(of_loss))) for loss, of_loss in sums.items()}
        found.append(Stratum(sums=sums, searches=searches, untrained=0.5 * sums["loss00"][:1], counts=counts))
    return found


def test_the_numbers_are_those_of_slow_loops() -> None:
    strata = _strata(np.random.default_rng(0), Table(classes=12, repeats=3, losses=4, uneven=True))
    found = standings(strata)
    scores = [
        {loss: [100 * sum(row) / sum(one.counts) for row in of_loss] for loss, of_loss in one.sums.items()}
        for one in strata
    ]
    floors = [100 * one.untrained.sum() / one.counts.sum() for one in strata if one.untrained is not None]
    for loss, standing in found.losses.items():
        means = [{name: np.mean(of) for name, of in one.items()} for one in scores]
        assert standing.rank.value == np.mean([1 + sum(v > one[loss] for v in one.values()) for one in means])
        gains = [100 * (one[loss] - floor) / (100 - floor) for one, floor in zip(means, floors, strict=True)]
        assert standing.gain is not None
        assert standing.gain.value == pytest.approx(np.mean(gains), abs=1e-6)
        wins = [
            np.mean([a > b for a, b in product(one[loss], one[other])])
            for other in found.losses
            if other != loss
            for one in scores
        ]
        assert standing.improvement.value == pytest.approx(np.mean(wins))
        for estimate in (standing.gain, standing.rank, standing.improvement):
            assert estimate.low <= estimate.value + 1e-9
            assert estimate.value <= estimate.high + 1e-9
    for (a, b), estimate in found.pairs.items():
        assert estimate.value == pytest.approx(1 - found.pairs[b, a].value)


def test_the_same_strata_give_the_same_numbers_in_whatever_order_the_losses_come() -> None:
    strata = _strata(np.random.default_rng(1), Table(classes=12, repeats=3, losses=4))
    turned = [replace(one, sums=dict(reversed(list(one.sums.items())))) for one in strata]
    assert standings(strata) == standings(turned)


def test_without_an_untrained_trunk_on_every_data_set_there_is_no_gain() -> None:
    strata = _strata(np.random.default_rng(2), Table(classes=12, repeats=3, losses=3))
    found = standings([strata[0], replace(strata[1], untrained=None)])
    assert {one.gain for one in found.losses.values()} == {None}


def test_the_interval_of_a_gain_holds_the_truth() -> None:
    """Of loss00 at 40 against an untrained trunk whose score is known, on three data sets."""
    table = Table(classes=60, repeats=4, losses=2)
    held = []
    for seed in range(25):
        generator = np.random.default_rng(seed)
        strata = []
        for stratum in _strata(generator, table, 3):
            flat = np.full((1, table.classes), 0.2 * 20)
            strata.append(replace(stratum, untrained=flat))
        gain = standings(strata).losses["loss00"].gain
        assert gain is not None
        held.append(gain.low <= 25.0 <= gain.high)
    assert np.mean(held) >= 0.8


def test_boards_of_the_same_rules_are_taken_together_and_others_are_not() -> None:
    made = _made()
    (one,) = across(boards(made.records, made.per_class))
    assert (one.datasets, one.setting) == (("glyphs", "omniglot"), "concatenated")
    assert one.losses[-1] == "contrastive"
    assert set(one.losses) == {"triplet", "margin", "contrastive"}
    assert one.means["omniglot", UNTRAINED] == pytest.approx(20 * 0.4, abs=1)
    (alone,) = boards(make(MEANS).records, make(MEANS).per_class)
    assert across([alone]) == []
    assert "across.csv" not in tables([alone])


def test_a_report_of_two_data_sets_has_a_table_a_picture_and_the_words_for_them() -> None:
    made = _made()
    found = boards(made.records, made.per_class)
    files = rendered_report(found, {})
    text = files["report.html"].decode()
    assert text.count("Across 2 data sets") == 1
    assert {"across.csv", "across_pairs.csv", "across.md", "plots/across-d0d0d0d0d0d0.svg"} <= set(files)
    (one,) = across(found)
    assert across_section(one).partition("</table>")[0] in text
    assert all(sentence in files["across.md"].decode() for sentence in sentences(one))
    lines = files["across.csv"].decode().splitlines()
    assert lines[0] == (
        "protocol,digest,setting,datasets,loss,gain,gain_low,gain_high,rank,rank_low,rank_high,improvement,"
        "improvement_low,improvement_high"
    )
    assert len(lines) == 1 + len(one.losses)
    assert files["plots/across-d0d0d0d0d0d0.svg"] == across_plot(one).svg


def test_where_losses_were_searched_several_times_the_searches_are_drawn_with_all_their_repeats() -> None:
    weights = _weights([0, 0, 0, 1, 1, 1, 2, 2, 2], 0, 0)
    assert (weights[0] == 1).all()
    assert (weights[:, [0, 3, 6]].repeat(3, axis=1) == weights).all()
    assert (weights[1:, [0, 3, 6]].sum(axis=1) == 2).all()
    alone = _weights([0, 0, 0], 0, 0)
    assert (alone[1:].sum(axis=1) == 2).all()
    assert (alone[1:] != alone[1:, :1]).any()


def test_no_two_draws_share_their_random_numbers() -> None:
    first = _weights(range(40), 0, 0)
    assert (first != np.concatenate([first[:1], _drawn([SEED, 1])])).any()
    assert (first != _weights(range(40), 1, 0)).any()


def _drawn(seed: list[int]) -> NDArray[np.int64]:
    return np.random.default_rng(seed).multinomial(39, np.full(40, 1 / 40), size=RESAMPLES)
