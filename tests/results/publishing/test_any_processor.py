"""The published leaderboard has the same bytes under any BLAS kernel, instruction set and number of threads.

Each setting is a process of its own, which pretends to be another processor. Two of them render the whole evidence,
the others a few losses of it. Pictures are left out: they take most of the time, and `drawn_with.txt` speaks for them.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlrc.results.publishing.place import PUBLISHED
from mlrc.results.records.ledger import LEDGER, read
from mlrc.results.records.lines import to_line
from mlrc.results.records.record import UNTRAINED, Record

RENDER = """
import sys
from pathlib import Path
from mlrc.results.publishing import published
from mlrc.results.rendering import report
report.plots = lambda *_: []
for name, content in published.rendered(Path(sys.argv[1]), lambda records: {}).items():
    path = Path(sys.argv[2]) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
"""
LOSSES = {UNTRAINED, "arcface", "contrastive", "fast_ap", "multi_proxy_anchor", "proxy_nca"}
"""Of the part: among them pairs whose P(A > B) was another on other processors while rounding decided ties."""

_AVX512 = ("AVX512", "X86_V4")
_AVX2 = (*_AVX512, "AVX2", "FMA3", "X86_V3")


def _without(families: tuple[str, ...]) -> dict[str, str]:
    """Give the variable by which numpy does without instructions, as far as it has and could use them here."""
    config: Any = np.show_config(mode="dicts")
    names = [name for name in config["SIMD Extensions"].get("found", ()) if name.startswith(families)]
    return {"NPY_DISABLE_CPU_FEATURES": " ".join(names)} if names else {}


def _blas(kernel: str, threads: int) -> dict[str, str]:
    return {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}


OLD_LIBM = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA"}
"""The exp, log and pow of a processor without these instructions; they round the last digit otherwise."""
WHOLE = {
    "a processor of today": _blas("SkylakeX", 2),
    "an old one": _blas("Nehalem", 1) | _without(_AVX2) | OLD_LIBM,
}
PART = {
    "Haswell, one thread": _blas("Haswell", 1) | _without(_AVX512),
    "Haswell, two threads": _blas("Haswell", 2),
    "Zen": _blas("Zen", 2) | _without(_AVX512),
    "Sandybridge": _blas("Sandybridge", 1) | _without(_AVX2),
    "SkylakeX, one thread": _blas("SkylakeX", 1),
    "Prescott": _blas("Prescott", 2) | OLD_LIBM,
}

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the kernels are those of x86-64 processors"
)


def _rendered(published: Path, out: Path, setting: Mapping[str, str]) -> dict[str, str]:
    """Render in a process of its own and give name to hash of every file."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS_", "NPY_"))}
    subprocess.run(
        [sys.executable, "-W", "error", "-c", RENDER, str(published), str(out)],
        env={**environment, **setting},
        check=True,
    )
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert {"leaderboard.csv", "comparisons.csv", "table.md", "table.tex", "report.html", "cost.csv"} <= set(found)
    return {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published leaderboard with a few of its losses."""
    folder = tmp_path_factory.mktemp("part")
    for name in ("papers.csv", "splits.csv"):
        shutil.copy(PUBLISHED / name, folder)
    for ledger in (PUBLISHED / "evidence").glob(f"*/{LEDGER}"):
        records = read(ledger)
        target = folder / "evidence" / ledger.parent.name
        (target / "per_class").mkdir(parents=True)
        folds = [fold for fold in records.folds.values() if fold.loss in LOSSES]
        runs = [run for run in records.runs.values() if run.loss in LOSSES]
        every: list[Record] = [*records.protocols.values(), *folds, *runs]
        (target / LEDGER).write_text("".join(to_line(one) + "\n" for one in every), encoding="utf-8")
        for run in runs:
            shutil.copy(ledger.parent / "per_class" / f"{run.key}.npz", target / "per_class")
    return folder


def test_the_settings_are_of_other_kernels_instructions_and_threads(part: Path) -> None:
    """Otherwise the tests below would compare a processor with itself."""
    settings = [*WHOLE.values(), *PART.values()]
    assert len({setting["OPENBLAS_CORETYPE"] for setting in settings}) >= 4
    assert {setting["OPENBLAS_NUM_THREADS"] for setting in settings} == {"1", "2"}


def test_the_whole_leaderboard_is_the_same_on_a_processor_of_today_and_on_an_old_one(tmp_path: Path) -> None:
    found = [_rendered(PUBLISHED, tmp_path / name, setting) for name, setting in WHOLE.items()]
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def here(part: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return _rendered(part, tmp_path_factory.mktemp("here"), {})


@pytest.mark.parametrize("name", PART)
def test_a_part_of_it_is_the_same_as_here(name: str, part: Path, here: dict[str, str], tmp_path: Path) -> None:
    assert _rendered(part, tmp_path, PART[name]) == here
