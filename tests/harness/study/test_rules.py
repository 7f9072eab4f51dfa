"""Which protocol a user means: by name, by file, as a value; a file says what --set says, by the same name."""

import importlib
import sys
from pathlib import Path

import pytest

from mlrc.harness.plugins import PROTOCOLS
from mlrc.harness.study.drive import _protocol_record
from mlrc.harness.study.rules import chosen, found
from mlrc.protocols.quick import QUICK
from mlrc.protocols.variant import assignments

CHANGES = """\
parent = "quick"

[changes]
trials = 20
lr = 1e-5
frozen_batch_norm = true
crop_scale = [0.25, 1.0]
pooling = "max"
patience = { default = 3, cars196 = 14 }
validation_interval.cub200 = 2
"""
WORDS = [
    *("trials=20", "lr=1e-5", "frozen_batch_norm=true", "crop_scale=0.25,1.0", "pooling=max"),
    *("patience=3", "patience.cars196=14", "validation_interval.cub200=2"),
]


def test_a_file_means_what_the_same_words_mean(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(CHANGES)
    mine, said = found(str(tmp_path / "mine.toml")), QUICK.set(WORDS)
    assert mine == said
    assert (mine.name, mine.digest) == (said.name, said.digest)
    assert _protocol_record(mine).changes == QUICK.diff(said)
    assert set(_protocol_record(mine).changes) == {word.partition("=")[0].partition(".")[0] for word in WORDS}
    varied = chosen(str(tmp_path / "mine.toml"), changes=["trials=4"]).protocol
    assert varied == QUICK.set(WORDS).set(["trials=4"])


def test_a_file_may_name_a_file_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "parent.toml").write_text(CHANGES)
    (tmp_path / "folder" / "mine.toml").write_text('parent = "parent.toml"\nchanges.repeats = 5\n')
    monkeypatch.chdir(tmp_path)
    assert found("folder/mine.toml") == QUICK.set([*WORDS, "repeats=5"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("parent = quick", "it is no TOML"),
        ("[changes]\ntrials = 2", 'it must say parent = "NAME"'),
        ("parent = 3", 'it must say parent = "NAME"'),
        ('parent = "quick"\nchanges = 3', 'it must say parent = "NAME"'),
        ('parent = "quick"\ntrials = 3', "below .changes., fields and their values, but says 'trials' too"),
        ('parent = "qick"', "No protocol named 'qick'. Did you mean 'quick'?"),
        ('parent = "quick"\nchanges.trails = 3', "no field 'trails' to set. Did you mean 'trials'?"),
        ('parent = "quick"\nchanges.trials = "many"', "trials takes a whole number such as 4, but got 'many'"),
        ('parent = "quick"\nchanges.lr.cub200 = 1', "lr is one number for all datasets"),
    ],
)
def test_a_file_that_is_no_protocol_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ValueError, match=f"The protocol in .*mine.toml cannot be used: .*{sentence}"):
        found(str(tmp_path / "mine.toml"))


def test_a_protocol_in_python_enters_by_its_file(tmp_path: Path) -> None:
    head = "from mlrc.protocols.quick import QUICK\nfrom dataclasses import replace\n"
    (tmp_path / "mine.py").write_text(
        f"{head}PROTOCOL = QUICK.vary({{'trials': 20}})\nLONG = QUICK.vary({{'repeats': 9}})"
    )
    assert found(str(tmp_path / "mine.py")) == QUICK.set(["trials=20"])
    assert found(f"{tmp_path / 'mine.py'}:LONG").name == "quick+repeats=9"
    (tmp_path / "mine.py").write_text(f"{head}PROTOCOL = replace(QUICK, lr=1e-3)")
    with pytest.raises(ValueError, match="must have a name of its own, but there is a protocol named 'quick'"):
        found(str(tmp_path / "mine.py"))
    (tmp_path / "mine.py").write_text("PROTOCOL = 3")
    with pytest.raises(TypeError, match="must be a Protocol, but is a int"):
        found(str(tmp_path / "mine.py"))


@pytest.mark.parametrize("name", ["mine.toml", "mine.py"])
def test_a_missing_file_is_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{name} must be there, but is not; check the path"):
        found(str(tmp_path / name))


def test_a_value_is_taken_as_it_is() -> None:
    assert chosen(QUICK).protocol is QUICK or chosen(QUICK).protocol == QUICK
    assert chosen(QUICK.set(["trials=2"]), changes=assignments({"trials": 3})).protocol.name == "quick+trials=3"


def test_a_protocol_of_a_stranger_enters_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd_protocol.py").write_text(
        "from dataclasses import replace\nfrom mlrc.protocols.quick import QUICK\n"
        "PROTOCOL = replace(QUICK, name='odd', lr=1e-3)\n"
    )
    metadata = tmp_path / "strange-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[mlrc.protocols]\nodd = odd_protocol:PROTOCOL\nbroken = nowhere_at_all:PROTOCOL\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    try:
        assert found("odd").lr == 1e-3
        survey = PROTOCOLS.survey()
        assert {"odd", "quick", "reality_check"} <= set(survey.found)
        assert "The protocol 'broken' of the distribution 'strange' does not import" in survey.failures["broken"]
    finally:
        sys.modules.pop("odd_protocol", None)
