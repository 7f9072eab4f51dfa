"""Every registered loss goes the whole way, from search to table, or a record says why not."""

from pathlib import Path

from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plan.study import Study
from mlrc.harness.plugins import LOSSES
from mlrc.protocols.protocol import Protocol
from tests.harness.driving import driven
from tests.harness.in_this_process import in_this_process


def test_every_registered_loss_gets_a_row_or_a_recorded_reason(
    tmp_path: Path, tiny_protocol: Protocol, tiny_images: ImageSet, workplace: Workplace
) -> None:
    protocol = tiny_protocol.vary({"trials": 1, "startup_trials": 1, "repeats": 1, "max_epochs": 2})
    studies = [
        Study(
            protocol=protocol,
            dataset="tiny",
            fingerprint=tiny_images.fingerprint,
            loss=name,
            params=None if LOSSES.find(name).space else {},
        )
        for name in LOSSES.names()
    ]
    records = driven(tmp_path, studies, tiny_images, in_this_process(workplace, lambda *_: None))
    scored = {run.loss for run in records.runs.values()}
    reasons = {fold.loss: fold.message for fold in records.folds.values() if fold.outcome == "diverged"}
    failed = {fold.loss: fold.message for fold in records.folds.values() if fold.outcome == "failed"}
    assert not failed
    assert scored | reasons.keys() == set(LOSSES.names())
    assert all(reasons.values())
