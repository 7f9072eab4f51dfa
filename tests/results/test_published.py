"""The published leaderboard: the same bytes from the same evidence, and no evidence that does not hold."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocols.catalogue import PROTOCOLS
from protocols.protocol import digest_of
from results import published, report
from results.audit import KnownSplit, audit, read_splits
from results.ledger import LEDGER, Records, read
from results.papers import papers_markdown, read_papers, references
from results.plots import Plot
from results.published import PUBLISHED, add, check, regenerate
from results.record import UNTRAINED, FoldRecord, ProtocolRecord, RunRecord
from tests.results.studies import CLASSES, QUERIES, Made, make

MEANS = {UNTRAINED: 20.0, "triplet": 60.0, "contrastive": 40.0}
KNOWN = {KnownSplit("glyphs", "f1f1f1f1f1f1f1f1", "official", CLASSES, CLASSES * QUERIES)}
PAPERS = (
    "source,protocol,dataset,loss,title,place,setting,metric,mean,sd\n"
    "arXiv1,quick,glyphs,triplet,Triplet,table 1,concatenated,P@1,61.2,\n"
    "arXiv1,quick,glyphs,triplet,Triplet,table 1,separated,RP,41.2,\n"
    "arXiv2,,glyphs,,Own,table 2,,R@1,70.0,0.3\n"
)


def _nothing(records: Records) -> Mapping[tuple[str, str], Mapping[str, Mapping[str, float]]]:
    return {}


def _sound(means: Mapping[str, float] = MEANS, **options: Any) -> Made:
    """Make a study whose digest is that of its fields."""
    (record,) = make({"triplet": 1.0}, **options).records.protocols.values()
    return make(means, digest=digest_of(record.fields), **options)


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
    add(leaderboard, _sound().write(home / "runs"), "first", digest_of)
    with pytest.MonkeyPatch.context() as patch:
        _draw_little(patch)
        regenerate(leaderboard, _nothing)
    return home


def _draw_little(patch: pytest.MonkeyPatch) -> None:
    """Pictures take seconds; that they are the same every time is tested with the page."""
    picture = Plot("scores", "Scores", "told", b"<svg/>", b"png")
    patch.setattr(report, "plots", lambda board, importances: [picture])


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
        f"{name} is not what the evidence gives; run mlrc leaderboard" for name in names
    ]
    for path in files:
        path.unlink()
    assert check(filled, _nothing, digest_of) == [f"{name} is missing" for name in names]


def test_a_rendered_file_without_evidence_is_found(filled: Path) -> None:
    (filled / "rendered" / "more.csv").write_text("a", encoding="utf-8")
    assert check(filled, _nothing, digest_of) == ["rendered/more.csv comes from no evidence"]


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
    shutil.rmtree(filled / "evidence")
    add(filled, again, "first", digest_of)
    assert ledger.read_bytes() == (filled / "evidence" / "first" / LEDGER).read_bytes()
    assert check(filled, _nothing, digest_of) == []


def test_two_runs_under_one_protocol_become_one_table(filled: Path, tmp_path: Path) -> None:
    more = _sound({UNTRAINED: 20.0, "margin": 50.0})
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
    other = _sound({"triplet": 10.0})
    records = Records(protocols=other.records.protocols, folds=other.records.folds)
    for run in other.records.runs.values():
        records.add(replace(run, key="f" + run.key[1:]))
    renamed = Made(records=records, per_class={"f" + key[1:]: sums for key, sums in other.per_class.items()})
    with pytest.raises(ValueError, match="triplet on glyphs under quick is published already"):
        add(filled, renamed.write(tmp_path / "other"), "other", digest_of)


def test_a_run_that_is_not_there_or_badly_named_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no ledger.jsonl"):
        add(folder, tmp_path / "nowhere", "a", digest_of)
    runs = _sound().write(tmp_path / "runs")
    for name in ("", "../up", ".hidden", "a b"):
        with pytest.raises(ValueError, match="name of evidence"):
            add(folder, runs, name, digest_of)


def test_a_folder_that_is_no_leaderboard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--published"):
        check(tmp_path, _nothing, digest_of)


def _change(made: Made, kind: type, change: Callable[[Any], Any], **which: object) -> Made:
    for records in (made.records.runs, made.records.folds, made.records.protocols):
        for record in [one for one in records.values() if isinstance(one, kind)]:
            if all(getattr(record, name) == value for name, value in which.items()):
                made.records.add(change(record))
    return made


def _with_scores(run: RunRecord) -> RunRecord:
    return replace(run, separated={**run.separated, "MAP@R": run.separated["MAP@R"] + 0.01})


def _with_commit(run: RunRecord) -> RunRecord:
    return replace(run, environment=replace(run.environment, commit="0123456789ab-dirty"))


def _without(made: Made, kind: str, **which: object) -> Made:
    records = getattr(made.records, kind)
    for key, record in list(records.items()):
        if all(getattr(record, name) == value for name, value in which.items()):
            del records[key]
            made.per_class.pop(key, None)
    return made


FAULTS: dict[str, tuple[Callable[[Made], Made], str]] = {
    "altered score": (lambda m: _change(m, RunRecord, _with_scores, loss="triplet", number=0), "per-class sums give"),
    "unknown split": (lambda m: _change(m, RunRecord, lambda r: replace(r, test_images=9)), "is not among the known"),
    "other size": (lambda m: _change(m, RunRecord, lambda r: replace(r, embedding_size=64), loss="triplet"), "128 dim"),
    "missing fold": (
        lambda m: _change(m, RunRecord, lambda r: replace(r, fold_keys=r.fold_keys[:3]), number=1),
        "a concatenation of 4 × 128 dimensions needs 4 folds, but it has 3",
    ),
    "folds in another order": (
        lambda m: _change(m, RunRecord, lambda r: replace(r, fold_keys=r.fold_keys[::-1]), loss="triplet", number=1),
        "the record of fold 0 is of another job, or not done",
    ),
    "missing fold record": (
        lambda m: _without(m, "folds", loss="triplet", stage="final", number=1, fold=2),
        "1 of its fold records are missing",
    ),
    "diverged fold of a scored repeat": (
        lambda m: _change(m, FoldRecord, lambda r: replace(r, outcome="diverged"), stage="final", number=2, fold=0),
        "fold 0 is of another job, or not done",
    ),
    "best score": (
        lambda m: _change(m, FoldRecord, lambda r: replace(r, best_score=99.0), stage="final", number=0, fold=3),
        "best validation score of fold 3",
    ),
    "missing repeat": (lambda m: _without(m, "runs", loss="triplet", number=2), "3 repeats are planned, but 2"),
    "missing trial": (lambda m: _without(m, "folds", stage="search", number=0), "every search has 2 trials"),
    "missing fold of a trial": (
        lambda m: _without(m, "folds", stage="search", number=0, fold=1),
        "trial 0 has the folds [0, 2, 3], not all 4",
    ),
    "not the best trial's parameters": (
        lambda m: _change(m, FoldRecord, lambda r: replace(r, best_score=90.0), stage="search", number=0),
        "parameters of the best trial, 0",
    ),
    "no search": (lambda m: _without(m, "folds", stage="search"), "asks for a search of 2 trials"),
    "no protocol": (lambda m: _without(m, "protocols"), "the record of its protocol is missing"),
    "altered protocol": (
        lambda m: _change(m, ProtocolRecord, lambda r: replace(r, fields={**r.fields, "lr": 9.0})),
        "its fields have the digest",
    ),
    "dirty tree": (lambda m: _change(m, RunRecord, _with_commit), "changes that are not committed"),
    "missing sums": (
        lambda m: Made(records=m.records, per_class=dict(list(m.per_class.items())[1:])),
        "its per-class sums are missing",
    ),
    "stray sums": (
        lambda m: Made(records=m.records, per_class={**m.per_class, "stray": next(iter(m.per_class.values()))}),
        "per-class sums stray belong to no run",
    ),
}


def test_sound_evidence_has_no_fault() -> None:
    made = _sound()
    assert audit(made.records, made.per_class, KNOWN, digest_of) == []


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_evidence_is_named_and_refused(name: str, folder: Path, tmp_path: Path) -> None:
    break_it, sentence = FAULTS[name]
    made = break_it(_sound())
    found = audit(made.records, made.per_class, KNOWN, digest_of)
    assert any(sentence in one for one in found), found
    with pytest.raises(ValueError, match="cannot be published"):
        add(folder, made.write(tmp_path / "runs"), "bad", digest_of)
    assert not (folder / "evidence").exists()


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


def test_a_half_written_ledger_is_not_published(folder: Path, tmp_path: Path) -> None:
    runs = _sound().write(tmp_path / "runs")
    with (runs / LEDGER).open("a", encoding="utf-8") as file:
        file.write('{"kind": "run"')
    with pytest.raises(ValueError, match="last line of its ledger is half written"):
        add(folder, runs, "torn", digest_of)


def test_a_diverged_repeat_is_no_fault_when_it_is_recorded() -> None:
    made = _change(
        _sound(), FoldRecord, lambda r: replace(r, outcome="diverged"), loss="triplet", stage="final", number=1, fold=0
    )
    assert audit(_without(made, "runs", loss="triplet", number=1).records, made.per_class, KNOWN, digest_of) == []


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_the_digest_of_a_recorded_protocol_is_its_own_also_of_one_from_before_a_field_was_there(name: str) -> None:
    protocol = PROTOCOLS[name]
    assert digest_of(protocol.to_json()) == protocol.digest
    assert digest_of({**protocol.to_json(), "a_later_field": 1}) != protocol.digest
    assert digest_of({**protocol.to_json(), "lr": 1.0}) != protocol.digest
    plain = PROTOCOLS["quick"].to_json()
    assert digest_of({field: value for field, value in plain.items() if field != "layer_norm"}) == digest_of(plain)


def test_papers_without_our_protocol_have_no_row_beside_ours() -> None:
    assert list(references(read_papers(PAPERS))) == [("glyphs", "quick")]
    assert "| Own | table 2 | 70 ± 0.3 |" in papers_markdown(read_papers(PAPERS))
    with pytest.raises(ValueError, match="column place"):
        read_papers("source,protocol,dataset,loss,title\n")


def test_the_papers_numbers_in_this_repository_are_within_range_and_named_once() -> None:
    printed = read_papers((PUBLISHED / "papers.csv").read_text(encoding="utf-8"))
    assert len(printed) == 657
    assert all(0 < one.mean < 100 for one in printed)
    assert {one.dataset for one in printed} == {"cub200", "cars196", "sop", "inshop"}
    beside = references(printed)
    assert set(beside) == {(dataset, "reality_check") for dataset in ("cub200", "cars196", "sop")}
    contrastive = next(one for one in beside["cub200", "reality_check"] if one.loss == "contrastive")
    assert contrastive.values["concatenated", "MAP@R"] == 26.53
    assert contrastive.source == "arXiv2003.08505, transcript in the Within-Pair-Mining README"


def test_the_published_leaderboard_of_this_repository_holds() -> None:
    from harness.importance import importances  # noqa: PLC0415 the rest of this file needs no torch

    assert published.check(PUBLISHED, importances, digest_of) == []
    assert read_splits((PUBLISHED / "splits.csv").read_text(encoding="utf-8"))
