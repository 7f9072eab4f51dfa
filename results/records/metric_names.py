"""The names of metrics and settings, and the order in which tables show them."""

from collections.abc import Iterable

SETTINGS = ("separated", "concatenated")
PAPER_METRICS = ("P@1", "RP", "MAP@R")
"""The columns of the Reality Check's tables, in their order."""
RANKED_BY = "MAP@R"
WITHOUT_CLASSES = frozenset({"NMI"})
"""Metrics that are no mean over queries, so that there are no per-class sums of them."""
SAME_NUMBER = {"R@1": "P@1", "nDCG@1": "P@1"}
"""Metrics that are one number, to the name that our tables show it by."""
_FAMILIES = ("nDCG", "R", "P", "MAP")


def metric_order(metric: str) -> tuple[int, int, int, str]:
    """Sort the paper's metrics first, then each family by its k."""
    if metric in PAPER_METRICS:
        return 0, PAPER_METRICS.index(metric), 0, metric
    family, _, k = metric.partition("@")
    known = _FAMILIES.index(family) if family in _FAMILIES else len(_FAMILIES)
    return 1, known, int(k) if k.isdigit() else 0, metric


def table_metrics(metrics: Iterable[str], *, traditional: bool = False) -> tuple[str, ...]:
    """Give the metrics of the printed tables: the Reality Check's, and nDCG@k at the largest k there is.

    Of a traditional protocol they are those that loss papers print: R@k at every k, MAP@R, nDCG@k at every k, NMI.
    """
    there = sorted(set(metrics), key=metric_order)
    ndcg = [name for name in there if name.startswith("nDCG@")]
    if traditional:
        hits = [name for name in there if name.startswith("R@")]
        return (*hits, *(name for name in (RANKED_BY,) if name in there), *ndcg, *(WITHOUT_CLASSES & set(there)))
    return (*(name for name in PAPER_METRICS if name in there), *ndcg[-1:])
