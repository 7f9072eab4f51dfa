"""Jobs and studies as values: what their keys and seeds depend on, and on what they do not."""

import pickle
import subprocess
import sys
from dataclasses import replace

from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.schedule import Recorded
from mlrc.harness.plan.study import Study, cost, repeats, untrained
from mlrc.protocols.quick import QUICK


def _job() -> FoldJob:
    study = Study(protocol=QUICK, dataset="glyphs", fingerprint="ab", loss="contrastive")
    return study.jobs("search", 2, {"pos_margin": 0.25, "neg_margin": 1.0})[3]


def test_key_and_seed_depend_on_everything_a_job_is() -> None:
    job = _job()
    others = [
        replace(job, protocol=QUICK.set(["trials=9"])),
        replace(job, dataset="omniglot"),
        replace(job, fingerprint="cd"),
        replace(job, loss="triplet"),
        replace(job, params={"pos_margin": 0.25, "neg_margin": 1.5}),
        replace(job, stage="final"),
        replace(job, number=3),
        replace(job, fold=0),
        replace(job, recorded=Recorded((), 5)),
        replace(job, recorded=Recorded((3,), 5)),
    ]
    assert len({one.key for one in [job, *others]}) == 11
    assert len({one.seed for one in [job, *others]}) == 11


def test_keys_are_those_of_the_ledgers_that_there_are() -> None:
    job = _job()
    assert (job.key, job.seed) == ("7294c80e84a01da1", 3_283_935_702_978_424_848)


def test_key_and_seed_do_not_depend_on_the_order_of_parameters() -> None:
    job = _job()
    turned = replace(job, params=dict(reversed(list(job.params.items()))))
    assert (turned.key, turned.seed) == (job.key, job.seed)


def test_key_and_seed_are_the_same_in_another_process() -> None:
    script = "from tests.harness.plan.test_job import _job; print(_job().key, _job().seed)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [_job().key, str(_job().seed)]


def test_a_job_travels() -> None:
    assert pickle.loads(pickle.dumps(_job())) == _job()  # noqa: S301 our own bytes


def test_seeds_fit_the_generators_that_take_them() -> None:
    assert 0 <= _job().seed < 2**63


def test_cost_counts_every_training_of_search_and_repeats() -> None:
    study = Study(protocol=QUICK, dataset="glyphs", fingerprint="ab", loss="contrastive")
    assert cost(study) == (4 * 4, 3 * 4, (4 * 4 + 3 * 4) * 16)
    assert cost(replace(study, params={})) == (0, 12, 12 * 16)


def test_an_untrained_trunk_with_weights_has_one_repeat_since_all_would_be_the_same() -> None:
    from_scratch = untrained(QUICK, "glyphs", "ab")
    assert (repeats(from_scratch), cost(from_scratch)) == (3, (0, 12, 0))
    assert repeats(untrained(QUICK.vary({"weights": "ab" * 32}), "glyphs", "ab")) == 1
