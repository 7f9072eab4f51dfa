"""Whatever is given for any option of any command, or any field of a protocol, is refused by one sentence or accepted.

Options and fields are found in the commands and in `Protocol` themselves, so that a new one is tried at once.
"""

from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.main import get_command

import mlrc as face
from mlrc.harness.cli import app
from mlrc.protocols.protocol import PerDataset, Protocol
from mlrc.protocols.quick import QUICK
from tests.examples import examples
from tests.harness.cli.idle import WorkBeganError, make_idle, mlrc, refused

REQUIRED = {
    "--losses": "contrastive",
    "--dataset": "glyphs",
    "--embeddings": "E.npy",
    "--labels": "L.npy",
    "--storage": "sqlite:///searches.db",
    "--reason": "a test",
    "--out": "E.npz",
    "--retrain": "1",
}
"""A good value of each option that a command needs, so that the bad one is what the command meets first."""
ARGUMENTS = {
    "what": "losses",
    "names": "contrastive",
    "dataset": "glyphs",
    "name": "canary",
    "runs": "runs",
    "images": "glyphs",
}
QUICKLY = {"run": ["--protocol", "quick"], "sweep": ["--loss", "contrastive", "--vary", "pos_margin=0,0.1"]}

WORDS = st.sampled_from(
    [
        *("", " ", "0", "-1", "1.5", "nan", "inf", "-inf", "1e999", "1e-320", "9" * 20, "-" + "9" * 20, "9" * 5000),
        *(",", "=", "a=", "=a", "a=b=c", ".", "..", "/", "/dev/null/x", "~", "x" * 300, "x" * 5000, "💥", "--", "-x"),
        *("true", "None", "[]", "{}", "1,1", "1,,2", "../..", "E.npy", "a.toml", "a.py", "a.py:B", "http://x", "timm:"),
        *("trials=0", "folds=0", "cpu:99", "meta", "cuda:-1", "9d9d", "sqlite:///", "postgresql://", "0x10", "١٢"),
    ]
) | st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12)
VALUES = st.one_of(WORDS, st.integers().map(str), st.floats().map(str))


class Place(NamedTuple):
    """Where a value may stand: a command with what it needs, and the option; an argument has no name."""

    command: tuple[str, ...]
    option: str
    needs: tuple[str, ...]


def _commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found = [(path, group)] if path else []
    for name, command in getattr(group, "commands", {}).items():
        found += _commands(command, (*path, name))
    return found


def _places() -> list[Place]:
    places = []
    for path, command in _commands(get_command(app)):
        named = [one for one in command.params if one.opts[0].startswith("--")]
        arguments = [one for one in command.params if not one.opts[0].startswith("-")]
        options = [one.opts[0] for one in named if not getattr(one, "is_flag", False)]
        needed = {one.opts[0]: REQUIRED[one.opts[0]] for one in named if one.required}
        positional = [ARGUMENTS.get(one.name, "canary") for one in arguments if one.required]
        extra = QUICKLY.get(path[0], QUICKLY["run"] if "--set" in options else [])
        for option in options:
            needs = [f"{name}={value}" for name, value in needed.items() if name != option]
            given_already = option in extra
            places.append(Place(path, option, (*positional, *needs, *(() if given_already else extra))))
        for number in range(len(positional)):
            others = [*positional[:number], *positional[number + 1 :]]
            places.append(Place(path, "", (*others, *(f"{name}={value}" for name, value in needed.items()), *extra)))
    return places


PLACES = _places()
IN_ONE_FOLDER = settings(
    examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
"""All examples of a test stand in the one folder of `idle`, and write nothing into it."""


@pytest.fixture
def idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder of its own, where no work begins."""
    monkeypatch.chdir(tmp_path)
    np.save("E.npy", np.eye(4, dtype=np.float32))
    np.save("L.npy", np.array([0, 0, 1, 1]))
    make_idle(monkeypatch)
    return tmp_path


def _holds(words: list[str]) -> None:
    result = mlrc(*words)
    if isinstance(result.exception, WorkBeganError) or result.exit_code == 0:
        return  # the value can be meant
    assert isinstance(result.exception, SystemExit), (words, result.exception)
    if result.exit_code in (1, 3, 4):
        assert words[0] in ("drift", "goldens", "leaderboard", "doctor", "check"), words  # their answers
        return
    refused(result)


def test_every_command_and_option_is_among_the_places() -> None:
    assert {("run",), ("sweep",), ("leaderboard", "add"), ("evaluate",), ("drift",)} <= {one.command for one in PLACES}
    assert {"--runs", "--k", "--memory", "--stop-after", "--vary", "--set", "--margin"} <= {
        one.option for one in PLACES
    }


@IN_ONE_FOLDER
@given(place=st.sampled_from(PLACES), value=VALUES)
def test_no_value_of_an_option_is_a_traceback_or_a_beginning(idle: Path, place: Place, value: str) -> None:
    _holds([*place.command, *place.needs, f"{place.option}={value}" if place.option else value])


@IN_ONE_FOLDER
@given(name=st.sampled_from([one.name for one in fields(Protocol)]), value=VALUES, per_dataset=st.booleans())
def test_no_value_of_a_field_is_a_traceback_or_a_beginning(
    idle: Path, name: str, value: str, per_dataset: bool
) -> None:
    field = f"{name}.glyphs" if per_dataset else name
    _holds(["run", "--dataset=glyphs", "--losses=contrastive", "--protocol=quick", f"--set={field}={value}"])


@examples(200)
@given(
    name=st.sampled_from([one.name for one in fields(Protocol)]),
    value=st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.tuples(st.floats(), st.integers())
    ),
    per_dataset=st.booleans(),
)
def test_no_value_of_a_field_in_python_is_another_error_than_a_sentence(
    name: str, value: Any, per_dataset: bool
) -> None:
    with suppress(ValueError):
        QUICK.vary({name: PerDataset(value) if per_dataset else value})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"workers": 0}, r"workers must lie in \[1, 1024\], but got 0"),
        ({"per_device": -1}, r"per_device must lie in"),
        ({"stop_after": ""}, "stop_after must not be empty"),
        ({"ray": " "}, "ray must not be empty"),
        ({"storage": ""}, "storage must not be empty"),
        ({"runs": ""}, "runs must not be empty"),
        ({"out": ""}, "out must not be empty"),
        ({"trunk": ""}, "trunk must not be empty"),
        ({"weights": ""}, "weights must not be empty"),
        ({"margin": float("nan")}, "The margin must be positive"),
        ({"losses": ["contrastive", "contrastive"]}, "Each loss must be given once"),
    ],
)
def test_python_refuses_what_the_command_refuses(idle: Path, options: dict[str, Any], sentence: str) -> None:
    words = {"losses": ["contrastive"], "dataset": "glyphs", "protocol": "quick", **options}
    with pytest.raises(ValueError, match=sentence):
        face.compare(words.pop("losses"), **words)
