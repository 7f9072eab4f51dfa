"""Repeats are scored in a process of their own, so that the driver goes on feeding its workers meanwhile.

At the size of SOP a repeat takes a minute. Small test sets are scored at once: a process would take longer to begin.
"""

import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection

from mlrc.harness.engine.execute import UnfitError
from mlrc.harness.engine.repeat import EmbeddingFiles, ScoredRun, score_run
from mlrc.harness.engine.spawning import without_main
from mlrc.harness.engine.worker import die_with_parent
from mlrc.harness.metrics.task import Task
from mlrc.harness.plan.study import Study
from mlrc.results.records.record import Environment, FoldRecord

AT_ONCE = 10_000
"""Test images up to which a repeat is scored in the driver, within a second or two."""

_Repeat = tuple[Study, Sequence[FoldRecord]]


class Scorer:
    """Takes repeats and gives their scores, one after the other.

    Args:
        files: the test embeddings of the fold models.
        task: of the test images.
        environment: for the records.
    """

    def __init__(self, files: EmbeddingFiles, task: Task, environment: Environment) -> None:
        self._files = files
        self._task = task
        self._environment = environment
        self._waiting: deque[_Repeat] = deque()
        self._under_way: set[tuple[str, ...]] = set()
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection

    def begin(self, study: Study, folds: Sequence[FoldRecord]) -> None:
        """Take a repeat, unless it was taken before; `folds` are its records, in fold order.

        Raises:
            UnfitError: the process died.
        """
        keys = tuple(fold.key for fold in folds)
        if keys in self._under_way:
            return
        self._under_way.add(keys)
        self._waiting.append((study, tuple(folds)))
        if len(self._task.labels) > AT_ONCE and len(self._waiting) == 1:
            self._ask()

    def ended(self, *, wait: bool) -> Iterator[ScoredRun]:
        """Give the repeats that are scored, or with `wait` all.

        Raises:
            UnfitError: the process died.
        """
        while self._waiting:
            if self._process is None:
                scored = score(*self._waiting[0], self._files, self._task, self._environment)
            elif wait or self._connection.poll():
                scored = self._receive()
            else:
                return
            self._waiting.popleft()
            self._under_way.discard(scored.record.fold_keys)
            if self._process is not None and self._waiting:
                self._ask()
            yield scored

    def dismiss(self) -> None:
        """End the process at once; what it has not scored is scored another time."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
            self._process = None

    def _ask(self) -> None:
        """Hand the process the first that waits; one at a time, or both ends could wait for the other to read."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")  # as for the workers
            self._connection, theirs = context.Pipe()
            arguments = (self._files, self._task, self._environment, theirs)
            self._process = context.Process(target=serve, args=arguments, daemon=True)
            with without_main():
                self._process.start()
            theirs.close()
        try:
            self._connection.send(self._waiting[0])
        except (BrokenPipeError, ConnectionResetError):
            raise self._died() from None

    def _receive(self) -> ScoredRun:
        try:
            answer: ScoredRun | BaseException = self._connection.recv()
        except (EOFError, ConnectionResetError):
            raise self._died() from None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _died(self) -> UnfitError:
        assert self._process is not None  # noqa: S101 it was asked
        self._process.join()
        killed = " (killed: perhaps the machine's memory does not hold the scoring)" * (self._process.exitcode == -9)
        return UnfitError(
            f"The process that scores must live, but it died with exit code {self._process.exitcode}{killed}; what is "
            "recorded stays recorded, and the same command goes on."
        )


def score(
    study: Study, folds: Sequence[FoldRecord], files: EmbeddingFiles, task: Task, environment: Environment
) -> ScoredRun:
    """Score one repeat from the embeddings on the disk."""
    return score_run(study, folds, [files.load(fold.key) for fold in folds], task, environment)


def serve(files: EmbeddingFiles, task: Task, environment: Environment, connection: Connection) -> None:
    """Score repeats as they come until the driver is gone; what the process runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # both are the driver's to handle, which ends this process
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=die_with_parent, daemon=True).start()
    while True:
        try:
            study, folds = connection.recv()
        except EOFError:
            return
        try:
            connection.send(score(study, folds, files, task, environment))
        except Exception as error:  # noqa: BLE001 it is raised again in the driver
            connection.send(error)
