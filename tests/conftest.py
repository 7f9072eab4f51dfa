"""No test knows the losses and protocols that another one let in by a file."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_files_of_other_tests() -> Iterator[None]:
    yield
    if plugins := sys.modules.get("mlrc.harness.plugins"):  # a test of results alone imports no torch for this
        plugins.LOSSES.files.clear()
        plugins.PROTOCOLS.files.clear()
