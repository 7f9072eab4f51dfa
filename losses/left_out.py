"""The classes of `pytorch_metric_learning.losses` that are not compared, each with its reason."""

from collections.abc import Mapping

LEFT_OUT: Mapping[str, str] = {
    "BaseLossWrapper": "the base of PML's wrappers, no loss",
    "BaseMetricLossFunction": "the base of PML's losses, no loss",
    "EmbeddingRegularizerMixin": "a part of PML's losses, no loss",
    "GenericPairLoss": "the base of PML's pair losses, no loss",
    "WeightRegularizerMixin": "a part of PML's losses, no loss",
    "CrossBatchMemory": "a wrapper that compares with a queue of earlier batches; PML keeps the queue out of the saved "
    "state, so that an interrupted training could not be continued; ours, in xbm_contrastive, keeps it in buffers",
    "InstanceLoss": "with labels PML compares the number of an image's class with positions in the batch, so that its "
    "value depends on the batch's order; the paper's loss, with classes as instances, is normalized_softmax",
    "SelfSupervisedLoss": "a wrapper that replaces class labels by pairs of views of one image",
    "VICRegLoss": "takes two views of every image and refuses class labels",
}

OF_THE_PAPERS: Mapping[str, str] = {
    "HORDE": "regularises high-order moments of the trunk's feature maps, which a loss here never sees; it would be a "
    "part of the model",
    "distance-weighted sampling": "draws negatives by their distance from the anchor; PML's miner of that name draws "
    "from the global generator, and no two times the same pairs",
    "magnet loss": "draws batches from an index of clusters that is made anew from all images; batches here are "
    "functions of labels and seed",
    "structured clustering": "solves a facility-location problem in every step",
}
"""What the papers behind this project compare with and what is not here, each with its reason."""
