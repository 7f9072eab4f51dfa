"""How much disk a run needs, and the sentence for when there was not enough."""

import shutil
from pathlib import Path

from harness import model as models
from harness.comparison import Comparison
from harness.plan import cost, repeats
from results.record import UNTRAINED

LEDGER_LINE = 3000
"""Bytes of a ledger line with its line in the log, generously."""
COPIES = 4
"""Of the network in a checkpoint: the weights, the best ones, and RMSprop's two numbers per weight."""


def needed(comparison: Comparison, workers: int, *, models_kept: bool) -> int:
    """Give the bytes that the runs folder takes at most, beside the cache of the images."""
    protocol = comparison.studies[0].protocol
    network = models.build(protocol, seed=0, weights=comparison.workplace.weights)
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    embeddings = len(comparison.test) * protocol.embedding_size * 4 * protocol.folds
    total: int = workers * weights * COPIES
    for study in comparison.studies:
        jobs = cost(study).search_jobs + cost(study).final_jobs
        total += jobs * LEDGER_LINE + (repeats(study) if study.loss != UNTRAINED else 1) * embeddings
        total += models_kept * (study.loss != UNTRAINED) * cost(study).final_jobs * weights
    return total


def shortage(comparison: Comparison, runs: Path, workers: int, *, models: bool) -> str:
    """Say in a sentence that the disk is full, and what it must hold."""
    free = shutil.disk_usage(runs).free
    return (
        f"The disk of {runs} is full: {megabytes(free)} are free, and the whole run takes up to "
        f"{megabytes(needed(comparison, workers, models_kept=models))} there. Make room, or move the folder and give "
        "it with --runs; the same command then goes on, and nothing that is recorded is lost."
    )


def megabytes(size: int) -> str:
    """Write a number of bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
