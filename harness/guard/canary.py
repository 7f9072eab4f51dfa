"""The canary: a short training of two losses on glyphs with given parameters, to notice that training drifted.

Contrastive stands for the losses over pairs, Proxy-Anchor for those with weights of their own, the untrained trunk for
images, trunk and metrics. On the machine that made the reference an unchanged program gives the same numbers to the
last digit; elsewhere, or after a change in rounding, it gives other numbers of the same distribution.
"""

from dataclasses import replace
from pathlib import Path

from mlrc.harness.study.comparison import Comparison, checked_comparison
from mlrc.harness.study.same_plugins import require_same_plugins
from mlrc.losses.spec import LOSS_LR, Value
from mlrc.protocols.quick import QUICK
from mlrc.results.records.ledger import LEDGER, read

PROTOCOL = QUICK.vary({"max_epochs": 4, "repeats": 6})
PARAMS: dict[str, dict[str, Value]] = {
    "contrastive": {"pos_margin": 0.0, "neg_margin": 0.5},
    "proxy_anchor": {LOSS_LR: 1e-2, "margin": 0.1, "alpha": 32.0},
}


def canary(root: Path, *, device: str = "cpu", runs: Path | None = None) -> Comparison:
    """Give the canary's comparison, which has no search, ready to run.

    Args:
        root: folder for the glyphs, which are made there.
        device: to train on; the reference is of the CPU.
        runs: folder whose records it goes on from.

    Raises:
        ValueError: those were made with another loss, reader or trunk, whose drift they would hide.
    """
    prepared = checked_comparison(dataset="glyphs", losses=list(PARAMS), protocol=PROTOCOL, root=root, device=device)
    studies = tuple(replace(study, params=PARAMS.get(study.loss, study.params)) for study in prepared.studies)
    if runs is not None:
        records = read(runs / LEDGER).folds.values()
        require_same_plugins(studies, prepared.workplace.origins, records, runs, accepted=None)
    return replace(prepared, studies=studies)
