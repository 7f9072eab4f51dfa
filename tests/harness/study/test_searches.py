"""Several searches of a loss, done by the driver: what is there is used, and the report reads all of them."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plan.study import Study, of_all_searches
from mlrc.results.records.ledger import LEDGER, read
from mlrc.results.rendering.report import write_report
from mlrc.results.rendering.spreadsheet import read_leaderboard_csv
from tests.harness.driving import driven
from tests.harness.in_this_process import in_this_process


def _with(study: Study, **changes: object) -> Study:
    return replace(study, protocol=study.protocol.vary(changes))


def test_more_searches_in_the_same_folder_use_what_is_there_and_the_report_reads_all(
    tmp_path: Path, study: Study, tiny_images: ImageSet, workplace: Workplace
) -> None:
    execute = in_this_process(workplace, lambda *_: None)
    study = _with(study, sampler="random", trials=2)
    runs = tmp_path / "runs"
    driven(runs, [study], tiny_images, execute)
    before = (runs / LEDGER).read_bytes()
    records = driven(runs, of_all_searches(_with(study, searches=2)), tiny_images, execute)
    after = (runs / LEDGER).read_bytes()
    assert after.startswith(before)
    assert Counter((fold.search, fold.stage) for fold in records.folds.values()) == {
        (search, stage): 8 for search in (0, 1) for stage in ("search", "final")
    }
    assert sorted((run.search, run.number) for run in records.runs.values()) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    (protocol,) = records.protocols.values()
    assert protocol.searches == 2
    fresh = driven(tmp_path / "fresh", of_all_searches(_with(study, searches=2)), tiny_images, execute)
    assert {key: fold.best_score for key, fold in fresh.folds.items()} == {
        key: fold.best_score for key, fold in records.folds.items()
    }
    tables = [write_report(folder, folder)[0].read_text(encoding="utf-8") for folder in (runs, tmp_path / "fresh")]
    assert tables[0] == tables[1]
    assert {(row.searches, row.n) for row in read_leaderboard_csv(tables[0])} == {(2, 4)}


def test_fewer_searches_than_are_there_leave_the_others_and_their_number(
    tmp_path: Path, study: Study, tiny_images: ImageSet, workplace: Workplace
) -> None:
    execute = in_this_process(workplace, lambda *_: None)
    study = _with(study, sampler="random", trials=1, startup_trials=1, repeats=1)
    driven(tmp_path, of_all_searches(_with(study, searches=2)), tiny_images, execute)
    before = (tmp_path / LEDGER).read_bytes()
    driven(tmp_path, [study], tiny_images, execute)
    assert (tmp_path / LEDGER).read_bytes() == before
    (protocol,) = read(tmp_path / LEDGER).protocols.values()
    assert protocol.searches == 2
