"""`reality_check_small`: the Reality Check's rules at a budget of processor hours, for photographs and handwriting.

The rules are the study's: four class-disjoint folds, one search budget for every loss, selection on validation classes
only, fresh repeats, separated and concatenated scores. What is cut, and why:

- 112 of 128 pixels instead of 227 of 256, the same share, and SqueezeNet 1.1, a tenth of BN-Inception's arithmetic;
- 10 epochs of 20 iterations, so higher learning rates: 1e-6 needs thousands of iterations to move a trunk;
- 5 trials instead of 50, 3 repeats instead of 10: a rank needs repeats, a search a few trials beyond the random ones.
"""

from dataclasses import replace

from protocols.protocol import PerDataset
from protocols.reality_check import REALITY_CHECK

REALITY_CHECK_SMALL = replace(
    REALITY_CHECK,
    name="reality_check_small",
    trunk="squeezenet1_1",
    weights="d54f741d3dead01db17c517e5ef23961f0e5715b91a146af273753c24bb52d5e",
    channels="BGR",
    maximum=255.0,
    mean=(104.0, 117.0, 123.0),
    std=(1.0, 1.0, 1.0),
    channels_last=True,
    resize=128,
    crop=112,
    lr=1e-5,
    iterations_per_epoch=20,
    max_epochs=10,
    validation_interval=PerDataset(2),
    patience=PerDataset(6),
    trials=5,
    startup_trials=2,
    repeats=3,
)
