"""Recorded trainings trained again: which ones is drawn at random, and what comes of them is compared."""

import random
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from mlrc.harness.engine.execute import in_processes
from mlrc.harness.engine.workplace import FoldOutcome, Workplace
from mlrc.harness.guard.goldens import TOLERANCE
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.machine import environment
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.recorded_job import job_of
from mlrc.harness.plan.split import OWN
from mlrc.harness.plugins import LOSSES
from mlrc.harness.report.reporting import place_of
from mlrc.harness.study.comparison import decoded, rehearse
from mlrc.harness.study.recorded_images import as_recorded
from mlrc.harness.trunks.weights import sha256_of
from mlrc.results.publishing.verification import Verified, can_be_verified, fingerprint_of, judge
from mlrc.results.records.ledger import Records
from mlrc.results.records.record import FoldRecord


def somebody(by: str) -> str:
    """Give who verifies: the name given, or the one in git's configuration.

    Raises:
        ValueError: there is neither.
    """
    found = by.strip()
    if not found:
        with suppress(OSError):
            asked = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False)  # noqa: S607
            found = asked.stdout.strip()
    if not found:
        raise ValueError("A verification must say whose it is; give a name with --by.")
    return found


class Chosen(NamedTuple):
    """Trainings of one folder of evidence that are to be done again."""

    folder: Path
    records: Records
    trainings: tuple[FoldRecord, ...]


def choose(evidence: Sequence[tuple[Path, Records]], number: int, seed: int) -> list[Chosen]:
    """Draw trainings, any as likely as any other, each once.

    Args:
        evidence: folders with their records.
        number: how many.
        seed: of the draw, so that another can tell which would have been drawn.

    Raises:
        ValueError: there are not so many that can be verified.
    """
    every = [
        (folder, key)
        for folder, records in evidence
        for key, record in sorted(records.folds.items())
        if can_be_verified(record)
    ]
    if not 1 <= number <= len(every):
        raise ValueError(
            f"--retrain must lie between 1 and {len(every)}, the recorded trainings that left validation scores, but "
            f"got {number}."
        )
    drawn = set(random.Random(seed).sample(every, number))  # noqa: S311 no secret hangs on it
    found = []
    for folder, records in evidence:
        mine = tuple(records.folds[key] for where, key in every if where == folder and (where, key) in drawn)
        found += [Chosen(folder, records, mine)] if mine else []
    return found


class Task(NamedTuple):
    """The jobs of one dataset and protocol, and where they are done."""

    jobs: tuple[FoldJob, ...]
    workplace: Workplace


def prepared(
    chosen: Chosen, root: Path, *, device: str, weights: Path | None = None, cache: Path | None = None
) -> list[Task]:
    """Check that all chosen trainings can be done here, before any is.

    Raises:
        LookupError: a loss or dataset is not installed.
        ValueError: the images below `root`, the weights or this version are not those of the records.
        OSError: the images cannot be read.
    """
    jobs = [job_of(record, chosen.records) for record in chosen.trainings]
    groups: dict[tuple[str, str], list[FoldJob]] = {}
    for job in jobs:
        LOSSES.find(job.loss)
        groups.setdefault((job.dataset, job.protocol.digest), []).append(job)
    tasks = []
    place = environment.resolve_device(device)
    for (dataset, _), of_group in groups.items():
        protocol, fingerprint = of_group[0].protocol, of_group[0].fingerprint
        _require_weights(protocol.weights, weights)
        name, where = place_of(dataset, root)
        images = as_recorded(open_dataset(name, where), chosen.records)
        if fingerprint not in (images.fingerprint, images.earlier):
            raise ValueError(
                f"The recorded trainings on {dataset} need its images with fingerprint {fingerprint}, but those below "
                f"{root} have {images.fingerprint}; give their folder with --root."
            )
        file = weights if protocol.weights else None
        rehearse(name, protocol, file)
        decoded(images, protocol, cache, file, [place])
        workplace = Workplace(
            roots={dataset: (name, where)},
            device=str(place),
            weights=file,
            cache=cache,
            cuts={dataset: OWN} if images.trainval_classes is not None else {},
            environment=environment.current(place),
            losses={job.loss: LOSSES.files[job.loss] for job in of_group if job.loss in LOSSES.files},
        )
        tasks.append(Task(tuple(of_group), workplace))
    return tasks


def _require_weights(sha256: str, weights: Path | None) -> None:
    if not sha256:
        return
    if weights is None:
        raise ValueError(
            f"The recorded trainings begin from weights with the sha256 {sha256[:12]}…; give their file with --weights."
        )
    if sha256_of(weights) != sha256:
        raise ValueError(f"--weights must have the sha256 {sha256[:12]}… of the records, but {weights} has another.")


def retrained(
    chosen: Chosen,
    tasks: Sequence[Task],
    *,
    by: str,
    workers: int,
    on_line: Callable[[FoldRecord, Verified], None] = lambda _record, _line: None,
) -> list[Verified]:
    """Train again and compare.

    Args:
        chosen: what was recorded.
        tasks: from `prepared`.
        by: who asks.
        workers: number of processes.
        on_line: told each verdict as it comes.

    Raises:
        RuntimeError: a training failed here, which tells nothing of the record.
    """
    recorded = {record.key: record for record in chosen.trainings}
    today = datetime.now(tz=UTC).date().isoformat()
    lines = []
    for task in tasks:
        for outcome in in_processes(task.workplace, workers, lambda _event: None)(task.jobs):
            if not isinstance(outcome, FoldOutcome):
                continue
            if outcome.failed:
                raise RuntimeError(f"Training {outcome.job.key} failed here and tells nothing: {outcome.message}")
            record = recorded[outcome.job.key]
            verdict, difference = judge(record, outcome.record, TOLERANCE)
            here = outcome.record.environment
            line = Verified(
                key=record.key,
                record=fingerprint_of(record),
                verdict=verdict,
                difference="" if difference is None else f"{difference:.3g}",
                by=by,
                on=today,
                device=here.device,
                processor=here.processor,
                commit=here.commit,
                versions=", ".join(f"{name} {version}" for name, version in sorted(here.versions.items())),
            )
            on_line(record, line)
            lines.append(line)
    return lines
