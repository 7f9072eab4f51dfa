"""Is this installation whole, and is it the one that Python finds? What shadows or damages it, in sentences."""

import base64
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, PackagePath, distribution, packages_distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit

NAME = "mlrc"
NAMED = 3
"""Damaged files that are named; of more their number is told."""


def faults() -> list[str]:
    """Say in sentences, each with the way out, what shadows or damages this installation; usually nothing."""
    here = distribution(NAME)
    return [*_damaged(here), *_shadowed(here), *_overlaid()]


def _damaged(here: Distribution) -> Iterator[str]:
    """Hold our files against the distribution's RECORD."""
    found = [
        f"{path} is {'changed' if path.locate().is_file() else 'missing'}"  # type: ignore[attr-defined] # a `Path`
        for path in here.files or ()
        if path.hash and not _as_recorded(path)
    ]
    if found:
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        yield (
            f"The files of {NAME} must be those that were installed, but {', '.join(found[:NAMED])}{more}; run: "
            f"pip install --force-reinstall --no-deps {NAME}=={here.version}"
        )


def _as_recorded(path: PackagePath) -> bool:
    try:
        content = Path(str(path.locate())).read_bytes()
    except OSError:
        return False
    digest = hashlib.new(path.hash.mode, content).digest() if path.hash else b""
    return path.hash is not None and base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == path.hash.value


def _shadowed(here: Distribution) -> Iterator[str]:
    """Tell of another `mlrc` that is imported in place of the installed one, here or by what is started here."""
    ours = _installed(here)
    imported = _file(sys.modules[NAME].__file__ or "")
    if imported != ours:
        yield (
            f"{NAME} must be imported from {ours.parent}, where it is installed, but comes from {imported.parent}, "
            "which stands earlier on Python's path; take that out of PYTHONPATH, or uninstall one of the two."
        )
    given = (Path(folder).resolve() for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep))
    for folder in dict.fromkeys([Path.cwd(), *given]):
        spec = PathFinder.find_spec(NAME, [str(folder)])
        found = _file(spec.origin) if spec and spec.origin else ours
        if found not in {ours, imported}:
            yield (
                f"Python started in {Path.cwd()} takes {found} for {NAME} in place of what is installed in "
                f"{ours.parent}; rename that file or folder, work elsewhere, or take it out of PYTHONPATH."
            )


def _installed(here: Distribution) -> Path:
    """Give the `__init__.py` that the distribution brought, or that of its checkout where it is editable."""
    for path in here.files or ():
        if path.as_posix() == f"{NAME}/__init__.py":
            return _file(str(path.locate()))
    source = json.loads(here.read_text("direct_url.json") or "{}").get("url", "")
    return _file(str(Path(unquote(urlsplit(source).path)) / NAME / "__init__.py"))


def _file(path: str) -> Path:
    return Path(path).resolve()


def _overlaid() -> Iterator[str]:
    owners = sorted(set(packages_distributions().get(NAME, ())))
    if len(owners) > 1:
        yield (
            f"One distribution must bring {NAME}, but {' and '.join(owners)} do, which overwrite each other's files; "
            f"run: pip uninstall {' '.join(owner for owner in owners if owner != NAME)}, then reinstall {NAME}."
        )
