"""Which parameters of a loss mattered in its search, by Optuna's own evaluator; for the report."""

from collections.abc import Mapping

from optuna.distributions import BaseDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from mlrc.harness.plan.parameters import tried
from mlrc.harness.plan.search import Trial, optuna_study, silent_optuna
from mlrc.harness.plugins import LOSSES
from mlrc.results.records.evidence import Evidence, gather
from mlrc.results.records.ledger import Records

MINIMUM_TRIALS = 10
"""With fewer trials the shares are noise."""


def importances(records: Records) -> dict[tuple[str, str], dict[str, dict[str, float]]]:
    """Give (dataset, digest) to loss to parameter to its share of importance; the shares of a loss sum to 1.

    Losses with fewer than two parameters or fewer than `MINIMUM_TRIALS` trials are left out, and, because the records
    do not hold the space, losses that are not installed here or whose trials do not lie in their space of today.
    """
    found: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for evidence in gather(records):
        if not LOSSES.knows(evidence.loss):
            continue
        trials = history(evidence)
        try:
            spaces = [tried(LOSSES.find(evidence.loss), trial.params) for trial in trials]
        except ValueError:
            continue
        shares = of_trials(spaces[0], trials) if spaces else {}
        if shares:
            found.setdefault((evidence.dataset, evidence.digest), {})[evidence.loss] = shares
    return found


def history(evidence: Evidence) -> list[Trial]:
    """Give the trials of all searches, each in order."""
    found = []
    for one in evidence.by_search:
        params = {record.number: record.params for record in one.search}
        found += [Trial(params[number], score) for number, score in one.trial_scores.items()]
    return found


def of_trials(space: Mapping[str, BaseDistribution], trials: list[Trial]) -> dict[str, float]:
    """Give parameter to its share of importance for being among the better trials; empty where nothing can be said.

    PED-ANOVA: S. Watanabe, A. Bansal, F. Hutter, IJCAI 2023, arXiv 2304.10255.
    """
    inside = [trial for trial in trials if set(trial.params) == set(space)]
    if len(space) < 2 or len(inside) < MINIMUM_TRIALS or len({trial.score for trial in inside}) < 2:
        return {}
    evaluator = PedAnovaImportanceEvaluator(target_quantile=0.1, region_quantile=1.0, evaluate_on_local=True)
    with silent_optuna():
        shares = get_param_importances(optuna_study(space, inside), evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}
