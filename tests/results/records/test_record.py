"""Records: to a line and back without loss, for every value that they can hold."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrc.results.records.lines import from_line, to_line
from mlrc.results.records.record import (
    Environment,
    FoldRecord,
    ProtocolRecord,
    Record,
    RetryRecord,
    RunRecord,
    SweepPoint,
    SweepRecord,
)

TEXT = st.text(max_size=12)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
PARAMS = st.dictionaries(TEXT, st.one_of(NUMBER, st.integers(-(2**53), 2**53), TEXT, st.booleans()), max_size=4)
SCORES = st.dictionaries(TEXT, NUMBER, max_size=4)
ENVIRONMENT = st.builds(Environment, commit=TEXT, versions=st.dictionaries(TEXT, TEXT), device=TEXT, host=TEXT)
SHARED = {
    "key": TEXT,
    "dataset": TEXT,
    "fingerprint": TEXT,
    "cut": TEXT,
    "protocol": TEXT,
    "digest": TEXT,
    "loss": TEXT,
    "params": PARAMS,
    "number": st.integers(0, 99),
    "environment": ENVIRONMENT,
}
FOLD = st.builds(
    FoldRecord,
    **SHARED,
    seed=st.integers(0, 2**63 - 1),
    stage=st.sampled_from(["search", "schedule", "final", "untrained"]),
    fold=st.integers(0, 9),
    outcome=st.sampled_from(["done", "diverged", "failed"]),
    history=st.lists(st.tuples(st.integers(0, 999), NUMBER), max_size=4).map(tuple),
    best_epoch=st.none() | st.integers(0, 999),
    best_score=st.none() | NUMBER,
    seconds=NUMBER,
    processor_seconds=st.none() | NUMBER,
    iterations=st.none() | st.integers(0),
    message=TEXT,
    share=NUMBER,
)
RUN = st.builds(
    RunRecord,
    **SHARED,
    fold_keys=st.lists(TEXT, max_size=4).map(tuple),
    test_classes=st.integers(0),
    test_images=st.integers(0),
    left_out=st.integers(0),
    queries=st.none() | st.integers(0),
    embedding_size=st.integers(1),
    separated=SCORES,
    concatenated=SCORES,
)
POINT = st.builds(
    SweepPoint,
    labels=st.lists(TEXT, max_size=2).map(tuple),
    loss=TEXT,
    digest=TEXT,
    params=PARAMS,
    printed=st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=2).map(tuple),
)
SWEEP = st.builds(
    SweepRecord,
    key=TEXT,
    name=TEXT,
    title=TEXT,
    source=TEXT,
    note=TEXT,
    dataset=TEXT,
    fingerprint=TEXT,
    factors=st.lists(TEXT, max_size=2).map(tuple),
    points=st.lists(POINT, max_size=2).map(tuple),
)
PROTOCOL = st.builds(ProtocolRecord, digest=TEXT, name=TEXT, fields=PARAMS, changes=PARAMS)
RETRY = st.builds(RetryRecord, keys=st.lists(TEXT, max_size=3).map(tuple))


@given(st.one_of(FOLD, RUN, PROTOCOL, SWEEP, RETRY))
def test_a_record_comes_back_from_its_line_as_it_was(record: Record) -> None:
    line = to_line(record)
    assert "\n" not in line
    assert from_line(line) == record


@given(FOLD)
def test_an_environment_without_settings_gives_the_line_of_before_there_were_any(record: FoldRecord) -> None:
    bare = replace(record, environment=replace(record.environment, settings={}))
    assert "settings" not in json.loads(to_line(bare))["environment"]
    told = replace(record, environment=replace(record.environment, settings={"matrix products": "ieee"}))
    assert from_line(to_line(told)) == told


@given(FOLD)
def test_a_training_that_does_not_tell_its_processor_time_gives_the_line_of_before_any_did(record: FoldRecord) -> None:
    told = json.loads(to_line(replace(record, processor_seconds=0.0, iterations=0)))
    assert (told["processor_seconds"], told["iterations"]) == (0, 0)
    untold = json.loads(to_line(replace(record, processor_seconds=None, iterations=None)))
    assert told.keys() - untold.keys() == {"processor_seconds", "iterations"}


@given(FOLD)
def test_fields_of_a_later_version_within_the_schema_are_passed_over(record: FoldRecord) -> None:
    line = json.dumps({**json.loads(to_line(record)), "weather": "fine"})
    assert from_line(line) == record


def test_a_fold_record_has_no_field_that_could_hold_a_test_score() -> None:
    names = {field.name for field in fields(FoldRecord)}
    assert not {name for name in names if "test" in name or "separated" in name or "concatenated" in name}
    assert names.isdisjoint({"scores", "metrics"})


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("[1]", "kind must be one of protocol, fold, run"),
        ('{"kind": "weather"}', "kind must be one of"),
        ('{"kind": "fold", "schema": 99}', "schema must be a number up to"),
        ('{"kind": "fold"}', "schema must be a number"),
        ('{"kind": "fold", "schema": 1, "key": "a"}', "a field is missing"),
        ('{"kind": "fold", ', "Expecting"),
        ('{"kind": "fold", "schema": 1, "environment": 3}', "a field is not of its shape"),
        ('{"kind": "fold", "schema": 1, "history": [3]}', "a field is not of its shape"),
        ('{"kind": "sweep", "schema": 1, "points": [{}]}', "a field is not of its shape"),
    ],
)
def test_a_line_that_is_no_record_is_refused_with_its_fault(line: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        from_line(line)


def test_a_score_that_is_not_finite_cannot_be_written() -> None:
    record = ProtocolRecord(digest="d", name="n", fields={"lr": float("nan")}, changes={})
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_line(record)
