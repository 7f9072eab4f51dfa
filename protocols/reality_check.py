"""`reality_check`: A Metric Learning Reality Check (Musgrave, Belongie, Lim; ECCV 2020, arXiv 2003.08505).

The numbers are those of the authors' harness (powerful-benchmarker, branch metric-learning, v0.9.33) as it produced the
published reports. What has no counterpart here is named beside the number that stands for it.
"""

from mlrc.protocols.protocol import PerDataset, Protocol

REALITY_CHECK = Protocol(
    name="reality_check",
    version=1,
    # Section 4.1 "Training": BN-Inception with the Cadene ImageNet weights, trained with frozen batch-norm statistics.
    trunk="bn_inception",
    weights="52deb473314542a5c2f87e9e6f26f4ca42fe863d15f986414dbae8c2dfdd2353",
    frozen_batch_norm=True,
    pooling="avg",
    embedding_size=128,  # one Linear(1024, 128), no ReLU
    # Caffe's convention, in which those weights were trained.
    channels="BGR",
    maximum=255.0,
    mean=(104.0, 117.0, 128.0),
    std=(1.0, 1.0, 1.0),
    # Resize 256, RandomResizedCrop 227, flip; at test Resize 256, CenterCrop 227.
    resize=256,
    crop=227,
    crop_scale=(0.16, 1.0),
    crop_ratio=(0.75, 1.33),
    flip=0.5,
    batch_size=32,
    images_per_class_pairs=4,  # 8 classes × 4 images
    images_per_class_classes=1,  # 32 classes × 1 image
    optimizer="rmsprop",
    lr=1e-6,
    momentum=0.9,
    weight_decay=1e-4,
    loss_optimizer="rmsprop",
    loss_momentum=0.9,
    loss_weight_decay=1e-4,  # 0 for Margin and Margin/class: their specs say so
    precision="float32",
    iterations_per_epoch=100,
    max_epochs=1000,
    validation_interval=PerDataset(2, (("cub200", 2), ("cars196", 5), ("sop", 20))),
    patience=PerDataset(9, (("cub200", 9), ("cars196", 14), ("sop", 39))),
    # Half of the classes; the sets that the study did not use keep the split their authors made.
    cut=PerDataset("half", (("glyphs", "official"), ("inshop", "official"), ("omniglot", "official"))),
    folds=4,
    # The study floors 0.125 of all classes; with half of them in trainval, int(n / 8) = int(int(n / 2) / 4) for all n.
    validation_fraction=0.25,
    trials=50,
    startup_trials=5,  # Sobol points
    sampler="gp",  # Gaussian process with expected improvement; the study used Ax, here it is Optuna's
    selection_metric="MAP@R",
    repeats=10,
    # Not of the study: nDCG@k entered with Multi Proxy Anchor (arXiv 2110.03997), R@k is the field's habit.
    ndcg_at=(1, 2, 4, 8),
    recall_at=PerDataset((1, 2, 4, 8), (("inshop", (1, 10, 20, 30, 40, 50)), ("sop", (1, 10, 100, 1000)))),
)
