"""Images without classes: one file, or all that lie in a folder at any depth."""

from pathlib import Path
from typing import NamedTuple

from mlrc.harness.images.dataset import LeftOut
from mlrc.harness.images.files import FilePixels
from mlrc.harness.images.folders import Walk


class Loose(NamedTuple):
    """Images of which no class is told.

    Attributes:
        pixels: their paths begin with the folder's own name.
        left_out: what lies there, too, and is not among them.
    """

    pixels: FilePixels
    left_out: tuple[LeftOut, ...] = ()


def open_loose(path: Path) -> Loose:
    """List the images of a folder, or one image.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: there are no images in it.
    """
    place = path.resolve()
    if place.is_file():
        return Loose(FilePixels(place.parent, [place.name]))
    if not place.is_dir():
        raise FileNotFoundError(f"Images must be a folder, a manifest or a name of a data set, but there is no {path}.")
    walk = Walk(place.parent)
    found = walk.files(place.name)
    if not found:
        raise ValueError(f"{path} must hold images, but it holds none; add some.")
    return Loose(FilePixels(place.parent, found), tuple(walk.left_out))
