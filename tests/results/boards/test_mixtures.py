"""A row of several codes says so, one of a single code says nothing, and what was not told is no other."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from mlrc.results.boards.leaderboard import Board, boards
from mlrc.results.boards.sweep import sweep_tables
from mlrc.results.records.lines import from_line, to_line
from mlrc.results.records.origin import Origin
from mlrc.results.records.record import UNTRAINED, Environment, FoldRecord, SweepPoint, SweepRecord
from mlrc.results.rendering.page import page
from mlrc.results.rendering.table import latex, markdown
from tests.results.searched import searched
from tests.results.studies import ENVIRONMENT, Made, make, merged

OLD = Origin(distribution="stranger", version="1.0", source="0123456789abcdef")
NEW = Origin(distribution="stranger", version="1.1", source="fedcba9876543210")


def _board(made: Made) -> Board:
    (board,) = boards(made.records, made.per_class)
    return board


def _with(made: Made, kind: str, origins: Mapping[tuple[str, str], Origin]) -> Made:
    """Give the records where those of a loss and stage have an origin."""
    for key, record in made.records.folds.items():
        origin = origins.get((record.loss, record.stage))
        if origin:
            made.records.folds[key] = replace(record, plugins={**record.plugins, kind: origin})
    return made


def test_a_search_of_one_loss_and_repeats_of_an_edited_one_are_told_in_every_table() -> None:
    made = _with(
        make({"triplet": 40, "contrastive": 50}),
        "loss",
        {("triplet", "search"): OLD, ("triplet", "final"): NEW, ("contrastive", "final"): OLD},
    )
    board = _board(made)
    told = "triplet: its trainings are of several versions of the loss, so of no single one: "
    (note,) = board.notes
    assert note.startswith(told)
    assert f"{OLD} (8 trainings), {NEW} (12 trainings)" in note
    for text in (markdown(board), latex(board), page([board], {})):
        assert text.count("several versions of the loss, so of no single one") == 1


def test_what_was_not_told_or_failed_or_counts_no_more_is_no_other() -> None:
    made = _with(make({"triplet": 40}), "loss", {("triplet", "final"): NEW})
    first = next(record for record in made.records.folds.values() if record.stage == "search")
    made.records.add(replace(first, outcome="failed", plugins={"loss": OLD}))
    other = next(record for record in made.records.folds.values() if record.stage == "final")
    made.records.add(replace(other, key="another", params={"margin": 7.0}, plugins={"loss": OLD}))
    assert not any("versions" in note for note in _board(made).notes)


@pytest.mark.parametrize(("kind", "name"), [("dataset", "dataset's reader"), ("trunk", "trunk")])
def test_rows_on_two_readers_or_trunks_are_told_once_for_the_table(kind: str, name: str) -> None:
    made = _with(make({UNTRAINED: 20, "triplet": 40}), kind, {(UNTRAINED, UNTRAINED): OLD, ("triplet", "final"): NEW})
    assert _board(made).notes == (
        f"The trainings are of several versions of the {name}: {OLD} (12 trainings), {NEW} (12 trainings).",
    )


def _made_with(loss: str, environment: Environment) -> Made:
    return make({loss: 40}, environment=environment)


def test_a_row_of_two_commits_or_torches_is_marked_and_the_others_are_not() -> None:
    later = replace(ENVIRONMENT, commit="ba9876543210", versions={**ENVIRONMENT.versions, "torch": "2.10.0"})
    made = merged(make({"contrastive": 50}), _made_with("triplet", ENVIRONMENT))
    for key, run in made.records.runs.items():
        if run.loss == "triplet" and run.number:
            made.records.runs[key] = replace(run, environment=later)
    board = _board(made)
    assert board.notes == (
        "triplet: its records were made by several codes: commit 0123456789ab and ba9876543210; torch 2.10.0 and "
        "2.9.0.",
    )
    for text in (markdown(board), latex(board), page([board], {})):
        assert text.count("made by several codes") == 1


def test_a_table_whose_rows_are_each_of_one_code_says_that_they_differ() -> None:
    later = replace(ENVIRONMENT, commit="ba9876543210")
    board = _board(merged(make({"contrastive": 50}), _made_with("triplet", later)))
    assert board.notes == (
        "The rows were made by several codes, which is part of what tells them apart: commit 0123456789ab and "
        "ba9876543210.",
    )


def test_a_package_that_one_record_does_not_name_is_no_other_version() -> None:
    more = replace(ENVIRONMENT, versions={**ENVIRONMENT.versions, "timm": "1.0.3"})
    assert _board(merged(make({"contrastive": 50}), _made_with("triplet", more))).notes == ()


def test_a_sweep_of_two_commits_says_so() -> None:
    later = replace(ENVIRONMENT, commit="ba9876543210")
    made = merged(make({"contrastive": 50}), _made_with("triplet", later))
    made.records.add(
        SweepRecord(
            key="key",
            name="losses",
            title="Losses",
            source="",
            note="",
            dataset="glyphs",
            fingerprint="f1f1f1f1f1f1f1f1",
            factors=("loss",),
            points=tuple(
                SweepPoint(labels=(loss,), loss=loss, digest="d0d0d0d0d0d0", params={"margin": 0.1})
                for loss in ("contrastive", "triplet")
            ),
        )
    )
    (table,) = sweep_tables(made.records)
    assert [note for note in table.notes if "several codes" in note] == list(table.notes)
    assert len(table.notes) == 1


def test_origins_come_back_from_a_line_and_an_older_line_has_none() -> None:
    record = next(iter(make({"triplet": 40}).records.folds.values()))
    assert "plugins" not in to_line(record)
    told = replace(record, plugins={"loss": OLD, "trunk": NEW})
    again = from_line(to_line(told))
    assert again == told
    assert isinstance(again, FoldRecord)
    assert from_line(to_line(record)) == record
    with pytest.raises(ValueError, match="not of its shape"):
        from_line(to_line(told).replace('"version": "1.0"', '"release": "1.0"'))


def test_the_repeats_of_every_search_count_with_the_parameters_of_their_own() -> None:
    made = searched({"triplet": 40}, 2)
    for key, record in made.records.folds.items():
        if record.search == 0:
            params = {"margin": 0.7} if record.stage == "final" else record.params
            made.records.folds[key] = replace(record, params=params, plugins={"loss": OLD})
        else:
            made.records.folds[key] = replace(record, plugins={"loss": NEW if record.stage == "final" else OLD})
    for key, run in made.records.runs.items():
        if run.search == 0:
            made.records.runs[key] = replace(run, params={"margin": 0.7})
    (note,) = _board(made).notes
    assert f"{OLD} (28 trainings), {NEW} (12 trainings)" in note
