"""A whole study on the device against one on the cores, compared row by row with `mlrc drift`."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.device.setting import Measurement, Row, Setting

LOSSES, WORKERS = "contrastive,proxy_anchor", 8
SMALL = ("trials=0", "startup_trials=0", "repeats=2", "max_epochs=1", "iterations_per_epoch=1", "embedding_size=8")
WORDS = {0: "same", 1: "moved", 3: "cannot tell"}


def measurements(setting: Setting) -> Iterator[Measurement]:
    """Give the two studies, and what drift says of them."""
    yield "quick on glyphs, on the cores", lambda: done(setting, "cores", "cpu")
    yield "quick on glyphs, on the device", lambda: done(setting, "device", setting.device.type)
    yield "drift from the cores to the device", lambda: compared(setting)


def done(setting: Setting, name: str, device: str) -> Row:
    """Run a study; by eight workers, since many share the device and as many leave cores to others."""
    losses, workers = ("contrastive", 1) if setting.small else (LOSSES, WORKERS)
    changes = [f"--set={change}" for change in SMALL] if setting.small else []
    changes += ["--param=pos_margin=0", "--param=neg_margin=0.5"] if setting.small else []
    runs = setting.folder / f"study-{name}"
    started = time.perf_counter()
    _mlrc(
        *("run", "--protocol", "quick", "--dataset", "glyphs", "--losses", losses, "--root", setting.folder),
        *("--runs", runs, "--device", device, "--workers", workers, *changes),
    )
    return {"losses": losses, "workers": workers, "seconds": round(time.perf_counter() - started, 1), **_scores(runs)}


def compared(setting: Setting) -> Row:
    """Compare the tables of both."""
    findings, tables = setting.folder / "drift.json", (setting.folder / f"study-{name}" for name in ("cores", "device"))
    status = _mlrc("drift", *tables, "--json", findings, accepted=tuple(WORDS)).returncode
    told = json.loads(findings.read_text())["findings"]
    return {"drift": WORDS[status], "findings": told}


def _scores(runs: Path) -> dict[str, str]:
    """Give each row's first score as the report's table prints it."""
    rows = [line.strip("| ").split("|") for line in (runs / "table.md").read_text().splitlines() if line[:1] == "|"]
    return {row[0].strip(): row[1].strip() for row in rows[2:] if len(row) > 1 and re.search(r"\d", row[1])}


def _mlrc(*words: object, accepted: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlrc.harness.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in accepted:
        raise RuntimeError(
            f"{' '.join(command[2:])} ended with {done.returncode}: {(done.stderr or done.stdout)[-800:]}"
        )
    return done
