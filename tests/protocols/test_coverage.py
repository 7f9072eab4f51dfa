"""Every place that the list of what the papers cover names is there."""

import ast
import re
from pathlib import Path

import pytest
import typer

from mlrc.harness.cli import app
from mlrc.harness.images.dataset import DATASETS
from mlrc.harness.plugins import LOSSES, PROTOCOLS
from mlrc.harness.trunks.trunk import TRUNKS
from mlrc.protocols.coverage import COVERAGE, MEAN_FIELD, MPA, NO_FUSS, PROXY_NCA_PP, Covered
from mlrc.protocols.protocol import Protocol
from mlrc.protocols.sweeps import SWEEPS
from mlrc.results.boards.papers import read_papers
from mlrc.results.publishing.place import PUBLISHED

ROOT = Path(__file__).parents[2]
PAPERS = read_papers((PUBLISHED / "papers.csv").read_text(encoding="utf-8"))
COMMANDS = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
NAMES = {
    "loss": set(LOSSES.names()),
    "sweep": set(SWEEPS),
    "protocol": set(PROTOCOLS.names()),
    "dataset": set(DATASETS.names()),
    "trunk": set(TRUNKS.names()),
    "field": set(Protocol.__dataclass_fields__),
    "command": COMMANDS,
}


def _is_there(place: str, paper: str) -> bool:
    kind, _, name = place.partition(":")
    if kind == "printed":
        sources = {paper, PROXY_NCA_PP}  # which quotes the numbers of No Fuss
        return any(one.source in sources and one.place.partition(",")[0] == name for one in PAPERS)
    if kind == "file":
        return (ROOT / name).is_file()
    if kind == "test":
        path, _, test = name.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        return any(isinstance(node, ast.FunctionDef) and node.name == test for node in ast.walk(tree))
    return name in NAMES[kind]


@pytest.mark.parametrize("covered", COVERAGE, ids=lambda one: f"{one.paper} {one.item}")
def test_every_place_is_there_and_what_has_none_has_a_reason(covered: Covered) -> None:
    assert covered.here or covered.reason
    for place in covered.here:
        assert _is_there(place, covered.paper), place


def test_items_are_named_once() -> None:
    names = [(one.paper, one.item) for one in COVERAGE]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("paper", "kind", "numbers"),
    [(MPA, "equation", 11), (MPA, "table", 6), (MEAN_FIELD, "equation", 10), (PROXY_NCA_PP, "table", 11)],
)
def test_all_numbers_up_to_the_last_are_covered(paper: str, kind: str, numbers: int) -> None:
    found: set[int] = set()
    for one in COVERAGE:
        if one.paper == paper and one.item.startswith(kind):
            ends = [int(text) for text in re.findall(r"\d+", one.item)]
            found |= set(range(ends[0], ends[-1] + 1)) if " to " in one.item else set(ends)
    assert found >= set(range(1, numbers + 1))


def test_every_sweep_of_a_paper_is_in_the_list() -> None:
    told = {place.removeprefix("sweep:") for one in COVERAGE for place in one.here if place.startswith("sweep:")}
    assert set(SWEEPS) - told <= {"mpa_embedding_size", "soft_triple_centers"}
    assert NO_FUSS in {one.paper for one in COVERAGE}
