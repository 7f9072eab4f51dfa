"""What the engine costs beside the arithmetic: the training loop, a second worker, the driver.

    python -m tests.benchmarks.bench_engine              all four, about fifteen minutes
    python -m tests.benchmarks.bench_engine loop driver  some: loop, workers, driver, study

Claims, and the exit status says whether they hold:
loop     the training loop takes at most 3 % more processor time than a bare PyTorch loop with the same arithmetic, on
         the smallest network there is (alternating pairs, median of the ratios within a pair);
workers  4 losses on 2 workers take 1/1.7 of the wall time of 1 worker, on two cores that do nothing else;
driver   a job costs the driver a few milliseconds, most of them until its line is on the disk;
study    10,000 trainings of 2 s on 64 simulated workers leave the driver idle most of the time, and its memory grows by
         the records alone.
"""

import argparse
import pickle
import platform
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np
import torch

from mlrc.harness.engine.attempts import next_job
from mlrc.harness.engine.execute import Execute
from mlrc.harness.engine.perform import record_of
from mlrc.harness.engine.repeat import EmbeddingFiles, score_run
from mlrc.harness.engine.workplace import FoldOutcome, JobOutcome, ScoreOutcome, Workplace
from mlrc.harness.features.rows import Features
from mlrc.harness.images.cache import cached
from mlrc.harness.images.glyphs import DATASET
from mlrc.harness.images.transform import training_batch
from mlrc.harness.metrics.task import Task
from mlrc.harness.plan.job import FoldJob, Job, ScoreJob
from mlrc.harness.plan.split import split
from mlrc.harness.plan.state import StudyState
from mlrc.harness.plan.study import Study
from mlrc.harness.plugins import LOSSES
from mlrc.harness.study.drive import drive
from mlrc.harness.training import model as models
from mlrc.harness.training.batches import drawn
from mlrc.harness.training.checkpoint import Checkpoint
from mlrc.harness.training.fold import StoppedError, Subset, Trained, stream, train_fold
from mlrc.protocols.protocol import Protocol, of
from mlrc.protocols.quick import QUICK
from mlrc.results.records.ledger import Ledger
from mlrc.results.records.record import Environment, FoldRecord, RunRecord

CPU = torch.device("cpu")
WARM_UP = 5
JOB_SECONDS = 2.0
WORKERS = 64
TEST = 20


def loop(root: Path) -> bool:
    """Compare processor time per iteration, ours and bare."""
    torch.set_num_threads(1)
    images = DATASET.open(root)
    protocol = QUICK.vary({"iterations_per_epoch": 1_000_000})
    study = Study(protocol=protocol, dataset="glyphs", fingerprint=images.fingerprint, loss="contrastive")
    (job, *_) = study.jobs("search", 0, {"pos_margin": 0.0, "neg_margin": 0.5})
    labels, indices = images.labels, split(images, protocol).folds[0].train
    train = Subset(cached(images, protocol.resize, folder=root / "cache"), labels, indices)
    pairs = [(_ours(job, train, 60), _bare(job, train, 60)) for _ in range(9)]
    ratio = median(ours / bare for ours, bare in pairs)
    ours, bare = (median(values) * 1000 for values in zip(*pairs, strict=True))
    _say(f"loop      ours {ours:.2f} ms, bare {bare:.2f} ms of processor time per iteration, ratio {ratio:.4f}")
    return ratio <= 1.03


def _ours(job: FoldJob, train: Subset, iterations: int) -> float:
    times: list[float] = []

    def stop() -> bool:
        times.append(time.process_time())
        return len(times) > WARM_UP + iterations

    model = models.build(job.protocol, seed=0)
    with suppress(StoppedError):
        train_fold(
            job,
            LOSSES.find(job.loss),
            model,
            train,
            None,
            device=CPU,
            on_validation=lambda *_: None,
            checkpoint=Checkpoint(None, origin=""),
            stop=stop,
        )
    return (times[-1] - times[WARM_UP]) / iterations


def _bare(job: FoldJob, train: Subset, iterations: int) -> float:
    protocol, spec = job.protocol, LOSSES.find(job.loss)
    classes, labels = np.unique(train.labels[train.indices], return_inverse=True)
    model = models.build(protocol, seed=0)
    loss = spec.make(num_classes=len(classes), embedding_size=protocol.embedding_size, params=job.params)
    assert isinstance(loss, torch.nn.Module)
    optimizer = torch.optim.RMSprop(
        model.parameters(),
        lr=of(protocol.lr, job.dataset),
        momentum=protocol.momentum,
        weight_decay=protocol.weight_decay,
    )
    rows = drawn(labels, protocol, job.dataset, spec.batch, seed=stream(job, "batches"))
    seed = stream(job, "augmentation")
    model.train()
    started = 0.0
    assert not isinstance(train.pixels, Features)
    for iteration in range(WARM_UP + iterations):
        if iteration == WARM_UP:
            started = time.process_time()
        batch = next(rows)
        images = training_batch(train.pixels, train.indices[batch], protocol, seed=seed, iteration=iteration)
        value = loss(model(images), torch.from_numpy(labels[batch]))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return (time.process_time() - started) / iterations


