"""Archives that a user brings: verified, and unpacked whole or not at all."""

import hashlib
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from urllib.request import urlopen

OnProgress = Callable[[str, int, int], None]
"""Told (what is done, how much of it, of how much)."""

_BLOCK = 1 << 20


def is_archive(path: Path) -> bool:
    """Say whether a file's name is that of an archive that can be unpacked."""
    return path.suffix in {".tgz", ".tar", ".zip"} or path.name.endswith(".tar.gz")


def verify(path: Path, md5: str) -> None:
    """Check a file's MD5; raises `ValueError` naming the file."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != md5:
        raise ValueError(
            f"{path} must have the MD5 {md5}, but has {found}: it is truncated or another version; get it again."
        )


def unpack(path: Path) -> None:
    """Unpack an archive beside itself, whole or not at all.

    Raises:
        ValueError: it is damaged, or a path in it climbs out of the folder.
        FileExistsError: what it holds is there already.
        OSError: the disk is full or cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        _extract(path, part)
        for entry in sorted(part.iterdir()):
            target = path.parent / entry.name
            if target.exists():
                raise FileExistsError(
                    f"{path} must be unpacked to {target}, but that is there already and not complete; remove it first."
                )
        for entry in sorted(part.iterdir()):
            entry.rename(path.parent / entry.name)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise ValueError(f"{path} must be a whole archive, but cannot be unpacked ({error}); get it again.") from error
    except OSError as error:
        if isinstance(error, FileExistsError) and error.errno is None:
            raise
        raise OSError(
            f"{path} must be unpacked in {path.parent}, but that failed ({error.strerror or error}); "
            "make room there or bring the archive elsewhere."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _extract(path: Path, folder: Path) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            _refuse_climbing(path, archive.namelist())
            archive.extractall(folder)  # noqa: S202 the names are checked above
        return
    with tarfile.open(path) as archive:
        _refuse_climbing(path, (member.name for member in archive))
        archive.extractall(folder, filter="data")  # refuses links that lead out, and devices


def _refuse_climbing(path: Path, names: Iterable[str]) -> None:
    for name in names:
        if name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts:
            raise ValueError(
                f"{path} must unpack into its own folder, but holds the path {name!r}, which climbs out; do not use it."
            )


def download(address: str, path: Path, md5: str, on_progress: OnProgress) -> None:
    """Download a file; it appears under its name only when it is whole.

    Raises:
        OSError: the address does not answer, or the disk is full.
        ValueError: what came is not what was published.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urlopen(address, timeout=60) as answer, part.open("wb") as file:  # noqa: S310 addresses come from the facts
            total = int(answer.headers.get("Content-Length") or 0)
            done = 0
            while block := answer.read(_BLOCK):
                file.write(block)
                done += len(block)
                on_progress(f"downloading {path.name}", done, total)
        verify(part, md5)
        part.rename(path)
    except OSError as error:
        raise OSError(f"{path.name} could not be downloaded from {address} ({error}); bring it to {path}.") from error
    finally:
        part.unlink(missing_ok=True)
