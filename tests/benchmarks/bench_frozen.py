"""What a study of heads costs beside the arithmetic.

    python -m tests.benchmarks.bench_frozen              all three
    python -m tests.benchmarks.bench_frozen training     some: training, workers, study
    python -m tests.benchmarks.bench_frozen --small      in miniature, to see that it runs: no claim is judged

Claims, and the exit status says whether they hold; 6,000 rows of 1280 made-up features of 100 classes:
training  1,000 iterations with ten validations take at most 1.10 times the processor time of a bare PyTorch loop with
          the same arithmetic, its batches drawn beforehand (alternating pairs, median of the ratios within a pair);
workers   4 losses on 2 workers take at most 1/1.9 of the wall time of 1 worker, on two cores that do nothing else;
study     of the processor time of a full-budget study of one loss, the driver, the starts of processes and the
          proposals take at most 5 % each.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from mlrc.harness.features.rows import Features
from mlrc.harness.metrics.scores import ask
from mlrc.harness.metrics.task import Task
from mlrc.harness.plan import search, trials
from mlrc.harness.plan.study import Study
from mlrc.harness.plugins import LOSSES
from mlrc.harness.study.carry_out import ready
from mlrc.harness.study.comparison import checked_comparison
from mlrc.harness.training import model as models
from mlrc.harness.training.batches import drawn
from mlrc.harness.training.checkpoint import Checkpoint
from mlrc.harness.training.fold import Subset, stream, train_fold
from mlrc.protocols.protocol import PerDataset, of
from mlrc.protocols.reality_check_frozen import REALITY_CHECK_FROZEN

CPU = torch.device("cpu")
ROWS, WIDTH, CLASSES = 6000, 1280, 100
PARAMS = {
    "contrastive": {"pos_margin": 0.2, "neg_margin": 0.6},
    "proxy_anchor": {"margin": 0.1, "alpha": 16.0, "loss_lr": 1e-2},
}
LOSSES_OF_WORKERS = ("contrastive", "multi_similarity", "normalized_softmax", "proxy_anchor")
MINIATURE = ("trials=3", "startup_trials=1", "repeats=1", "max_epochs=2")
HIGHEST_RATIO, LEAST_GAIN, HIGHEST_SHARE = 1.10, 1.9, 0.05


def _vectors() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    generator = np.random.default_rng(20030850)
    labels = np.sort(generator.integers(0, CLASSES, ROWS))
    centres = generator.normal(size=(CLASSES, WIDTH))
    return (centres[labels] + 4 * generator.normal(size=(ROWS, WIDTH))).astype(np.float32), labels


def _seconds(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def training(pairs: int) -> bool:
    """Time a training against the bare loop."""
    rows, labels = _vectors()
    features = Features(rows[None])
    inside, validated = np.flatnonzero(labels < 38), np.flatnonzero((labels >= 38) & (labels < 50))
    rules = REALITY_CHECK_FROZEN.vary({"patience": PerDataset(10**6)})
    holds = True
    for loss, params in PARAMS.items():
        of_loss = Study(protocol=rules, dataset="bench", fingerprint="", loss=loss, params=params)
        job = of_loss.jobs("search", 0, params)[0]
        spec = LOSSES.find(loss)
        batches = list(islice(drawn(labels[inside], rules, "bench", spec.batch, seed=stream(job, "batches")), 1000))

        def ours() -> None:
            train_fold(
                job,  # noqa: B023 called before the next loss
                spec,  # noqa: B023
                models.build(rules, seed=1, width=WIDTH),
                Subset(features, labels, inside),
                Subset(features, labels, validated),
                device=CPU,
                on_validation=lambda *_: None,
                checkpoint=Checkpoint(None, origin=""),
                stop=lambda: False,
            )

        def bare() -> None:
            head = torch.nn.Linear(WIDTH, rules.embedding_size)
            objective = spec.make(num_classes=38, embedding_size=rules.embedding_size, params=params)  # noqa: B023
            assert isinstance(objective, torch.nn.Module)
            optimizers = [_rmsprop(head, of(rules.lr, "bench"))]
            if "loss_lr" in params:  # noqa: B023
                optimizers.append(_rmsprop(objective, float(params["loss_lr"])))  # noqa: B023
            table, targets = torch.from_numpy(rows), torch.from_numpy(labels)
            places = torch.from_numpy(inside)
            for number, batch in enumerate(batches):  # noqa: B023
                chosen = places[torch.from_numpy(batch)]
                value = objective(head(table[chosen]), targets[chosen])
                for optimizer in optimizers:
                    optimizer.zero_grad()
                value.backward()
                for optimizer in optimizers:
                    optimizer.step()
                if number % 100 == 99:
                    with torch.inference_mode():
                        ask(head(table[torch.from_numpy(validated)]).numpy(), Task(labels[validated])).means()

        ours()
        bare()
        times = [(_seconds(ours), _seconds(bare)) for _ in range(pairs)]
        ratio = median(mine / theirs for mine, theirs in times)
        holds = holds and ratio <= HIGHEST_RATIO
        _say(
            f"training, {loss}: {ratio:.3f} times the bare loop ({min(mine for mine, _ in times):.2f} s against "
            f"{min(theirs for _, theirs in times):.2f} s of processor time)"
        )
    return holds


def _rmsprop(module: torch.nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(module.parameters(), lr=lr, momentum=0.9, weight_decay=1e-4)


def _study(folder: Path, losses: tuple[str, ...], workers: int, *changes: str) -> float:
    """Do a study, and give its wall time."""
    rows, labels = _vectors()
    np.savez(folder / "bench.npz", embeddings=rows, labels=labels)
    comparison = checked_comparison(
        dataset=f"features:{folder / 'bench.npz'}",
        losses=losses,
        protocol=REALITY_CHECK_FROZEN.set(changes),
        root=folder,
        device="cpu",
        cache=folder / "cache",
    )
    started = time.perf_counter()
    with ready(comparison, folder / f"runs-{workers}", workers=workers) as work:
        work.do("final")
    return time.perf_counter() - started


def workers(*, small: bool) -> bool:
    """Time the same study with one worker and with two."""
    changes = MINIATURE if small else ("trials=4", "startup_trials=4", "repeats=1")
    with tempfile.TemporaryDirectory() as folder:
        one, two = (_study(Path(folder), LOSSES_OF_WORKERS, number, *changes) for number in (1, 2))
    _say(f"workers: 2 take 1/{one / two:.2f} of the wall time of 1 ({two:.0f} s against {one:.0f} s)")
    return one / two >= LEAST_GAIN


def study(*, small: bool) -> bool:
    """Take the full budget of one loss apart."""
    proposing = 0.0
    propose = search.propose

    def timed(*given: object, **named: object) -> object:
        nonlocal proposing
        started = time.thread_time()
        found = propose(*given, **named)  # type: ignore[arg-type]
        proposing += time.thread_time() - started
        return found

    vars(trials)["propose"] = timed
    with tempfile.TemporaryDirectory() as folder:
        before = [_used(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        _study(Path(folder), ("contrastive",), 1, *(MINIATURE if small else ()))
        after = [_used(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    mine, theirs = (later - earlier for earlier, later in zip(before, after, strict=True))
    vars(trials)["propose"] = propose
    starting = _seconds_of_a_start()
    shares = {
        "driver": (mine - proposing) / (mine + theirs),
        "starts of processes": starting / (mine + theirs),
        "proposals": proposing / (mine + theirs),
    }
    told = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
    budget = "in miniature" if small else "at the full budget"
    _say(f"study: {(mine + theirs) / 60:.1f} minutes of processor time for one loss {budget}; {told}")
    return all(share <= HIGHEST_SHARE for share in shares.values())


def _used(whose: int) -> float:
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime


def _seconds_of_a_start() -> float:
    """Give the processor time of a process that imports what a worker does."""
    import subprocess  # noqa: PLC0415 nothing else needs it

    before = _used(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import mlrc.harness.engine.serving"], check=True)
    return _used(resource.RUSAGE_CHILDREN) - before


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=["training", "workers", "study", []])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="In miniature, to see that it runs: no claim is judged.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    parts = given.parts or ["training", "workers", "study"]
    held = {
        "training": lambda: training(1 if given.small else given.pairs),
        "workers": lambda: workers(small=given.small),
        "study": lambda: study(small=given.small),
    }
    holding = [held[part]() for part in parts]
    return 0 if given.small or all(holding) else 1


if __name__ == "__main__":
    sys.exit(main())