def workers(root: Path) -> bool:
    """Compare wall times of a study of four losses, long enough that the workers' start is a small part of it."""
    DATASET.open(root)
    seconds = {}
    for number in (1, 2):
        with tempfile.TemporaryDirectory() as runs:
            losses = "contrastive,multi_similarity,proxy_anchor,triplet"
            changes = ["--set=trials=2", "--set=startup_trials=2", "--set=repeats=1", "--set=max_epochs=12"]
            places = ["--root", str(root), "--runs", runs, "--workers", str(number), "--device", "cpu"]
            words = ["run", "--dataset", "glyphs", "--losses", losses, "--protocol", "quick", *changes, *places]
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "mlrc.harness.cli", *words], check=True, capture_output=True)
            seconds[number] = time.perf_counter() - started
    ratio = seconds[1] / seconds[2]
    _say(f"workers   1 worker {seconds[1]:.1f} s, 2 workers {seconds[2]:.1f} s, {ratio:.2f} times as fast")
    return ratio >= 1.7


def driver(root: Path) -> bool:
    """Time the driver with jobs that take no time; the proposals of a search are counted out."""
    del root
    jobs = 2000

    def at_once(offered: Iterable[Job]) -> Iterator[JobOutcome]:
        started: set[str] = set()
        while job := next_job(offered, started):
            yield outcome_of(job)

    wall, worked = time.perf_counter(), time.thread_time()
    _drive(_states(jobs // 20), at_once, lambda done: None)
    wall, worked = time.perf_counter() - wall, time.thread_time() - worked
    _say(f"driver    {wall / jobs * 1000:.2f} ms per job, {worked / jobs * 1000:.2f} ms of them of processor time")
    return worked / jobs < 0.01


def study(root: Path) -> bool:
    """Simulate a large study: threads stand for workers and sleep for trainings."""
    del root
    waited = 0.0
    memory: dict[int, float] = {}
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    outcomes: queue.SimpleQueue[JobOutcome] = queue.SimpleQueue()

    def worker(number: int) -> None:
        generator = np.random.default_rng(number)
        while True:
            job = jobs.get()
            time.sleep(generator.uniform(0.5, 1.5) * JOB_SECONDS)
            outcomes.put(outcome_of(job))

    for number in range(WORKERS):
        threading.Thread(target=worker, args=(number,), daemon=True).start()

    def execute(offered: Iterable[Job]) -> Iterator[JobOutcome]:
        nonlocal waited
        started: set[str] = set()
        at_work = 0
        while True:
            while at_work < WORKERS and (job := next_job(offered, started)):
                jobs.put(job)
                at_work += 1
            if not at_work:
                return
            begun = time.perf_counter()
            outcome = outcomes.get()
            waited += time.perf_counter() - begun
            at_work -= 1
            yield outcome

    def recorded(done: int) -> None:
        if done % 2000 == 0:
            memory[done] = _resident()

    wall, worked = time.perf_counter(), time.thread_time()
    done = _drive(_states(500), execute, recorded)
    wall, worked = time.perf_counter() - wall, time.thread_time() - worked
    ideal = done * JOB_SECONDS / WORKERS
    per_record = (memory[max(memory)] - memory[2000]) * 1024 / (max(memory) - 2000)
    idle = waited / wall
    _say(f"study     {done} trainings in {wall:.0f} s ({ideal:.0f} s of sleep), driver idle {idle:.0%} of the time,")
    _say(f"          at work {worked / wall:.0%}, else it waits for the disk")
    told = ", ".join(f"{size:.0f} MiB after {number}" for number, size in memory.items())
    _say(f"          {told}: {per_record:.1f} KiB per record")
    return idle > 0.5 and per_record < 16


def _protocol() -> Protocol:
    return QUICK.vary({"trials": 4, "startup_trials": 4, "folds": 4, "repeats": 1})


def _states(number: int) -> list[StudyState]:
    losses = [name for name in LOSSES.names() if LOSSES.find(name).space]
    studies = (
        Study(protocol=_protocol(), dataset="made-up", fingerprint=f"{index:016x}", loss=losses[index % len(losses)])
        for index in range(number)
    )
    return [StudyState(one, (), (), set()) for one in studies]


_TASK = Task(np.repeat(np.arange(TEST // 4), 4), None)
PLACE = Workplace(
    roots={}, device="cpu", environment=Environment(commit="c0ffee", versions={"torch": "0"}, device="cpu", host="here")
)


def outcome_of(job: Job) -> JobOutcome:
    if isinstance(job, ScoreJob):
        files = EmbeddingFiles(Path(job.embeddings))
        return ScoreOutcome(job, score_run(job, [files.load(key) for key in job.fold_keys], _TASK, PLACE.environment))
    score = int(job.key[:4], 16) / 65536 * 50
    trained = Trained("done", None, tuple((epoch, score) for epoch in range(0, 52, 4)), 4, score)
    embeddings = None if job.stage == "search" else np.eye(TEST, 4, dtype=np.float32)
    record = record_of(job, trained, PLACE, 1.0)
    return pickle.loads(pickle.dumps(FoldOutcome(job, record, embeddings)))  # type: ignore[no-any-return] # noqa: S301 as a worker sends it


def _drive(states: list[StudyState], execute: Execute, told: Callable[[int], None]) -> int:
    numbers = count(1)
    done = 0

    def recorded(state: StudyState, record: FoldRecord | RunRecord) -> None:
        nonlocal done
        if isinstance(record, FoldRecord):
            done = next(numbers)
            told(done)

    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder)) as ledger:
        drive(
            states,
            execute,
            ledger,
            environment=PLACE.environment,
            until="final",
            on_record=recorded,
        )
    return done


def _resident() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


PARTS: dict[str, Callable[[Path], bool]] = {"loop": loop, "workers": workers, "driver": driver, "study": study}


def main() -> int:
    """Measure, print, and give 0 where the claims hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parts = parser.parse_args().parts or list(PARTS)
    _say(f"{platform.machine()}, python {platform.python_version()}, torch {version('torch')}")
    with tempfile.TemporaryDirectory() as root:
        held = [PARTS[part](Path(root)) for part in parts]
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
