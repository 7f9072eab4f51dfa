"""The printed tables, against golden files; UPDATE_GOLDEN=1 in the environment writes them anew."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mlrc.results.boards.leaderboard import Board, boards
from mlrc.results.boards.papers import Reference
from mlrc.results.records.record import PCA, UNTRAINED
from mlrc.results.rendering.caption import caption
from mlrc.results.rendering.matrix import comparisons
from mlrc.results.rendering.page_tables import scores
from mlrc.results.rendering.report import tables
from mlrc.results.rendering.table import latex, layout, markdown, sources
from mlrc.results.statistics.ranks import Ranks
from tests.results.studies import make, merged

GOLDEN = Path(__file__).parents[1] / "golden"
PAPER = Reference(
    loss="contrastive", title="Contrastive (paper)", values={("concatenated", "P@1"): 41.0}, source="A paper, table 1"
)


def _boards() -> list[Board]:
    """A study with ties, divergence and a variant of its protocol."""
    study = make(
        {UNTRAINED: 20.0, "triplet": 60.0, "margin_per_class": 60.5, "contrastive": 40.0},
        diverged=[("triplet", 0, 1)],
    )
    variant = make(
        {"triplet": 50.0}, repeats=1, protocol="quick+lr=0.1", digest="eeeeeeeeeeee", changes={"lr": (0.01, 0.1)}
    )
    together = merged(study, variant)
    return boards(together.records, together.per_class)


@pytest.mark.parametrize("name", ["leaderboard.csv", "comparisons.csv", "cost.csv", "table.md", "table.tex"])
def test_the_files_of_a_report_are_as_they_were(name: str) -> None:
    made = tables(_boards(), {("glyphs", "quick"): [PAPER]})[name]
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(made, encoding="utf-8")
    assert made == (GOLDEN / name).read_text(encoding="utf-8")


def test_the_losses_that_could_be_the_best_are_bold_and_may_have_the_first_rank() -> None:
    plan = layout(_boards()[0])
    lines = {line.title: line for line in plan.lines}
    for loss, bold in (("triplet", True), ("margin_per_class", True), ("contrastive", False), (UNTRAINED, False)):
        assert {cell.bold for cell in lines[loss].cells if cell} == {bold}
    assert (lines["triplet"].ranks, lines["contrastive"].ranks) == ((Ranks(1, 2),) * 2, (Ranks(3, 3),) * 2)
    assert lines[UNTRAINED].ranks == (None, None)


def test_with_one_repeat_the_highest_mean_is_bold_and_the_caption_says_that_nothing_is_known() -> None:
    study = make({"triplet": 60.0, "contrastive": 40.0}, repeats=1)
    (board,) = boards(study.records, study.per_class)
    text = markdown(board)
    assert "±" not in text
    assert text.count("**") == 2 * 8
    assert "One repeat, so no number has an interval" in text
    assert "nothing is known of how surely it is the best" in text


def test_a_loss_that_could_not_be_compared_but_leads_is_bold_too() -> None:
    study = make({"triplet": 70.0, "contrastive": 40.0, "margin": 45.0})
    without = {key: sums for key, sums in study.per_class.items() if study.records.runs[key].loss != "triplet"}
    (board,) = boards(study.records, without)
    bold = {line.title for line in layout(board).lines for cell in line.cells if cell and cell.bold}
    assert "triplet" in bold


def test_one_model_per_repeat_has_one_group_of_columns() -> None:
    study = make({UNTRAINED: 20.0, "triplet": 60.0, "contrastive": 40.0}, folds=1)
    (board,) = boards(study.records, study.per_class)
    plan = layout(board, [PAPER])
    assert plan.settings == ("One model (128-dim)",)
    assert {(len(line.cells), len(line.ranks)) for line in plan.lines} == {(4, 1)}
    assert "One model per repeat, so there is no ensemble." in caption(board)
    assert "oncatenated" not in markdown(board)
    assert r"\begin{tabular}{lccccc}" in latex(board)
    assert scores(board, []).count("<th colspan") == comparisons(board, 1.0).count("<h4>MAP@R") == 1


def test_a_papers_row_stands_below_ours_and_is_neither_bold_nor_ranked() -> None:
    plan = layout(_boards()[0], [PAPER])
    titles = [line.title for line in plan.lines]
    assert titles.index("Contrastive (paper)") == titles.index("contrastive") + 1
    line = plan.lines[titles.index("Contrastive (paper)")]
    assert [cell and (cell.mean, cell.half, cell.bold) for cell in line.cells][:2] == [(41.0, None, False), None]
    assert line.ranks == (None, None)


def test_the_place_of_several_rows_of_a_paper_is_told_once() -> None:
    one, other = (Reference(loss="triplet", title=title, values={}, source="A, table 1") for title in ("B", "C"))
    assert sources([one, other, PAPER]) == ["B, C: A, table 1.", "Contrastive (paper): A paper, table 1."]


def test_a_paper_row_of_a_loss_that_we_did_not_run_is_shown() -> None:
    other = Reference(loss="fast_ap", title="FastAP (paper)", values={}, source="A paper")
    assert layout(_boards()[0], [other]).lines[-1].title == "FastAP (paper)"


@pytest.mark.parametrize(
    "said",
    [
        "protocol quick (digest d0d0d0d0d0d0)",
        "n = 3 repeats: it covers seed noise only",
        "Concatenated is an ensemble of the 4 fold models",
        "Split: official, 20 test classes with 200 images; images with fingerprint f1f1f1f1f1f1f1f1",
        "trials in which a fold diverged or failed: 1 of triplet",
        "Made on cpu; torch 2.9.0; commit 0123456789ab",
        "Hsu's multiple comparisons with the best",
        "“untrained” is the trunk's pooled output before any training, and is not ranked",
    ],
)
def test_the_caption_says_what_a_reader_must_know(said: str) -> None:
    assert said in " ".join(caption(_boards()[0]))


def test_the_caption_names_the_differences_from_the_parent_protocol() -> None:
    assert "Differs from quick in lr 0.1 instead of 0.01." in caption(_boards()[1])


def test_the_untrained_trunk_is_never_bold_even_where_it_leads() -> None:
    for repeats in (1, 3):
        study = make({UNTRAINED: 75.0, "triplet": 60.0, "contrastive": 40.0}, repeats=repeats)
        (board,) = boards(study.records, study.per_class)
        bold = {line.title for line in layout(board).lines for cell in line.cells if cell and cell.bold}
        assert bold == {"triplet"}


def test_the_caption_tells_what_is_missing() -> None:
    mixed = merged(make({"triplet": 60.0}), make({"contrastive": 50.0}, repeats=1, trials=0))
    mixed.records.protocols.clear()
    (board,) = boards(mixed.records, mixed.per_class)
    told = " ".join(caption(board))
    assert "The ledger does not hold the numbers behind this digest." in told
    assert "over n = 1 or 3 repeats: it covers seed noise only, and one repeat has none." in told
    given = make({"triplet": 60.0}, trials=0)
    (board,) = boards(given.records, given.per_class)
    assert "Parameters were given, not searched: triplet margin -0.1." in caption(board)


@pytest.mark.parametrize(
    ("new", "old", "told"),
    [
        ("0123456789" * 5, "", "012345678901234567890123456789012345678… instead of none"),
        ({"default": 2, "named": []}, {"default": 4, "named": [["cub200", 5]]}, "2 instead of 4, cub200: 5"),
        ((0.1, 0.5), 0.1, "(0.1, 0.5) instead of 0.1"),
    ],
)
def test_the_caption_tells_changed_values_as_people_write_them(new: object, old: object, told: str) -> None:
    study = make({"triplet": 60.0}, protocol="quick+weights", changes={"weights": (old, new)})
    (board,) = boards(study.records, study.per_class)
    assert f"Differs from quick in weights {told}." in caption(board)


def test_what_an_error_message_or_a_name_may_hold_does_not_break_latex() -> None:
    study = make({"mine_50%_of_#1": 60.0}, dataset="a&b$c{d}~^\\ü")
    (board,) = boards(study.records, study.per_class)
    text = latex(board)
    assert r"mine\_50\%\_of\_\#1" in text
    assert r"a\&b\$c\{d\}\textasciitilde{}\textasciicircum{}\textbackslash{}?" in text
    assert re.fullmatch(r"[\x00-\x7f]*", text)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX is installed")
def test_the_latex_compiles_and_no_table_is_wider_than_the_page(tmp_path: Path) -> None:
    odd = make({"mine_50%_of_#1": 60.0}, dataset="a&b$c{d}~^\\ü")
    long = make({"mean_field_classwise_multi_similarity": 60.0, "triplet": 50.0}, dataset="long")
    found = [*_boards(), *(board for one in (odd, long) for board in boards(one.records, one.per_class))]
    body = tables(found, {("glyphs", "quick"): [PAPER]})["table.tex"]
    packages = r"\usepackage{booktabs,graphicx}"
    document = rf"\documentclass{{article}}{packages}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "paper.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout, done.stdout
    assert (tmp_path / "paper.pdf").stat().st_size > 1000


@pytest.mark.parametrize(
    ("separated", "concatenated", "said"),
    [
        (0.0, 0.0, ()),
        (100.0, 0.0, ("In separated MAP@R no head beats the row “pca”.",)),
        (100.0, 100.0, ("In concatenated and separated MAP@R no head beats the row “pca”.",)),
    ],
)
def test_the_caption_says_where_no_head_beats_what_it_was_made_from(
    separated: float, concatenated: float, said: tuple[str, ...]
) -> None:
    board = _boards()[0]
    means = {"separated": separated, "concatenated": concatenated}
    of_pca = [replace(row, loss=PCA, mean=means[row.setting]) for row in board.rows if row.loss == UNTRAINED]
    rows = [replace(row, mean=0.0) if row.loss == UNTRAINED else row for row in board.rows]
    (first,) = (one for one in board.evidence if one.loss == UNTRAINED)
    reduced = replace(first, loss=PCA, runs=tuple(replace(run, loss=PCA, embedding_size=16) for run in first.runs))
    found = caption(replace(board, rows=(*rows, *of_pca), evidence=(*board.evidence, reduced)))
    assert tuple(sentence for sentence in found if "no head beats" in sentence) == said
    assert (
        "The row “pca” is the same in 16 dimensions, the principal components of each fold's training classes, and is "
        "not ranked."
    ) in found
