"""`traditional_proxy_nca_pp`: how ProxyNCA++ is trained and tested (arXiv 2004.01113, section 4), in two stages.

Numbers are of the paper's Table 1 and its authors' code (euwern/proxynca_pp), which agree. What differs from that code:

- stage 1 chooses by P@1, its harmonic mean with an NMI that it holds at 1 in this stage: the same choice;
- stage 2 falls after the epochs that stage 1 fell after; there it falls one epoch later;
- class-balanced batches take every class once per pass; there they draw 8 (64) classes anew each time;
- training crops are cut from images that were resized first, since those are decoded once;
- embeddings are compared by cosine; there, at test, by Euclidean distance without normalisation, which is
  `--set similarity=euclidean`;
- In-Shop has its two stages, too, as the paper says; the code's example trains it in one.
"""

from mlrc.protocols.protocol import PerDataset, Protocol

_ONLINE_SHOPS = ("inshop", "sop")
_WARM_UP = 5

TRADITIONAL_PROXY_NCA_PP = Protocol(
    name="traditional_proxy_nca_pp",
    version=2,  # 2: parameters of this family; the fast proxies' rate is ProxyNCA++'s alone
    family="traditional_proxy_nca_pp",
    # ResNet-50 with torchvision's first ImageNet weights, global max pooling, LayerNorm without affine, one Linear.
    trunk="resnet50",
    weights="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    frozen_batch_norm=False,
    channels="RGB",
    maximum=1.0,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    pooling="max",
    layer_norm=True,
    embedding_size=2048,
    # RandomResizedCrop 256, flip; at test Resize 288, CenterCrop 256.
    resize=288,
    crop=256,
    crop_scale=(0.08, 1.0),
    crop_ratio=(3 / 4, 4 / 3),
    flip=0.5,
    # 8 classes × 4 images, on the shops' sets 64 × 3, for every loss.
    batch_size=PerDataset(32, tuple((name, 192) for name in _ONLINE_SHOPS)),
    sampling="class_balanced",
    images_per_class_pairs=PerDataset(4, tuple((name, 3) for name in _ONLINE_SHOPS)),
    images_per_class_classes=PerDataset(4, tuple((name, 3) for name in _ONLINE_SHOPS)),
    optimizer="adam",
    optimizer_eps=1.0,
    lr=PerDataset(4e-3, tuple((name, 2.4e-2) for name in _ONLINE_SHOPS)),
    momentum=0.9,
    weight_decay=0.0,
    loss_optimizer="adam",
    # The trunk's, which is the paper's without "fast proxies"; those are ProxyNCA++'s own, 400, 240 and 2,400.
    loss_lr=PerDataset(4e-3, tuple((name, 2.4e-2) for name in _ONLINE_SHOPS)),
    loss_momentum=0.9,
    loss_weight_decay=0.0,
    clip_gradients=10.0,
    precision="float32",
    iterations_per_epoch=0,  # an epoch is a pass
    # The warm-up comes before the paper's 40 and 80 epochs, with an optimizer of its own.
    warm_up=_WARM_UP,
    max_epochs=PerDataset(40 + _WARM_UP, tuple((name, 80 + _WARM_UP) for name in _ONLINE_SHOPS)),
    two_stages=True,
    plateau_patience=4,
    lr_decay=PerDataset(0.1),
    validation_interval=PerDataset(1),
    patience=PerDataset(100),  # more than the longest training has epochs: none stops
    cut=PerDataset("half", tuple((name, "official") for name in ("glyphs", "inshop", "omniglot", "sop"))),
    folds=1,
    validation_fraction=0.5,  # stage 1 trains on the first half of the training classes, validates on the second
    epoch_choice="last",
    trials=0,
    startup_trials=0,
    sampler="gp",  # without meaning
    selection_metric="P@1",
    repeats=5,
    ndcg_at=(1, 2, 4, 8),  # not of the paper
    recall_at=PerDataset((1, 2, 4, 8), (("inshop", (1, 10, 20, 30, 40, 50)), ("sop", (1, 10, 100, 1000)))),
    nmi=PerDataset(False, (("cars196", True), ("cub200", True))),  # Tables 3, 4 and 7
)
