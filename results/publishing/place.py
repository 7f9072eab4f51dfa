"""Where the published leaderboard lies: in a checkout all of it, in an installed wheel without what is rendered.

A wheel carries the evidence of every board (ledger and per-class sums, which `mlrc drift NAME RUNS` and comparisons
against a board read), the references, `papers.csv` and `splits.csv`. Tables, plots and page can be made from these.
"""

from pathlib import Path

PUBLISHED = Path(__file__).parents[1] / "published"
EVIDENCE, RENDERED, REFERENCES = "evidence", "rendered", "references"


def came_with_a_wheel(folder: Path) -> bool:
    """Say whether this is the leaderboard of an installed wheel, which the next installation replaces."""
    return folder.resolve() == PUBLISHED.resolve() and not (folder / RENDERED).exists()


def require_own(folder: Path) -> None:
    """Refuse to write into what belongs to an installation.

    Raises:
        ValueError: it came with a wheel.
    """
    if came_with_a_wheel(folder):
        raise ValueError(
            f"The leaderboard and the references in {folder} belong to the installed mlrc and are replaced with it; "
            "give a folder of your own with --published."
        )
