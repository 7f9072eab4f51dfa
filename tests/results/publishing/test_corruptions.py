"""Published evidence that someone changed: every kind of change to its files is caught, each by its own sentence."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from mlrc.protocols.protocol import digest_of
from mlrc.results.publishing.published import add, check
from mlrc.results.records.ledger import Records
from tests.results.publishing.forgery import (
    FINAL,
    REPEAT,
    TRIAL,
    Evidence,
    again_below,
    all_of,
    copy_the_best_repeat,
    cut_file,
    impatient,
    in_environment,
    move,
    other_rules,
    put,
    rename,
    scale,
    swap_losses,
    tear,
)
from tests.results.studies import sound

MEANS = {"untrained": 20.0, "triplet": 60.0, "contrastive": 40.0}
FIELDS = {"max_epochs": {"default": 8, "named": []}, "patience": {"default": 7, "named": []}}
Corrupt = Callable[[Evidence], object]
CORRUPTIONS: dict[str, tuple[Corrupt, str]] = {
    "two losses swapped": (swap_losses, "trial 0, fold 0: what it says of itself gives the key"),
    "a repeat that is a copy": (copy_the_best_repeat, "has the very sums of repeat"),
    "values moved between classes": (
        lambda e: e.sums(lambda s: move(s, "separated/RP", 0.01), forged=False),
        "must have the SHA-256 that its record tells",
    ),
    "score and sums forged together": (
        lambda e: e.sums(lambda s: scale(s, 1.01), forged=False, scores=True),
        "if nobody meant to change it, restore it from the history of the repository",
    ),
    "a sum above its count": (
        lambda e: e.sums(lambda s: move(s, "concatenated/R@8", 20.0)),
        "concatenated R@8 of class 0 must lie within 0 and 10 queries, but is 2",
    ),
    "a negative sum": (
        lambda e: e.sums(lambda s: move(s, "separated/nDCG@8", -20.0)),
        "separated nDCG@8 of class 0 must lie within 0 and 10 queries, but is -",
    ),
    "counts tripled": (
        lambda e: e.sums(lambda s: s.update({name: 3 * of for name, of in s.items() if name != "classes"})),
        "counts must add up to 200 queries less 0 that are left out, but give 600",
    ),
    "classes reversed": (lambda e: e.sums(lambda s: s.update(classes=s["classes"][::-1])), "in ascending order"),
    "classes of other names": (
        lambda e: e.sums(lambda s: s.update(classes=s["classes"] + 1)),
        "repeat 0 of triplet has other test classes or counts of queries",
    ),
    "a query moved between classes": (
        lambda e: e.sums(lambda s: move(s, "counts", 1)),
        "repeat 0 of triplet has other test classes or counts of queries",
    ),
    "a class without queries": (
        lambda e: e.sums(lambda s: move(s, "counts", -10)),
        "each class of per-class sums must",
    ),
    "a class too many": (
        lambda e: e.sums(lambda s: s.update({name: np.append(of, of[-1:] + 1) for name, of in s.items()})),
        "per-class sums must be of 20 test classes, but are of 21",
    ),
    "sums without their counts": (lambda e: e.sums(lambda s: s.pop("counts")), "must tell their counts"),
    "sums of other shapes": (
        lambda e: e.sums(lambda s: s.update({"separated/RP": s["separated/RP"][:3]})),
        "must have one value for each of (20,) classes, but separated/RP has (3,)",
    ),
    "MAP@R above RP in a class": (
        lambda e: e.sums(lambda s: move(s, "separated/MAP@R", 1.8)),
        "separated MAP@R ≤ RP must hold in every class, but in class 0",
    ),
    "R@1 that is not P@1 in a class": (
        lambda e: e.sums(lambda s: move(s, "separated/R@1", -0.01)),
        "separated R@1 = P@1 must hold in every class, but in class 0",
    ),
    "R@8 below R@1 in a class": (
        lambda e: e.sums(lambda s: move(s, "separated/R@8", -2.5)),
        "separated R@1 ≤ R@8 must hold in every class, but in class 0",
    ),
    "sums of a metric gone": (lambda e: e.sums(lambda s: s.pop("separated/RP")), "separated RP has no per-class sums"),
    "a metric of one repeat gone": (
        lambda e: e.change(REPEAT, lambda line: line["separated"].pop("nDCG@8")),
        "repeat 0 of triplet must have the metrics of the others, but differs in separated nDCG@8",
    ),
    "a score": (
        lambda e: e.change(REPEAT, lambda line: line["separated"].update(RP=line["separated"]["RP"] + 0.01)),
        "separated RP must be what its per-class sums give",
    ),
    "a score above 100": (
        lambda e: e.change(REPEAT, lambda line: line["concatenated"].update({"R@8": 100.1})),
        "R@8 must lie in [0, 100]",
    ),
    "a file cut short": (cut_file, "must be a whole npz file, but cannot be read"),
    "a file gone": (lambda e: e.path().unlink(), "its per-class sums are missing"),
    "a file of nothing": (
        lambda e: shutil.copy(e.path(), e.path().with_name("stray.npz")),
        "per-class sums stray belong to no run",
    ),
    "a checksum gone": (
        lambda e: e.change(REPEAT, lambda line: line.pop("per_class_sha256")),
        "must tell the SHA-256 of its per-class sums",
    ),
    "a checksum": (lambda e: e.change(REPEAT, put(per_class_sha256="0" * 64)), "000000000000…, but has"),
    "rules changed with their digest": (other_rules, "repeat 0, fold 0: what it says of itself gives the key"),
    "a field of the rules": (
        lambda e: e.change({"kind": "protocol"}, lambda line: line["fields"].update(seed=1)),
        "its fields have the digest",
    ),
    "the name of the rules": (lambda e: e.change({"kind": "protocol"}, put(name="slow")), "its fields call it quick"),
    "rules by another name in a training": (
        lambda e: e.change(FINAL, put(protocol="slow")),
        "its protocol must have the name quick, but is called slow",
    ),
    "changes of the rules": (
        lambda e: e.change({"kind": "protocol"}, put(changes={"seed": [0, 7]})),
        "it says that seed is changed to 7, but its fields do not",
    ),
    "changes that the name does not tell": (
        lambda e: e.change({"kind": "protocol"}, put(changes={"seed": [1, 0]})),
        "its name and its changes do not agree on seed",
    ),
    "no rules": (lambda e: e.drop({"kind": "protocol"}), "the record of its protocol is missing"),
    "parameters of a training of the search": (
        lambda e: e.change(TRIAL, put(params={"margin": 0.7})),
        "the folds of trial 1 must have the same parameters",
    ),
    "parameters of a whole trial": (
        lambda e: e.change({**TRIAL, "fold": 0} | {"fold": 0, "number": 0}, put(params={"margin": 0.7})),
        "trial 0, fold 0: what it says of itself gives the key",
    ),
    "a trial's score above its history": (
        lambda e: e.change(TRIAL, put(best_score=99.0)),
        "trial 1, fold 2: its best validation score must be 27.0, but is 99.0",
    ),
    "a repeat's score above its history": (
        lambda e: e.change(FINAL, put(best_score=99.0)),
        "repeat 0, fold 1: its best validation score must be 21.0, but is 99.0",
    ),
    "a best epoch": (lambda e: e.change(TRIAL, put(best_epoch=4)), "its best epoch must be 8, but is 4"),
    "a history beyond the budget": (
        lambda e: e.change(TRIAL, put(history=[[0, 5.0], [8, 25.0], [12, 27.0]], best_epoch=12)),
        "no epoch may exceed the budget of 8, but it was validated after epoch 12",
    ),
    "a history that goes back": (
        lambda e: e.change(TRIAL, put(history=[[0, 5.0], [8, 27.0], [4, 25.0]])),
        "must begin before training and go up, but are after the epochs [0, 8, 4]",
    ),
    "a history without its beginning": (
        lambda e: e.change(TRIAL, put(history=[[4, 5.0], [8, 27.0]])),
        "must begin before training and go up, but are after the epochs [4, 8]",
    ),
    "a history without its end": (
        lambda e: e.change(TRIAL, put(history=[[0, 5.0], [4, 27.0]], best_epoch=4)),
        "it must go on to epoch 8 or to the end of its patience, but ends after epoch 4",
    ),
    "a history beyond its patience": (
        impatient,
        "its patience of 5 ended it after epoch 7, but it was validated after epoch 8",
    ),
    "a validation above 100": (
        lambda e: e.change(TRIAL, put(history=[[0, 5.0], [4, 127.0], [8, 27.0]])),
        "validation scores must lie in [0, 100], but one is 127.0",
    ),
    "a diverged training with a score": (
        lambda e: e.change(TRIAL, put(outcome="diverged")),
        "it diverged, so it can have no best validation score",
    ),
    "a cut of a training": (
        lambda e: e.change(FINAL, put(cut="half")),
        "repeat 0, fold 1: its cut is half, but that of the repeats is official",
    ),
    "a cut of a training of the search": (
        lambda e: e.change(TRIAL, put(cut="half")),
        "trial 1, fold 2: its cut is half, but that of the repeats is official",
    ),
    "equal seeds": (
        lambda e: e.change({"kind": "fold", "loss": "triplet"}, put(seed=7)),
        "trial 0, fold 0: what it says of itself gives the seed",
    ),
    "a stage": (lambda e: e.change(FINAL, put(stage="untrained")), "its stage is untrained, which is none of triplet"),
    "the key of a repeat": (rename, "its folds give the key"),
    "the order of folds": (
        lambda e: e.change(REPEAT, lambda line: line["fold_keys"].reverse()),
        "the record of fold 0 is of another job",
    ),
    "queries left out": (
        lambda e: e.change(REPEAT, put(left_out=3)),
        "counts must add up to 200 queries less 3 that are left out, but give 200",
    ),
    "queries left out everywhere": (
        all_of("left_out", lambda _: 3),
        "counts must add up to 200 queries less 3 that are left out, but give 200",
    ),
    "another split in one repeat": (
        lambda e: e.change(REPEAT, put(cameras=2)),
        "repeat 0 of triplet is of another split than the others",
    ),
    "another number of test images": (all_of("test_images", lambda n: n + 1), "counts must add up to 201 queries"),
    "another number of test classes": (
        all_of("test_classes", lambda n: n + 1),
        "a new one is entered from the images themselves, never from a run",
    ),
    "another size of the embedding": (lambda e: e.change(REPEAT, put(embedding_size=64)), "must have 128 dimensions"),
    "a repeat gone": (lambda e: e.drop(REPEAT), "3 repeats are planned, but 2 are scored"),
    "a fold of a trial gone": (lambda e: e.drop(TRIAL), "trial 1 has the folds [0, 1, 3], not all 4"),
    "a fold of a repeat gone": (lambda e: e.drop(FINAL), "1 of its fold records are missing"),
    "a search gone": (
        lambda e: e.drop({"kind": "fold", "stage": "search", "loss": "triplet"}),
        "asks for a search of 2 trials, but there is none",
    ),
    "a failure": (lambda e: e.change(TRIAL, put(outcome="failed")), "1 trainings failed"),
    "a record below that hides another": (again_below, "its ledger has 2 lines of run"),
    "a half written line": (tear, "the last line of its ledger is half written"),
    "the name of a machine": (
        lambda e: e.change(REPEAT, in_environment(host="left.example")),
        "names the machine left.example",
    ),
    "no commit": (lambda e: e.change(TRIAL, in_environment(commit="")), "its commit must be one, or a version"),
    "a commit with changes": (
        lambda e: e.change(TRIAL, in_environment(commit="0123456789ab-dirty")),
        "made from a working tree with changes",
    ),
    "no versions": (lambda e: e.change(REPEAT, in_environment(versions={})), "it must tell the versions"),
    "a negative time": (lambda e: e.change(TRIAL, put(seconds=-1.0)), "it cannot have taken -1.0 s"),
    "a negative processor time": (lambda e: e.change(TRIAL, put(processor_seconds=-1.0)), "-1.0 s of processors"),
    "a negative number of steps": (lambda e: e.change(TRIAL, put(iterations=-1)), "cannot have made -1 iterations"),
    "evidence twice": (
        lambda e: shutil.copytree(e.folder, e.folder.with_name("again")),
        "is evidence in two folders; take one of them out",
    ),
}


def _nothing(records: Records) -> Mapping[tuple[str, str], Mapping[str, Mapping[str, float]]]:
    return {}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    folder = home / "published"
    folder.mkdir()
    (folder / "splits.csv").write_text(
        "dataset,fingerprint,cut,test_classes,test_images\nglyphs,f1f1f1f1f1f1f1f1,official,20,200\n", encoding="utf-8"
    )
    (folder / "papers.csv").write_text(
        "source,protocol,dataset,loss,title,place,setting,metric,mean,sd\n", encoding="utf-8"
    )
    add(folder, sound(MEANS, fields=FIELDS).write(home / "runs"), "first", digest_of)
    return folder


@pytest.fixture
def copy(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy whose rendered files are not looked at: they are another test's matter."""
    monkeypatch.setattr("mlrc.results.publishing.published.came_with_a_wheel", lambda folder: True)
    shutil.copytree(published, tmp_path / "published")
    return tmp_path / "published"


def test_what_nobody_changed_has_no_fault(copy: Path) -> None:
    assert check(copy, _nothing, digest_of) == []
    assert len(CORRUPTIONS) >= 40


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_change_is_caught_by_its_own_sentence_and_never_blessed(name: str, copy: Path) -> None:
    corrupt, sentence = CORRUPTIONS[name]
    corrupt(Evidence(copy / "evidence" / "first"))
    found = check(copy, _nothing, digest_of)
    assert any(sentence in one for one in found), found
    told = " ".join(found)
    assert "run mlrc leaderboard" not in told  # no advice makes the rest of the folder agree with what was changed
    assert "add that line" not in told
