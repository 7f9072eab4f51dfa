"""Whether the device gives the same bits twice: two trainings of one job, and one that was stopped and went on.

Jobs of the final stage, so that the weights and the test embeddings are compared, not only the scores.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np

from mlrc.harness.engine.perform import perform
from mlrc.harness.engine.workplace import FoldOutcome, Workplace
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.search import sobol_point
from mlrc.harness.plan.study import Study
from mlrc.harness.plugins import LOSSES
from mlrc.harness.training.fold import StoppedError
from mlrc.protocols.protocol import PerDataset, Protocol
from tests.benchmarks.device.setting import Measurement, Row, Setting, bn_inception, resnet50, small_conv


def measurements(setting: Setting) -> Iterator[Measurement]:
    """Give one per network, precision and loss: of pairs, with a miner, with proxies, with ranks."""
    conv, losses = small_conv(setting), ("contrastive", "multi_similarity_miner", "multi_proxy_anchor", "smooth_ap")
    cases = [("small_conv", conv, loss) for loss in (losses[:1] if setting.small else losses)]
    if not setting.small:
        for name, of in (("BN-Inception", bn_inception), ("ResNet-50", resnet50)):
            for changes in ({}, {"channels_last": True}, {"precision": "bfloat16"}):
                told = "".join(f", {change.replace('_', ' ')} {value}" for change, value in changes.items())
                cases.append((f"{name}{told}", of(setting).vary(changes), losses[2]))
    for name, protocol, loss in cases:
        epochs = {"iterations_per_epoch": 2 if setting.small else 5, "max_epochs": 3}
        short = protocol.vary({**epochs, "validation_interval": PerDataset(1), "batch_size": protocol.batch_size})
        yield f"{name}, {loss}", partial(compared, setting, short, loss)


def compared(setting: Setting, protocol: Protocol, loss: str) -> Row:
    """Train twice, and once in two goes."""
    fingerprint = open_dataset("glyphs", setting.folder).fingerprint
    params = sobol_point(LOSSES.find(loss).space, 0, seed=1)
    study = Study(protocol=protocol, dataset="glyphs", fingerprint=fingerprint, loss=loss, params=params)
    job = study.jobs("final", 0, params)[0]
    place = setting.workplace(save_models=True)
    first, again = (_done(job, place, lambda: False) for _ in range(2))
    middle = 3 * protocol.iterations_per_epoch // 2 + 1
    with tempfile.TemporaryDirectory(dir=setting.folder) as runs:
        kept = replace(place, runs=Path(runs))
        (Path(runs) / "checkpoints").mkdir()
        asked = count()
        try:
            _done(job, kept, lambda: next(asked) == middle)
        except StoppedError:
            resumed = _done(job, kept, lambda: False)
        else:
            raise RuntimeError("the training was to be stopped, but came to its end")
    return {
        "outcome": first.record.outcome,
        "score": first.record.best_score,
        "two trainings": _same(first, again),
        "stopped and gone on": _same(first, resumed),
    }


def _done(job: FoldJob, place: Workplace, stop: Callable[[], bool]) -> FoldOutcome:
    outcome = perform(job, place, lambda *_: None, stop)
    if outcome.record.outcome == "failed":
        raise RuntimeError(outcome.record.message)
    return outcome


def _same(one: FoldOutcome, other: FoldOutcome) -> str:
    if one.embeddings is None or other.embeddings is None:
        return f"{one.record.outcome}: {one.record.message}"
    parts = {
        "weights": one.weights == other.weights,
        "embeddings": np.array_equal(one.embeddings, other.embeddings),
        "history": one.record.history == other.record.history,
    }
    different = [name for name, same in parts.items() if not same]
    return f"other {' and '.join(different)}" if different else "same bits"
