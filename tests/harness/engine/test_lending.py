"""One copy for all workers of a device: what is lent is the lender's memory, and a lender that fails costs a copy."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Listener
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mlrc.harness.engine import execute, inputs, lending
from mlrc.harness.engine.crew import Crew, Place
from mlrc.harness.engine.execute import cores_of, in_processes
from mlrc.harness.engine.inputs import Wanted, copy_of, inputs_of, with_copy
from mlrc.harness.engine.lending import borrowed, lenders, serve_copies
from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.features.rows import Features
from mlrc.harness.images import device as images_device
from mlrc.harness.images.dataset import ArrayPixels, ImageSet
from mlrc.harness.images.device import ResidentPixels, on_device
from mlrc.harness.machine.moves import made
from mlrc.harness.plan.job import FoldJob
from tests.harness.simulated_gpu import DEVICE, SimulatedGPU

CPU = torch.device("cpu")


def _numbers(wanted: object) -> Tensor | None:
    if wanted == "broken":
        raise ValueError("cannot be made")
    if wanted == "large":
        time.sleep(1)
    return None if wanted == "too large" else torch.arange(5)


def _lend_numbers(address: str) -> None:
    serve_copies(address, _numbers)


@pytest.fixture(scope="module")
def lender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A lender of tensors in this machine's shared memory, as CUDA's lie in a device's."""
    address = os.path.relpath(tmp_path_factory.mktemp("l") / "cpu")
    process = multiprocessing.get_context("spawn").Process(target=_lend_numbers, args=(address,), daemon=True)
    process.start()
    yield address
    process.kill()
    process.join()


def test_all_borrowers_have_the_same_memory_and_what_cannot_be_lent_is_nothing(lender: str) -> None:
    one, other = borrowed(lender, "numbers"), borrowed(lender, "numbers")
    assert one is not None
    assert other is not None
    one[2] = 70
    assert other.tolist() == [0, 1, 70, 3, 4]
    assert borrowed(lender, "too large") is None
    assert borrowed(lender, "broken") is None
    again = borrowed(lender, "numbers")
    assert again is not None
    assert again.tolist() == [0, 1, 70, 3, 4]


def test_whoever_waits_for_a_large_copy_tells_that_it_lives(lender: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert borrowed(lender, "numbers") is not None
    before = made()
    assert borrowed(lender, "large") is not None
    assert made() >= before + 3
    monkeypatch.setattr(lending, "SECONDS_TO_LEND", 0.0)
    before = made()
    assert borrowed(lender, "numbers") is not None
    assert made() == before


def test_a_lender_that_does_not_begin_or_dies_while_asked_lends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lending, "SECONDS_TO_BEGIN", 0.1)
    address = os.path.relpath(tmp_path / "nobody")
    assert borrowed(address, "numbers") is None
    listener = multiprocessing.get_context("spawn").Process(target=_hang_up, args=(address,), daemon=True)
    listener.start()
    monkeypatch.setattr(lending, "SECONDS_TO_BEGIN", 60.0)
    assert borrowed(address, "numbers") is None
    listener.kill()  # on a machine with much to do it may not have begun
    listener.join()


def _hang_up(address: str) -> None:
    with Listener(address, "AF_UNIX", authkey=multiprocessing.current_process().authkey) as listener:
        listener.accept().close()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedGPU]:
    gpu = SimulatedGPU()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (0, 2**20))
    with gpu.at_work():
        yield gpu


