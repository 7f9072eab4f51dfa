"""A loss in a file: how it enters, how it travels, and each way in which it can be wrong as one sentence."""

import importlib
import pickle
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mlrc.harness import plugin_files
from mlrc.harness.engine.attempts import UnfitError
from mlrc.harness.engine.cluster import node
from mlrc.harness.engine.perform import perform
from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.parameters import ranges
from mlrc.harness.plugins import LOSSES
from mlrc.harness.study.comparison import found_losses
from mlrc.harness.training.fold import OnValidation
from mlrc.results.boards.parameters import Range
from tests.mlrc.conftest import LOSS


def _write(path: Path, name: str = "pull", more: str = "") -> Path:
    path.write_text(LOSS.format(name=name) + more, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("word", "is_file"),
    [("a.py", True), ("./a.py:OTHER", True), ("dir/a.py", True), ("a", False), ("a:b", False), ("a.pyc", False)],
)
def test_a_word_is_a_file_if_it_ends_like_one(word: str, is_file: bool) -> None:
    assert plugin_files.is_file(word) == is_file


def test_a_file_enters_by_its_spec_or_by_the_name_given(tmp_path: Path) -> None:
    path = _write(tmp_path / "mine.py", more='\nimport dataclasses\nWIDE = dataclasses.replace(SPEC, name="wide")\n')
    assert LOSSES.find(str(path)).name == "pull"
    assert LOSSES.find(f"{path}:WIDE").name == "wide"
    assert LOSSES.find("wide").name == "wide"
    assert LOSSES.knows("wide")
    assert "wide" not in LOSSES.names()
    assert ranges(["wide", "nowhere"]) == {"wide": {"margin": Range(low=0, high=1)}}


def test_an_edited_file_enters_anew(tmp_path: Path) -> None:
    path = _write(tmp_path / "mine.py")
    assert LOSSES.find(str(path)).title == "Pull"
    path.write_text(path.read_text().replace('title="Pull"', 'title="Push"'))
    assert LOSSES.find("pull").title == "Pull"
    assert LOSSES.find(str(path)).title == "Push"
    assert LOSSES.find("pull").title == "Push"


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("1 / 0", ImportError, r"mine.py does not import \(ZeroDivisionError: division by zero\); correct it"),
        ("SPEC = (", ImportError, r"does not import \(SyntaxError"),
        ("import nowhere_at_all", ImportError, r"does not import \(ModuleNotFoundError.*must stand alone"),
        ("from . import sibling", ImportError, r"does not import \(ImportError.*is a package, see mlrc new-loss"),
        ("raise SystemExit(3)", ImportError, r"does not import \(SystemExit: 3\)"),
        ("", ImportError, r"mine.py must hold SPEC, but does not; name what it holds: mine.py:NAME"),
        ("SPEC = 3", TypeError, r"SPEC in .*mine.py must be a LossSpec, but is a int"),
        (LOSS.format(name="triplet"), ValueError, r"must have a name of its own, but there is a loss named 'triplet'"),
    ],
)
def test_a_file_that_is_no_loss_is_one_sentence(
    text: str, error: type[Exception], sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(error, match=sentence):
        LOSSES.find(str(tmp_path / "mine.py"))


def test_a_file_that_is_not_there_or_no_text_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"mine.py must be there, but is not; check the path"):
        LOSSES.find(str(tmp_path / "mine.py"))
    (tmp_path / "mine.py").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="must be Python in UTF-8"):
        LOSSES.find(str(tmp_path / "mine.py"))


def test_two_files_with_one_name_are_refused_and_so_is_one_file_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = _write(tmp_path / "one.py"), _write(tmp_path / "other.py")
    with pytest.raises(ValueError, match=r"must have two names, but both .*one.py and .*other.py have 'pull'"):
        found_losses([str(one), str(other)])
    monkeypatch.chdir(tmp_path)
    for again in ("./one.py", "pull", str(one)):
        with pytest.raises(ValueError, match="Each loss must be given once, but got 'pull' again; leave it out"):
            found_losses(["one.py", "triplet", again])
    assert [spec.name for spec in found_losses(["one.py", "triplet"])] == ["pull", "triplet"]


def test_a_spec_of_an_imported_file_goes_by_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / "mine_in_a_module.py")
    monkeypatch.syspath_prepend(tmp_path)
    spec = importlib.import_module("mine_in_a_module").SPEC
    try:
        assert LOSSES.take(spec) == "pull"
        assert LOSSES.files["pull"].path == str(path.resolve())
        with pytest.raises(ValueError, match="'pull' must stand in a file.*%%writefile pull.py"):
            LOSSES.take(replace(spec))
        path.write_text(path.read_text().replace('title="Pull"', 'title="Push"'))
        with pytest.raises(ValueError, match="must be what its file .* says, but that was changed since"):
            LOSSES.take(spec)
    finally:
        del sys.modules["mine_in_a_module"]


def test_a_dataclass_in_a_file_works(tmp_path: Path) -> None:
    more = "\nfrom __future__ import annotations\n"
    text = more.strip() + "\nfrom dataclasses import dataclass\n@dataclass\nclass Choice:\n    size: int\n"
    (tmp_path / "mine.py").write_text(text + LOSS.format(name="pull").split('"""', 2)[2])
    assert LOSSES.find(str(tmp_path / "mine.py")).name == "pull"


@dataclass(frozen=True)
class _Journey:
    """What a worker is given, after its way through a pipe."""

    job: FoldJob
    workplace: Workplace


def test_a_job_is_done_where_the_file_is_not(
    tmp_path: Path, job: FoldJob, workplace: Workplace, silent: OnValidation
) -> None:
    path = _write(tmp_path / "mine.py")
    LOSSES.find(str(path))
    mine = replace(job, loss="pull", params={"margin": 0.5})
    sent = pickle.dumps(_Journey(mine, replace(workplace, losses={"pull": LOSSES.files["pull"]})))
    path.unlink()
    LOSSES.files.clear()
    arrived: _Journey = pickle.loads(sent)  # noqa: S301 as multiprocessing does
    outcome = perform(arrived.job, arrived.workplace, silent, lambda: False)
    assert outcome.record.outcome == "done", outcome.record.message
    assert arrived.job.key == mine.key


def test_a_node_that_cannot_run_a_file_is_told_apart_from_a_failed_training(
    tmp_path: Path, workplace: Workplace
) -> None:
    file = plugin_files.read(str(_write(tmp_path / "mine.py")), "SPEC")
    here = replace(
        workplace,
        roots={"tiny": ("tiny", tmp_path)},
        losses={"pull": replace(file, text="import no_module_of_this_name")},
    )
    with pytest.raises(UnfitError, match=r"Every node .* able to run the losses' files, but on .*mine.py does not"):
        node.require_fit(here)
