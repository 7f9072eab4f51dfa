"""Has a result moved? Two leaderboards row by row, or two sets of golden values, to verdicts.

A leaderboard's row is a mean over repeats with other seeds, so two honest runs differ. Their difference gets the
interval of Student's t, its variance pooled over the two runs and steadied by those of the other losses (`shifts`), and
the row is
    same         when the two one-sided tests show the difference to lie within ± margin, or both rows are identical;
    moved        when it is not within the margin and no chance: p ≤ α, corrected for the number of rows (Holm);
    cannot tell  otherwise, also where a row has one repeat: more repeats would tell;
    not compared where it has no counterpart under the same protocol and on the same images.
MAP@R comes first: most of α is its rows', the rest is for those of the other metrics, which share its noise and add
their own; and where it is compared, it alone decides whether all is the same. So two honest runs have any row flagged
as moved in no more than α of all comparisons. "All rows same" needs no correction, since each of them must pass (an
intersection-union test).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlrc.results.boards.leaderboard import Row
from mlrc.results.publishing.shifts import Told, corrected, hypothesis, is_identical, is_noiseless, seen, shifts
from mlrc.results.publishing.verdict import Finding, Verdict, Verdicts
from mlrc.results.records.metric_names import RANKED_BY, metric_order
from mlrc.results.records.record import ProtocolRecord
from mlrc.results.statistics.intervals import Difference
from mlrc.results.statistics.levels import ALPHA, MARGIN
from mlrc.results.statistics.power import smallest_margin

SMALL = 0.01
"""Golden values below it are sums of larger ones that cancel, and are judged by their absolute difference."""
_NO_RULES = ("name", "seed")  # of a protocol's fields: what two honest re-runs may differ in


Images = frozenset[tuple[str, str]]
"""Fingerprints of a dataset's images, each with the cut into trainval and test classes."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of the comparison.

    Attributes:
        name: for the title.
        rows: of a leaderboard.
        protocols: digest to record, where the side is a runs folder; a CSV alone has none.
        images: (dataset, digest) to the (fingerprint, cut) of its rows, likewise.
    """

    name: str
    rows: Sequence[Row]
    protocols: Mapping[str, ProtocolRecord] = field(default_factory=dict)
    images: Mapping[tuple[str, str], Images] = field(default_factory=dict)


def require_levels(margin: float, alpha: float) -> None:
    """Raise `ValueError` unless margin and error rate make sense."""
    if not 0 < margin <= 100:
        raise ValueError(f"The margin must be positive and at most 100, in percent points, but got {margin}.")
    if not 0 < alpha < 1:
        raise ValueError(f"The error rate alpha must lie in (0, 1), but got {alpha}.")


def drift(reference: Side, candidate: Side, *, margin: float = MARGIN, alpha: float = ALPHA) -> Verdicts:
    """Judge every row of the reference.

    Args:
        reference: what should be.
        candidate: what is.
        margin: percent points within which a difference counts as none.
        alpha: the chance of calling anything moved when nothing did, and of calling a row the same that is not.

    Raises:
        ValueError: margin or alpha make no sense, or no row can be compared as a side does not tell its rules.
    """
    require_levels(margin, alpha)
    rows = sorted(reference.rows, key=_order)
    matches = [_match(row, reference, candidate) for row in rows]
    _require_rules(rows, matches, reference, candidate)
    compared = {
        index: (row, match)
        for index, (row, match) in enumerate(zip(rows, matches, strict=True))
        if isinstance(match, Row) and _comparable(row, match, pretrained=_pretrained(row, match, reference, candidate))
    }
    differences = shifts(compared)
    adjusted = corrected({index: (rows[index], difference) for index, difference in differences.items()})
    first = {index for index in differences if rows[index].metric == RANKED_BY}
    told = seen({index: differences[index] for index in first or differences}, alpha)
    findings = []
    for index, (row, match) in enumerate(zip(rows, matches, strict=True)):
        verdict: Verdict = "not compared"
        why = str(match)
        if isinstance(match, Row):
            verdict, why = _judge(
                row, match, differences.get(index), adjusted.get(index, 1.0), margin=margin, alpha=alpha
            )
        findings.append(
            Finding(
                subject=f"{row.loss} on {row.dataset} ({row.protocol})",
                measure=f"{row.setting} {row.metric}",
                verdict=verdict,
                reference=row.mean,
                candidate=match.mean if isinstance(match, Row) else None,
                why=why,
                decides=not first or index in first,
            )
        )
    matched = {id(match) for match in matches if isinstance(match, Row)}
    extra = sum(id(row) not in matched for row in candidate.rows)
    return Verdicts(
        title=f"Drift of {candidate.name} against {reference.name}",
        rule=f"Same: the difference lies within ± {margin:g} percent points (two one-sided tests, α = {alpha:g}). "
        f"Moved: it does not, and chance alone gives as much in no more than {alpha:.0%} of comparisons of "
        f"{len({hypothesis(rows[index]) for index in differences})} numbers (pooled variances, Holm). "
        + _sight(told, first=bool(first)),
        findings=tuple(findings),
        notes=(f"{extra} rows of the candidate have no counterpart in the reference.",) if extra else (),
    )


def value_drift(
    reference: Mapping[str, Mapping[str, float]],
    candidate: Mapping[str, Mapping[str, float]],
    *,
    title: str,
    tolerance: float,
) -> Verdicts:
    """Judge golden values, which have no noise: subject to measure to value.

    Args:
        reference: what should be.
        candidate: what is.
        title: what was compared.
        tolerance: relative to the reference, or to `SMALL` where that is smaller.
    """
    findings = []
    for subject, measures in reference.items():
        for measure, value in measures.items():
            found = candidate.get(subject, {}).get(measure)
            if found is None:
                verdict: Verdict = "not compared"
            else:
                verdict = "same" if abs(found - value) <= tolerance * max(SMALL, abs(value)) else "moved"
            why = "no such value any more" if found is None else f"the difference is {found - value:.3g}"
            findings.append(
                Finding(subject=subject, measure=measure, verdict=verdict, reference=value, candidate=found, why=why)
            )
    new = [subject for subject in candidate if subject not in reference]
    notes = (f"Without a reference: {', '.join(new)}.",) if new else ()
    rule = f"Moved: off by more than {tolerance:g} of the value, or of {SMALL:g} where it is smaller."
    return Verdicts(title=title, rule=rule, findings=tuple(findings), notes=notes)


def _match(row: Row, reference: Side, candidate: Side) -> Row | str:
    """Give the candidate's row under the same rules, or why there is none."""
    named = [other for other in candidate.rows if _name(other) == _name(row)]
    if not named:
        return "the candidate has no such row"
    mine = _rules(row, reference)
    for other in sorted(named, key=lambda one: one.digest != row.digest):
        theirs = _rules(other, candidate)
        if other.digest == row.digest or (mine is not None and mine == theirs):
            before = reference.images.get((row.dataset, row.digest))
            after = candidate.images.get((other.dataset, other.digest))
            if before is not None and after is not None and before != after:
                return f"the images or their cut differ ({_images(before)} and {_images(after)})"
            return other
    other = named[0]
    theirs = _rules(other, candidate)
    if mine is None or theirs is None:
        return f"the protocols differ (digest {row.digest} and {other.digest})"
    fields = sorted(name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name))
    return f"the protocols differ in {', '.join(fields)}"


