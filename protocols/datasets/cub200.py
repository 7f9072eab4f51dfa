"""Facts of CUB-200-2011: birds, the smallest of the Reality Check's three datasets."""

from mlrc.protocols.datasets.facts import DatasetFacts

FACTS = DatasetFacts(
    name="cub200",
    title="CUB-200-2011",
    source="Wah et al., Caltech technical report CNS-TR-2011-001 (2011), https://data.caltech.edu/records/65de6-vp158",
    licence="Non-commercial research and education; the photos belong to their photographers.",
    classes=200,
    images=11_788,
    pretraining="ImageNet has kinds of birds among its classes, and the authors of CUB-200-2011 warn that images of "
    "theirs are among ImageNet's: any of the 200 classes may have been seen, and some test images themselves.",
    archives={"CUB_200_2011.tgz": "97eceeb196236b17998738112f37df78"},
    addresses={"CUB_200_2011.tgz": "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"},
)
