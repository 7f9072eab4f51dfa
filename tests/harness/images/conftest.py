"""How a test makes a few images of its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeImage = Callable[..., None]


@pytest.fixture
def make_image() -> MakeImage:
    """Give a function that writes a smooth random picture: `make_image(path, width, height, mode)`."""

    def make(path: Path, width: int = 12, height: int = 9, mode: str = "RGB") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(list(path.name.encode()))
        small = Image.fromarray(generator.integers(0, 256, (5, 4, 3), dtype=np.uint8))
        small.resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(path)

    return make
