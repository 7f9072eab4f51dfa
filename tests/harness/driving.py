"""How tests have whole studies done: the driver over a ledger, with test images of the tests' own."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mlrc.harness.engine.execute import Execute
from mlrc.harness.engine.repeat import EmbeddingFiles
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plan.state import StudyState, Until
from mlrc.harness.plan.study import Study
from mlrc.harness.study.drive import drive
from mlrc.results.records.ledger import LEDGER, Ledger, Records, read
from mlrc.results.records.record import FoldRecord, RunRecord
from tests.harness.conftest import ENVIRONMENT

OnRecord = Callable[[StudyState, FoldRecord | RunRecord], None]


def states_of(studies: Iterable[Study], ledger: Ledger) -> list[StudyState]:
    """Give where the studies stand by what is recorded and on the disk."""
    folds, runs = ledger.records.folds.values(), ledger.records.runs.values()
    held = EmbeddingFiles.of_run(ledger.path.parent).held()
    return [StudyState(study, folds, runs, held) for study in studies]


def drive_on(
    states: Sequence[StudyState],
    images: ImageSet,
    execute: Execute,
    ledger: Ledger,
    *,
    until: Until = "final",
    on_record: OnRecord = lambda state, record: None,
) -> None:
    """Do what is left of studies of one dataset, tested on the images that its first one's protocol keeps for it."""
    drive(
        states,
        execute,
        ledger,
        environment=ENVIRONMENT,
        until=until,
        on_record=on_record,
    )


def driven(
    runs: Path,
    studies: Iterable[Study],
    images: ImageSet,
    execute: Execute,
    *,
    until: Until = "final",
    on_record: OnRecord = lambda state, record: None,
) -> Records:
    """Do what is left of the studies of a runs folder, and give what is recorded then."""
    with Ledger(runs) as ledger:
        drive_on(states_of(studies, ledger), images, execute, ledger, until=until, on_record=on_record)
    return read(runs / LEDGER)
