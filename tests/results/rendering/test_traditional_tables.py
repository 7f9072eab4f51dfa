"""Tables of traditional protocols: the columns of loss papers, standard deviations, what the caption says."""

import csv
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest

from mlrc.results.boards.leaderboard import Board, boards
from mlrc.results.publishing.audit import KnownSplit, audit
from mlrc.results.records.evidence import gather
from mlrc.results.records.invariants import broken
from mlrc.results.records.metric_names import table_metrics
from mlrc.results.rendering.caption import caption
from mlrc.results.rendering.page_tables import scores
from mlrc.results.rendering.plots import plots
from mlrc.results.rendering.spreadsheet import leaderboard_csv, read_leaderboard_csv
from mlrc.results.rendering.table import latex, markdown
from mlrc.results.statistics.curves import convergence, validation
from tests.results.studies import Made, make, rekeyed, sound

ALL = ("P@1", "RP", "MAP@R", "R@1", "R@8", "nDCG@1", "nDCG@8", "NMI")


def _traditional(epoch_choice: str = "last", **options: object) -> Made:
    """Make a study of one model per repeat, without a search, whose repeats have an NMI without per-class sums."""
    fields = {"epoch_choice": epoch_choice}
    made = sound({"proxy_nca_pp": 40.0, "triplet": 30.0}, trials=0, folds=1, fields=fields, **options)
    for number, run in enumerate(list(made.records.runs.values())):
        made.records.add(
            replace(
                run,
                params={"temperature": 1 / 9, "margin": 2} if run.loss == "proxy_nca_pp" else {},
                separated={**run.separated, "NMI": 50.0 + number},
                concatenated={**run.concatenated, "NMI": 60.0 + number},
            )
        )
    for record in list(made.records.folds.values()):
        params = {"temperature": 1 / 9, "margin": 2} if record.loss == "proxy_nca_pp" else {}
        made.records.add(replace(record, params=params, history=(), best_epoch=None, best_score=None))
    return made


def _board(made: Made) -> Board:
    (board,) = boards(made.records, made.per_class)
    return board


def test_the_columns_are_those_of_papers_of_losses() -> None:
    assert table_metrics(ALL, traditional=True) == ("R@1", "R@8", "MAP@R", "nDCG@1", "nDCG@8", "NMI")
    assert table_metrics(ALL) == ("P@1", "RP", "MAP@R", "nDCG@8")
    assert _board(_traditional()).metrics == ("R@1", "R@8", "MAP@R", "nDCG@1", "nDCG@8", "NMI")


def test_a_metric_without_per_class_sums_has_a_mean_and_an_interval_over_repeats_only() -> None:
    board = _board(_traditional())
    row = next(row for row in board.rows if (row.loss, row.metric, row.setting) == ("triplet", "NMI", "separated"))
    assert (row.mean, row.classes, row.n) == (54.0, None, 3)
    assert row.ci95 is not None
    other = next(row for row in board.rows if (row.loss, row.metric) == ("triplet", "R@1"))
    assert other.classes is not None
    assert ("separated", "NMI") not in board.contests
    assert ("separated", "R@8") in board.contests


def test_a_metric_that_should_have_per_class_sums_and_has_none_is_a_fault() -> None:
    made = _traditional()
    run = next(iter(made.records.runs.values()))
    assert broken(run, made.per_class[run.key]) == []
    del made.per_class[run.key]["separated/R@8"]
    assert broken(run, made.per_class[run.key]) == ["separated R@8 has no per-class sums"]


def test_the_standard_deviation_stands_beside_the_interval() -> None:
    made = _traditional()
    board = _board(made)
    values = [run.separated["R@1"] for run in made.records.runs.values() if run.loss == "triplet"]
    mean, sd = np.mean(values), np.std(values, ddof=1)
    half = 4.302653 * sd / np.sqrt(3)  # Student-t with two degrees of freedom
    row = next(row for row in board.rows if (row.loss, row.metric, row.setting) == ("triplet", "R@1", "separated"))
    assert row.sd == pytest.approx(sd)
    assert f"| {mean:.2f} ± {half:.2f} ({sd:.2f}) |" in markdown(board).replace("**", "")
    assert rf"{mean:.2f} \pm {half:.2f}\ ({sd:.2f})" in latex(board)
    assert f"± {half:.2f} ({sd:.2f})</span>" in scores(board, ())
    assert "In parentheses the standard deviation over the repeats." in " ".join(caption(board))


def test_one_repeat_has_no_standard_deviation() -> None:
    board = _board(_traditional(repeats=1))
    assert {row.sd for row in board.rows} == {None}
    table = markdown(board)
    assert "(" not in next(line for line in table.splitlines() if line.startswith("| triplet"))
    assert "standard deviation" not in table


def test_tables_of_searched_protocols_have_no_standard_deviation_in_their_cells() -> None:
    board = _board(make({"triplet": 30.0, "contrastive": 40.0}))
    assert not board.traditional
    assert "(" not in next(line for line in markdown(board).splitlines() if line.startswith("| triplet"))
    assert "standard deviation" not in " ".join(caption(board))


