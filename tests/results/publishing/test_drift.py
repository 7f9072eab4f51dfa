"""A moved result is called moved, an honest re-run is not, and what nobody can tell is said to be so."""

import json
import re
from dataclasses import asdict, replace
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from scipy import stats

from mlrc.results.boards.leaderboard import Row, boards
from mlrc.results.publishing.drift import Side, drift, value_drift
from mlrc.results.publishing.verdict import Finding, Verdicts, junit, markdown, to_json
from mlrc.results.records.metric_names import SETTINGS
from mlrc.results.records.record import UNTRAINED
from mlrc.results.rendering.spreadsheet import leaderboard_csv, read_leaderboard_csv
from mlrc.results.statistics.intervals import half_width
from tests.results.studies import SHARES, Made, make

MEANS = {"triplet": 50.0, "contrastive": 40.0, UNTRAINED: 20.0}


def _side(made: Made, name: str = "reference") -> Side:
    (board,) = boards(made.records, made.per_class)
    return Side(name=name, rows=board.rows, protocols=made.records.protocols)


TEMPLATE = _side(make({"triplet": 50.0}, repeats=2)).rows[0]


def _verdicts(verdicts: Verdicts) -> set[str]:
    return {finding.verdict for finding in verdicts.findings}


def _of(verdicts: Verdicts, loss: str) -> set[str]:
    return {finding.verdict for finding in verdicts.findings if finding.subject.startswith(f"{loss} ")}


def test_a_run_against_itself_is_the_same_whatever_its_noise() -> None:
    side = _side(make(MEANS, noise=8.0, repeats=2))
    verdicts = drift(side, side)
    assert _verdicts(verdicts) == {"same"}
    assert {finding.why for finding in verdicts.findings} == {"identical"}
    assert verdicts.status == 0
    assert len(verdicts.findings) == len(side.rows)


def test_a_run_against_its_own_csv_is_the_same() -> None:
    side = _side(make(MEANS))
    from_csv = Side(name="csv", rows=read_leaderboard_csv(leaderboard_csv(side.rows)))
    assert drift(side, from_csv).status == drift(from_csv, side).status == 0


def test_a_loss_that_fell_is_moved_and_the_others_are_not() -> None:
    reference = _side(make(MEANS, repeats=10, noise=0.5))
    candidate = _side(make({**MEANS, "triplet": 44.0}, repeats=10, noise=0.5, seed=1))
    verdicts = drift(reference, candidate, margin=1.5)
    assert _of(verdicts, "triplet") == {"moved"}
    assert _of(verdicts, "contrastive") == {"same"}
    assert verdicts.status == 1


def test_with_few_noisy_repeats_nothing_can_be_told() -> None:
    verdicts = drift(_side(make(MEANS, noise=3.0)), _side(make(MEANS, noise=3.0, seed=1)), margin=0.5)
    assert _verdicts(verdicts) == {"cannot tell"}
    assert verdicts.status == 3


def test_a_difference_that_is_sure_but_within_the_margin_is_the_same() -> None:
    reference = _side(make({"triplet": 50.0}, repeats=10, noise=0.01))
    candidate = _side(make({"triplet": 50.5}, repeats=10, noise=0.01, seed=1))
    assert drift(reference, candidate, margin=1.0).status == 0
    assert drift(reference, candidate, margin=0.05).status == 1


def test_honest_re_runs_are_flagged_no_more_often_than_the_stated_error_rate() -> None:
    """Repeats with other seeds, whose metrics move together as they do in a real run."""
    for comparisons, seed in ((50, 0), (150, 1)):
        generator = np.random.default_rng(seed)
        flagged = 0
        for _ in range(comparisons):
            sides = [Side(name="run", rows=_simulated(generator)) for _ in range(2)]
            flagged += drift(*sides, margin=0.3).verdict == "moved"
        assert flagged <= stats.binom.ppf(0.999, comparisons, 0.05)


def _simulated(generator: np.random.Generator) -> list[Row]:
    rows = []
    for loss in ("triplet", "contrastive"):
        common = generator.normal(50, 1.5, size=10)
        for setting in SETTINGS:
            for metric, share in SHARES.items():
                values = list(common * share + generator.normal(0, 0.0 if share == 1 else 0.3, size=10))
                mean, half = float(np.mean(values)), half_width(values)
                rows.append(
                    replace(TEMPLATE, loss=loss, setting=setting, metric=metric, mean=mean, ci95=half, n=len(values))
                )
    return rows


