"""`quick`: the Reality Check's shape at a budget of minutes, for the embedded default and for tests.

The rules are the same: four class-disjoint folds, one search budget for every loss, selection on validation classes
only, fresh repeats, separated and concatenated scores. What differs is size: a small trunk trained from scratch on
small grey images, with a learning rate that suits it, few trials, few repeats. Its numbers rank nothing but itself.
"""

from dataclasses import replace

from mlrc.protocols.protocol import PerDataset
from mlrc.protocols.reality_check import REALITY_CHECK

QUICK = replace(
    REALITY_CHECK,
    name="quick",
    trunk="small_conv",
    weights="",
    frozen_batch_norm=False,  # from scratch there are no statistics to keep
    channels="grey",
    maximum=1.0,
    mean=(0.5,),
    std=(0.5,),
    resize=32,
    crop=28,
    crop_scale=(0.5, 1.0),
    flip=0.0,  # a mirrored letter is another letter
    lr=1e-4,  # from scratch; at 1e-3 the first steps undo what random features already separate
    iterations_per_epoch=25,
    max_epochs=16,
    validation_interval=PerDataset(4),
    patience=PerDataset(8),
    trials=4,
    startup_trials=2,
    repeats=3,
)
