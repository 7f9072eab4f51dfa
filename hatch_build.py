"""An editable installation: links that give each file of this checkout its one name, `mlrc.` and its path.

`mlrc/harness` and its like lead to the folders at the top, and `.links/mlrc` to `mlrc`, so that the path that Python is
given holds `mlrc` and nothing else. A wheel gets the same names by the table `sources` in pyproject.toml.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOMS = ("harness", "losses", "protocols", "results")


class EditableLinks(BuildHookInterface[Any]):
    """Makes the links before an editable wheel is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the links that are not there yet."""
        del build_data
        if version != "editable":
            return
        make_links(Path(self.root))


def make_links(root: Path) -> None:
    """Make the links of a checkout that are not there yet."""
    links = root / ".links"
    links.mkdir(exist_ok=True)
    _link(links / "mlrc", Path("..") / "mlrc")
    for room in ROOMS:
        _link(root / "mlrc" / room, Path("..") / room)


def _link(path: Path, target: Path) -> None:
    if path.is_symlink():
        if path.readlink() == target:
            return
        path.unlink()
    path.symlink_to(target, target_is_directory=True)


if __name__ == "__main__":  # `make setup`, also where the links were cleaned away
    make_links(Path(__file__).parent)