def test_an_injected_fault_of_several_points_is_found_in_nearly_every_simulation() -> None:
    generator = np.random.default_rng(2)
    found = 0
    for _ in range(50):
        worse = [replace(row, mean=row.mean - 6) if row.loss == "triplet" else row for row in _simulated(generator)]
        verdicts = drift(Side(name="a", rows=_simulated(generator)), Side(name="b", rows=worse))
        found += "moved" in _of(verdicts, "triplet")
    assert found >= 49


def _row(mean: float, half: float, n: int, **changes: Any) -> Row:
    return replace(TEMPLATE, mean=mean, ci95=half, n=n, **changes)


def _judged(row: Row, other: Row, **options: float) -> Finding:
    (finding,) = drift(Side(name="a", rows=[row]), Side(name="b", rows=[other]), **options).findings
    return finding


def test_the_difference_told_is_candidate_minus_reference_with_scipys_interval_of_pooled_variances() -> None:
    reference, candidate = np.random.default_rng(0).normal(60, 1, 12), np.random.default_rng(1).normal(52, 3, 4)
    rows = [_row(float(one.mean()), half_width(list(one)) or 0.0, len(one)) for one in (reference, candidate)]
    finding = _judged(*rows)
    interval = stats.ttest_ind(candidate, reference).confidence_interval()
    difference = candidate.mean() - reference.mean()
    assert finding.why.startswith(
        f"{difference:+.2f}, 95 % interval {interval.low:+.2f} to {interval.high:+.2f}, corrected p = "
    )
    assert (finding.reference, finding.candidate) == (rows[0].mean, rows[1].mean)
    assert finding.verdict == "moved"


def test_rows_are_identical_only_with_the_same_interval_and_number_of_repeats() -> None:
    row = _row(50.0, 9.0, 3)
    assert _judged(row, row).why == "identical"
    for other in (replace(row, n=4), replace(row, ci95=8.0)):
        assert _judged(row, other).verdict == "cannot tell"


def test_rows_that_are_the_same_make_no_other_row_easier_to_call_moved() -> None:
    """A table read back from CSV is rounded; a difference of 0.00001 without noise must not count as a discovery."""
    metrics = [f"R@{2**k}" for k in range(1, 10)]
    same = [_row(50.00001, 0.2, 5, metric=metric) for metric in metrics]
    rounded = [replace(row, mean=50.0) for row in same]
    values = [_row(50.0, 1.0, 10), _row(48.2, 1.0, 10)]
    assert _judged(*values).verdict == "moved"
    alone = Side(name="a", rows=[values[0], *same]), Side(name="b", rows=[values[1], *rounded])
    assert drift(*alone).verdict == "cannot tell"


def test_the_row_of_the_same_digest_is_the_counterpart_before_one_of_another_seed() -> None:
    reference = _side(make({"triplet": 50.0}))
    again = make({"triplet": 20.0}, seed=1, protocol="quick+seed=1", digest="e" * 12, fields={"seed": 1})
    other = _side(again)
    both = Side(name="b", rows=[*other.rows, *reference.rows], protocols={**other.protocols, **reference.protocols})
    assert {finding.why for finding in drift(reference, both).findings} == {"identical"}


def test_the_error_rate_is_the_users() -> None:
    apart = _row(50.0, 0.5, 10), _row(51.5, 0.5, 10)
    assert [_judged(*apart, alpha=alpha).verdict for alpha in (0.05, 1e-6)] == ["moved", "cannot tell"]
    near = _row(50.0, 0.5, 10), _row(50.1, 0.5, 10)
    assert [_judged(*near, alpha=alpha).verdict for alpha in (0.05, 1e-6)] == ["same", "cannot tell"]


def test_one_repeat_tells_nothing_unless_it_is_the_same() -> None:
    one, other = _side(make({"triplet": 50.0}, repeats=1)), _side(make({"triplet": 20.0}, repeats=1, seed=3))
    assert drift(one, one).status == 0
    verdicts = drift(one, other)
    assert _verdicts(verdicts) == {"cannot tell"}
    assert verdicts.findings[0].why == "one repeat has no interval"


