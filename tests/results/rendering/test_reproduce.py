"""The command in a loss's panel: what it says makes the numbers again."""

import re
import shlex
from itertools import pairwise
from typing import Any

import pytest

from mlrc.harness.plugins import PROTOCOLS
from mlrc.protocols.protocol import Protocol
from mlrc.results.boards.leaderboard import boards
from mlrc.results.rendering.panels import _again
from tests.results.studies import make

SHA256 = "ab" * 32


def _command(fields: dict[str, Any], changes: dict[str, Any], trials: int = 2) -> list[str]:
    made = make({"triplet": 50.0}, protocol="quick+x=1", fields=fields, changes=changes, trials=trials)
    (board,) = boards(made.records, made.per_class)
    (found,) = re.findall("<pre>(.*)</pre>", _again(board, board.evidence[0]))
    return shlex.split(found)


def test_a_searched_loss_is_searched_again_by_the_parent_and_what_was_changed() -> None:
    words = _command({}, {"lr": (0.01, 0.1), "nmi": (False, True)})
    assert words[:6] == ["mlrc", "run", "--dataset", "glyphs", "--root", "DIR"]
    assert words[6:] == [*("--losses", "triplet", "--protocol", "quick"), *("--set", "lr=0.1", "--set", "nmi=true")]


def test_given_parameters_and_the_files_of_weights_are_told() -> None:
    words = _command({"weights": SHA256}, {"weights": ("", SHA256)}, trials=0)
    assert words[10:] == ["--weights", "FILE", "--param", "triplet.margin=-0.1"]


def test_a_trunk_comes_with_its_input() -> None:
    changes = {"trunk": ("small_conv", "resnet18"), "mean": ([0.5], [0.1, 0.2, 0.3]), "channels": ("grey", "RGB")}
    assert _command({}, changes)[10:] == ["--trunk", "resnet18"]


@pytest.mark.parametrize("texts", [("lr=0.5",), ("nmi.glyphs=true", "crop_scale=0.5,1")])
def test_what_is_set_by_the_command_gives_the_same_digest(texts: tuple[str, ...]) -> None:
    parent: Protocol = PROTOCOLS.find("quick")
    varied = parent.set(texts)
    words = _command({}, parent.diff(varied))
    given = [word for before, word in pairwise(words) if before == "--set"]
    assert parent.set(given).digest == varied.digest


def test_a_row_that_no_loss_made_comes_along_with_the_first_loss() -> None:
    made = make({"untrained": 20.0, "triplet": 50.0})
    (board,) = boards(made.records, made.per_class)
    told = _again(board, board.evidence[0])
    assert board.evidence[0].loss == "untrained"
    assert "--losses triplet" in told
    assert "where it comes along with any loss" in told
