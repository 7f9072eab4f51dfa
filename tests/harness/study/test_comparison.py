"""What a comparison makes of the words of a command."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.metrics.task import Task
from mlrc.harness.study import comparison
from mlrc.harness.study.conduct import Means, conduct
from mlrc.harness.study.subject import subject_of
from mlrc.protocols.protocol import Protocol
from mlrc.results.boards.leaderboard import boards
from mlrc.results.records.ledger import Ledger
from mlrc.results.records.per_class import PerClassFiles
from mlrc.results.rendering.caption import caption
from tests.harness.in_this_process import in_this_process


def test_the_queries_of_a_dataset_become_the_task_of_its_test_images(
    monkeypatch: pytest.MonkeyPatch, tiny_images: ImageSet, tiny_protocol: Protocol
) -> None:
    every_third = np.arange(len(tiny_images.labels)) % 3 == 0
    opened = iter((tiny_images, replace(tiny_images, queries=every_third)))
    monkeypatch.setattr(comparison, "open_dataset", lambda name, root: next(opened))
    own_gallery, asking = (
        comparison.checked_comparison(
            dataset="tiny", losses=["contrastive"], protocol=tiny_protocol, root=Path("nowhere"), device="cpu"
        )
        for _ in range(2)
    )
    task = Task.of(asking.images, asking.test)
    np.testing.assert_array_equal(task.labels, tiny_images.labels[asking.test])
    assert task.queries is not None
    np.testing.assert_array_equal(task.queries, asking.test % 3 == 0)
    assert Task.of(own_gallery.images, own_gallery.test).queries is None


def own_split(place: Path) -> None:
    """Write 16 classes of four images, of which the second half is test, each with a query and two cameras."""
    lines = ["path,label,split,query,camera"]
    random = np.random.default_rng(0)
    for label in range(16):
        for number in range(4):
            path = f"{label}-{number}.png"
            Image.fromarray(random.integers(0, 256, (16, 16), dtype=np.uint8)).save(place / path)
            side = f"test,{int(number == 0)},{number % 2}" if label in range(1, 9) else "train,0,"
            lines.append(f"{path},{label},{side}")
    (place / "manifest.csv").write_text("\n".join(lines))


def test_a_split_of_the_user_s_own_its_queries_and_cameras_come_through_to_records_and_caption(
    tmp_path: Path, tiny_protocol: Protocol
) -> None:
    (tmp_path / "mine").mkdir()
    own_split(tmp_path / "mine")
    protocol = tiny_protocol.vary({"repeats": 1, "trials": 0})
    prepared = comparison.checked_comparison(
        dataset=f"folder:{tmp_path / 'mine'}",
        losses=["contrastive"],
        protocol=protocol,
        root=tmp_path,
        device="cpu",
        cache=tmp_path / "cache",
        params=["pos_margin=0", "neg_margin=0.5"],
    )
    assert [
        prepared.images.class_names[row] for row in np.unique(Task.of(prepared.images, prepared.test).labels)
    ] == list(map(str, range(1, 9)))
    with Ledger(tmp_path / "runs") as ledger:
        assert conduct(prepared, ledger, Means(workers=1, elsewhere=in_this_process), "final") == (0, ())
        records = ledger.records
    assert {fold.cut for fold in records.folds.values()} == {run.cut for run in records.runs.values()} == {"own"}
    assert all(record.outcome == "done" for record in records.folds.values())
    run = next(run for run in records.runs.values() if run.loss == "contrastive")
    assert (run.test_classes, run.test_images, run.queries, run.cameras) == (8, 32, 8, 2)
    (board,) = boards(records, PerClassFiles(tmp_path / "runs"))
    told = " ".join(caption(board))
    assert (
        "Split: own, as the manifest or the folders of the images say, 8 test classes with 32 images, of which 8"
        in told
    )
    assert "Images of a query's class and camera are not searched (2 cameras)." in told


def test_without_a_cache_all_headers_are_read_before_any_work(tmp_path: Path, tiny_protocol: Protocol) -> None:
    (tmp_path / "mine").mkdir()
    own_split(tmp_path / "mine")
    for name in ("3-1.png", "12-2.png"):
        (tmp_path / "mine" / name).write_text("no image")
    with pytest.raises(ValueError, match=r"2 of 64 are not; .*3-1\.png: it is of no format .*12-2\.png: it is of no"):
        comparison.checked_comparison(
            dataset=f"folder:{tmp_path / 'mine'}",
            losses=["contrastive"],
            protocol=tiny_protocol,
            root=tmp_path,
            device="cpu",
        )


@pytest.mark.parametrize("divided", [True, False])
def test_what_rows_will_stand_on_is_what_their_records_tell(
    monkeypatch: pytest.MonkeyPatch, tiny_images: ImageSet, tiny_protocol: Protocol, divided: bool
) -> None:
    every_third = np.arange(len(tiny_images.labels)) % 3 == 0
    monkeypatch.setattr(comparison, "open_dataset", lambda name, root: replace(tiny_images, queries=every_third))
    asking = comparison.checked_comparison(
        dataset="tiny",
        losses=["contrastive"],
        protocol=tiny_protocol.vary({"divided": divided}),
        root=Path("nowhere"),
        device="cpu",
    )
    queries = subject_of(asking).split[3]
    assert queries == (int((asking.test % 3 == 0).sum()) if divided else None)