def test_the_untrained_trunk_with_pretrained_weights_has_no_noise_to_hide_behind() -> None:
    pretrained = {"weights": "sha256"}
    one = _side(make({UNTRAINED: 50.0}, repeats=1, fields=pretrained))
    assert drift(one, _side(make({UNTRAINED: 40.0}, repeats=1, seed=3, fields=pretrained))).status == 1
    slightly = [replace(row, mean=row.mean + 0.3) for row in one.rows]
    assert drift(one, Side(name="near", rows=slightly)).status == 0


def test_one_repeat_of_a_trunk_from_scratch_is_noise() -> None:
    one, other = _side(make({UNTRAINED: 50.0}, repeats=1)), _side(make({UNTRAINED: 40.0}, repeats=1, seed=3))
    assert _verdicts(drift(one, other)) == {"cannot tell"}


def test_results_on_other_images_are_not_compared() -> None:
    images = {("glyphs", "d0d0d0d0d0d0"): frozenset({("f1f1f1f1f1f1f1f1", "official")})}
    others = {("glyphs", "d0d0d0d0d0d0"): frozenset({("f1f1f1f1f1f1f1f1", "half")})}
    reference, moved = _side(make(MEANS)), _side(make({"triplet": 20.0, "contrastive": 30.0}))
    verdicts = drift(replace(reference, images=images), replace(moved, images=others))
    assert _verdicts(verdicts) == {"not compared"}
    assert "the images or their cut differ (official of f1f1f1f1f1f1f1f1 and half" in verdicts.findings[0].why
    assert "moved" in _verdicts(drift(replace(reference, images=images), replace(moved, images=images)))


def test_another_protocol_or_a_missing_row_is_not_compared() -> None:
    reference = _side(make(MEANS))
    other = _side(make(MEANS, digest="eeeeeeeeeeee", fields={"lr": 0.1}))
    verdicts = drift(reference, other)
    assert verdicts.status == 4
    assert {finding.why for finding in verdicts.findings} == {"the protocols differ in lr"}
    both = drift(reference, Side(name="csv", rows=[*other.rows, *_side(make({"triplet": 50.0})).rows]))
    assert {finding.why for finding in both.findings if finding.verdict == "not compared"} == {
        "the protocols differ (digest d0d0d0d0d0d0 and eeeeeeeeeeee)"
    }
    fewer = Side(name="fewer", rows=[row for row in reference.rows if row.loss != "triplet"])
    assert _of(drift(reference, fewer), "triplet") == {"not compared"}
    assert drift(reference, fewer).status == 4
    assert drift(reference, Side(name="none", rows=[])).status == 4


def test_sides_of_which_one_does_not_tell_its_rules_are_refused() -> None:
    reference, other = _side(make(MEANS)), _side(make(MEANS, digest="eeeeeeeeeeee", fields={"seed": 1}))
    assert drift(reference, other).verdict != "not compared"
    for one, two in ((reference, Side(name="csv", rows=other.rows)), (Side(name="csv", rows=reference.rows), other)):
        with pytest.raises(ValueError, match="must be of the same rules, but csv does not tell those of its digest"):
            drift(one, two)


def test_an_honest_re_run_is_one_whose_protocol_differs_in_the_seed_alone() -> None:
    reference = _side(make({"triplet": 50.0}, repeats=10, noise=0.2))
    renamed: dict[str, Any] = {"repeats": 10, "noise": 0.2, "seed": 1, "protocol": "quick+seed=1", "digest": "e" * 12}
    again = make({"triplet": 50.0}, **renamed, fields={"seed": 1})
    assert drift(reference, _side(again), margin=1.0).status == 0
    other = make({"triplet": 50.0}, **renamed, fields={"seed": 1, "lr": 0.1})
    assert drift(reference, _side(other), margin=1.0).status == 4


def test_rows_without_a_reference_are_said_and_judge_nothing() -> None:
    reference = _side(make({"triplet": 50.0}))
    verdicts = drift(reference, _side(make(MEANS)))
    assert verdicts.notes == ("28 rows of the candidate have no counterpart in the reference.",)
    assert verdicts.status == 0


def test_one_number_under_three_names_is_one_hypothesis() -> None:
    verdicts = drift(_side(make({"triplet": 50.0})), _side(make({"triplet": 30.0}, seed=1)))
    assert "comparisons of 10 numbers" in verdicts.rule
    by_measure = {finding.measure: finding.verdict for finding in verdicts.findings}
    assert by_measure["separated P@1"] == by_measure["separated R@1"] == by_measure["separated nDCG@1"]


