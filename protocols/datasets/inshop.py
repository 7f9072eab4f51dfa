"""Facts of In-Shop Clothes Retrieval, where test queries search a gallery of other photos of the same items."""

from mlrc.protocols.datasets.facts import DatasetFacts

FACTS = DatasetFacts(
    name="inshop",
    title="In-Shop Clothes Retrieval",
    source="Liu et al., CVPR 2016, https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html; "
    "the photos of img.zip as published, not cut to their bounding boxes",
    licence="Non-commercial research.",
    classes=7_982,
    images=52_712,
    official_trainval_classes=3_997,
    pretraining="ImageNet has kinds of clothes, such as jersey, cardigan and miniskirt: the kinds may have been seen, "
    "the single items that are the classes here hardly.",
    official_split="train / query and gallery",
)
