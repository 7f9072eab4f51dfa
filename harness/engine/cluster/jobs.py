"""The jobs that a Ray cluster has, under the contract of `execute`; the driver stays the only writer.

How often a job is worth another attempt is decided by the rules for the processes of one machine.
"""

import errno
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, RayTaskError, TaskCancelledError

from mlrc.harness.engine.attempts import Trouble, UnfitError, failed, next_job
from mlrc.harness.engine.cluster.connection import Cluster
from mlrc.harness.engine.cluster.node import Begun, Unfit
from mlrc.harness.engine.crew import GRACE_SECONDS
from mlrc.harness.engine.events import Closed, Lost, OnEvent, Started, Stopping, Told, Validated
from mlrc.harness.engine.execute import Execute, work_off
from mlrc.harness.engine.repeat import DamagedError, EmbeddingFiles
from mlrc.harness.engine.watchdog import Watchdog
from mlrc.harness.engine.workplace import JobOutcome, ScoreOutcome, Workplace
from mlrc.harness.machine.stopping import Stop
from mlrc.harness.plan.job import Job, ScoreJob


@dataclass
class _Attempt:
    job: Job
    alone: bool
    began_at: float | None = None
    node: str = ""


def on_cluster(cluster: Cluster, workplace: Workplace, on_event: OnEvent, stop: Stop | None = None) -> Execute:
    """Do jobs on a cluster; the paths of the workplace hold on every node, and its device is the cluster's."""
    asked = stop or Stop()
    place = replace(_absolute(workplace), device=cluster.device, share=cluster.share)

    return lambda jobs: work_off(jobs, _Gang(cluster, place, on_event), asked)


