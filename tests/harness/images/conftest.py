"""Where the real images lie, and how a test makes a few of its own."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeImage = Callable[..., None]


@pytest.fixture
def shared_data() -> Path:
    """Give the folder of real images and weights, for the tests that are marked shared_data."""
    default = Path(__file__).parents[3].parent / "shared" / "data"
    return Path(os.environ.get("MLRC_SHARED_DATA", default))


@pytest.fixture
def make_image() -> MakeImage:
    """Give a function that writes a smooth random picture: `make_image(path, width, height, mode)`."""

    def make(path: Path, width: int = 12, height: int = 9, mode: str = "RGB") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(list(path.name.encode()))
        small = Image.fromarray(generator.integers(0, 256, (5, 4, 3), dtype=np.uint8))
        small.resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(path)

    return make