def test_a_worker_with_a_lender_copies_nothing_to_its_device(
    gpu: SimulatedGPU, workplace: Workplace, job: FoldJob, tiny_images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = ArrayPixels(np.stack([tiny_images.pixels[index] for index in range(len(tiny_images.pixels))]))
    images = replace(tiny_images, pixels=array)
    monkeypatch.setattr(inputs, "open_dataset", lambda name, root: images)
    asked: list[Wanted] = []

    def lend(address: str, wanted: object) -> Tensor | None:
        assert address == "there"
        assert isinstance(wanted, Wanted)
        asked.append(wanted)
        with gpu.uncounted():
            return copy_of(wanted, DEVICE)

    monkeypatch.setattr(inputs, "borrowed", lend)
    gpu.take()
    _, pixels = inputs_of(job, replace(workplace, lender="there", share=0.25), DEVICE)
    assert isinstance(pixels, ResidentPixels)
    assert gpu.take()["copies to the device"] == 0
    np.testing.assert_array_equal(pixels.flat.cpu().numpy().reshape(array.array.shape), array.array)
    assert asked == [Wanted(*workplace.roots["tiny"], images.fingerprint, None, job.protocol.resize, None, None)]
    assert copy_of(asked[0]._replace(fingerprint="another"), DEVICE) is None
    _, own = inputs_of(job, replace(workplace, share=0.5), DEVICE)
    assert isinstance(own, ResidentPixels)
    assert gpu.take()["copies to the device"] == 1


def test_features_are_lent_as_images_are(gpu: SimulatedGPU) -> None:
    here = Features(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    there = here.on(DEVICE)
    lent = with_copy(here, there.rows)
    assert isinstance(lent, Features)
    assert lent.central([2, 0], device=DEVICE).cpu().tolist() == here.central([2, 0]).tolist()
    assert with_copy(here, here.rows) is not here


def test_what_stays_on_a_device_follows_from_its_size_and_the_share_not_from_what_is_free(gpu: SimulatedGPU) -> None:
    quarter = ArrayPixels(np.zeros((4, 256, 256, 1), dtype=np.uint8))  # of the 1 MiB that the device has
    assert isinstance(on_device(quarter, DEVICE), ResidentPixels)
    assert on_device(quarter, DEVICE, share=0.5) is quarter
    rows = Features(np.zeros((1, 64, 1024), dtype=np.float32))
    assert rows.on(DEVICE) is not rows
    assert rows.on(DEVICE, share=0.5) is rows
    assert images_device.fits(2**17, DEVICE, 0.5)


def test_workers_that_share_a_gpu_have_a_lender_and_cores_of_their_own(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    places: list[Place] = []

    def made(given: list[Place], on_event: object) -> Crew:
        places[:] = given
        return Crew(given, lambda event: None)

    real = lenders

    def noted(devices: list[str]) -> object:
        asked.append(list(devices))
        return real([]) if not devices else _Fixed({device: f"at {device}" for device in devices})

    monkeypatch.setattr(execute, "lenders", noted)
    monkeypatch.setattr(execute, "Crew", made)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(9)), raising=False)
    list(in_processes(workplace, 3, lambda event: None, devices=("cuda:0", "cuda:1"))([]))
    assert asked == [["cuda:0"]]
    assert [(place.device, place.workplace.lender, place.workplace.share) for place in places] == [
        ("cuda:0", "at cuda:0", 0.5),
        ("cuda:1", "", 1.0),
        ("cuda:0", "at cuda:0", 0.5),
    ]
    assert [place.workplace.cores for place in places] == [(0, 1, 2), (3, 4, 5), (6, 7, 8)]
    assert cores_of(["cpu", "cpu"]) == cores_of(["cuda:0"] * 10)[:2] == [(), ()]
    assert cores_of(["cuda:0"]) == [()]


class _Fixed:
    """Lenders that are there."""

    def __init__(self, value: dict[str, str]) -> None:
        self._value = value

    def __enter__(self) -> dict[str, str]:
        return self._value

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.slow
def test_a_lenders_process_ends_with_the_run_and_lends_nothing_on_a_processor(tmp_path: Path) -> None:
    before = set(multiprocessing.active_children())
    with lenders(["cpu"]) as addresses:
        wanted = Wanted("glyphs", tmp_path, "0" * 16, None, 32, None, None)
        assert borrowed(addresses["cpu"], wanted) is None
        (lender,) = set(multiprocessing.active_children()) - before
    assert not lender.is_alive()
