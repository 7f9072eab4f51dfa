"""A comparison carried out with the means that a user names: one way for the commands and for `mlrc.compare`."""

import errno
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from mlrc.harness.machine import mps as mps_service
from mlrc.harness.machine.atomic import is_full
from mlrc.harness.machine.determinism import require_precision
from mlrc.harness.machine.given import require_content, require_means
from mlrc.harness.machine.stopping import Stop, seconds
from mlrc.harness.plan.state import Until
from mlrc.harness.study.comparison import Comparison
from mlrc.harness.study.conduct import Ending, Listener, Means, conduct, number_of_workers
from mlrc.harness.study.disk import shortage
from mlrc.harness.watch.optuna_export import Mirror, open_storage
from mlrc.results.records.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class Work:
    """A comparison, its ledger, and what it is done with; all that a user can get wrong is behind.

    Attributes:
        mirror: where its searches are written to, too, if anywhere.
    """

    comparison: Comparison
    ledger: Ledger
    means: Means
    mirror: Mirror | None

    def do(self, until: Until) -> Ending:
        """Do what the ledger does not record yet, and say how it ended.

        Raises what `conduct` raises; an `OSError` of a full disk says what the whole run takes.
        """
        runs = self.ledger.path.parent
        known = self.ledger.records.unchecked
        self.ledger.append(one for one in self.comparison.unchecked() if known.get(one.identity) != one)
        try:
            return conduct(self.comparison, self.ledger, self.means, until)
        except OSError as error:
            if not (is_full(error) and runs.is_dir()):
                raise
            told = shortage(self.comparison, runs, self.means.workers, models_kept=self.means.save_models)
            raise OSError(errno.ENOSPC, told) from error

    @property
    def warning(self) -> str:
        """What a person must know who believes that all is well; empty if it is."""
        if self.mirror is None or not self.mirror.failure:
            return ""
        files = ",".join(file.path for file in self.comparison.workplace.losses.values())
        words = ["--runs", str(self.ledger.path.parent), "--storage", self.mirror.url]
        words += ["--losses", files] if files else []
        return (
            f"The storage broke ({self.mirror.failure}); when it is mended, or with another one, catch up with: "
            f"mlrc export-optuna {shlex.join(words)}"
        )


@contextmanager
def ready(
    comparison: Comparison,
    runs: Path,
    *,
    workers: int | None = None,
    per_device: int | None = None,
    mps: bool = False,
    device: str = "auto",
    stop_after: str | None = None,
    ray: str | None = None,
    tensorboard: bool = False,
    storage: str | None = None,
    save_models: bool = False,
    stop: Stop | None = None,
) -> Iterator[Work]:
    """Open what a comparison needs to be carried out, for as long as the `with` block lasts.

    Args:
        comparison: checked.
        runs: folder of the ledger; what it records is not done again.
        workers: number of worker processes, or of trainings at once on a cluster.
        per_device: in place of `workers`, so many on each device.
        mps: start NVIDIA's MPS for as long, see `mlrc.harness.machine.mps`.
        device: of a cluster; those of this machine are the comparison's.
        stop_after: a length of time such as `3h`, see `mlrc.harness.machine.stopping.seconds`.
        ray: address of a running Ray cluster to train on.
        tensorboard: write curves below `runs`.
        storage: URL to mirror the searches to.
        save_models: keep the models of the final stage below `runs`.
        stop: the wish to end that was listened for so far, if any was.

    Raises:
        ValueError: a word does not mean what it must, or there is no such cluster, storage or device, or the device has
            no such precision.
        OSError: `runs` cannot be written, or another run is at work there.
        ImportError: an extra package is not installed.
    """
    require_means(workers=workers, per_device=per_device, stop_after=stop_after, ray=ray, mps=mps)
    require_content(storage=storage)
    stop = stop or Stop()
    stop.limit(seconds(stop_after) if stop_after else None)
    with ExitStack() as stack:
        if mps:
            mps_service.require(",".join(comparison.devices))
            stack.enter_context(mps_service.service())
        mirror = Mirror(stack.enter_context(open_storage(storage)), storage) if storage else None
        listeners: list[Listener] = [mirror] if mirror else []
        if tensorboard:
            with _needs("tensorboard", "--tensorboard"):
                from mlrc.harness.watch.scalars import Scalars  # noqa: PLC0415 an extra
            listeners.append(stack.enter_context(Scalars(runs, comparison.studies)))
        elsewhere = None
        if ray:
            with _needs("ray", "--ray"):
                from mlrc.harness.engine.cluster.connection import connected  # noqa: PLC0415 an extra
                from mlrc.harness.engine.cluster.jobs import on_cluster  # noqa: PLC0415
            cluster = stack.enter_context(connected(ray, device, per_device=per_device, workers=workers))
            elsewhere = partial(on_cluster, cluster)
        precision = comparison.studies[0].protocol.precision
        if not ray:
            for place in comparison.devices:
                require_precision(torch.device(place), precision)
        elif cluster.device == "cpu":  # a node's GPU tells its generation when a job is there
            require_precision(torch.device("cpu"), precision)
        means = Means(
            workers=workers or 1 if ray else number_of_workers(workers, per_device, len(comparison.devices)),
            elsewhere=elsewhere,
            stop=stop,
            save_models=save_models,
            listeners=tuple(listeners),
        )
        ledger = stack.enter_context(Ledger(runs))
        yield Work(comparison=comparison, ledger=ledger, means=means, mirror=mirror)


@contextmanager
def _needs(package: str, option: str) -> Iterator[None]:
    """Say in a sentence that an option needs a package which is an extra.

    Raises:
        ImportError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(
            f"{option} needs the package {package}, which is not installed; install it with: "
            f"pip install 'mlrc[{package}]'"
        ) from None
