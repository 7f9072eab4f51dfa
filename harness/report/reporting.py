"""The report with what only the harness can add: the importance of parameters, and pictures of what was retrieved."""

from pathlib import Path

from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.images.content import OnProgress
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plan.parameters import ranges, titles
from mlrc.harness.report.gallery import Studio, galleries, repeat_with_models
from mlrc.harness.report.importance import importances
from mlrc.protocols.datasets import features
from mlrc.results.publishing.against import Stored, boards_against
from mlrc.results.records.evidence import gather
from mlrc.results.records.ledger import LEDGER, Records, read
from mlrc.results.records.record import BASELINES
from mlrc.results.rendering.gallery import Gallery
from mlrc.results.rendering.report import write_report
from mlrc.results.statistics.levels import MARGIN


def write_full_report(
    runs: Path,
    out: Path,
    *,
    root: Path | None = None,
    device: str = "cpu",
    margin: float = MARGIN,
    on_progress: OnProgress = lambda _what, _done, _total: None,
    against: Stored | None = None,
) -> list[Path]:
    """Write the report of a runs folder and give the paths of its files.

    Args:
        runs: folder of a ledger.
        out: folder to write to.
        root: folder that holds the datasets; with it, losses whose models were kept get a gallery.
        device: to embed the gallery's images on.
        margin: percent points within which a difference of two losses is of no interest.
        on_progress: told of the embedding.
        against: stored results whose losses are ranked with those of the run.

    Raises:
        LookupError: a dataset of the gallery is not installed.
        ValueError: the ledger is broken, holds no finished repeat, or its numbers contradict each other; or a gallery
            is asked for and there are no models or other images.
        OSError: there is no ledger, a dataset cannot be read, or `out` cannot be written.
    """
    records = read(runs / LEDGER)
    both, found = boards_against(runs, against) if against else (records, None)
    pictures = galleries_of(records, runs, root, device=device, on_progress=on_progress) if root is not None else []
    return write_report(
        runs,
        out,
        importances=importances(both),
        galleries=pictures,
        margin=margin,
        ranges=ranges({run.loss for run in both.runs.values()}),
        found=found,
        titles=titles({run.loss for run in both.runs.values()}),
    )


def galleries_of(
    records: Records, runs: Path, root: Path, *, device: str = "cpu", on_progress: OnProgress
) -> list[Gallery]:
    """Give the galleries of all losses whose models were kept.

    Raises:
        ValueError: there are none, or the images below `root` are not those of the run.
    """
    models, cache = runs / "models", root / "cache"
    opened: dict[str, ImageSet] = {}
    found: list[Gallery] = []
    for evidence in gather(records):
        run = repeat_with_models(evidence, models)
        if run is None or run.loss in BASELINES or run.dataset.startswith(f"{features.FACTS.name}:"):
            continue
        if run.dataset not in opened:
            opened[run.dataset] = _opened(run.dataset, root)
        images = opened[run.dataset]
        if run.fingerprint not in (images.fingerprint, images.earlier):
            raise ValueError(
                f"The gallery of {run.dataset} needs its images with fingerprint {run.fingerprint}, but those below "
                f"{root} have {images.fingerprint}; give the folder that the run used with --root, or leave it out."
            )
        studio = Studio(models, images, cache if cache.is_dir() else None, device)  # none is begun beside one's images
        found += galleries(run, studio, dataset=evidence.dataset, on_progress=on_progress)
    if not found:
        raise ValueError(
            f"A gallery needs the models of a repeat, but there are none in {models}; keep them with mlrc run "
            "--save-models, or leave out --root."
        )
    return found


def _opened(name: str, root: Path) -> ImageSet:
    return open_dataset(*place_of(name, root))


def place_of(name: str, root: Path) -> tuple[str, Path]:
    """Give the plug-in and the folder of a dataset by its name in the records.

    `folder:NAME` is `root` itself or the folder of that name in it.
    """
    plugin, _, folder = name.partition(":")
    place = root.resolve()
    return plugin, place / folder if folder not in ("", place.name, place.stem) else place
