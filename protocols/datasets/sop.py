"""Facts of Stanford Online Products; the Reality Check cuts it one class before the official split."""

from mlrc.protocols.datasets.facts import DatasetFacts

FACTS = DatasetFacts(
    name="sop",
    title="Stanford Online Products",
    source="Song et al., CVPR 2016 (arXiv 1511.06452), https://cvgl.stanford.edu/projects/lifted_struct",
    licence="MIT for the lists; the photos belong to their sellers.",
    classes=22_634,
    images=120_053,
    official_trainval_classes=11_318,
    official_split="Ebay_train / Ebay_test",
    pretraining="ImageNet has classes of most of the 12 kinds of products, such as toaster, table lamp and coffeepot: "
    "the kinds may have been seen, the single products that are the classes here hardly.",
    archives={"Stanford_Online_Products.zip": "7f73d41a2f44250d4779881525aea32e"},
)
