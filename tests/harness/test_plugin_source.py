"""What counts as a change of a plug-in: every character of what it is made of, and nothing beside it."""

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from mlrc.harness import plugin_source
from mlrc.harness.plugin_source import source_of, source_of_file
from mlrc.harness.plugins import LOSSES
from mlrc.losses.spec import LossSpec
from mlrc.results.records.origin import Origin

PACKAGE = {
    "__init__.py": "VERSION = 1\n",
    "loss.py": "from . import parts\nfrom stranger.deep.more import scale\nimport json\n\nSPEC = 1\n",
    "parts.py": "def late():\n    import stranger.late\n",
    "late.py": "LATE = 1\n",
    "deep/__init__.py": "from stranger import unused\n",
    "deep/more.py": "from ..signs import SIGN\n\nscale = SIGN\n",
    "signs.py": "SIGN = -1\n",
    "unused.py": "",
    "other_loss.py": "SPEC = 2\n",
}
COUNTED = {"loss.py", "parts.py", "late.py", "deep/more.py", "signs.py"}


def _written(folder: Path) -> Path:
    for name, text in PACKAGE.items():
        (folder / "stranger" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "stranger" / name).write_bytes(text.encode())
    return folder / "stranger"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], str]]:
    """Hash the loss of the package in a folder, as a process does that has just begun."""

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "stranger"]:
            del sys.modules[name]
        importlib.invalidate_caches()

    def of(folder: Path) -> str:
        forget()
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            importlib.import_module("stranger.loss")
            return source_of("stranger.loss", "mlrc.losses.spec")

    yield of
    forget()


@pytest.mark.parametrize("name", PACKAGE)
def test_a_comment_counts_in_what_the_loss_imports_of_its_package_and_nowhere_else(
    name: str, hashed: Callable[[Path], str], tmp_path: Path
) -> None:
    package = _written(tmp_path / "one")
    before = hashed(tmp_path / "one")
    assert len(before) == 16
    with (package / name).open("a") as file:
        file.write("# a word\n")
    assert (hashed(tmp_path / "one") != before) == (name in COUNTED)


def test_neither_the_place_nor_the_ends_of_lines_count(hashed: Callable[[Path], str], tmp_path: Path) -> None:
    _written(tmp_path / "editable" / "src")
    wheel = _written(tmp_path / "site-packages")
    for path in wheel.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert hashed(tmp_path / "editable" / "src") == hashed(tmp_path / "site-packages")


def test_a_module_that_does_not_import_alone_and_a_missing_one_are_no_errors(
    hashed: Callable[[Path], str], tmp_path: Path
) -> None:
    package = _written(tmp_path)
    (package / "late.py").write_text("import stranger.nowhere\nfrom .... import above\n1 / 0\nraise SystemExit\n")
    assert len(hashed(tmp_path)) == 16
    (package / "late.py").write_text("this is no Python")
    assert len(hashed(tmp_path)) == 16


def test_of_our_own_losses_the_room_counts_and_the_door_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    text = plugin_source._text

    def noted(spec: ModuleSpec) -> bytes | None:
        read.append(spec.name)
        return text(spec)

    monkeypatch.setattr(plugin_source, "_text", noted)
    LOSSES.find("triplet_semi_hard")
    source_of("mlrc.losses.triplet_semi_hard", LossSpec.__module__)
    assert set(read) == {
        "mlrc.losses.triplet_semi_hard",
        "mlrc.losses.triplet",
        "mlrc.losses.parts.full_precision",
    }


def test_what_lies_beside_a_file_counts_if_the_file_imports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    helper = tmp_path / "helper_beside_it.py"
    helper.write_text("SIGN = 1\n")
    plain, importing = "SPEC = 1\n", "import helper_beside_it, json, numpy\nSPEC = 1\n"
    before = source_of_file(plain, tmp_path), source_of_file(importing, tmp_path)
    helper.write_text("SIGN = -1\n")
    after = source_of_file(plain, tmp_path), source_of_file(importing, tmp_path)
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_file_and_a_module_of_the_same_text_are_the_same(hashed: Callable[[Path], str], tmp_path: Path) -> None:
    shutil.rmtree(_written(tmp_path) / "deep")
    (tmp_path / "stranger" / "loss.py").write_text("SPEC = 1\n")
    assert hashed(tmp_path) == source_of_file("SPEC = 1\r\n", tmp_path)


def test_sources_decide_and_versions_only_where_no_source_is_known() -> None:
    def origin(version: str, source: str, distribution: str = "stranger") -> Origin:
        return Origin(distribution=distribution, version=version, source=source)

    assert not origin("1", "abc").differs(origin("2", "abc", "another"))
    assert origin("1", "abc").differs(origin("1", "abd"))
    assert origin("1", "").differs(origin("2", "abc"))
    assert not origin("1", "").differs(origin("1", "abc"))


def test_our_own_plug_ins_come_from_our_distribution() -> None:
    origin = LOSSES.origin("triplet")
    assert (origin.distribution, len(origin.source)) == ("mlrc", 16)
    assert str(origin) == f"mlrc {origin.version}, source {origin.source}"
