"""The canary of a commit, trained by the code of that commit: two of them tell whether a change moved the training."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOMS = ("harness", "losses", "protocols", "results")


@contextmanager
def worktree(checkout: Path, commit: str, place: Path) -> Iterator[Path]:
    """Lay a commit out in a folder of its own, so that it can be imported, for as long as the block runs.

    Args:
        checkout: any folder of the repository.
        commit: by whatever name git has for it.
        place: to lay it out in; must not exist.

    Raises:
        ValueError: there is no repository, no git, or no such commit.
    """
    found = _git(checkout, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    _git(checkout, "worktree", "add", "--detach", "--force", str(place), found)
    try:
        links = place / ".links"
        links.mkdir(exist_ok=True)
        (links / "mlrc").symlink_to(Path("..") / "mlrc", target_is_directory=True)
        for room in ROOMS:
            if not (place / "mlrc" / room).exists():
                (place / "mlrc" / room).symlink_to(Path("..") / room, target_is_directory=True)
        yield place
    finally:
        _git(checkout, "worktree", "remove", "--force", str(place))


def canary_of(checkout: Path, commit: str, runs: Path, *, root: Path, workers: int, device: str, work: Path) -> Path:
    """Do the canary of a commit by its own code, and give its runs folder.

    Args:
        checkout: any folder of the repository.
        commit: by whatever name git has for it.
        runs: to write to.
        root: folder for the glyphs.
        workers: trainings at once.
        device: to train on.
        work: an empty folder for the code.

    Raises:
        ValueError: see `worktree`; or the canary of that commit did not come to its end.
    """
    with worktree(checkout, commit, work / "code") as place:
        words = ("canary", "--runs", runs, "--root", root.resolve(), "--workers", workers, "--device", device)
        done = subprocess.run(  # noqa: S603 our own command
            [sys.executable, "-m", "mlrc.harness.cli", *map(str, words)],
            cwd=work,  # and not a checkout, whose folders would be found first
            env={**os.environ, "PYTHONPATH": str(place / ".links")},
            check=False,
        )
    if done.returncode:
        raise ValueError(
            f"The canary of {commit} must come to its end, but it ended with status {done.returncode}; "
            "see what it said above, and name a commit that has this command."
        )
    return runs


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 our own words
            ["git", "-C", str(folder), *arguments],  # noqa: S607 whichever git the user has
            capture_output=True,
            text=True,
            check=True,
        )
    except OSError:
        raise ValueError("Commits can only be compared where git is installed, but it is not found.") from None
    except subprocess.CalledProcessError as error:
        if arguments[0] == "rev-parse":
            raise ValueError(
                f"{arguments[-1].partition('^')[0]!r} must be a commit of the repository that this code is in, but is "
                f"none ({folder}); give a commit, or two results without --commits."
            ) from None
        raise ValueError(f"git {arguments[0]} {arguments[1]} failed: {error.stderr.strip()}") from None
    return done.stdout.strip()
