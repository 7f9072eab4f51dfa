"""Facts of Cars196: car models, of which the Reality Check ignores the official train/test flag (it shares classes)."""

from mlrc.protocols.datasets.facts import DatasetFacts

FACTS = DatasetFacts(
    name="cars196",
    title="Cars196",
    source="Krause et al., 3dRR-13 (2013), https://ai.stanford.edu/~jkrause/cars/car_dataset.html; "
    "its files are no longer served there, mirrors exist",
    licence="Non-commercial research.",
    classes=196,
    images=16_185,
    pretraining="ImageNet has kinds of cars, such as convertible, minivan and sports car: photos of any of the 196 "
    "models may have been seen, though never under the name of the model.",
    archives={
        "car_ims.tgz": "d5c8f0aa497503f355e17dc7886c3f14",
        "cars_annos.mat": "b407c6086d669747186bd1d764ff9dbc",
    },
)
