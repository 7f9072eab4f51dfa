"""K trainings that share the device through the harness's own engine, with and without NVIDIA's MPS.

Each of K workers has one endless training. Validations tell how far each is; once all are at work, their iterations per
second over some seconds are added up, and the run is asked to stop. So the workers' start is in no number.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

from mlrc.harness.engine.events import Event, Lost, Validated
from mlrc.harness.engine.execute import in_processes
from mlrc.harness.engine.workplace import FoldOutcome
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.machine.stopping import Stop
from mlrc.harness.plan.study import Study
from mlrc.protocols.protocol import PerDataset, Protocol
from tests.benchmarks.device.setting import Measurement, Row, Setting, resnet50, small_conv
from tests.benchmarks.device.steps import LOSS, PARAMS

WINDOW = 4.0
MOST_SECONDS = 90.0
CONTROL = "nvidia-cuda-mps-control"


def measurements(setting: Setting) -> Iterator[Measurement]:
    """Give one per network, number of trainings and MPS; the most telling first."""
    resnet = resnet50(setting).vary({"iterations_per_epoch": 10, "validation_interval": PerDataset(2)})
    conv = small_conv(setting).vary({"iterations_per_epoch": 1 if setting.small else 25})
    if setting.small:
        yield "small_conv, K = 2", partial(shared, setting, conv, 2, mps=False)
        return
    for mps, number in ((False, 1), (False, 4), (True, 4), (False, 8), (True, 8), (False, 2), (True, 2)):
        for name, protocol in (("ResNet-50, batch 32", resnet), ("small_conv, batch 32", conv)):
            if not mps or (setting.device.type == "cuda" and shutil.which(CONTROL)):
                yield (
                    f"{name}, K = {number}{', MPS' if mps else ''}",
                    partial(shared, setting, protocol, number, mps=mps),
                )


class Watch:
    """What the validations tell of the speed of all trainings together."""

    def __init__(self, number: int, window: float) -> None:
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
        if not self._from and len(self._seen) == self._number and all(len(seen) >= 3 for seen in self._seen.values()):
            self._from = now
        if self._from and now - self._from >= self._window and all(len(self._inside(key)) >= 3 for key in self._seen):
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


def shared(setting: Setting, protocol: Protocol, number: int, *, mps: bool) -> Row:
    """Let `number` workers train at once for some seconds."""
    endless = protocol.vary({"max_epochs": 1_000_000, "patience": PerDataset(1_000_000)})
    images = open_dataset("glyphs", setting.folder)
    study = Study(protocol=endless, dataset="glyphs", fingerprint=images.fingerprint, loss=LOSS)
    jobs = [
        job
        for trial in range(-(-number // protocol.folds))
        for job in study.jobs("search", trial, PARAMS | {"neg_margin": 0.5 + trial / 100})
    ]
    watch = Watch(number, 0.3 if setting.small else WINDOW)
    with tempfile.TemporaryDirectory(dir=setting.folder) as runs, service() if mps else nullcontext():
        place = setting.workplace(runs=Path(runs))
        execute = in_processes(place, number, watch.hear, devices=(str(setting.device),), stop=watch.stop)
        outcomes = list(execute(jobs[:number]))
        written = "".join(path.read_text()[-2000:] for path in sorted((Path(runs) / "logs").glob("*.log"))[:1])
    if outcomes or watch.lost or watch.stop.signal is None:
        messages = [outcome.record.message for outcome in outcomes if isinstance(outcome, FoldOutcome)]
        raise RuntimeError(f"trainings ended: {messages} {watch.lost} {written}")
    speed = watch.epochs_per_second() * protocol.iterations_per_epoch
    return {
        "trainings": number,
        "steps/s of all": round(speed, 1),
        "ms per step of each": round(1000 * number / speed, 2),
    }


@contextmanager
def service() -> Iterator[None]:
    """Run NVIDIA's Multi-Process Service for the processes that are started meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        places = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        subprocess.run([CONTROL, "-d"], env={**os.environ, **places}, check=True, timeout=20)
        os.environ.update(places)
        try:
            yield
        finally:
            for name in places:
                os.environ.pop(name)
            subprocess.run([CONTROL], input=b"quit\n", env={**os.environ, **places}, check=False, timeout=20)
