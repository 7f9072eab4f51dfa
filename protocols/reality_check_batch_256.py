"""`reality_check_batch_256`: the Reality Check's further study of batches of 256, which it made on CUB-200-2011.

Everything else is `reality_check`, as its page says (`--trainer~APPLY~2: {batch_size: 256}`). What was found in it is a
family of its own: a margin or a temperature is tuned for a batch. How the study drew 256 images of 75 classes with one
of each is not recorded; here passes over the classes are strung together, as everywhere.
"""

from dataclasses import replace

from mlrc.protocols.reality_check import REALITY_CHECK

REALITY_CHECK_BATCH_256 = replace(
    REALITY_CHECK,
    name="reality_check_batch_256",
    family="reality_check_batch_256",
    batch_size=256,
)
