"""What a notebook calls: `compare`, `check`, `read`. The commands go the same way, through the same functions."""

import signal
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from mlrc.harness.machine import mps as mps_service
from mlrc.harness.machine.given import require_content, require_means
from mlrc.harness.machine.stopping import Stop
from mlrc.harness.plugins import LOSSES
from mlrc.harness.study import rules
from mlrc.harness.study.carry_out import ready
from mlrc.harness.study.comparison import checked_comparison, require_same_space
from mlrc.losses.contract import promises
from mlrc.losses.contract.promises import Finding
from mlrc.losses.spec import LossSpec
from mlrc.protocols.protocol import Protocol
from mlrc.protocols.variant import assignments
from mlrc.result import Result
from mlrc.results.rendering.report import require_margin
from mlrc.results.statistics.levels import MARGIN


def compare(
    losses: Sequence[str | LossSpec],
    *,
    dataset: str,
    protocol: str | Protocol = "reality_check",
    root: str | Path = "data",
    runs: str | Path = "runs",
    out: str | Path | None = None,
    changes: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    trunk: str | None = None,
    weights: str | Path | None = None,
    cache: bool = True,
    workers: int | None = None,
    per_device: int | None = None,
    mps: bool = False,
    device: str = "auto",
    stop_after: str | None = None,
    ray: str | None = None,
    tensorboard: bool = False,
    storage: str | None = None,
    save_models: bool = False,
    margin: float = MARGIN,
    unchecked: bool = False,
    accept_changed_loss: bool = False,
    accept_changed_dataset: bool = False,
    accept_changed_trunk: bool = False,
) -> Result:
    """Do the whole protocol, as `mlrc run` does: search, final repeats, report. Goes on with whatever `runs` holds.

    Ctrl-C lets the trainings at work write where they stand, and then interrupts; the same call goes on.

    Args:
        losses: names, files (`PATH.py` or `PATH.py:NAME`) or specs that a file defines, each once.
        dataset: a name from `mlrc list datasets`, or `folder:PATH`.
        protocol: a name, a file (`PATH.toml`, `PATH.py`) or a value.
        root: folder that holds the dataset.
        runs: folder of the ledger.
        out: folder of the report; `runs` by default.
        changes: to the protocol, field to value: `{"trials": 20, "patience.cub200": 9}`.
        params: of losses that are not searched then: `{"margin": 0.1, "proxy_anchor.alpha": 32}`.
        trunk: another one, with the file or the name of its `weights`.
        weights: of the trunk.
        cache: keep decoded images below `root`.
        workers: number of worker processes; no result depends on it.
        per_device: in place of `workers`, so many on each device.
        mps: start NVIDIA's MPS for the run, so that trainings which share a GPU run at once.
        device: `auto`, `cpu`, `cuda` or devices separated by commas.
        stop_after: such as `3h`.
        ray: address of a running Ray cluster.
        tensorboard: write curves below `runs`.
        storage: URL to mirror the searches to.
        save_models: keep the models of the final repeats below `runs`.
        margin: percent points within which two losses count as equivalent.
        unchecked: run losses that break what resume, seeds and devices rest on, too; their rows say so.
        accept_changed_loss: go on in `runs` although a loss was changed since; the tables say so.
        accept_changed_dataset: likewise, although the dataset's plug-in was.
        accept_changed_trunk: likewise, although the trunk's plug-in was.

    Raises:
        LookupError: no such loss, dataset, protocol or trunk.
        ValueError: something given does not fit; the sentence says what must hold.
        ImportError: a plug-in, a file or an extra package does not import.
        TypeError: a plug-in or a file holds something else.
        OSError: something is not there, cannot be read or written, or the disk is full.
        KeyboardInterrupt: Ctrl-C came; what is recorded stays recorded.
        RuntimeError: a training failed, so that its loss stands still; the others are done and reported.
        TimeoutError: `stop_after` came, and trainings are left.
        SystemExit: SIGTERM came, with the status by which a batch system knows to requeue.
    """
    require_margin(margin)
    require_means(workers=workers, per_device=per_device, stop_after=stop_after, ray=ray, mps=mps)
    require_content(root=root, runs=runs, out=out, storage=storage, device=device)
    if mps:
        mps_service.require(device)
    place, folder = Path(root), Path(runs)
    chosen = rules.chosen(
        protocol,
        trunk=trunk,
        weights=None if weights is None else str(weights),
        changes=assignments(changes or {}),
    )
    accepted = {"loss": accept_changed_loss, "dataset": accept_changed_dataset, "trunk": accept_changed_trunk}
    comparison = checked_comparison(
        dataset=dataset,
        losses=[losses] if isinstance(losses, str | LossSpec) else losses,
        protocol=chosen.protocol,
        root=place,
        device="cpu" if ray else device,
        weights=chosen.weights,
        cache=place / "cache" if cache else None,
        params=assignments(params or {}),
        runs=folder,
        unchecked=unchecked,
        accepted=[kind for kind, is_accepted in accepted.items() if is_accepted],
    )
    if comparison.images.without:
        warnings.warn(comparison.images.without, stacklevel=2)
    require_same_space(comparison, folder)
    with ready(
        comparison,
        folder,
        workers=workers,
        per_device=per_device,
        mps=mps,
        device=device,
        stop_after=stop_after,
        ray=ray,
        tensorboard=tensorboard,
        storage=storage,
        save_models=save_models,
    ) as work:
        ending = work.do("final")
    if work.warning:
        warnings.warn(work.warning, stacklevel=2)
    if ending.left and work.means.stop():
        _interrupt(work.means.stop, ending.left)
    if ending.failures:
        _fail(ending.failures, folder, out, margin)
    result = Result(folder, margin=margin)
    result.report(out)
    return result


def read(runs: str | Path, *, margin: float = MARGIN) -> Result:
    """Read what a runs folder holds, whoever made it; raises what `Result` raises."""
    return Result(runs, margin=margin)


def check(loss: str | LossSpec) -> list[Finding]:
    """Hold a loss, given as for `compare`, against the contract that every loss keeps, as `mlrc check` does.

    A spec need not stand in a file for this. Raises what `mlrc.harness.plugins.Kind.find` raises.
    """
    return promises.check(LOSSES.find(loss) if isinstance(loss, str) else loss)


def _fail(failures: Sequence[tuple[str, str, str]], folder: Path, out: str | Path | None, margin: float) -> NoReturn:
    """Report the losses that have a row, and name those that have none."""
    with suppress(ValueError, OSError):  # where no loss has a row there is none
        Result(folder, margin=margin).report(out)
    told = "; ".join(f"{label}: {which} failed: {why}" for label, which, why in failures)
    raise RuntimeError(
        f"Every training must come to an end, but some failed ({told}), and their losses stand still. See to the "
        f"causes; then: mlrc retry --runs {folder}, and the same call. mlrc.read({str(folder)!r}) gives the others."
    )


def _interrupt(stop: Stop, left: int) -> NoReturn:
    sentence = f"Stopped ({stop.reason}) with {left} trainings left; the same call goes on."
    if stop.signal == signal.SIGINT:
        raise KeyboardInterrupt(sentence)
    if stop.signal is not None:
        raise SystemExit(stop.status)
    raise TimeoutError(sentence)
