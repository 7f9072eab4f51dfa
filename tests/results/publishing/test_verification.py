"""Trainings done again: equal bits where they must be, bounds elsewhere, a file beside the evidence, a column."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from mlrc.results.boards.leaderboard import boards
from mlrc.results.publishing.verification import (
    Verified,
    append,
    can_be_verified,
    faults,
    fingerprint_of,
    judge,
    read_verified,
    told,
    with_verified,
)
from mlrc.results.records.record import FoldRecord
from mlrc.results.rendering.page_tables import scores
from mlrc.results.rendering.table import latex, markdown
from tests.results.studies import ENVIRONMENT, Made, make

HERE = replace(ENVIRONMENT, processor="one, AVX2")


def _record(made: Made | None = None, **which: object) -> FoldRecord:
    wanted = {"loss": "triplet", "stage": "final", "number": 0, "fold": 0, **which}
    records = (made or make({"triplet": 50.0}, environment=HERE)).records.folds.values()
    return next(one for one in records if all(getattr(one, name) == value for name, value in wanted.items()))


def _again(record: FoldRecord, factor: float, **surroundings: object) -> FoldRecord:
    history = tuple((epoch, score * factor) for epoch, score in record.history)
    return replace(record, history=history, environment=replace(record.environment, **surroundings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("factor", "surroundings", "verdict"),
    [
        (1.0, {}, "identical"),
        (1.0, {"processor": "another"}, "identical"),
        (1.00001, {}, "moved"),
        (1.00001, {"processor": "another"}, "within tolerance"),
        (1.00001, {"versions": {"torch": "2.10.0"}}, "within tolerance"),
        (1.00001, {"settings": {"tf32": "on"}}, "within tolerance"),
        (1.001, {"processor": "another"}, "moved"),
    ],
)
def test_bits_must_be_equal_on_one_kind_of_processor_and_close_elsewhere(
    factor: float, surroundings: Mapping[str, object], verdict: str
) -> None:
    record = _record()
    assert judge(record, _again(record, factor, **surroundings), 1e-4)[0] == verdict


def test_records_of_no_known_processor_are_judged_within_bounds() -> None:
    record = _record(make({"triplet": 50.0}))
    assert judge(record, _again(record, 1.00001), 1e-4)[0] == "within tolerance"


def test_other_epochs_and_another_outcome_are_no_match() -> None:
    record = _record()
    assert judge(record, replace(record, history=record.history[:-1]), 1e-4) == ("moved", None)
    assert judge(record, replace(record, outcome="diverged", best_epoch=None), 1e-4)[0] == "moved"


def _line(record: FoldRecord, verdict: str = "identical") -> Verified:
    return Verified(
        key=record.key,
        record=fingerprint_of(record),
        verdict=verdict,
        difference="0",
        by="Somebody",
        on="2026-11-30",
        device="cpu",
        processor="one, AVX2",
        commit="0123456789ab",
        versions="torch 2.9.0",
    )


def test_lines_come_back_from_their_file_and_are_only_appended(tmp_path: Path) -> None:
    assert read_verified(tmp_path) == []
    first, second = _line(_record()), _line(_record(fold=1), "moved")
    append(tmp_path, [first])
    before = (tmp_path / "verified.csv").read_bytes()
    append(tmp_path, [second])
    assert (tmp_path / "verified.csv").read_bytes().startswith(before)
    assert read_verified(tmp_path) == [first, second]
    (tmp_path / "verified.csv").write_text("key\nabc\n", encoding="utf-8")
    with pytest.raises(ValueError, match="a line lacks record"):
        read_verified(tmp_path)


def test_a_line_that_speaks_of_no_record_is_a_fault() -> None:
    made = make({"triplet": 50.0})
    line = _line(_record(made))
    assert faults([line], made.records) == []
    wrong = [replace(line, key="0" * 16), replace(line, record="0" * 16), replace(line, verdict="fine")]
    for one, sentence in zip(wrong, ("which is not recorded", "another result", "has the verdict 'fine'"), strict=True):
        (found,) = faults([one], made.records)
        assert sentence in found


def test_the_last_line_of_a_training_counts_and_what_has_no_scores_is_not_counted() -> None:
    made = make({"untrained": 10.0, "triplet": 50.0})
    assert not can_be_verified(_record(made, loss="untrained", stage="untrained"))
    record, other = _record(made), _record(made, fold=1)
    lines = [_line(record, "moved"), _line(record), _line(other, "moved")]
    assert told(lines, made.records.folds.values()) == {("glyphs", "d0d0d0d0d0d0", "triplet"): "1 of 20 folds, 1 moved"}


def test_tables_have_a_column_where_something_was_verified_and_none_elsewhere() -> None:
    made = make({"untrained": 10.0, "triplet": 50.0, "contrastive": 40.0})
    found = boards(made.records, made.per_class)
    (plain,) = with_verified(found, [], made.records)
    assert markdown(plain) == markdown(found[0])
    assert latex(plain) == latex(found[0])
    (shown,) = with_verified(found, [_line(_record(made))], made.records)
    table = markdown(shown).splitlines()
    assert table[2].endswith("| verified |")
    assert next(line for line in table if line.startswith("| triplet")).endswith("| 1 of 20 folds |")
    assert next(line for line in table if line.startswith("| untrained")).endswith("|  |")
    assert "& verified" in latex(shown)
    assert r"& 1 of 20 folds \\" in latex(shown)
    assert "1 of 20 folds" in scores(shown, ())
