"""A run goes on with the losses, the dataset's reader and the trunk that its records were made with, or says so."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mlrc.harness.engine.identity import origin_of
from mlrc.harness.plan.study import Study
from mlrc.results.records.origin import KINDS, Origin
from mlrc.results.records.record import BASELINES, FoldRecord

Told = Mapping[tuple[str, str], Origin]


def origins(losses: Sequence[str], dataset: tuple[str, str], trunk: str) -> dict[tuple[str, str], Origin]:
    """Give (kind, name in the jobs) to where each plug-in of a comparison comes from.

    Args:
        losses: names.
        dataset: its name in the jobs, and the name that opens it.
        trunk: name.
    """
    plugins = [*(("loss", name, name) for name in losses), ("dataset", *dataset), ("trunk", trunk, trunk)]
    found = {}
    for kind, of_job, name in plugins:
        with suppress(LookupError):  # a set that a caller opened, and no plug-in
            found[kind, of_job] = origin_of(kind, name)
    return found


def require_same_plugins(
    studies: Sequence[Study],
    told: Told,
    records: Collection[FoldRecord],
    runs: Path,
    accepted: Collection[str] | None = (),
) -> None:
    """Refuse to go on where a plug-in is another than the one that the trainings of these studies were made with.

    A record of before its plug-ins were told is of unknown origin, and one that failed tells nothing of a loss.

    Args:
        studies: to go on with.
        told: by `origins`.
        records: of the runs folder.
        runs: the folder, for the sentence.
        accepted: kinds that may differ; `None` where a user cannot accept any.

    Raises:
        ValueError: one differs.
    """
    other = [one for record in records if record.outcome != "failed" for one in _other(record, studies, told)]
    counts = Counter(other)
    for (kind, name, was, now), count in counts.items():
        if accepted is not None and kind in accepted:
            continue
        go_on = "" if accepted is None else f", or go on with --accept-changed-{kind}, and the tables say so"
        raise ValueError(
            f"The {kind} {name!r} must be the one that {count} trainings in {runs} were made with ({was}), but it was "
            f"changed since ({now}); take back the change or give another --runs{go_on}."
        )


def _other(record: FoldRecord, studies: Sequence[Study], told: Told) -> Iterator[tuple[str, str, Origin, Origin]]:
    """Give kind, name, then and now of each plug-in of a record that is another now."""
    for kind in KINDS:
        was = record.plugins.get(kind)
        name = _name(kind, record, studies)
        now = told.get((kind, name or ""))
        if was is not None and now is not None and name is not None and was.differs(now):
            yield kind, name, was, now


def _name(kind: str, record: FoldRecord, studies: Sequence[Study]) -> str | None:
    """Give the name of a record's plug-in; `None` where no study stands on it."""
    if kind == "loss":
        mine = record.loss not in BASELINES and any(study.owns(record) for study in studies)
        return record.loss if mine else None
    beside = [study for study in studies if study.identity[:3] == record.identity[:3]]  # rows of one table
    return (record.dataset if kind == "dataset" else beside[0].protocol.trunk) if beside else None