def test_an_empty_reference_compares_nothing() -> None:
    assert drift(Side(name="empty", rows=[]), _side(make(MEANS))).status == 4


@pytest.mark.parametrize(("margin", "alpha"), [(0.0, 0.05), (-1.0, 0.05), (1.0, 0.0), (1.0, 1.0), (float("nan"), 0.05)])
def test_a_margin_or_an_error_rate_without_sense_is_refused(margin: float, alpha: float) -> None:
    side = _side(make(MEANS))
    with pytest.raises(ValueError, match="must"):
        drift(side, side, margin=margin, alpha=alpha)


def _table(generator: np.random.Generator, n: int, shift: float = 0.0, losses: int = 21) -> Side:
    """Rows of MAP@R whose repeats scatter by 0.6 points, and of P@1 that scatter by 2; the first loss is shifted."""
    rows = []
    for number in range(losses):
        for metric, noise in (("MAP@R", 0.6), ("P@1", 2.0)):
            values = list(30 + (shift if number == 0 else 0) + generator.normal(0, noise, size=n))
            mean, half = float(np.mean(values)), half_width(values)
            rows.append(replace(TEMPLATE, loss=f"loss{number:02}", metric=metric, mean=mean, ci95=half, n=n))
    return Side(name="table", rows=rows)


