"""FastAP: average precision of each image's ranking of the batch, by histograms of its distances.

    L = mean over i of 1 - 1/N_i+ sum over bins b of h_b+ H_b+ / H_b

h_b+ counts the image's positives in bin b (softly, by the two nearest bins), H_b+ those up to it and H_b all images up
to it; the bins part [0, 4], the squared Euclidean distances of L2-normalised embeddings.
F. Cakir, K. He, X. Xia, B. Kulis, S. Sclaroff: Deep Metric Learning to Rank, CVPR 2019.
"""

from optuna.distributions import IntDistribution
from pytorch_metric_learning.losses import FastAPLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class FastAP(FullPrecision, FastAPLoss):
    """PML's `FastAPLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, num_bins: int) -> nn.Module:
    del num_classes, embedding_size
    return FastAP(num_bins=num_bins)


SPEC = LossSpec(
    name="fast_ap",
    title="FastAP",
    source="Cakir et al., CVPR 2019; as in arXiv 2003.08505",
    space={"num_bins": IntDistribution(2, 32)},
    build=_build,
    batch="pairs",
    published={"cub200": {"num_bins": 17}, "cars196": {"num_bins": 27}, "sop": {"num_bins": 16}},
    under={
        "reality_check_batch_256": {"cub200": {"num_bins": 86}},
    },
    recommended={"num_bins": 10},  # the paper's, by PML's documentation
    note="Space and published optima of the Reality Check, which tried every number of bins from 2 to 32 in turn.",
)
