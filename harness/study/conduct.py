"""How a comparison is carried out: with which processes and devices, for how long, shown and logged by whom.

No result depends on anything here.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, TypeVar

from mlrc.harness.engine.events import Event, OnEvent
from mlrc.harness.engine.execute import Execute, in_processes
from mlrc.harness.engine.repeat import EmbeddingFiles
from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.machine.stopping import Stop
from mlrc.harness.plan.state import StudyState, Until
from mlrc.harness.plan.trials import Ask
from mlrc.harness.study.comparison import Comparison
from mlrc.harness.study.drive import drive
from mlrc.harness.study.recorded_images import unrecorded
from mlrc.harness.watch.progress import Display, place
from mlrc.harness.watch.run_log import RunLog
from mlrc.harness.watch.study_names import labels
from mlrc.results.records.ledger import Ledger
from mlrc.results.records.record import FoldRecord, Identity, RunRecord

R = TypeVar("R", FoldRecord, RunRecord)


@contextmanager
def in_the_background() -> Iterator[Ask]:
    """Have trials proposed one after the other in a thread, as the driver has other studies to see to meanwhile."""
    proposer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="proposals")
    try:
        yield proposer.submit
    finally:
        proposer.shutdown(cancel_futures=True)


class Listener(Protocol):
    """Who shows or writes down what happens."""

    def told(self, event: Event, /) -> None:
        """Hear what happens at a job at work."""
        ...

    def recorded(self, state: StudyState, record: FoldRecord | RunRecord, /) -> None:
        """Hear that a record was written, and where its study stands."""
        ...


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a run is done with.

    Attributes:
        workers: number of worker processes in all, spread over the comparison's devices.
        elsewhere: gives an executor to use in place of worker processes here.
        stop: ends the run before its work is done.
        save_models: keep the weights of the final stage's models.
        listeners: hear of everything, beside the display and the log.
    """

    workers: int
    elsewhere: Callable[[Workplace, OnEvent, Stop], Execute] | None = None
    stop: Stop = field(default_factory=Stop)
    save_models: bool = False
    listeners: tuple[Listener, ...] = ()


def number_of_workers(workers: int | None, per_device: int | None, devices: int) -> int:
    """Give the number of worker processes: as many as asked for, or so many per device, or one on each.

    Raises:
        ValueError: both were asked for.
    """
    if workers is not None and per_device is not None:
        raise ValueError(
            f"--workers counts all processes and --per-device those of each device, so only one can hold, but got "
            f"{workers} and {per_device}."
        )
    return workers or (per_device or 1) * devices


class Ending(NamedTuple):
    """How a comparison ended.

    Attributes:
        left: trainings and repeats to score that could still be done.
        failures: of each study that stands still: its label, which job failed, and why.
    """

    left: int
    failures: tuple[tuple[str, str, str], ...]


def conduct(comparison: Comparison, ledger: Ledger, means: Means, until: Until) -> Ending:
    """Do what the ledger does not record yet.

    Raises:
        OSError: a file of the run cannot be used, or the disk is full.
        UnfitError: a machine lacks what the trainings need.
        KeyboardInterrupt: Ctrl-C came twice.
    """
    runs = ledger.path.parent
    ledger.append(unrecorded(comparison.images, ledger.records))
    held = EmbeddingFiles.of_run(runs).held()
    folds, scored = _by_study(ledger.records.folds.values()), _by_study(ledger.records.runs.values())
    workplace = replace(comparison.workplace, runs=runs.resolve(), save_models=means.save_models)
    with ExitStack() as stack:
        ask = stack.enter_context(in_the_background())
        states = [
            StudyState(study, folds[study.identity], scored[study.identity], held, ask) for study in comparison.studies
        ]
        stack.enter_context(means.stop.on_signals())
        log, display = stack.enter_context(RunLog(runs, states)), stack.enter_context(Display(states, until))
        listeners: tuple[Listener, ...] = (log, display, *means.listeners)

        def told(event: Event) -> None:
            for listener in listeners:
                listener.told(event)

        def recorded(state: StudyState, record: FoldRecord | RunRecord) -> None:
            for listener in listeners:
                listener.recorded(state, record)

        if means.elsewhere:
            execute = means.elsewhere(workplace, told, means.stop)
        else:
            execute = in_processes(workplace, means.workers, told, devices=comparison.devices, stop=means.stop)
        drive(
            states,
            execute,
            ledger,
            environment=comparison.workplace.environment,
            until=until,
            on_record=recorded,
        )
    names = labels(comparison.studies)
    return Ending(
        sum(state.left(until) + len(state.to_score("")) * (until == "final") for state in states),
        tuple(failure for name, state in zip(names, states, strict=True) for failure in _failures(name, state, until)),
    )


def _failures(label: str, state: StudyState, until: Until) -> Iterator[tuple[str, str, str]]:
    for record in state.failures(until):
        yield label, place(record), record.message
    for keys, message in state.unscorable.items():
        numbers = {record.number for record in state.records if record.key in keys}
        yield label, f"the scoring of repeat {min(numbers)}", message


def _by_study(records: Iterable[R]) -> Mapping[Identity, list[R]]:
    found: defaultdict[Identity, list[R]] = defaultdict(list)
    for record in records:
        found[record.identity].append(record)
    return found
