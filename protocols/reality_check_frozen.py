"""`reality_check_frozen`: the Reality Check's whole budget, for heads on the features of a trunk that does not learn.

Every rule is the study's but for what a head on given features asks for; docs/protocol.md has the reason of each
number and what was measured. The trunk is the reader's to name (`--trunk`, `--weights`); without one the protocol takes
vectors, whatever made them.
"""

from dataclasses import replace

from mlrc.protocols.protocol import NO_TRUNK, PerDataset
from mlrc.protocols.reality_check import REALITY_CHECK

REALITY_CHECK_FROZEN = replace(
    REALITY_CHECK,
    name="reality_check_frozen",
    trains="head",
    head="linear",
    views=0,  # as of vectors, which have none; one more view gained nothing in the measurement
    trunk=NO_TRUNK,
    weights="",
    # What most published networks expect; `--trunk` brings its own.
    channels="RGB",
    maximum=1.0,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    resize=256,
    crop=224,
    # The study's RMSprop; its 1e-6 is for a trunk that learns, and still rises at the last iteration.
    lr=1e-5,
    # Validation peaks between iterations 300 and 1,000: so many at most, and 500 without a better one end a training.
    iterations_per_epoch=50,
    max_epochs=20,
    validation_interval=PerDataset(2),
    patience=PerDataset(9),
)
