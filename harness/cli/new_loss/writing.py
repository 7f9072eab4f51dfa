"""The body of `mlrc new-loss NAME`: a file, or a small installable package, with a loss that keeps the contract."""

import keyword
import re
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Literal

from mlrc.harness.cli.new_loss import templates
from mlrc.harness.plugins import LOSSES

Kind = Literal["proxy", "pair", "miner"]
KINDS: dict[Kind, templates.Template] = {
    "proxy": templates.PROXY,
    "pair": templates.PAIR,
    "miner": templates.MINER,
}


def write_file(name: str, folder: Path, kind: Kind = "proxy") -> Path:
    """Write a new loss into the file `folder/name.py`, and give its path.

    Args:
        name: of the loss, `lower_case_with_underscores`.
        folder: an existing folder.
        kind: of loss: with proxies, over pairs, or with a miner.

    Raises:
        ValueError: the name is no name of a loss, or is taken by one.
        FileExistsError: there is such a file.
    """
    _require_name(name)
    path = folder / f"{name}.py"
    _require_free(path)
    path.write_text(Template(KINDS[kind].loss).substitute(_names(name)), encoding="utf-8")
    return path


def write_package(name: str, parent: Path, kind: Kind = "proxy") -> Path:
    """Write the package of a new loss into `parent/name`: the loss with its spec, its test, and pyproject.toml.

    Args:
        name: of the loss and of its module, `lower_case_with_underscores`.
        parent: an existing folder.
        kind: as for `write_file`.

    Returns:
        The folder written.

    Raises:
        ValueError: the name is no name of a loss, or is taken by a loss or by an importable module.
        FileExistsError: there is something at `parent/name`.
    """
    _require_name(name)
    if find_spec(name) is not None:
        raise ValueError(f"A loss's module must have a name of its own, but {name!r} is one already; choose another.")
    folder = parent / name
    _require_free(folder)
    names = _names(name)
    equation = Template(KINDS[kind].test).substitute(names)
    (folder / "tests").mkdir(parents=True)
    for path, template in (
        ("pyproject.toml", templates.PYPROJECT),
        (f"{name}.py", KINDS[kind].loss),
        (f"tests/test_{name}.py", templates.TEST),
    ):
        text = Template(template).substitute(names, equation=equation)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def _require_name(name: str) -> None:
    if not re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise ValueError(f"A loss's name must be lower_case_with_underscores, but got {name!r}.")
    LOSSES.require_free(name)
    if name in LOSSES.names():
        raise ValueError(f"A new loss must have a name of its own, but there is a loss named {name!r}; choose another.")


def _require_free(path: Path) -> None:
    if path.exists():
        raise FileExistsError(f"{path} must not exist yet, but does; choose another name, or move it away.")


def _names(name: str) -> dict[str, str]:
    words = name.split("_")
    return {
        "name": name,
        "distribution": name.replace("_", "-"),
        "cls": "".join(word.capitalize() for word in words) + "Loss" * (words[-1] != "loss"),
        "title": " ".join(word.capitalize() for word in words),
    }
