"""Start of the command against typer alone, and `mlrc evaluate` as a whole against a script around PML's calculator.

    python -m tests.benchmarks.bench_startup [--turns 7]

Each measurement is a process of its own, started in turns; its processor time is counted (user and system, children's
too), and the ratio is the median of the ratios within a turn, since a shared machine drifts. The script does what the
command does at its defaults: loads the same two files, normalises, asks PML's calculator for P@1, RP and MAP@R, prints.
Exit status 1 where help takes more than twice what typer alone does, or evaluate more than the script.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

IMAGES, DIM, CLASSES = 5924, 128, 100
TYPER = """
import typer

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def one(size: int = 1) -> None: ...


@app.command()
def two(name: str = "") -> None: ...


app()
"""
SCRIPT = """
import sys
import numpy as np
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

embeddings = torch.nn.functional.normalize(torch.from_numpy(np.load(sys.argv[1])))
labels = torch.from_numpy(np.load(sys.argv[2]))
names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
print(AccuracyCalculator(include=names, k="max_bin_count").get_accuracy(embeddings, labels))
"""


def processor_seconds(words: Sequence[str], **environment: str) -> float:
    """Run a command to its end and give the processor time that it took."""
    before = os.times()
    subprocess.run(
        words, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    turns = parser.parse_args().turns
    mlrc = str(Path(sys.executable).with_name("mlrc"))
    tab = {"COMP_WORDS": "mlrc run --losses con", "COMP_CWORD": "3"}
    with tempfile.TemporaryDirectory() as folder:
        embeddings, labels = Path(folder, "embeddings.npy"), Path(folder, "labels.npy")
        np.save(embeddings, np.random.default_rng(0).standard_normal((IMAGES, DIM), dtype=np.float32))
        np.save(labels, np.arange(IMAGES) % CLASSES)
        alone = Path(folder, "alone.py")
        alone.write_text(TYPER, encoding="utf-8")
        script = Path(folder, "script.py")
        script.write_text(SCRIPT, encoding="utf-8")
        both = (str(embeddings), str(labels))
        typer = [sys.executable, str(alone)]
        pairs: dict[str, tuple[list[str], dict[str, str], list[str], dict[str, str]]] = {
            "mlrc --help / typer alone": ([mlrc, "--help"], {}, [*typer, "--help"], {}),
            "mlrc run --help / typer alone": ([mlrc, "run", "--help"], {}, [*typer, "one", "--help"], {}),
            "completion of a loss / typer alone": (
                [mlrc],
                {"_MLRC_COMPLETE": "complete_bash", **tab},
                [*typer, "one", "--help"],
                {},
            ),
            "mlrc evaluate / script": (
                [mlrc, "evaluate", "--embeddings", both[0], "--labels", both[1]],
                {},
                [sys.executable, str(script), *both],
                {},
            ),
        }
        kept = True
        print("| what | ours s | other s | ours / other |\n| --- | ---: | ---: | ---: |")  # noqa: T201 - its result
        for what, (ours, of_ours, other, of_other) in pairs.items():
            times = [
                (processor_seconds(ours, **of_ours), processor_seconds(other, **of_other)) for _ in range(turns + 1)
            ][1:]  # the first turn reads the files from the disk
            ratio = median(mine / theirs for mine, theirs in times)
            mine, theirs = (median(side) for side in zip(*times, strict=True))
            print(f"| {what} | {mine:.2f} | {theirs:.2f} | {ratio:.2f} |")  # noqa: T201
            kept &= ratio <= (1 if "evaluate" in what else 2)
    sys.exit(not kept)


if __name__ == "__main__":
    main()
