"""What page faults cost: user and system time of evaluation and of training steps, with memory given back and kept.

    python -m tests.benchmarks.bench_memory [--turns 3]

Network and setting have a process of their own with one thread; they take turns, since a shared machine drifts, and the
figures are medians of processor time after a pass that is not counted. Random images and weights: only shapes matter.
Exit status 1 where evaluation in batches of 32 with kept memory takes more than that of 256 with memory given back.
"""

import argparse
import resource
import subprocess
import sys
from dataclasses import replace
from statistics import median

import torch

from mlrc.harness.machine.allocator import keep_memory
from mlrc.harness.training.model import Embedder
from mlrc.harness.trunks.catalogue import with_trunk
from mlrc.protocols.protocol import Protocol
from mlrc.protocols.quick import QUICK
from mlrc.protocols.reality_check import REALITY_CHECK

IMAGES, STEPS = 256, 8
CASES = {
    "SqueezeNet, 64 px": ("squeezenet1_1", 64),
    "SqueezeNet, 128 px": ("squeezenet1_1", 128),
    "EfficientNet-Lite0, 160 px": ("timm:tf_efficientnet_lite0", 160),
}
WAYS = {"evaluation, batch 256": 256, "evaluation, batch 32": 32, "training step, batch 32": 0}


def protocol(trunk: str, side: int) -> Protocol:
    """Give a protocol of that trunk, from scratch."""
    rules = QUICK if trunk == "small_conv" else with_trunk(REALITY_CHECK, trunk, None)
    return replace(rules, weights="", resize=side, crop=side)


def measure(case: str, way: str) -> tuple[float, float]:
    """Give user and system milliseconds per image, or per training step."""
    torch.set_num_threads(1)
    trunk, side = CASES[case]
    rules, size = protocol(trunk, side), WAYS[way]
    network = Embedder(rules)
    images = torch.randn(IMAGES, 1 if rules.channels == "grey" else 3, side, side)

    def work() -> None:
        if size:
            network.eval()
            with torch.inference_mode():
                for part in torch.split(images, size):
                    network(part)
            return
        network.train()
        for part in torch.split(images, 32)[:STEPS]:
            network.zero_grad()
            network(part).square().mean().backward()

    work()
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    count = IMAGES if size else STEPS
    return 1000 * (after.ru_utime - before.ru_utime) / count, 1000 * (after.ru_stime - before.ru_stime) / count


def main() -> int:
    """Print a table; give the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--one", nargs=2)
    arguments = parser.parse_args()
    if arguments.one:
        case, kept = arguments.one
        if kept == "kept":
            keep_memory()
        for way in WAYS:
            sys.stdout.write("{} {}\n".format(*measure(case, way)))
        return 0
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for _ in range(arguments.turns):
        for case in CASES:
            for kept in ("given back", "kept"):
                command = [sys.executable, "-m", "tests.benchmarks.bench_memory", "--one", case, kept]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                for way, line in zip(WAYS, done.stdout.splitlines(), strict=True):
                    user, system = map(float, line.split())
                    found.setdefault((case, way, kept), []).append((user, system))
    sys.stdout.write("| network | what | memory | user ms | system ms | together |\n")
    sys.stdout.write("| --- | --- | --- | ---: | ---: | ---: |\n")
    together = {}
    for key, times in found.items():
        user, system = (median(one[part] for one in times) for part in (0, 1))
        together[key] = median(map(sum, times))
        sys.stdout.write(f"| {' | '.join(key)} | {user:.2f} | {system:.2f} | {together[key]:.2f} |\n")
    first, second, _ = WAYS
    return int(any(together[case, second, "kept"] > together[case, first, "given back"] for case in CASES))


if __name__ == "__main__":
    sys.exit(main())
