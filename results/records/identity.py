"""Keys and seeds: hashes of what a training or a repeat is, never of order, machine or date.

They stand here and not with the plans, so that whoever reads a record can tell whether its key and seed are its own.
"""

import hashlib
import json
from collections.abc import Sequence

from mlrc.results.records.record import FoldRecord, Params, Stage

_KEY, _SEED = 16, 32
"""The key is the digits up to the first, the seed is made of those from there to the second."""


def digest(*parts: object) -> str:
    """Give 64 hexadecimal digits over values that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def training_hash(
    *,
    digest_of_protocol: str,
    dataset: str,
    fingerprint: str,
    loss: str,
    params: Params,
    stage: Stage,
    number: int,
    fold: int,
    recorded: object = None,
    search: int = 0,
) -> str:
    """Give the hash of a training, of which `key_of` and `seed_of` take their digits.

    All but `recorded`, the schedule of stage 1 in the stage 2 that repeats it, is what a `FoldRecord` says.
    """
    identity = (digest_of_protocol, dataset, fingerprint, loss, sorted(params.items()))
    of_stage_1 = () if recorded is None else (recorded,)
    return digest(*identity, stage, number, fold, *of_stage_1, *of_search(search))


def of_search(search: int) -> tuple[dict[str, int], ...]:
    """Give what tells the jobs and the seed of a search from those of the first one, which has nothing of the kind."""
    return ({"search": search},) if search else ()


def hash_of(record: FoldRecord, recorded: object = None) -> str:
    """Give the hash that a record says of itself; see `training_hash`."""
    return training_hash(
        digest_of_protocol=record.digest,
        dataset=record.dataset,
        fingerprint=record.fingerprint,
        loss=record.loss,
        params=record.params,
        stage=record.stage,
        number=record.number,
        fold=record.fold,
        recorded=recorded,
        search=record.search,
    )


def key_of(training: str) -> str:
    """Give the 16 hexadecimal digits that name a training."""
    return training[:_KEY]


def seed_of(training: str) -> int:
    """Give 63 bits, the root of all randomness of a training."""
    return int(training[_KEY:_SEED], 16) >> 1


def key_of_repeat(fold_keys: Sequence[str]) -> str:
    """Give the 16 hexadecimal digits that name a repeat, and the file of its per-class sums."""
    return digest(list(fold_keys))[:_KEY]
