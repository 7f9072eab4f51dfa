"""Which records stand behind a row, and which cannot: nothing is left out of a table without a word."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mlrc.results.records.ledger import Records
from mlrc.results.records.record import BASELINES, FoldRecord, ProtocolRecord, RunRecord, UncheckedRecord
from mlrc.results.records.trials import DIVERGED_SCORE, NEVER_STOPPED, SearchRules, ended, trial_score

__all__ = ["DIVERGED_SCORE", "Evidence", "PerClass", "gather", "trial_score"]

PerClass = Mapping[str, NDArray[np.float64]]
"""The content of one `per_class/<run key>.npz`: `classes`, `counts` and `<setting>/<metric>`, sums of fractions."""
R = TypeVar("R", FoldRecord, RunRecord)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is recorded of one loss on one dataset under one protocol.

    Attributes:
        dataset: name; with `@` and the start of the fingerprint where the ledger holds several versions of its images.
        runs: the repeats that count, by search and number.
        search: the fold records of the searches, by search, trial and fold; `final`: of the repeats, likewise.
        notes: what a reader of the row must know, in sentences.
        rules: how trials end.
    """

    dataset: str
    fingerprint: str
    protocol: str
    digest: str
    loss: str
    runs: tuple[RunRecord, ...]
    search: tuple[FoldRecord, ...]
    final: tuple[FoldRecord, ...]
    notes: tuple[str, ...]
    rules: SearchRules = NEVER_STOPPED

    @property
    def folds(self) -> tuple[FoldRecord, ...]:
        """Give all fold records."""
        return self.search + self.final

    @property
    def by_search(self) -> "tuple[Evidence, ...]":
        """Give the evidence of each search, in order; a single one's is all there is."""
        found = sorted({*(fold.search for fold in self.folds), *(run.search for run in self.runs)})
        return tuple(
            replace(
                self,
                runs=tuple(run for run in self.runs if run.search == search),
                search=tuple(record for record in self.search if record.search == search),
                final=tuple(record for record in self.final if record.search == search),
            )
            for search in found
        )

    @property
    def trials(self) -> dict[int, bool]:
        """Give trial number to whether all its folds were trained to the end, of one search (see `by_search`)."""
        self._require_one_search()
        done: dict[int, bool] = {}
        for record in self.search:
            done[record.number] = done.get(record.number, True) and record.outcome == "done"
        return done

    @property
    def trial_scores(self) -> dict[int, float]:
        """Give trial number to its score (`trials.ended`), percent, of one search (see `by_search`)."""
        self._require_one_search()
        return {number: trial.score for number, trial in ended(self.search, self.rules).items()}

    @property
    def stopped(self) -> frozenset[int]:
        """The numbers of the trials that ended after their first folds, of one search (see `by_search`)."""
        self._require_one_search()
        return frozenset(number for number, trial in ended(self.search, self.rules).items() if trial.stopped)

    def _require_one_search(self) -> None:
        if len({record.search for record in self.search}) > 1:
            raise ValueError(f"The trials of {self.loss} must be taken search by search (by_search); it has several.")


def _place(loss: str) -> int:
    return BASELINES.index(loss) if loss in BASELINES else len(BASELINES)


