"""What a driver leaves beside the ledger for people and programs, and never reads back itself.

`log.jsonl` has every event as a line of JSON; `status.json` says where the run stands now, for `mlrc status`.
"""

import json
import math
import os
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mlrc.harness.engine.events import Closed, Event, Lost, Started, Stopping, Validated
from mlrc.harness.plan.job import FoldJob, Job, ScoreJob, rules
from mlrc.harness.plan.state import StudyState
from mlrc.harness.plan.study import cost
from mlrc.harness.watch.status import STATUS
from mlrc.harness.watch.study_names import labels
from mlrc.results.records.record import FoldRecord, RunRecord

LOG = "log.jsonl"
SECONDS_BETWEEN = 1.0
"""At least, between two writings of the status."""


class RunLog:
    """Writes both files while a run is at work.

    Args:
        runs: folder of the run.
        states: of its studies.
    """

    def __init__(self, runs: Path, states: Sequence[StudyState]) -> None:
        self._runs = runs
        self._states = states
        self._labels = labels([state.study for state in states])
        self._file = (runs / LOG).open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
        self._at_work: dict[str, dict[str, Any]] = {}
        self._recorded = 0
        self._begun = _now()
        self._written = -math.inf
        self._write_status()

    def told(self, event: Event) -> None:
        """Write down what happened at a job at work."""
        match event:
            case Started(job, place, attempt):
                self._line("started", job, place=place, attempt=attempt)
                self._at_work[job.key] = {**_place(job), "place": place, "attempt": attempt, "since": _now()}
            case Validated(job, epoch, score, loss):
                told = {"epoch": epoch, "score": _finite(score), "training_loss": _finite(loss)}
                self._line("validated", job, **told)
                self._at_work.get(job.key, {}).update(told)
            case Lost(job, message):
                self._line("lost", job, message=message)
                self._at_work.pop(job.key, None)
            case Stopping(reason, at_work):
                self._line("stopping", reason=reason, at_work=at_work)
            case Closed(place, message):
                self._line("closed", place=place, message=message)
        self._write_status_sometimes()

    def recorded(self, state: StudyState, record: FoldRecord | RunRecord) -> None:
        """Write down that a record was written."""
        del state
        if isinstance(record, RunRecord):
            self._at_work.pop(record.key, None)
            self._line(
                "scored",
                key=record.key,
                dataset=record.dataset,
                loss=record.loss,
                search=record.search,
                number=record.number,
            )
            return
        self._recorded += 1
        self._at_work.pop(record.key, None)
        told = {"outcome": record.outcome, "best_score": record.best_score, "seconds": record.seconds}
        self._line("recorded", record, **told, **({"message": record.message} if record.message else {}))
        self._write_status_sometimes()

    def _line(self, event: str, job: Job | FoldRecord | None = None, **told: object) -> None:
        content = {"time": _now(), "event": event, **(_place(job) if job else {}), **told}
        self._file.write(json.dumps(content, ensure_ascii=False) + "\n")

    def _write_status_sometimes(self) -> None:
        if time.monotonic() - self._written >= SECONDS_BETWEEN:
            self._write_status()

    def _write_status(self) -> None:
        self._written = time.monotonic()
        content = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "begun": self._begun,
            "written": _now(),
            "recorded": self._recorded,
            "plan": self._plan(),
            "at_work": list(self._at_work.values()),
        }
        part = self._runs / f"{STATUS}.part"
        part.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8", errors="backslashreplace")
        part.replace(self._runs / STATUS)

    def _plan(self) -> list[dict[str, object]]:
        return [_planned(state, label) for state, label in zip(self._states, self._labels, strict=True)]

    def __enter__(self) -> Self:
        self._line("begun", host=socket.gethostname(), process=os.getpid(), left=self._plan())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._line("ended", error=f"{type(error).__name__}: {error}" if error else None)
            self._at_work.clear()
            self._write_status()
        finally:
            self._file.close()


def _planned(state: StudyState, label: str) -> dict[str, object]:
    digest, dataset, fingerprint, loss = state.study.identity
    jobs = cost(state.study)
    return {
        "label": label,
        "dataset": dataset,
        "fingerprint": fingerprint,
        "loss": loss,
        "digest": digest,
        "params": None if state.study.params is None else dict(state.study.params),
        "search": state.study.search,
        "jobs": jobs.search_jobs + jobs.final_jobs - state.spared,
    }


def _place(job: Job | FoldRecord) -> dict[str, object]:
    return {
        "key": job.key,
        "dataset": job.dataset,
        "fingerprint": job.fingerprint,
        "loss": job.loss,
        "digest": rules(job.protocol) if isinstance(job, FoldJob | ScoreJob) else job.digest,
        "params": dict(job.params),
        "search": job.search,
        "stage": job.stage,
        "number": job.number,
        "fold": job.fold,
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
