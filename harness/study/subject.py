"""What the rows of a comparison will stand on, told before anything is trained."""

import numpy as np

from mlrc.harness.metrics.task import Task
from mlrc.harness.plan.job import rules
from mlrc.harness.plan.split import as_asked
from mlrc.harness.study.comparison import Comparison
from mlrc.results.publishing.against import Subject


def subject_of(comparison: Comparison) -> Subject:
    """Give images, split and rules of a comparison as its records will tell them."""
    study = comparison.studies[0]
    labels, queries, cameras = Task.of(as_asked(comparison.images, study.protocol), comparison.test)
    split = (
        comparison.workplace.cuts.get(study.dataset) or study.protocol.cut.of(study.dataset),
        len(np.unique(labels)),
        len(labels),
        None if queries is None else int(queries.sum()),
        None if cameras is None else len(np.unique(cameras)),
    )
    return Subject(study.dataset, study.fingerprint, rules(study.protocol), study.protocol.to_json(), split)
