"""How many trainings should share a GPU: what each number of them does in a second, measured for some seconds.

Each worker has one endless training. Its validations tell how far it is; once all are at work, their iterations per
second over a window are added up, and the workers are asked to stop. So the workers' start is in no number.
"""

import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from mlrc.harness.engine.events import Event, Lost, Validated
from mlrc.harness.engine.execute import in_processes
from mlrc.harness.engine.workplace import FoldOutcome, Workplace
from mlrc.harness.machine.stopping import Stop
from mlrc.harness.plan.job import FoldJob, Params
from mlrc.harness.plan.parameters import space
from mlrc.harness.plan.search import propose
from mlrc.harness.plan.study import Study
from mlrc.harness.plugins import LOSSES
from mlrc.harness.study.comparison import Comparison
from mlrc.protocols.protocol import PerDataset, Protocol
from mlrc.results.records.record import BASELINES

NUMBERS = (1, 2, 4, 8)
"""Of trainings on a device that are tried, until one more step gives no more."""
WORTH = 1.05
"""That more trainings must give in all, or the fewer are enough."""
WINDOW, MOST_SECONDS = 4.0, 90.0
LEAST = 3
"""Validations of each training within the window."""
ENDLESS = 1_000_000


class Watch:
    """What the validations tell of the speed of all trainings together.

    Args:
        number: of trainings.
        window: seconds over which they are watched.
    """

    def __init__(self, number: int, window: float = WINDOW) -> None:
        self.stop = Stop(after=MOST_SECONDS)
        self.lost: list[str] = []
        self._number, self._window = number, window
        self._seen: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
        self._from = 0.0

    def hear(self, event: Event) -> None:
        """Take in an event of the engine, and ask it to stop at the end of the window."""
        if isinstance(event, Lost):
            self.lost.append(event.message)
        if not isinstance(event, Validated):
            return
        now = time.monotonic()
        self._seen[event.job.key].append((now, event.epoch))
        if not self._from and len(self._seen) == self._number and all(len(one) >= LEAST for one in self._seen.values()):
            self._from = now
        inside = map(len, map(self._inside, self._seen))
        if self._from and now - self._from >= self._window and min(inside) >= LEAST:
            self.stop.signal = signal.SIGTERM

    def epochs_per_second(self) -> float:
        """Add up the speeds within the window."""
        speeds = []
        for key in self._seen:
            (begun, first), *_, (ended, last) = self._inside(key)
            speeds.append((last - first) / (ended - begun))
        return sum(speeds)

    def _inside(self, key: str) -> list[tuple[float, int]]:
        return [(moment, epoch) for moment, epoch in self._seen[key] if self._from and moment >= self._from]


def steps_per_second(
    workplace: Workplace, study: Study, params: Params, number: int, device: str, *, window: float = WINDOW
) -> float:
    """Let so many workers train at once on a device, and give the iterations per second of all.

    Raises:
        RuntimeError: a training ended or was lost, as where the device's memory is too small for so many.
    """
    jobs = _endless(study, params, number)
    watch = Watch(number, window)
    with tempfile.TemporaryDirectory() as runs:
        place = replace(workplace, runs=Path(runs), device=device)
        outcomes = list(in_processes(place, number, watch.hear, devices=(device,), stop=watch.stop)(jobs))
    if outcomes or watch.lost or watch.stop.signal is None:
        messages = [outcome.record.message for outcome in outcomes if isinstance(outcome, FoldOutcome)]
        raise RuntimeError(f"{number} trainings at once came to no speed: {[*messages, *watch.lost]}")
    return watch.epochs_per_second() * study.protocol.iterations_per_epoch


def _endless(study: Study, params: Params, number: int) -> list[FoldJob]:
    endless = replace(study, protocol=without_end(study.protocol))
    trials = range(-(-number // study.protocol.folds))
    return [job for trial in trials for job in endless.jobs("search", trial, params)][:number]


def without_end(protocol: Protocol) -> Protocol:
    """Give a protocol whose trainings go on for ever."""
    return protocol.vary({"max_epochs": ENDLESS, "patience": PerDataset(ENDLESS)})


def measured(
    comparison: Comparison, numbers: Iterable[int] = NUMBERS, *, window: float = WINDOW, epoch: int = 10
) -> dict[int, float]:
    """Give the iterations per second of all trainings, by how many of them share the comparison's first device.

    Of its first loss, with the parameters of its first trial; a number that fits no more, or gives no more, is the
    last. An `epoch` has so many iterations here, so that validations come often.
    """
    study = next(one for one in comparison.studies if one.loss not in BASELINES)
    rules = study.protocol
    params = study.params
    if params is None:
        of_loss = space(LOSSES.find(study.loss), rules, study.dataset)
        params = propose(of_loss, (), seed=study.seed, startup=max(1, rules.startup_trials))
    short = {"iterations_per_epoch": epoch, "validation_interval": PerDataset(2), "warm_up": 0}
    watched = replace(study, protocol=rules.vary(short))
    found: dict[int, float] = {}
    for number in numbers:
        try:
            speed = steps_per_second(
                comparison.workplace, watched, params, number, comparison.devices[0], window=window
            )
        except RuntimeError:
            if not found:
                raise
            break
        enough = bool(found) and speed < WORTH * max(found.values())
        found[number] = speed
        if enough:
            break
    return found


def chosen(speeds: Mapping[int, float]) -> int:
    """Give the smallest number of trainings from which no larger one gives `WORTH` times as much in all."""
    best = max(speeds.values())
    return min(number for number, speed in speeds.items() if speed * WORTH >= best)


def advice(speeds: Mapping[int, float]) -> str:
    """Say what was measured and what follows, for people."""
    numbers = ", ".join(f"{number}: {speed:.1f}" for number, speed in speeds.items())
    return f"Iterations per second by trainings on one GPU: {numbers}; the best is --per-device {chosen(speeds)}."
