"""How to cite a board: the study whose protocol it follows, and this harness with what made the numbers."""

from mlrc.results.boards.leaderboard import Board

_STUDY = """@inproceedings{musgrave2020metric,
  title     = {A Metric Learning Reality Check},
  author    = {Musgrave, Kevin and Belongie, Serge and Lim, Ser-Nam},
  booktitle = {European Conference on Computer Vision (ECCV)},
  year      = {2020}
}"""


def bibtex(board: Board) -> str:
    """Give both entries, with commits, protocol and digest."""
    commits = sorted({one.commit for one in board.environments})
    protocol = board.protocol.replace("_", r"\_")
    return (
        f"{_STUDY}\n@misc{{mlrc,\n"
        "  title = {mlrc: a harness for the fair comparison of deep metric learning losses},\n"
        f"  note  = {{commit {' and '.join(commits)}, protocol {protocol} ({board.digest})}}\n}}\n"
    )