def _require_rules(rows: Sequence[Row], matches: Sequence[Row | str], reference: Side, candidate: Side) -> None:
    """Refuse sides of which no row has a counterpart, if some would have where both told their rules."""
    if any(isinstance(match, Row) for match in matches):
        return
    names = {_name(row) for row in rows}
    for side in (reference, candidate):
        untold = {row.digest for row in side.rows if _name(row) in names} - set(side.protocols)
        if untold and names & {_name(row) for row in candidate.rows}:
            raise ValueError(
                f"{reference.name} and {candidate.name} must be of the same rules, but {side.name} does not tell those "
                f"of its digest {', '.join(sorted(untold))}, which the other has not; give the runs folder in place of "
                "a table."
            )


def _rules(row: Row, side: Side) -> dict[str, Any] | None:
    record = side.protocols.get(row.digest)
    return {name: value for name, value in record.fields.items() if name not in _NO_RULES} if record else None


def _images(images: Images) -> str:
    return ", ".join(f"{cut} of {fingerprint}" for fingerprint, cut in sorted(images))


def _pretrained(row: Row, other: Row, reference: Side, candidate: Side) -> bool:
    """Whether the trunk of two matching rows starts from weights, and not from a seed."""
    record = reference.protocols.get(row.digest) or candidate.protocols.get(other.digest)
    return bool(record and record.fields.get("weights"))


def _comparable(row: Row, other: Row, *, pretrained: bool) -> bool:
    return (
        is_identical(row, other)
        or (pretrained and is_noiseless(row, other))
        or (row.ci95 is not None and other.ci95 is not None)
    )


def _judge(
    row: Row, match: Row, difference: Difference | None, adjusted: float, *, margin: float, alpha: float
) -> tuple[Verdict, str]:
    if difference is None:
        return "cannot tell", "one repeat has no interval"
    if is_identical(row, match):
        return "same", "identical"
    low, high = difference.interval()
    told = f"{difference.mean:+.2f}" + (f", 95 % interval {low:+.2f} to {high:+.2f}" if difference.error else "")
    if difference.equivalence(margin) <= alpha:
        return "same", told
    if adjusted <= alpha:
        return "moved", f"{told}, corrected p = {adjusted:.2g}"
    within = smallest_margin(difference, 1, alpha)
    return "cannot tell", f"{told}; the same from a margin of {within:.2f} on; more repeats would tell"


def _sight(told: Told | None, *, first: bool) -> str:
    """Say what a check could see."""
    if told is None:
        return ""
    what = f"{RANKED_BY}, which decides," if first else "A typical number"
    return (
        f"{what} is found to have moved in four checks of five where it did by {told.detectable:.2f} points; all would "
        f"be the same from a margin of {told.margin:.2f} on."
    )


def _name(row: Row) -> tuple[str, str, str, str]:
    return row.dataset, row.loss, row.setting, row.metric


def _order(row: Row) -> tuple[object, ...]:
    return row.dataset, row.protocol, row.digest, row.loss, row.setting, metric_order(row.metric)
