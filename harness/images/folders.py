"""What lies in folders of images: the files of each class, and what is left out and why.

Links are followed. A folder or file that a second link of its class leads to is taken once; one that two classes lead
to is refused, for one image has one class.
"""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlrc.harness.images.cache import PIXELS
from mlrc.harness.images.content import INDEX
from mlrc.harness.images.dataset import LeftOut
from mlrc.harness.images.decoding import suffixes
from mlrc.harness.images.files import ImageList

SYSTEM = frozenset(
    name.casefold()
    for name in (
        "@eaDir", "@Recycle", "@Recently-Snapshot", "#recycle", "#snapshot", "$RECYCLE.BIN",
        "System Volume Information", "__MACOSX", "lost+found", "Thumbs.db", "desktop.ini",
    )
)  # fmt: skip
"""Names of what systems and storage devices put among anyone's files."""
CACHE = "cache"
"""Name of the folder, below a command's root, of decoded images and hashes."""


class Entry(NamedTuple):
    """Something in a folder: its name, the path without links, and whether it is a folder."""

    name: str
    real: str
    is_folder: bool


class Walk:
    """A walk through the class folders of one data set, which remembers where it has been.

    Args:
        root: the folder that paths start from.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: dict[str, tuple[str, str]] = {}
        self.left_out: list[LeftOut] = []

    def files(self, name: str, *, of_class: str | None = None) -> list[str]:
        """Give the image files of a class folder, paths from the root, sorted folder by folder.

        Args:
            name: of the folder, its path from the root.
            of_class: the class, if it is not called like the folder.

        Raises:
            ValueError: an image is in another class, too, by a link; or a name is not UTF-8.
            OSError: a folder cannot be read.
        """
        found = self._below(name, os.path.realpath(self._root / name), of_class or name)
        return sorted(found, key=lambda path: path.split("/"))

    def _below(self, folder: str, real: str, of_class: str) -> Iterator[str]:
        if self._seen_before(folder, real, of_class):
            return
        waiting = [(folder, real)]
        while waiting:
            folder, real = waiting.pop()
            for entry in self.entries(folder, real):
                path = f"{folder}/{entry.name}"
                if not entry.is_folder and Path(entry.name).suffix.lower() not in suffixes():
                    self.left_out.append(LeftOut(path, "no image by its suffix"))
                elif not self._seen_before(path, entry.real, of_class):
                    if entry.is_folder:
                        waiting.append((path, entry.real))
                    else:
                        yield path

    def entries(self, folder: str, real: str) -> list[Entry]:
        """Give what is in a folder, sorted by name, but what is hidden, a system's, or neither file nor folder.

        Raises:
            ValueError: a name is not UTF-8.
            OSError: the folder cannot be read.
        """
        found = []
        try:
            names = sorted(os.listdir(real))
        except OSError as error:
            raise OSError(f"{real} must be a folder that can be read, but is not ({error.strerror}).") from error
        for name in names:
            path = name if folder == "" else f"{folder}/{name}"
            require_name(name, real)
            if name.startswith(".") or name.casefold() in SYSTEM:
                self.left_out.append(LeftOut(path, "hidden or a system's"))
                continue
            place = os.path.join(real, name)
            if os.path.islink(place):
                place = os.path.realpath(place)
            try:
                kind = os.stat(place).st_mode
            except OSError:
                kind = stat.S_IFREG  # a link to nowhere is told where its image is missed
            if stat.S_ISDIR(kind) and _is_our_cache(place):
                self.left_out.append(LeftOut(path, "our own cache"))
            elif stat.S_ISDIR(kind) or stat.S_ISREG(kind):
                found.append(Entry(name, place, stat.S_ISDIR(kind)))
            else:
                self.left_out.append(LeftOut(path, "neither file nor folder"))
        return found

    def _seen_before(self, path: str, real: str, of_class: str) -> bool:
        before, its_class = self._seen.setdefault(real, (path, of_class))
        if its_class != of_class:
            raise ValueError(
                f"One image must be in one class, but {self._root / path} is the same as {self._root / before} of "
                f"another; remove one of the links."
            )
        if before == path:
            return False
        self.left_out.append(LeftOut(path, "there twice by a link"))
        return True


def require_name(name: str, folder: str) -> None:
    """Raise `ValueError` unless the name of something in a folder is UTF-8, and Python reads it as such here."""
    try:
        name.encode()
    except UnicodeEncodeError:
        content, where = os.fsencode(name), folder.encode(errors="replace").decode()
    else:
        return
    with suppress(UnicodeDecodeError):
        content.decode()
        raise ValueError(
            f"Names must be read as UTF-8, but {content!r} in {where} is read as {sys.getfilesystemencoding()}; set "
            "PYTHONUTF8=1."
        )
    raise ValueError(f"Every name must be UTF-8, but {content!r} in {where} is not; rename it.")


def _is_our_cache(folder: str) -> bool:
    """Say whether a folder is where a command kept decoded images and hashes, whose root were the images themselves."""
    if os.path.basename(folder) != CACHE:
        return False
    return any(name.startswith(INDEX) or Path(folder, name, PIXELS).is_file() for name in os.listdir(folder))


def sub_folders(folder: Path) -> list[str]:
    """Give the names of the visible sub-folders, sorted; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return [entry.name for entry in Walk(folder).entries("", os.path.realpath(folder)) if entry.is_folder]


def class_folders(folder: Path, names: Iterable[str]) -> ImageList:
    """List the images of one sub-folder per class, the classes in the given order, the files of each sorted.

    Raises:
        ValueError: a class folder holds no image, or an image is in two classes by a link.
    """
    class_names = tuple(names)
    walk = Walk(folder)
    beside = [
        LeftOut(entry.name, "beside the class folders")
        for entry in walk.entries("", os.path.realpath(folder))
        if entry.name not in class_names
    ]
    paths: list[str] = []
    counts: list[int] = []
    for name in class_names:
        files = walk.files(name)
        if not files:
            raise ValueError(
                f"Every class folder must hold images, but {folder / name} holds none; add images or remove it."
            )
        paths += files
        counts.append(len(files))
    return ImageList(
        found=f"{folder} (class folders)",
        folder=folder,
        paths=tuple(paths),
        labels=np.repeat(np.arange(len(counts), dtype=np.int64), counts),
        class_names=class_names,
        left_out=(*beside, *walk.left_out),
    )
