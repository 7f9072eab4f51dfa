"""Which versions of the packages the tests were tried with, so that a failure by version names its package.

`lowest.txt` and `newest.txt` are pip's constraints: the lowest versions that pyproject.toml allows and the newest that
could be resolved, each with what passed under it.
"""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

from packaging.version import Version

HERE = Path(__file__).parent


def constraints(name: str) -> dict[str, str]:
    """Read `lowest` or `newest`: package to version."""
    lines = (HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("#")[0].strip().split("==") for line in lines)
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def told(package: str, there: str) -> str:
    """Give a package and its version, with the tried ones where it lies outside of them."""
    low, high = (constraints(name).get(package) for name in ("lowest", "newest"))
    if low is None or high is None or Version(low) <= Version(there) <= Version(high):
        return f"{package} {there}"
    return f"{package} {there} (tried: {low} to {high})"


def header() -> list[str]:
    """Give the lines that open a test run: every package with its version, those that were never tried first."""
    found = []
    for package in constraints("newest"):
        try:
            found.append(told(package, version(package)))
        except PackageNotFoundError:
            found.append(f"{package} missing")
    found.sort(key=lambda text: "(" not in text and "missing" not in text)
    return [f"packages: {', '.join(found)}"]


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


def blamed(paths: Iterable[str]) -> str | None:
    """Name the package with its version that the last of the files of a traceback belongs to; `None` for our own."""
    *_, last = ["", *paths]
    *_, inside = last.split("site-packages/")
    if inside == last:
        return None
    module = inside.split("/")[0].removesuffix(".py")
    names = sorted(set(_distributions().get(module, ())))
    return ", ".join(told(name, version(name)) for name in names) or module
