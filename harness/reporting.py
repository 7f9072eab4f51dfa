"""The report with what only the harness can add: the importance of parameters, and pictures of what was retrieved."""

from pathlib import Path

from harness.final import EmbeddingFiles
from harness.gallery import galleries
from harness.images.dataset import ImageSet, open_dataset
from harness.importance import importances
from results.evidence import gather
from results.gallery import Gallery
from results.ledger import LEDGER, Records, read
from results.record import UNTRAINED
from results.report import write_report


def write_full_report(runs: Path, out: Path, *, root: Path | None = None) -> list[Path]:
    """Write the report of a runs folder and give the paths of its files.

    Args:
        runs: folder of a ledger.
        out: folder to write to.
        root: folder that holds the datasets; with it, losses whose test embeddings were kept get a gallery.

    Raises:
        LookupError: a dataset of the gallery is not installed.
        ValueError: the ledger is broken, holds no finished repeat, or its numbers contradict each other.
        OSError: there is no ledger, a dataset cannot be read, or `out` cannot be written.
    """
    records = read(runs / LEDGER)
    pictures = galleries_of(records, EmbeddingFiles(runs), root) if root is not None else []
    return write_report(runs, out, importances=importances(records), galleries=pictures)


def galleries_of(records: Records, files: EmbeddingFiles, root: Path) -> list[Gallery]:
    """Give the galleries of all losses whose test embeddings are there."""
    held = files.held()
    opened: dict[str, ImageSet] = {}
    found: list[Gallery] = []
    for evidence in gather(records):
        there = any(held.issuperset(run.fold_keys) for run in evidence.runs)
        if not there or evidence.loss == UNTRAINED:
            continue
        name = evidence.runs[0].dataset
        if name not in opened:
            opened[name] = open_dataset(name, root)
        images = opened[name]
        if images.fingerprint == evidence.fingerprint:
            found += galleries(evidence, files, images)
    return found
