"""`traditional_mpa`: how Multi Proxy Anchor is trained and tested (arXiv 2110.03997), fixed halves, no search.

What the paper leaves open is taken from the code of Proxy-Anchor (Kim et al., CVPR 2020), which it builds on, and
marked so. What differs: training crops are cut from images that were resized first, since those are decoded once; and
the model of the last epoch counts, where papers of this kind report their best test epoch (`epoch_choice`).
"""

from mlrc.protocols.protocol import PerDataset, Protocol

TRADITIONAL_MPA = Protocol(
    name="traditional_mpa",
    version=2,  # 2: parameters of this family
    family="traditional_mpa",
    # BN-Inception in Caffe's convention, the trunk of Proxy-Anchor; its statistics are frozen there.
    trunk="bn_inception",
    weights="52deb473314542a5c2f87e9e6f26f4ca42fe863d15f986414dbae8c2dfdd2353",
    frozen_batch_norm=True,  # Proxy-Anchor's code
    channels="BGR",
    maximum=255.0,
    mean=(104.0, 117.0, 128.0),
    std=(1.0, 1.0, 1.0),
    pooling="gem:3",
    embedding_size=512,
    # RandomResizedCrop 224 with torchvision's defaults, flip; at test Resize 256, CenterCrop 224.
    resize=256,
    crop=224,
    crop_scale=(0.08, 1.0),
    crop_ratio=(3 / 4, 4 / 3),
    flip=0.5,
    batch_size=PerDataset(180, (("cars196", 64),)),
    sampling="random",
    images_per_class_pairs=1,  # without meaning in random batches
    images_per_class_classes=1,
    optimizer="adamw",
    lr=PerDataset(1e-4, (("sop", 5e-4),)),
    momentum=0.9,
    weight_decay=1e-4,  # Proxy-Anchor's code
    loss_optimizer="adamw",
    loss_lr=PerDataset(1e-2, (("sop", 5e-2),)),  # of the centres: 100 times the trunk's
    loss_momentum=0.9,
    loss_weight_decay=1e-4,
    lr_step=PerDataset(20),
    lr_decay=PerDataset(0.5),
    precision="float32",
    iterations_per_epoch=0,  # an epoch is a pass
    max_epochs=PerDataset(60, (("sop", 100),)),
    validation_interval=PerDataset(1),
    patience=PerDataset(100),  # as many as the longest training has epochs: none stops
    cut=PerDataset("half", tuple((name, "official") for name in ("glyphs", "inshop", "omniglot", "sop"))),
    folds=1,
    validation_fraction=0.0,
    epoch_choice="last",
    trials=0,
    startup_trials=0,
    sampler="gp",  # without meaning, as is the selection metric unless the epoch is chosen on the test set
    selection_metric="P@1",
    repeats=3,
    # Tables 2 to 6.
    ndcg_at=PerDataset((2, 4, 8), (("sop", (10, 100)),)),
    recall_at=PerDataset((1, 2, 4, 8), (("inshop", (1, 10, 20, 30, 40, 50)), ("sop", (1, 10, 100, 1000)))),
)
