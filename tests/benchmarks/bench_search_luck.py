"""How crude best-of-n resampling is as an estimate of the luck of a search: against searches that were done again.

python -m tests.benchmarks.bench_search_luck [--gp]

The trials of a search are drawn on made-up surfaces: a bowl over d parameters with a plateau of failures, and noise of
the trials. For n trials per search: the true standard deviation over searches of the best score, and what
`spread_of_best` (with its threshold taken away) gives from one search alone, as a share of it: median and the 10th and
90th percentile over searches. With `--gp` the trials are those of the harness's own search, Sobol and then a Gaussian
process, which takes minutes.
"""

import sys

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution

from mlrc.harness.plan.search import Trial, propose

SEARCHES = 4000
GP_SEARCHES = 24
NOISE = 0.3


def surface(points: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Give scores `(…,)` in percent of points `(…, parameters)`, 0 … 1 each."""
    far = ((points - 0.6) ** 2).mean(axis=-1)
    height = 30 - 60 * far
    failed = points[..., 0] > 0.9
    return np.asarray(np.where(failed, 2.0, height) + generator.normal(0, NOISE, points.shape[:-1]))


def resampled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the spread of the best for each search, `(searches, trials)`, in floats."""
    n = scores.shape[1]
    place = np.arange(1, n + 1)
    chances = (place / n) ** n - ((place - 1) / n) ** n
    ordered = np.sort(scores, axis=1)
    middle = ordered @ chances
    return np.asarray(np.sqrt(((ordered - middle[:, None]) ** 2) @ chances))


def by_gaussian_process(parameters: int, trials: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Give the scores of whole searches of the harness, `(searches, trials)`."""
    space: dict[str, BaseDistribution] = {f"p{number}": FloatDistribution(0, 1) for number in range(parameters)}
    found = []
    for seed in range(GP_SEARCHES):
        history: list[Trial] = []
        for _ in range(trials):
            params = propose(space, history, seed=seed, startup=min(5, trials))
            point = np.array([float(params[name]) for name in sorted(space)])
            history.append(Trial(params, float(surface(point, generator))))
        found.append([trial.score for trial in history])
    return np.array(found)


def main(*, gp: bool) -> None:
    """Write the table."""
    generator = np.random.default_rng(0)
    lines = [("trials", "parameters", "n", "true sd", "estimate / true: median", "10 % … 90 %"), ("---",) * 6]
    for parameters in (1, 2, 5):
        for n in (4, 10, 16) if gp else (4, 6, 10, 25, 50):
            if gp:
                scores = by_gaussian_process(parameters, n, generator)
            else:
                scores = surface(generator.random((SEARCHES, n, parameters)), generator)
            true = float(scores.max(axis=1).std(ddof=1))
            share = resampled(scores) / true
            low, middle, high = np.quantile(share, (0.1, 0.5, 0.9))
            kind = "GP" if gp else "random"
            told = (kind, str(parameters), str(n), f"{true:.2f}", f"{middle:.2f}", f"{low:.2f} … {high:.2f}")
            lines.append(told)
    sys.stdout.write("".join(f"| {' | '.join(line)} |\n" for line in lines))


if __name__ == "__main__":
    main(gp="--gp" in sys.argv)
