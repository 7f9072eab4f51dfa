"""The parameters of a board: what was tested, whether a search found it, and the range where it is known to hold it."""

from dataclasses import replace

import pytest

from mlrc.harness.plan.parameters import ranges
from mlrc.results.boards.leaderboard import boards
from mlrc.results.boards.parameters import ParameterRow, Range, parameters
from mlrc.results.rendering.spreadsheet import PARAMETER_COLUMNS, parameters_frame
from tests.results.studies import make


@pytest.mark.parametrize(
    ("bounds", "value", "holds"),
    [
        (Range(low=0, high=1), 1, True),
        (Range(low=0, high=1), 1.1, False),
        (Range(low=-1, high=0), -0.5, True),
        (Range(low=0, high=1), "mean", False),
        (Range(choices=("mean", "max")), "max", True),
        (Range(choices=("mean", "max")), "sum", False),
    ],
)
def test_a_range_holds_its_ends_and_its_choices(bounds: Range, value: float | str, holds: bool) -> None:
    assert bounds.holds(value) == holds


def test_ranges_are_those_of_the_spaces_of_today() -> None:
    found = ranges(["proxy_anchor", "no_such_loss"])
    assert set(found) == {"proxy_anchor"}
    assert found["proxy_anchor"]["loss_lr"] == Range(low=1e-6, high=1, log=True)


def _row(**changes: object) -> ParameterRow:
    row = ParameterRow(
        dataset="glyphs",
        protocol="quick",
        digest="d",
        loss="a",
        search=0,
        parameter="margin",
        value=0.5,
        searched=True,
        range=Range(low=0, high=1, log=False),
    )
    return replace(row, **changes)  # type: ignore[arg-type] # as the tests name them


def test_a_frame_has_a_line_for_each_and_leaves_out_what_is_not_known() -> None:
    rows = [_row(), _row(parameter="pooling", value="max", range=Range(choices=("mean", "max"))), _row(range=None)]
    frame = parameters_frame(rows)
    assert list(frame.columns) == list(PARAMETER_COLUMNS)
    assert frame["value"].tolist() == [0.5, "max", 0.5]
    assert frame["high"].isna().tolist() == [False, True, True]
    assert frame["choices"].tolist()[1] == ("mean", "max")
    assert list(parameters_frame([]).columns) == list(PARAMETER_COLUMNS)


def test_every_loss_with_rows_is_told_and_a_range_that_does_not_hold_its_value_is_not() -> None:
    made = make({"a": 30.0, "b": 20.0})
    (board,) = boards(made.records, made.per_class)
    (name, value), *_ = board.evidence[-1].runs[-1].params.items()
    assert isinstance(value, float)
    known = {"a": {name: Range(low=value - 1, high=value + 1)}, "b": {name: Range(low=value + 1, high=value + 2)}}
    found = {row.loss: row for row in parameters(board, known) if row.parameter == name}
    assert set(found) == {"a", "b"}
    assert found["a"].range == known["a"][name]
    assert found["b"].range is None
    assert found["a"].value == value
    assert found["a"].searched
