"""The published leaderboard: the same bytes from the same evidence, and no evidence that does not hold."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from mlrc.harness.plugins import PROTOCOLS
from mlrc.protocols.protocol import digest_of
from mlrc.results.boards.papers import read_papers, references
from mlrc.results.publishing import published
from mlrc.results.publishing.audit import read_splits
from mlrc.results.publishing.place import PUBLISHED
from mlrc.results.publishing.published import add, check, evidence, regenerate
from mlrc.results.records.evidence import gather
from mlrc.results.records.identity import key_of_repeat
from mlrc.results.records.ledger import LEDGER, Records, read
from mlrc.results.records.record import UNTRAINED
from mlrc.results.rendering import report
from mlrc.results.rendering.papers_page import papers_markdown
from mlrc.results.rendering.plots import Plot
from tests.results.studies import Made, rekeyed, sound

MEANS = {UNTRAINED: 20.0, "triplet": 60.0, "contrastive": 40.0}
MLRC_DATASETS = ("cub200", "cars196", "sop")
PAPERS = (
    "source,protocol,dataset,loss,title,place,setting,metric,mean,sd\n"
    "arXiv1,quick,glyphs,triplet,Triplet,table 1,concatenated,P@1,61.2,\n"
    "arXiv1,quick,glyphs,triplet,Triplet,table 1,separated,RP,41.2,\n"
    "arXiv1,quick,glyphs,,Theirs alone,table 1,separated,RP,40.0,\n"
    "arXiv2,,glyphs,,Own,table 2,,R@1,70.0,0.3\n"
)


def _nothing(records: Records) -> Mapping[tuple[str, str], Mapping[str, Mapping[str, float]]]:
    return {}


def _empty(leaderboard: Path) -> Path:
    leaderboard.mkdir()
    (leaderboard / "papers.csv").write_text(PAPERS, encoding="utf-8")
    (leaderboard / "splits.csv").write_text(
        "dataset,fingerprint,cut,test_classes,test_images\nglyphs,f1f1f1f1f1f1f1f1,official,20,200\n", encoding="utf-8"
    )
    return leaderboard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return _empty(tmp_path / "published")


@pytest.fixture(scope="module")
def rendered_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    leaderboard = _empty(home / "published")
    add(leaderboard, sound(MEANS).write(home / "runs"), "first", digest_of)
    with pytest.MonkeyPatch.context() as patch:
        _draw_little(patch)
        regenerate(leaderboard, _nothing)
    return home


def _draw_little(patch: pytest.MonkeyPatch) -> None:
    """Pictures take seconds; that they are the same every time is tested with the page."""
    picture = Plot("scores", "Scores", "told", b"<svg/>", b"png")
    patch.setattr(report, "plots", lambda *_: [picture])


@pytest.fixture
def filled(rendered_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A leaderboard with one piece of evidence; the run it came from lies beside it."""
    _draw_little(monkeypatch)
    shutil.copytree(rendered_once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "published"


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_deleting_and_regenerating_gives_the_same_bytes(filled: Path) -> None:
    before = _bytes(filled)
    assert {"rendered/leaderboard.csv", "rendered/table.tex", "rendered/report.html", "rendered/papers.md"} <= set(
        before
    )
    assert not [name for name in before if name.endswith(".png")]  # the vector pictures are enough to keep
    assert check(filled, _nothing, digest_of) == []
    shutil.rmtree(filled / "rendered")
    regenerate(filled, _nothing)
    assert _bytes(filled) == before


def test_the_papers_numbers_stand_beside_ours(filled: Path) -> None:
    table = (filled / "rendered" / "table.md").read_text(encoding="utf-8")
    assert "*Triplet (paper)* | 61.20 | – | – | – | – | – | 41.20" in table
    assert "Triplet (paper): arXiv1, table 1." in table


def test_rendered_files_that_were_altered_or_removed_are_found(filled: Path) -> None:
    files = [path for path in (filled / "rendered").rglob("*") if path.is_file() and path.name != "drawn_with.txt"]
    names = sorted(path.relative_to(filled).as_posix() for path in files)
    for path in files:
        path.write_bytes(path.read_bytes() + b" ")
    assert check(filled, _nothing, digest_of) == [
        f"{name} is not what the evidence gives; where evidence came in on purpose, run mlrc leaderboard, otherwise "
        "restore what was changed from the history of the repository"
        for name in names
    ]
    for path in files:
        path.unlink()
    assert check(filled, _nothing, digest_of) == [f"{name} is missing" for name in names]


def test_a_rendered_file_without_evidence_is_found(filled: Path) -> None:
    (filled / "rendered" / "more.csv").write_text("a", encoding="utf-8")
    assert check(filled, _nothing, digest_of) == ["rendered/more.csv comes from no evidence"]
    regenerate(filled, _nothing)
    assert check(filled, _nothing, digest_of) == []


def test_pictures_of_another_version_are_not_compared_but_numbers_are(filled: Path) -> None:
    (filled / "rendered" / "drawn_with.txt").write_text("matplotlib 1.0\n", encoding="utf-8")
    page = filled / "rendered" / "report.html"
    page.write_bytes(page.read_bytes() + b" ")
    assert check(filled, _nothing, digest_of) == []
    table = filled / "rendered" / "table.md"
    table.write_bytes(table.read_bytes() + b" ")
    assert len(check(filled, _nothing, digest_of)) == 1


def test_evidence_names_no_machine_and_its_order_is_fixed(filled: Path, tmp_path: Path) -> None:
    ledger = filled / "evidence" / "first" / LEDGER
    assert '"host": "here"' not in ledger.read_text(encoding="utf-8")
    lines = (tmp_path / "runs" / LEDGER).read_text(encoding="utf-8").splitlines(keepends=True)
    again = tmp_path / "again"
    shutil.copytree(tmp_path / "runs", again)
    (again / LEDGER).write_text("".join(reversed(lines)), encoding="utf-8")
    before = ledger.read_bytes()
    shutil.rmtree(filled / "evidence")
    add(filled, again, "first", digest_of)
    assert ledger.read_bytes() == before
    assert check(filled, _nothing, digest_of) == []


def test_two_runs_under_one_protocol_become_one_table(filled: Path, tmp_path: Path) -> None:
    more = sound({UNTRAINED: 20.0, "margin": 50.0})
    add(filled, more.write(tmp_path / "more"), "second", digest_of)
    regenerate(filled, _nothing)
    table = (filled / "rendered" / "table.md").read_text(encoding="utf-8")
    assert table.count("## glyphs, quick") == 1
    assert "| margin |" in table
    assert check(filled, _nothing, digest_of) == []
    second = read(filled / "evidence" / "second" / LEDGER)
    assert {run.loss for run in second.runs.values()} == {"margin"}


def test_what_is_published_is_not_published_again(filled: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="'first' is published already"):
        add(filled, tmp_path / "runs", "first", digest_of)
    with pytest.raises(ValueError, match="Every repeat in .* is published already"):
        add(filled, tmp_path / "runs", "copy", digest_of)
    other = sound({"triplet": 10.0})
    records = Records(protocols=other.records.protocols, folds=other.records.folds)
    for run in other.records.runs.values():
        records.add(replace(run, params={"margin": 0.5}))
    for fold in list(records.folds.values()):
        if (fold.stage, fold.number) in {("final", n) for n in range(3)} | {("search", 1)}:
            records.add(replace(fold, params={"margin": 0.5}))
    renamed = rekeyed(Made(records=records, per_class=other.per_class))
    with pytest.raises(ValueError, match="triplet on glyphs under quick is published already"):
        add(filled, renamed.write(tmp_path / "other"), "other", digest_of)


def test_a_run_that_is_not_there_or_badly_named_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no ledger.jsonl"):
        add(folder, tmp_path / "nowhere", "a", digest_of)
    runs = sound(MEANS).write(tmp_path / "runs")
    for name in ("", "../up", ".hidden", "a b"):
        with pytest.raises(ValueError, match="A name must be made of letters"):
            add(folder, runs, name, digest_of)


def test_a_search_that_another_replaced_is_not_published(folder: Path, tmp_path: Path) -> None:
    made = sound({"triplet": 50.0})
    (*_, last) = made.records.runs.values()
    keys = ("a" * 16, "b" * 16, "c" * 16, "d" * 16)  # of no training
    older = replace(last, key=key_of_repeat(keys), fold_keys=keys, params={"margin": 7.0}, number=7)
    runs = {older.key: older, **made.records.runs}  # of the highest number, yet not the last
    made.records = replace(made.records, runs=runs)
    made.per_class[older.key] = {
        name: sums / 2 if "/" in name else sums for name, sums in made.per_class[last.key].items()
    }
    add(folder, made.write(tmp_path / "runs"), "first", digest_of)
    (one,) = gather(evidence(folder)[0])
    assert [run.number for run in one.runs] == [0, 1, 2]
    assert {tuple(run.params.items()) for run in one.runs} == {tuple(last.params.items())}


def test_evidence_is_whole_or_not_there(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = sound({"triplet": 50.0}).write(tmp_path / "runs")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("mlrc.results.publishing.published.shutil.copyfile", full)
        with pytest.raises(OSError, match="No space"):
            add(folder, runs, "first", digest_of)
    add(folder, runs, "first", digest_of)
    assert [path.name for path in (folder / "evidence").iterdir()] == ["first"]


def test_a_folder_that_is_no_leaderboard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--published"):
        check(tmp_path, _nothing, digest_of)


def test_a_fault_in_published_evidence_is_named_with_the_evidence(filled: Path) -> None:
    ledger = filled / "evidence" / "first" / LEDGER
    records = read(ledger)
    run = next(iter(records.runs.values()))
    text = ledger.read_text(encoding="utf-8")
    value = json.dumps(run.concatenated["RP"])
    ledger.write_text(text.replace(f'"RP": {value}', '"RP": 12.0'), encoding="utf-8")
    found = check(filled, _nothing, digest_of)
    assert found
    assert all(sentence.startswith("evidence first: ") for sentence in found)


def test_a_run_with_a_fault_is_refused_and_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    made = sound(MEANS)
    for run in list(made.records.runs.values()):
        made.records.add(replace(run, cut="half"))
    for fold in list(made.records.folds.values()):
        made.records.add(replace(fold, cut="half"))
    with pytest.raises(ValueError, match=r"cannot be published: .* is not among the known ones .* \(8 more faults\)"):
        add(folder, made.write(tmp_path / "runs"), "bad", digest_of)
    assert not (folder / "evidence").exists()


def test_a_half_written_ledger_is_not_published(folder: Path, tmp_path: Path) -> None:
    runs = sound(MEANS).write(tmp_path / "runs")
    with (runs / LEDGER).open("a", encoding="utf-8") as file:
        file.write('{"kind": "run"')
    with pytest.raises(ValueError, match="last line of its ledger is half written"):
        add(folder, runs, "torn", digest_of)


def test_papers_without_our_protocol_have_no_row_beside_ours() -> None:
    beside = references(read_papers(PAPERS))
    assert [(place, [row.title for row in rows]) for place, rows in beside.items()] == [
        (("glyphs", "quick"), ["Triplet (paper)"])
    ]
    assert "| Own | table 2 | 70 ± 0.3 |" in papers_markdown(read_papers(PAPERS))
    with pytest.raises(ValueError, match="column place"):
        read_papers("source,protocol,dataset,loss,title\n")


def test_the_papers_numbers_in_this_repository_are_within_range_and_named_once() -> None:
    printed = read_papers((PUBLISHED / "papers.csv").read_text(encoding="utf-8"))
    assert len(printed) == 682
    means = [one for one in printed if one.dataset != "worked example"]
    assert all(0 < one.mean < 100 for one in means)
    assert {one.dataset for one in means} == {"cub200", "cars196", "sop", "inshop"}
    beside = references(printed)
    assert set(beside) == {
        *((dataset, protocol) for protocol in ("reality_check", "traditional_mpa") for dataset in MLRC_DATASETS),
        *((dataset, "traditional_proxy_nca_pp") for dataset in (*MLRC_DATASETS, "inshop")),
    }
    assert {protocol for _, protocol in beside} <= set(PROTOCOLS.names())
    anchor = next(one for one in beside["cub200", "traditional_mpa"] if one.loss == "multi_proxy_anchor")
    assert set(anchor.values) == {
        ("separated", metric) for metric in ("P@1", "R@2", "R@4", "R@8", "nDCG@2", "nDCG@4", "nDCG@8")
    }
    pretrained = next(one for one in beside["cub200", "reality_check"] if one.loss == "untrained")
    assert "another quantity than the row untrained" in pretrained.source
    contrastive = next(one for one in beside["cub200", "reality_check"] if one.loss == "contrastive")
    assert contrastive.values["concatenated", "MAP@R"] == 26.53
    assert contrastive.source == "arXiv2003.08505, transcript in the Within-Pair-Mining README"


def test_the_published_leaderboard_of_this_repository_holds() -> None:
    # the rest of this file needs no torch
    from mlrc.harness.plan.parameters import ranges_of_ours, titles_of_ours  # noqa: PLC0415
    from mlrc.harness.plan.schedule import schedule_of  # noqa: PLC0415
    from mlrc.harness.report.importance import importances  # noqa: PLC0415

    asked = (importances, digest_of, schedule_of, ranges_of_ours)
    assert published.check(PUBLISHED, *asked, find_titles=titles_of_ours) == []
    assert read_splits((PUBLISHED / "splits.csv").read_text(encoding="utf-8"))
