"""The properties hold for more examples than a default run tries, and for other ones: see `tests/examples.py`."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples import LONG

ROOT = Path(__file__).parents[1]
FILES = sorted(path for path in (ROOT / "tests").rglob("test_*.py") if "@given" in path.read_text(encoding="utf-8"))
MARKS = "hypothesis and not gpu and not network and not shared_data"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_property_is_false_for_one_of_many_examples(path: Path, seed: int) -> None:
    choice = ["-m", MARKS, "--hypothesis-profile", LONG, "--hypothesis-seed", str(seed), "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *choice, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_default_run_tries_the_same_examples_on_any_machine_and_keeps_none() -> None:
    code = (
        "import tests.conftest; from hypothesis import settings; one = settings();"
        "print(one.derandomize, one.database, one.deadline)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "None", "None"]
