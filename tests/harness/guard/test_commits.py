"""Two commits are compared by the canaries that their own code trains, in worktrees that are gone afterwards."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mlrc.harness.guard.commits import canary_of, worktree
from tests.results.studies import sound

COMMAND = """
import shutil
import sys
from pathlib import Path

import mlrc

runs = Path(sys.argv[sys.argv.index("--runs") + 1])
here = Path(mlrc.__file__).resolve().parents[1]
shutil.copytree(here / "recorded", runs)
(runs / "who").write_text(" ".join(sys.argv[1:2] + sys.argv[5:]) + "\\n" + str(here))
sys.exit(len(list(here.glob("broken"))))
"""


def _git(folder: Path, *words: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", "-C", str(folder), *settings, *words],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository laid out as ours, whose canary gives what is recorded in the commit: 50, then 40, then an error."""
    folder = tmp_path / "repository"
    for room in ("mlrc", "harness/cli", "losses", "protocols", "results"):
        (folder / room).mkdir(parents=True)
        (folder / room / "__init__.py").touch()
    (folder / "harness" / "__init__.py").touch()
    (folder / "harness" / "cli" / "__main__.py").write_text(COMMAND, encoding="utf-8")
    _git(folder, "init", "--quiet")
    for tag, mean in (("good", 50.0), ("bad", 40.0)):
        shutil.rmtree(folder / "recorded", ignore_errors=True)
        sound({"contrastive": mean}, repeats=6).write(folder / "recorded")
        _git(folder, "add", "--all", "--force")
        _git(folder, "commit", "--quiet", "--message", tag)
        _git(folder, "tag", tag)
    (folder / "broken").touch()
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", "broken")
    return folder


def _canary(repository: Path, commit: str, tmp_path: Path) -> Path:
    work = tmp_path / f"work-{commit}"
    work.mkdir()
    return canary_of(repository, commit, work / "runs", root=tmp_path, workers=2, device="cpu", work=work)


def test_each_commit_is_trained_by_its_own_code_and_leaves_nothing_in_the_repository(
    repository: Path, tmp_path: Path
) -> None:
    found = [_canary(repository, commit, tmp_path) for commit in ("good", "bad")]
    ledgers = [(runs / "ledger.jsonl").read_text(encoding="utf-8") for runs in found]
    assert ledgers[0] != ledgers[1]
    words, place = (found[0] / "who").read_text(encoding="utf-8").splitlines()
    assert words == f"canary {tmp_path} --workers 2 --device cpu"
    assert place != str(repository)
    assert _git(repository, "worktree", "list").count("\n") == 0
    assert not Path(place).exists()


def test_a_canary_that_fails_and_a_commit_that_is_none_are_one_sentence(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="The canary of HEAD must come to its end, but it ended with status 1"):
        _canary(repository, "HEAD", tmp_path)
    with pytest.raises(ValueError, match="'nothing' must be a commit of the repository that this code is in"):
        _canary(repository, "nothing", tmp_path)
    assert _git(repository, "worktree", "list").count("\n") == 0


def test_outside_a_repository_there_are_no_commits(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="'HEAD' must be a commit of the repository"),
        worktree(tmp_path, "HEAD", tmp_path / "code"),
    ):
        pass
