"""The Reality Check's rules at a budget of processor hours: `reality_check_small` and its sibling for handwriting.

The rules are the study's: four class-disjoint folds, one search budget for every loss, selection on validation classes
only, fresh repeats, separated and concatenated scores. What is cut, and why:

- photographs of 64 out of 72 pixels instead of 227 of 256, and SqueezeNet 1.1, a fifth of BN-Inception's weights;
- 4 epochs of 20 iterations, so a learning rate of 1e-5: at 1e-6 a trunk needs thousands of iterations to move;
- 3 trials instead of 50 (4 for handwriting) and 4 repeats instead of 10: enough for ranks with intervals, not for the
  best parameters.

Handwriting has the trunk from scratch and the images of `quick`, which suit it.
"""

from dataclasses import replace

from mlrc.protocols.protocol import PerDataset
from mlrc.protocols.quick import QUICK
from mlrc.protocols.reality_check import REALITY_CHECK

REALITY_CHECK_SMALL = replace(
    REALITY_CHECK,
    name="reality_check_small",
    trunk="squeezenet1_1",
    weights="d54f741d3dead01db17c517e5ef23961f0e5715b91a146af273753c24bb52d5e",  # input as Caffe's, hence:
    channels="BGR",
    maximum=255.0,
    mean=(104.0, 117.0, 123.0),
    std=(1.0, 1.0, 1.0),
    channels_last=True,
    resize=72,
    crop=64,
    lr=1e-5,
    iterations_per_epoch=20,
    max_epochs=4,
    validation_interval=PerDataset(2),
    patience=PerDataset(5),
    trials=3,
    startup_trials=2,
    repeats=4,
)

REALITY_CHECK_SMALL_HANDWRITING = replace(
    QUICK,
    name="reality_check_small_handwriting",
    trials=4,
    startup_trials=REALITY_CHECK_SMALL.startup_trials,
    repeats=REALITY_CHECK_SMALL.repeats,
)