def gather(records: Records) -> list[Evidence]:
    """Sort records by what they are about: dataset, protocol, and loss, the untrained trunk first."""
    folds, runs = _by_group(records.folds.values()), _by_group(records.runs.values())
    groups = sorted(set(folds) | set(runs), key=lambda group: (*group[:4], _place(group[4]), group[4]))
    versions: dict[str, set[str]] = {}
    for dataset, _, _, fingerprint, _ in groups:
        versions.setdefault(dataset, set()).add(fingerprint)
    found = []
    for group in groups:
        dataset, protocol, digest, fingerprint, loss = group
        counting, left_out = _of_last_searches(runs.get(group, []))
        trainings = sorted(
            folds.get(group, []), key=lambda record: (record.search, record.stage, record.number, record.fold)
        )
        final = tuple(record for record in trainings if record.stage != "search")
        found.append(
            Evidence(
                dataset=dataset if len(versions[dataset]) == 1 else f"{dataset}@{fingerprint[:8]}",
                fingerprint=fingerprint,
                protocol=protocol,
                digest=digest,
                loss=loss,
                runs=counting,
                search=tuple(record for record in trainings if record.stage == "search"),
                final=final,
                rules=_rules(records.protocols.get(digest)),
                notes=(
                    *_unchecked(records.unchecked.get((digest, dataset, fingerprint, loss))),
                    *(
                        f"{loss}: {note}."
                        for note in _notes(counting, left_out, trainings, records.protocols.get(digest), records.folds)
                    ),
                ),
            )
        )
    return found


Group = tuple[str, str, str, str, str]
"""Dataset, protocol, digest, fingerprint, loss."""


def _by_group(records: Iterable[R]) -> dict[Group, list[R]]:
    groups: dict[Group, list[R]] = {}
    for record in records:
        group = (record.dataset, record.protocol, record.digest, record.fingerprint, record.loss)
        groups.setdefault(group, []).append(record)
    return groups


def _of_last_searches(runs: list[RunRecord]) -> tuple[tuple[RunRecord, ...], int]:
    """Keep the repeats with the parameters of the one recorded last of each search: others come from an older one."""
    last = {run.search: run.params for run in runs}
    mine = [run for run in runs if run.params == last[run.search]]
    return tuple(sorted(mine, key=lambda run: (run.search, run.number))), len(runs) - len(mine)


def _unchecked(record: UncheckedRecord | None) -> tuple[str, ...]:
    return () if record is None else (record.note,)


def _notes(
    runs: tuple[RunRecord, ...],
    left_out: int,
    trainings: Sequence[FoldRecord],
    protocol: ProtocolRecord | None,
    folds: Mapping[str, FoldRecord],
) -> list[str]:
    notes = []
    final = [record for record in trainings if record.stage != "search"]
    several = len({record.search for record in trainings}) > 1
    told = [
        f"{_of(record.search, several=several)}{record.stage} {record.number}, fold {record.fold}"
        for record in trainings
        if record.outcome == "failed"
    ]
    failed = f"; failed, and to be done again: {', '.join(told)}" if told else ""
    if not runs:
        return [f"no repeat is finished, so it has no row{failed}"]
    if left_out:
        notes.append(f"{left_out} repeats with parameters of another search are left out")
    scored = {(run.search, run.number) for run in runs}
    params = {run.search: run.params for run in runs}
    broken: dict[tuple[int, int], list[str]] = {}
    for record in final:
        repeat = record.search, record.number
        if (
            record.outcome != "done"
            and repeat not in scored
            and params.get(record.search, record.params) == record.params
        ):
            broken.setdefault(repeat, []).append(f"fold {record.fold} {record.outcome}")
    notes += [
        f"{_of(search, several=several)}repeat {number} has no score ({', '.join(why)})"
        for (search, number), why in sorted(broken.items())
    ]
    searches = protocol.planned_searches(runs[0].loss) if protocol else 1
    if len(params) < searches:
        notes.append(f"{len(params)} of {searches} searches have finished repeats")
    planned = searches * protocol.planned_repeats(runs[0].loss) if protocol else 0
    if len(runs) + len(broken) < planned:
        notes.append(f"{len(runs)} of {planned} repeats are finished")
    if missing := sum(key not in folds for run in runs for key in run.fold_keys):
        notes.append(f"{missing} fold records behind its repeats are missing in the ledger")
    return notes


def _rules(protocol: ProtocolRecord | None) -> SearchRules:
    return NEVER_STOPPED if protocol is None else SearchRules.of(protocol.fields)


def _of(search: int, *, several: bool) -> str:
    return f"search {search}, " if several else ""
