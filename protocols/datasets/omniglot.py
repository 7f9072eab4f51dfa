"""Facts of Omniglot: handwritten characters of 50 alphabets, small enough for a laptop and far from ImageNet."""

from mlrc.protocols.datasets.facts import DatasetFacts

FILES = {
    "images_background.npz": 964,
    "images_evaluation.npz": 659,
}
"""File to its number of characters; the first file's characters are trainval, the second's test."""
DRAWINGS = 20
"""Drawings of each character, each by another person."""
SIDE = 105
"""Height and width of a drawing, in pixels."""

FACTS = DatasetFacts(
    name="omniglot",
    title="Omniglot",
    source="Lake, Salakhutdinov, Tenenbaum, Science 350 (2015), https://github.com/brendenlake/omniglot",
    licence="MIT.",
    classes=sum(FILES.values()),
    images=sum(FILES.values()) * DRAWINGS,
    official_trainval_classes=FILES["images_background.npz"],
    official_split="background / evaluation",
)
