"""What is asked of any word or number that a user gives for a run, before anything is done with it."""

from mlrc.harness.machine.stopping import seconds

MOST_WORKERS = 1024
"""On one machine, and trainings at once on a cluster: more are a slip of the keyboard, and would fill the memory."""


def require_content(**words: object) -> None:
    """Raise `ValueError` for a word that is given and empty, as an unset variable of a shell leaves it."""
    for name, word in words.items():
        if isinstance(word, str) and not word.strip():
            raise ValueError(f"{name} must not be empty, but got {word!r}; leave it out, or give its value.")


def require_means(
    *,
    workers: int | None = None,
    per_device: int | None = None,
    stop_after: str | None = None,
    ray: str | None = None,
    mps: bool = False,
) -> None:
    """Raise `ValueError` where the means of a run cannot be meant; see `mlrc.harness.study.carry_out.ready`."""
    require_content(stop_after=stop_after, ray=ray)
    if workers is not None and per_device is not None and not ray:
        raise ValueError(
            f"--workers counts all processes and --per-device those of each device, so only one can hold, but got "
            f"{workers} and {per_device}; leave one of them out."
        )
    if mps and ray:
        raise ValueError(
            "--mps starts NVIDIA's MPS on this machine, and --ray trains on others; start it on each node."
        )
    for name, number in (("workers", workers), ("per_device", per_device)):
        if number is not None and not 1 <= number <= MOST_WORKERS:
            raise ValueError(f"{name} must lie in [1, {MOST_WORKERS}], but got {number}.")
    if stop_after is not None:
        seconds(stop_after)
