"""Where the real weights lie, for the tests that are marked shared_data."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def shared_data() -> Path:
    default = Path(__file__).parents[3].parent / "shared" / "data"
    return Path(os.environ.get("MLRC_SHARED_DATA", default))
