"""A newcomer against stored results: ranked together without another training, and only where all agrees."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlrc.protocols.protocol import completed, digest_of
from mlrc.protocols.quick import QUICK
from mlrc.results.boards.leaderboard import boards
from mlrc.results.publishing.against import Stored, boards_against, joined, open_stored
from mlrc.results.publishing.published import add
from mlrc.results.records.record import UNTRAINED, FoldRecord, ProtocolRecord, RunRecord
from tests.results.searched import searched
from tests.results.studies import ENVIRONMENT, Made, rekeyed, sound

OLD = {UNTRAINED: 20.0, "triplet": 60.0, "contrastive": 40.0}
NEW = {UNTRAINED: 20.0, "newcomer": 50.0}


def _stored(made: Made) -> Stored:
    return Stored(name="board", records=made.records, per_class=made.per_class)


def _all(made: Made, change: Callable[[Any], Any]) -> Made:
    for record in [*made.records.folds.values(), *made.records.runs.values()]:
        made.records.add(change(record))
    return made


def test_the_newcomer_stands_among_the_stored_rows_as_if_all_had_run_together(tmp_path: Path) -> None:
    runs = sound(NEW).write(tmp_path / "new")
    _, (board,) = boards_against(runs, _stored(sound(OLD)))
    together = sound({**OLD, "newcomer": 50.0})
    (whole,) = boards(together.records, together.per_class)
    assert board.rows == whole.rows
    assert board.contests == whole.contests
    assert board.notes[0] == (
        "Rows of board, not trained again: contrastive, triplet, untrained. Rows of this run: newcomer."
    )
    assert board.notes[1:] == whole.notes


def test_a_loss_in_both_has_its_stored_row_and_a_word(tmp_path: Path) -> None:
    runs = sound({"triplet": 10.0, **NEW}, seed=3).write(tmp_path / "new")
    _, (board,) = boards_against(runs, _stored(sound(OLD)))
    (mean,) = {row.mean for row in board.rows if (row.loss, row.setting, row.metric) == ("triplet", "separated", "P@1")}
    assert mean > 40
    assert "triplet: in both, so the row is that of board; mlrc drift compares the two." in board.notes


def test_other_versions_and_devices_are_marked(tmp_path: Path) -> None:
    elsewhere = replace(ENVIRONMENT, versions={**ENVIRONMENT.versions, "torch": "2.10.0"}, device="H200")
    runs = sound(NEW, environment=elsewhere).write(tmp_path / "new")
    _, (board,) = boards_against(runs, _stored(sound(OLD)))
    (told,) = (note for note in board.notes if "other versions" in note)
    assert "torch 2.10.0 in this run, 2.9.0 stored" in told
    assert "device H200 in this run, cpu stored" in told
    assert "python" not in told


def test_an_untrained_trunk_with_other_scores_is_told(tmp_path: Path) -> None:
    runs = sound(NEW, seed=1).write(tmp_path / "new")
    _, (board,) = boards_against(runs, _stored(sound(OLD)))
    assert any("The untrained trunk of the same seed" in note for note in board.notes)


def _of_images(record: FoldRecord | RunRecord) -> FoldRecord | RunRecord:
    return replace(record, fingerprint="0" * 16)


DIFFERENT: dict[str, tuple[Callable[[], Made], str]] = {
    "data set": (lambda: sound(NEW, dataset="omniglot"), "it has no rows on omniglot, but on glyphs"),
    "images": (
        lambda: rekeyed(_all(sound(NEW), _of_images)),
        "the images differ: fingerprint 0000000000000000 here, f1f1f1f1f1f1f1f1 there",
    ),
    "trunk": (lambda: sound(NEW, fields={"trunk": "resnet50"}), "the trunk differs: resnet50 here, not told there"),
    "rules": (lambda: sound(NEW, trials=3), "the trials differs: 3 here, 2 there"),
    "split": (
        lambda: _all(sound(NEW), lambda one: replace(one, cut="half")),
        "the split differs: half, 20 test classes, 200 images here, official, 20 test classes, 200 images there",
    ),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_differs_is_refused_by_its_name(what: str) -> None:
    make, sentence = DIFFERENT[what]
    with pytest.raises(ValueError, match="same images, split and rules") as refused:
        joined(make().records, _stored(sound(OLD)))
    assert sentence in str(refused.value)


def test_rules_that_are_not_told_are_compared_by_their_digest() -> None:
    made, stored = sound(NEW, trials=3), sound(OLD)
    stored.records.protocols.clear()
    (mine,) = made.records.protocols
    with pytest.raises(ValueError, match=f"the protocols differ: digest {mine} here"):
        joined(made.records, _stored(stored))
    assert isinstance(made.records.protocols[mine], ProtocolRecord)


def test_stored_results_are_a_runs_folder_or_published_evidence(tmp_path: Path) -> None:
    published = tmp_path / "published"
    published.mkdir()
    (published / "splits.csv").write_text(
        "dataset,fingerprint,cut,test_classes,test_images\nglyphs,f1f1f1f1f1f1f1f1,official,20,200\n", encoding="utf-8"
    )
    runs = sound(OLD).write(tmp_path / "runs")
    add(published, runs, "first", digest_of)
    assert open_stored("first", published).records.runs.keys() == open_stored(str(runs), published).records.runs.keys()
    with pytest.raises(FileNotFoundError, match="there is no 'second'; published are first"):
        open_stored("second", published)
    unfinished = sound(OLD)
    unfinished.records.runs.clear()
    place = str(unfinished.write(tmp_path / "unfinished"))
    with pytest.raises(ValueError, match="with a finished repeat"):
        open_stored(place, published)


@pytest.mark.parametrize(("here", "there"), [(1, 3), (3, 1)])
def test_of_other_numbers_of_searches_the_larger_is_asked_of_all(tmp_path: Path, here: int, there: int) -> None:
    mine, stored = searched({"newcomer": 50.0}, here), searched(OLD, there)
    digest = next(iter(stored.records.protocols))
    assert set(mine.records.protocols) == {digest}
    both, (board,) = boards_against(mine.write(tmp_path / "new"), _stored(stored))
    assert both.protocols[digest].searches == 3
    assert {row.loss: row.searches for row in board.rows} == {
        "newcomer": here,
        "triplet": there,
        "contrastive": there,
        UNTRAINED: 1,
    }
    short = {"newcomer"} if here == 1 else {"triplet", "contrastive"}
    assert {note.split(":")[0] for note in board.notes if "1 of 3 searches have finished repeats" in note} == short


def test_fields_that_the_stored_rules_were_written_before_stand_at_their_defaults(tmp_path: Path) -> None:
    rules = QUICK.to_json()
    old = {name: value for name, value in rules.items() if name not in ("similarity", "divided", "searches", "trials")}
    runs = sound(OLD, fields=old).write(tmp_path / "runs")
    stored = open_stored(str(runs), tmp_path, completed)
    mine = {**rules, "trials": 3, "startup_trials": 2, "searches": 2}
    with pytest.raises(ValueError, match="the trials differs: 3 here, 2 there") as refused:
        joined(sound(NEW, fields=mine, trials=3).records, stored)
    assert "they differ in" not in str(refused.value)


def test_rules_that_this_version_does_not_know_are_refused(tmp_path: Path) -> None:
    place = str(sound(OLD, fields={**QUICK.to_json(), "moon": "full"}).write(tmp_path / "runs"))
    with pytest.raises(ValueError, match=r"whose rules this version knows, but in .* has moon, unknown"):
        open_stored(place, tmp_path, completed)
