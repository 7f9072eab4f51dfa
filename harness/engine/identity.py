"""Which plug-ins jobs stand on: told by the driver before any work, and held against what a process finds."""

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version

from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.images.dataset import DATASETS
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plugin_source import OURS, source_of
from mlrc.harness.plugins import LOSSES
from mlrc.harness.trunks import timm_models
from mlrc.harness.trunks.trunk import TRUNKS
from mlrc.results.records.origin import Origin


def origin_of(kind: str, name: str) -> Origin:
    """Say where a loss, a dataset (by the name that opens it) or a trunk comes from.

    Raises what `mlrc.harness.plugins.Kind.find` raises.
    """
    if kind == "loss":
        return LOSSES.origin(name)
    if kind == "dataset":
        return DATASETS.origin(name.partition(":")[0])
    if name.startswith(timm_models.PREFIX):  # timm's own version stands in every record
        source = source_of(timm_models.__name__, TRUNKS.type.__module__)
        return Origin(distribution=OURS, version=version(OURS), source=source)
    return TRUNKS.origin(name)


@lru_cache
def loaded_here(kind: str, name: str) -> Origin:
    """Say where the plug-in comes from that this process uses, as it was when the process first asked."""
    return origin_of(kind, name)


def changed(told: Mapping[tuple[str, str], Origin], workplace: Workplace) -> str:
    """Say which plug-in is another here than the driver told, in a clause; empty if all are the same.

    A file's text travels with the workplace, and is not looked at.

    Args:
        told: of the workplace's origins, those to compare.
        workplace: of the driver.

    Raises what `mlrc.harness.plugins.Kind.find` raises.
    """
    for (kind, name), origin in told.items():
        if kind == "loss" and name in workplace.losses:
            continue
        here = loaded_here(kind, workplace.roots[name][0] if kind == "dataset" else name)
        if here.differs(origin):
            return f"{kind} {name!r} is another than the run began with ({here} for {origin})"
    return ""


def require_unchanged(job: FoldJob, workplace: Workplace) -> None:
    """Raise `ValueError` if a plug-in of a job was edited since the run began."""
    if what := changed({key: workplace.origins[key] for key in workplace.plugins(job)}, workplace):
        raise ValueError(f"the {what}; start the run again")
