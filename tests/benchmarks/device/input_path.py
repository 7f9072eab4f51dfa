"""Images per second of the way to the device: kept there, or sent ahead by threads, as `train_fold` asks for them."""

import time
from collections.abc import Iterator
from functools import partial

import numpy as np

from mlrc.harness.images.dataset import Pixels
from mlrc.harness.images.device import ResidentPixels, ahead
from mlrc.harness.images.transform import evaluation_batch, training_batch
from mlrc.harness.training.fold import EVALUATION_BATCH
from tests.benchmarks.device.setting import Measurement, Row, Setting, bn_inception, photographs

MOST_SECONDS = 1.0


def measurements(setting: Setting) -> Iterator[Measurement]:
    """Give one per place of the images, number of threads and batch size; evaluation has no threads today."""
    places = ("on the device", "sent")
    for place in places:
        for batch in (8,) if setting.small else (32, 180):
            for threads in (0, 1, 2, 4):
                yield (
                    f"training, batch {batch}, {place}, {threads} threads",
                    partial(timed, setting, place, batch, threads),
                )
        yield f"evaluation, {place}", partial(timed, setting, place, 8 if setting.small else EVALUATION_BATCH, None)


def timed(setting: Setting, place: str, batch: int, threads: int | None) -> Row:
    """Ask for batches one after the other for some seconds; no threads at all are those of the evaluation."""
    protocol = bn_inception(setting)
    pixels: Pixels = photographs(setting, protocol)
    if place == "on the device":
        pixels = ResidentPixels(photographs(setting, protocol), setting.device)
    rows = np.random.default_rng(0)

    def one(number: int) -> object:
        chosen = rows.choice(len(pixels), batch)
        if threads is None:
            return evaluation_batch(pixels, chosen, protocol, device=setting.device)
        return training_batch(pixels, chosen, protocol, seed=0, iteration=number, device=setting.device)

    most, count = 0.05 if setting.small else MOST_SECONDS, 3 if setting.small else 400
    stream = ahead((partial(one, number) for number in range(count + 3)), threads=threads or 0)
    for _ in range(3):
        next(stream)
    setting.finish()
    begun, done = time.perf_counter(), 0
    for _ in stream:
        done += 1
        if time.perf_counter() - begun > most:
            break
    setting.finish()
    return {"images/s": round(done * batch / (time.perf_counter() - begun))}
