"""Scripts as people write them, with worker processes: no guard, standard input, a loss in a file beside them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mlrc.conftest import SMALL

SCRIPT = f"""\
print("begun")
import mlrc

found = mlrc.compare(
    ["./pull.py"], dataset="glyphs", protocol="quick", changes={SMALL!r}, root=ROOT, workers=2, device="cpu"
)
print(sorted(set(found.leaderboard["loss"])))
"""


@pytest.mark.parametrize("from_standard_input", [False, True])
def test_a_script_without_a_guard_does_its_work_once(from_standard_input: bool, root: Path, loss_file: Path) -> None:
    script = loss_file.with_name("script.py")
    script.write_text(SCRIPT.replace("ROOT", repr(str(root))), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-" if from_standard_input else script.name],
        cwd=script.parent,
        input=script.read_text(encoding="utf-8") if from_standard_input else None,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["begun", "['pull', 'untrained']"]