class _Gang:
    """The jobs that Ray has, and what becomes of them."""

    def __init__(self, cluster: Cluster, workplace: Workplace, on_event: OnEvent) -> None:
        self._cluster = cluster
        self._workplace = workplace
        self._on_event = on_event
        self._at_work: dict[Any, _Attempt] = {}
        self._again: list[_Attempt] = []
        self._started: set[str] = set()
        self._troubles: defaultdict[str, Trouble] = defaultdict(Trouble)
        self._asked_to_stop_at: float | None = None
        self._watchdog = Watchdog()
        self._damaged: list[Job] = []

    @property
    def busy(self) -> int:
        return len(self._at_work) + len(self._damaged)

    def employ(self, jobs: Iterable[Job]) -> None:
        places = max(1, self._cluster.places())
        while self.busy < places:
            if any(attempt.alone and attempt.began_at is None for attempt in self._at_work.values()):
                return  # others would take what it waits for
            if self._again:
                attempt = self._again.pop(0)
            elif job := next_job(jobs, self._started):
                attempt = _Attempt(job, alone=False)
            else:
                return
            share = 1.0 if attempt.alone else self._workplace.share
            workplace = replace(self._workplace, share=share)
            try:
                reference = self._cluster.begin(attempt.job, workplace, alone=attempt.alone)
            except DamagedError:
                self._damaged.append(attempt.job)
            else:
                self._at_work[reference] = attempt

    def hear(self, timeout: float) -> Iterator[JobOutcome]:
        """Wait for an outcome, or for `timeout` seconds; tell what was told meanwhile.

        Raises:
            OSError: a node found its disk full, or a file that cannot be used.
            UnfitError: every node lacks what the driver has.
        """
        while self._damaged:
            job = self._damaged.pop()
            if isinstance(job, ScoreJob):
                files = EmbeddingFiles(Path(job.embeddings))
                yield ScoreOutcome(job, None, damaged=files.damaged(job.fold_keys))
        if not self._at_work:
            return
        self._cluster.require_a_node()  # the others may have died since
        ready = self._cluster.ended(self._at_work, timeout)
        by_key = {attempt.job.key: attempt for attempt in self._at_work.values()}
        for key, message in self._cluster.messages(stopping=self._asked_to_stop_at is not None):
            if key in by_key:
                self._told(by_key[key], message)
        for reference in ready:
            attempt = self._at_work.pop(reference)
            self._watchdog.end(attempt.job)
            try:
                outcome = self._cluster.outcome(reference)
            except RayError as error:
                yield from self._broke(attempt, error)
                continue
            if outcome is None:
                self._started.discard(attempt.job.key)
            elif isinstance(outcome, Unfit):
                self._leave_out(attempt, [outcome])
            else:
                yield from self._came_to_an_end(attempt, outcome)
        yield from self._end_what_hangs()

    def stop(self, reason: str) -> None:
        """Have the jobs at work leave a checkpoint and end, and those in Ray's queue not begin."""
        self._asked_to_stop_at = time.monotonic()
        begun = [attempt for attempt in self._at_work.values() if attempt.began_at is not None]
        self._on_event(Stopping(reason, len(begun)))
        for reference, attempt in self._at_work.items():
            if attempt.began_at is None:
                self._cluster.cancel(reference, force=False)

    def dismiss(self) -> None:
        """End what is at work at once."""
        for reference in self._at_work:
            self._cluster.cancel(reference, force=True)

    def _end_what_hangs(self) -> Iterator[JobOutcome]:
        self._watchdog.look()
        asked = self._asked_to_stop_at
        late = asked is not None and time.monotonic() - asked >= GRACE_SECONDS
        for reference, attempt in list(self._at_work.items()):
            why = ""
            if asked is None and attempt.began_at is not None:
                why = self._watchdog.verdict(attempt.job, signs=False)
            if not late and not why:
                continue
            self._cluster.cancel(reference, force=True)
            del self._at_work[reference]
            self._watchdog.end(attempt.job)
            if late:
                self._on_event(Lost(attempt.job, f"it did not stop within {GRACE_SECONDS:.0f} seconds"))
            else:
                yield from self._died(attempt, f"ended because {why}")

    def _told(self, attempt: _Attempt, message: Begun | Told) -> None:
        trouble = self._troubles[attempt.job.key]
        if isinstance(message, Begun):
            attempt.began_at, attempt.node = time.monotonic(), message.node
            self._watchdog.begin(attempt.job)
            self._on_event(Started(attempt.job, message.place, trouble.attempt))
        else:
            trouble.got_to(message.epoch)
            self._watchdog.told(attempt.job)
            self._on_event(Validated(attempt.job, *message))

    def _came_to_an_end(self, attempt: _Attempt, outcome: JobOutcome) -> Iterator[JobOutcome]:
        trouble = self._troubles[attempt.job.key]
        match outcome.shortage:
            case "disk":
                raise OSError(errno.ENOSPC, outcome.message)
            case "files":
                raise OSError(outcome.message)
            case "memory" if trouble.out_of_memory():
                self._once_more(attempt, outcome.message, alone=True)
            case "device" if trouble.device_broke():
                self._once_more(attempt, outcome.message, alone=False)
            case _:
                yield outcome

    def _leave_out(self, attempt: _Attempt, unfit: Iterable[Unfit]) -> None:
        """Have a job done elsewhere than on nodes that cannot.

        Raises:
            UnfitError: there is no other.
        """
        sentence = ""
        for one in unfit:
            self._cluster.leave_out(one)
            sentence = one.sentence
            self._on_event(Closed(f"Ray's node {one.node[:8]}", sentence))
        self._cluster.require_a_node()
        self._once_more(attempt, sentence, alone=attempt.alone)

    def _broke(self, attempt: _Attempt, error: RayError) -> Iterator[JobOutcome]:
        cause = error.cause if isinstance(error, RayTaskError) else error
        if isinstance(cause, TaskCancelledError):
            return
        if isinstance(error, RayTaskError):
            sentence = f"Every node of the Ray cluster must be able to do a job, but one says: {cause!r}."
            nodes = self._cluster.at_address(str(getattr(error, "ip", "")))
            if not nodes:
                raise UnfitError(sentence)
            self._leave_out(attempt, [Unfit(node, sentence) for node in nodes])
            return
        trouble = self._troubles[attempt.job.key]
        said = str(error).split(". ", 1)[0]
        if isinstance(error, OutOfMemoryError):
            worth_another, message = trouble.out_of_memory(), f"out of memory: {said}"
        elif isinstance(error, NodeDiedError) or self._cluster.lost(attempt.node):
            worth_another, message = trouble.node_died(), f"its node died: {said}"
        else:
            yield from self._died(attempt, f"with {type(error).__name__}: {said}")
            return
        if worth_another:
            self._once_more(attempt, message, alone=isinstance(error, OutOfMemoryError))
        else:
            yield failed(attempt.job, self._workplace, trouble, message)

    def _died(self, attempt: _Attempt, how: str) -> Iterator[JobOutcome]:
        trouble = self._troubles[attempt.job.key]
        spent = 0.0 if attempt.began_at is None else time.monotonic() - attempt.began_at
        worth_another = trouble.died(spent)
        message = f"its process died {trouble.deaths} times, at last {how}"
        if worth_another:
            self._once_more(attempt, message, alone=trouble.last)
        else:
            yield failed(attempt.job, self._workplace, trouble, message)

    def _once_more(self, attempt: _Attempt, message: str, *, alone: bool) -> None:
        self._again.append(_Attempt(attempt.job, alone))
        self._on_event(Lost(attempt.job, message))


def _absolute(workplace: Workplace) -> Workplace:
    def opened_by(name: str) -> str:
        plugin, colon, path = name.partition(":")
        return f"{plugin}:{Path(path).expanduser().resolve()}" if colon else name

    return replace(
        workplace,
        roots={key: (opened_by(name), root.resolve()) for key, (name, root) in workplace.roots.items()},
        weights=workplace.weights.resolve() if workplace.weights else None,
        cache=workplace.cache.resolve() if workplace.cache else None,
        runs=workplace.runs.resolve() if workplace.runs else None,
    )