def test_a_shift_of_two_points_in_one_of_21_losses_is_found_with_four_repeats() -> None:
    """Welch's test of each row alone found a third of them."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(60):
        verdicts = drift(_table(generator, 4), _table(generator, 4, shift=2.0))
        found.append(any("loss00" in one.subject and one.verdict == "moved" for one in verdicts.findings))
    assert np.mean(found) >= 0.85


def test_an_honest_re_run_of_ten_repeats_can_be_the_same_although_other_metrics_cannot_be_told() -> None:
    generator = np.random.default_rng(1)
    verdicts = [drift(_table(generator, 10, losses=10), _table(generator, 10, losses=10)) for _ in range(40)]
    assert np.mean([one.verdict == "same" for one in verdicts]) >= 0.5
    assert any("cannot tell" in _verdicts(one) for one in verdicts if one.verdict == "same")
    assert not any(finding.decides for one in verdicts for finding in one.findings if "P@1" in finding.measure)


def test_honest_re_runs_of_whole_tables_are_called_moved_in_no_more_than_5_percent() -> None:
    generator = np.random.default_rng(2)
    moved = [drift(_table(generator, 4), _table(generator, 4)).verdict == "moved" for _ in range(150)]
    assert sum(moved) <= stats.binom.ppf(0.99, len(moved), 0.05)


def test_a_check_says_which_shift_it_could_see_and_from_which_margin_on_all_would_be_the_same() -> None:
    generator = np.random.default_rng(3)
    sides = _table(generator, 4), _table(generator, 4)
    told = drift(*sides, margin=0.2)
    found = re.search(
        r"where it did by (\d\.\d\d) points; all would be the same from a margin of (\d\.\d\d)", told.rule
    )
    assert found
    assert told.verdict == "cannot tell"
    assert drift(*sides, margin=float(found[2]) + 0.005).verdict == "same"
    shift = float(found[1])
    seen = [drift(_table(generator, 4), _table(generator, 4, shift=shift)).verdict == "moved" for _ in range(60)]
    assert 0.65 <= np.mean(seen) <= 0.95


def test_what_cannot_be_told_fails_only_where_it_is_to() -> None:
    unsure = drift(_side(make(MEANS, noise=3.0)), _side(make(MEANS, noise=3.0, seed=1)), margin=0.5)
    assert (unsure.status_where("unsure"), unsure.status_where("moved")) == (3, 0)
    moved = drift(_side(make({"triplet": 50.0})), _side(make({"triplet": 20.0}, seed=1)))
    assert (moved.status_where("unsure"), moved.status_where("moved")) == (1, 1)
    nothing = drift(Side(name="empty", rows=[]), _side(make(MEANS)))
    assert nothing.status_where("moved") == 4


def test_rows_over_several_searches_are_judged_by_the_number_of_searches() -> None:
    """Twelve repeats of three searches are three independent values."""
    before, after = [50.0, 51.0, 49.5], [44.0, 45.0, 44.2]
    rows = [_row(float(np.mean(one)), half_width(one) or 0.0, 12, searches=3) for one in (before, after)]
    low, high = stats.ttest_ind(after, before).confidence_interval()
    assert f"95 % interval {low:+.2f} to {high:+.2f}" in _judged(*rows).why


def test_golden_values_are_judged_by_their_tolerance() -> None:
    reference = {"triplet": {"value": 2.0, "gradient": 1e-7}, "margin": {"value": 1.0}}
    close = {"triplet": {"value": 2.0001, "gradient": 9e-6}, "margin": {"value": 1.0}, "new": {"value": 1.0}}
    verdicts = value_drift(reference, close, title="Goldens", tolerance=1e-3)
    assert verdicts.status == 0
    assert verdicts.notes == ("Without a reference: new.",)
    moved = value_drift(reference, {"triplet": {"value": -2.0, "gradient": 0.0}}, title="Goldens", tolerance=1e-3)
    assert [finding.verdict for finding in moved.findings] == ["moved", "same", "not compared"]
    assert value_drift(reference, {"triplet": {"value": float("nan")}}, title="", tolerance=1e-3).status == 1


@pytest.mark.parametrize(("value", "allowed"), [(-2.0, 2e-3), (0.05, 5e-5), (0.001, 1e-5), (0.0, 1e-5)])
def test_golden_values_are_judged_by_their_size_whatever_the_sign_and_near_zero_by_a_hundredth(
    value: float, allowed: float
) -> None:
    for off, status in ((0.9, 0), (1.1, 1)):
        found = {"a": {"value": value + off * allowed}}
        assert value_drift({"a": {"value": value}}, found, title="", tolerance=1e-3).status == status


FINDINGS = (
    Finding(
        subject="a|b on glyphs", measure="separated RP", verdict="cannot tell", reference=1.0, candidate=None, why="<?>"
    ),
    Finding(subject="c on glyphs", measure="separated RP", verdict="moved", reference=1.0, candidate=2.0, why="+1"),
    *(
        Finding(
            subject=f"{loss} on glyphs",
            measure="separated RP",
            verdict="same",
            reference=0.0,
            candidate=0.0,
            why="identical",
        )
        for loss in "def"
    ),
    Finding(subject="g on glyphs", measure="separated RP", verdict="moved", reference=0.0, candidate=2.0, why="+2"),
)
VERDICTS = Verdicts(title="Drift of b against a", rule="A rule.", findings=FINDINGS, notes=("A note.",))


def test_the_summary_names_what_moved_first_and_counts_the_rest() -> None:
    assert markdown(VERDICTS).splitlines() == [
        "## Drift of b against a: moved",
        "",
        "3 same, 2 moved, 1 cannot tell. A rule.",
        "A note.",
        "",
        "| verdict | of | value | reference | candidate | why |",
        "| --- | --- | --- | ---: | ---: | --- |",
        "| moved | c on glyphs | separated RP | 1 | 2 | +1 |",
        "| moved | g on glyphs | separated RP | 0 | 2 | +2 |",
        "| cannot tell | a\\|b on glyphs | separated RP | 1 | – | <?> |",
    ]


def test_junit_fails_what_moved_and_skips_what_cannot_be_told_and_holds_no_time() -> None:
    root = ET.fromstring(junit([VERDICTS]))  # noqa: S314 our own text
    (suite,) = root
    counts = {"tests": "6", "failures": "2", "skipped": "1", "errors": "0"}
    assert (suite.tag, suite.attrib) == ("testsuite", {"name": "Drift of b against a", **counts})
    kinds = {case.get("classname"): [(child.tag, child.attrib) for child in case] for case in suite}
    assert kinds == {
        "a|b on glyphs": [("skipped", {"message": "cannot tell: <?>"})],
        "c on glyphs": [("failure", {"message": "moved: +1"})],
        "d on glyphs": [],
        "e on glyphs": [],
        "f on glyphs": [],
        "g on glyphs": [("failure", {"message": "moved: +2"})],
    }
    assert {frozenset(case.attrib) for case in suite} == {frozenset({"classname", "name"})}


def test_json_holds_everything_and_nothing_else() -> None:
    content = json.loads(to_json(VERDICTS))
    assert content == {"verdict": "moved", "status": 1, **json.loads(json.dumps(asdict(VERDICTS)))}
    assert (len(content["findings"]), content["findings"][0]["why"]) == (6, "<?>")