def test_the_leaderboard_has_the_standard_deviation_and_is_read_without_the_later_columns() -> None:
    rows = _board(_traditional()).rows
    text = leaderboard_csv(rows)
    read = list(csv.DictReader(StringIO(text)))
    assert list(read[0])[-6:-4] == ["commit", "sd"]
    assert [float(line["sd"]) for line in read] == pytest.approx([row.sd for row in rows], abs=1e-4)
    before = "".join(line.rsplit(",", 5)[0] + "\n" for line in text.splitlines())
    assert [row.mean for row in read_leaderboard_csv(before)] == [row.mean for row in read_leaderboard_csv(text)]
    with pytest.raises(ValueError, match="it lacks the column metric"):
        read_leaderboard_csv(text.replace("metric", "measure", 1))


def test_the_caption_says_that_the_epoch_was_chosen_on_the_test_set_only_when_it_was() -> None:
    sentence = "The epoch was chosen on the test set"
    for choice in ("last", "best_on_test"):
        board = _board(_traditional(choice))
        for text in (" ".join(caption(board)), markdown(board), latex(board)):
            assert (sentence in text) is (choice == "best_on_test")
    assert sentence not in " ".join(caption(_board(make({"triplet": 30.0}))))


def test_the_caption_tells_of_two_stages() -> None:
    made = _traditional()
    (record,) = made.records.protocols.values()
    for two_stages in (True, False):
        fields = {**record.fields, "two_stages": two_stages, "validation_fraction": 0.25}
        made.records.add(replace(record, fields=fields))
        told = " ".join(caption(_board(made)))
        assert ("Stage 1 of each repeat, on 75% of the training classes, chose the schedule" in told) is two_stages
        assert ("epochs by the other 25%" in told) is two_stages


def test_the_caption_tells_the_parameters_that_were_given() -> None:
    told = " ".join(caption(_board(_traditional())))
    assert "Parameters were given, not searched: proxy_nca_pp margin 2, temperature 0.1111." in told
    assert "One model per repeat, so there is no ensemble." in told


def test_the_caption_tells_searched_losses_from_given_ones() -> None:
    made = make({"triplet": 30.0, "contrastive": 40.0})
    for key, record in list(made.records.folds.items()):
        if record.loss == "triplet" and record.stage == "search":
            del made.records.folds[key]
    told = " ".join(caption(_board(made)))
    assert "Parameters of triplet were given, not searched: triplet margin 0.1." in told
    assert "Search: 2 trials for each of contrastive, selected on validation classes" in told


def test_the_caption_says_how_bold_is_chosen_where_classes_cannot_be_drawn() -> None:
    assert "In NMI, of which there are no sums per class, bold is the highest mean alone." in caption(
        _board(_traditional())
    )


def test_traditional_evidence_passes_the_audit() -> None:
    made = rekeyed(_traditional())
    run = next(iter(made.records.runs.values()))
    known = {KnownSplit(run.dataset, run.fingerprint, run.cut, run.test_classes, run.test_images)}
    from mlrc.protocols.protocol import digest_of  # noqa: PLC0415 only this test needs it

    assert audit(made.records, made.per_class, known, digest_of) == []


def test_curves_are_those_of_stage_2_where_it_has_any_and_of_stage_1_otherwise() -> None:
    made = _traditional()
    (evidence,) = (one for one in gather(made.records) if one.loss == "triplet")
    stage_1 = tuple(replace(record, stage="schedule", history=((0, 1.0), (1, 2.0))) for record in evidence.final)
    two_stages = replace(evidence, final=(*stage_1, *evidence.final))
    assert [curve.y.tolist() for _, curve in validation(two_stages)] == [[1.0, 2.0]] * 3
    assert convergence(two_stages, 1).y.tolist() == [1.0, 2.0]
    on_test = tuple(replace(record, history=((0, 3.0), (1, 4.0))) for record in evidence.final)
    assert [curve.y.tolist() for _, curve in validation(replace(evidence, final=(*stage_1, *on_test)))] == [[3, 4]] * 3
    assert validation(evidence) == []


@pytest.mark.parametrize(("choice", "word"), [("last", "Validation"), ("best_on_test", "Test")])
def test_plots_call_scores_on_the_test_set_by_their_name(choice: str, word: str) -> None:
    made = _traditional(choice)
    for record in list(made.records.folds.values()):
        made.records.add(replace(record, history=((0, 3.0), (1, 4.0)), best_epoch=1, best_score=4.0))
    drawn = {plot.name: plot for plot in plots(_board(made))}
    assert drawn["validation"].title == f"{word} curves"
    assert drawn["validation"].told.startswith(f"{word} MAP@R of every training")
    assert drawn["convergence"].told.startswith(f"Best {word.lower()} MAP@R so far")
