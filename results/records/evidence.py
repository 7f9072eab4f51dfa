"""Which records stand behind a row, and which cannot: nothing is left out of a table without a word."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mlrc.results.records.ledger import Records
from mlrc.results.records.record import BASELINES, FoldRecord, ProtocolRecord, RunRecord, UncheckedRecord

DIVERGED_SCORE = 0.0
"""Of a trial in which a fold diverged, as in the Reality Check's search.

In older ledgers also of one in which a fold failed; now a search stands still there until it is done again.
"""
PerClass = Mapping[str, NDArray[np.float64]]
"""The content of one `per_class/<run key>.npz`: `classes`, `counts` and `<setting>/<metric>`, sums of fractions."""
R = TypeVar("R", FoldRecord, RunRecord)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is recorded of one loss on one dataset under one protocol.

    Attributes:
        dataset: name; with `@` and the start of the fingerprint where the ledger holds several versions of its images.
        runs: the repeats that count, by number.
        search: the fold records of the search, by trial and fold; `final`: of the repeats, likewise.
        notes: what a reader of the row must know, in sentences.
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

    @property
    def folds(self) -> tuple[FoldRecord, ...]:
        """Give all fold records."""
        return self.search + self.final

    @property
    def trials(self) -> dict[int, bool]:
        """Give trial number to whether all its folds were trained to the end."""
        done: dict[int, bool] = {}
        for record in self.search:
            done[record.number] = done.get(record.number, True) and record.outcome == "done"
        return done

    @property
    def trial_scores(self) -> dict[int, float]:
        """Give trial number to its `trial_score`."""
        folds: dict[int, list[FoldRecord]] = {}
        for record in self.search:
            folds.setdefault(record.number, []).append(record)
        return {number: trial_score(of_trial) for number, of_trial in folds.items()}


def trial_score(folds: Iterable[FoldRecord]) -> float:
    """Give the mean of the folds' best validation scores, percent; 0 as soon as one of them diverged or failed.

    The folds come in their order, as the last digit depends on it.
    """
    scores = [record.best_score if record.outcome == "done" else None for record in folds]
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if len(known) == len(scores) else DIVERGED_SCORE


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
        counting, left_out = _of_one_search(runs.get(group, []))
        trainings = sorted(folds.get(group, []), key=lambda record: (record.stage, record.number, record.fold))
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


def _of_one_search(runs: list[RunRecord]) -> tuple[tuple[RunRecord, ...], int]:
    """Keep the repeats with the parameters of the one recorded last: others come from another search."""
    if not runs:
        return (), 0
    mine = [run for run in runs if run.params == runs[-1].params]
    return tuple(sorted(mine, key=lambda run: run.number)), len(runs) - len(mine)


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
    told = [f"{record.stage} {record.number}, fold {record.fold}" for record in trainings if record.outcome == "failed"]
    failed = f"; failed, and to be done again: {', '.join(told)}" if told else ""
    if not runs:
        return [f"no repeat is finished, so it has no row{failed}"]
    if left_out:
        notes.append(f"{left_out} repeats with parameters of another search are left out")
    scored = {run.number for run in runs}
    broken: dict[int, list[str]] = {}
    for record in final:
        if record.outcome != "done" and record.number not in scored and record.params == runs[-1].params:
            broken.setdefault(record.number, []).append(f"fold {record.fold} {record.outcome}")
    notes += [f"repeat {number} has no score ({', '.join(why)})" for number, why in sorted(broken.items())]
    planned = protocol.planned_repeats(runs[0].loss) if protocol else 0
    if len(runs) + len(broken) < planned:
        notes.append(f"{len(runs)} of {planned} repeats are finished")
    if missing := sum(key not in folds for run in runs for key in run.fold_keys):
        notes.append(f"{missing} fold records behind its repeats are missing in the ledger")
    return notes
