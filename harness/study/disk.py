"""How much disk a run needs, and the sentence for when there was not enough."""

import shutil
from pathlib import Path

from mlrc.harness.images.vectors import VectorRows
from mlrc.harness.plan.study import cost, repeats
from mlrc.harness.study.comparison import Comparison
from mlrc.harness.training import model as models
from mlrc.harness.training.extraction import features_of
from mlrc.results.records.record import BASELINES, UNTRAINED

LEDGER_LINE = 3000
"""Bytes of a ledger line with its line in the log, generously."""
COPIES = 4
"""Of the network in a checkpoint: the weights, the best ones, and at most two numbers of the optimizer per weight.

The weights of a loss come with theirs on top, which is little beside a trunk. While one is written
the last one still lies beside it.
"""


def needed(comparison: Comparison, workers: int, *, models_kept: bool) -> int:
    """Give the bytes that the runs folder takes at most, beside the cache of the images."""
    protocol = comparison.studies[0].protocol
    network = models.build(protocol, seed=0, weights=comparison.workplace.weights, width=_width(comparison))
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    values = len(comparison.test) * protocol.folds * 4  # bytes of one dimension of a repeat's embeddings
    written = max(values // protocol.folds * max(network.width, protocol.embedding_size), weights)
    total: int = 2 * workers * weights * COPIES + written  # what is written lies beside its predecessor as .part
    for study in comparison.studies:
        jobs = cost(study).search_jobs + cost(study).final_jobs
        size = network.width if study.loss == UNTRAINED else protocol.embedding_size
        total += jobs * LEDGER_LINE + repeats(study) * values * size
        total += models_kept * (study.loss not in BASELINES) * cost(study).final_jobs * weights
    return total


def _width(comparison: Comparison) -> int | None:
    """Give how wide the features are where vectors stand in the place of images; a trunk knows its own."""
    images, place = comparison.images, comparison.workplace
    if not isinstance(images.pixels, VectorRows):
        return None
    return features_of(images, comparison.studies[0].protocol, weights=None, folder=place.cache, devices=()).width


def shortage(comparison: Comparison, runs: Path, workers: int, *, models_kept: bool) -> str:
    """Say in a sentence that the disk is full, and what it must hold."""
    free = shutil.disk_usage(runs).free
    whole = megabytes(needed(comparison, workers, models_kept=models_kept))
    return (
        f"The disk of {runs} is full: {megabytes(free)} are free, and the whole run takes up to {whole} there. "
        "Make room, or move the folder and give it with --runs; the same command then goes on, and nothing that is "
        "recorded is lost."
    )


def megabytes(size: int) -> str:
    """Write a number of bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
