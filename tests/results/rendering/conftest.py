"""A report of made-up records, with a paper's row and a gallery."""

import pytest

from mlrc.results.boards.leaderboard import Board, boards
from mlrc.results.boards.papers import Reference
from mlrc.results.records.record import UNTRAINED
from mlrc.results.rendering.gallery import Gallery, Picture, Query
from mlrc.results.rendering.page import anchor, page
from mlrc.results.rendering.plots import plots
from tests.results.studies import make, merged

MEANS = {UNTRAINED: 20.0, "triplet": 60.0, "margin_per_class": 60.5, "contrastive": 40.0, "a_loss": 30.0}
DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
PAPER = Reference(loss="triplet", title="Triplet (paper)", values={("concatenated", "P@1"): 41.0}, source="A paper")


def gallery(dataset: str) -> Gallery:
    neighbours = tuple(Picture(image=DOT, label="b<i>", right=right) for right in (True, False))
    query = Query(kind="worst", picture=Picture(image=DOT, label="a"), average_precision=12.5, neighbours=neighbours)
    return Gallery(dataset=dataset, digest="d0d0d0d0d0d0", loss="triplet", model="fold 0", queries=(query,))


@pytest.fixture(scope="module")
def found() -> list[Board]:
    variant = make({"triplet": 50.0}, repeats=1, protocol="quick+lr=0.1", digest="e" * 12, changes={"lr": (0.01, 0.1)})
    study = merged(make(MEANS, diverged=[("triplet", 0, 1)], fields={"iterations_per_epoch": 25}), variant)
    return boards(study.records, study.per_class)


@pytest.fixture(scope="module")
def html(found: list[Board]) -> str:
    drawn = {anchor(board): plots(board, {"triplet": {"margin": 0.7, "loss_lr": 0.3}}) for board in found}
    return page(found, drawn, [gallery("glyphs")], {("glyphs", "quick"): [PAPER]})
