"""What drift can be measured against, and that a new reference keeps its reason."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlrc.results.publishing.drift import drift
from mlrc.results.publishing.references import accept, open_side
from mlrc.results.records.ledger import LEDGER, read
from mlrc.results.rendering.report import read_boards, tables
from tests.results.studies import make

MEANS = {"triplet": 50.0, "contrastive": 40.0}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return make(MEANS).write(tmp_path / "runs")


def test_a_runs_folder_a_table_a_folder_with_a_table_and_published_names_are_all_the_same(
    runs: Path, tmp_path: Path
) -> None:
    published = tmp_path / "published"
    accept(published, "canary", runs, "the first one", dict)
    make(MEANS).write(published / "evidence" / "study")
    table = tmp_path / "out" / "leaderboard.csv"
    table.parent.mkdir()
    table.write_bytes(tables(read_boards(runs))["leaderboard.csv"].encode())
    reference = open_side(str(runs), published, dict)
    for place in (str(table), str(table.parent), "canary", "study"):
        assert drift(reference, open_side(place, published, dict)).status == 0


def test_what_is_nowhere_is_refused_with_what_there_is(runs: Path, tmp_path: Path) -> None:
    accept(tmp_path, "canary", runs, "the first one", dict)
    with pytest.raises(FileNotFoundError, match="'canry'; published are canary"):
        open_side("canry", tmp_path, dict)
    with pytest.raises(FileNotFoundError, match="published are none"):
        open_side("canry", tmp_path / "nowhere", dict)


def test_a_file_that_is_no_table_or_has_no_row_is_refused(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("loss,mean\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must be a leaderboard, but it lacks the column dataset"):
        open_side(str(tmp_path / "a.csv"), tmp_path, dict)
    (tmp_path / "b.csv").write_text(
        tables(read_boards(runs))["leaderboard.csv"].splitlines()[0] + "\n", encoding="utf-8"
    )
    with pytest.raises(ValueError, match="must hold a finished repeat"):
        open_side(str(tmp_path / "b.csv"), tmp_path, dict)
    unfinished = make(MEANS)
    unfinished.records.runs.clear()
    with pytest.raises(ValueError, match="must hold a finished repeat"):
        open_side(str(unfinished.write(tmp_path / "unfinished")), tmp_path, dict)


def test_a_side_that_is_a_ledger_knows_its_images(runs: Path, tmp_path: Path) -> None:
    images = {("glyphs", "d0d0d0d0d0d0"): frozenset({("f1f1f1f1f1f1f1f1", "official")})}
    assert open_side(str(runs), tmp_path, dict).images == images


def test_a_reference_cannot_lie_outside_its_folder(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be made of letters"):
        accept(tmp_path, "../canary", runs, "the first one", dict)


def test_a_reference_keeps_repeats_and_protocol_and_the_reasons_of_all_times(runs: Path, tmp_path: Path) -> None:
    folder = accept(tmp_path, "canary", runs, "the first one", dict)
    later = make({**MEANS, "triplet": 70.0}).write(tmp_path / "later")
    accept(tmp_path, "canary", later, "a loss was\nmended, on purpose", dict)
    records = read(folder / LEDGER)
    assert (len(records.protocols), len(records.runs), len(records.folds)) == (1, 6, 0)
    assert {run.environment.host for run in records.runs.values()} == {""}
    assert drift(open_side(str(later), tmp_path, dict), open_side("canary", tmp_path, dict)).status == 0
    assert (folder / "accepted.csv").read_text(encoding="utf-8").splitlines() == [
        "reason,commit,versions",
        'the first one,0123456789ab,"python 3.11.7, torch 2.9.0"',
        '"a loss was mended, on purpose",0123456789ab,"python 3.11.7, torch 2.9.0"',
    ]


def test_a_reference_without_reason_or_without_a_run_is_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must have a reason"):
        accept(tmp_path, "canary", runs, "  ", dict)
    with pytest.raises(FileNotFoundError, match="no ledger.jsonl"):
        accept(tmp_path, "canary", tmp_path / "nowhere", "why not", dict)
    unfinished = make(MEANS)
    unfinished.records.runs.clear()
    with pytest.raises(ValueError, match="must hold a finished repeat"):
        accept(tmp_path, "canary", unfinished.write(tmp_path / "unfinished"), "why not", dict)
    assert not (tmp_path / "references").exists()


def test_a_ledger_that_does_not_tell_its_rules_is_refused_by_a_sentence(tmp_path: Path) -> None:
    def lacking(fields: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ValueError("a protocol must have the fields of a protocol, but 'quick' lacks trunk")

    runs = make(MEANS).write(tmp_path / "old")
    with pytest.raises(ValueError, match="must tell the rules .* 'quick' lacks trunk; do the run again"):
        open_side(str(runs), tmp_path, lacking)
    with pytest.raises(ValueError, match="must tell the rules"):
        accept(tmp_path, "canary", runs, "why not", lacking)
    made = make(MEANS)
    made.records.protocols.clear()
    with pytest.raises(ValueError, match="the ledger has none of digest d0d0d0d0d0d0"):
        open_side(str(made.write(tmp_path / "none")), tmp_path, dict)


def test_the_fields_that_a_stored_protocol_lacks_are_asked_for(runs: Path, tmp_path: Path) -> None:
    side = open_side(str(runs), tmp_path, lambda fields: {**fields, "later": 0})
    assert {record.fields["later"] for record in side.protocols.values()} == {0}
