"""The wheel of this checkout, built once per process, and an environment with it."""

from pathlib import Path

import pytest

from tests.installation.environment import OFFLINE, ROOT, Fresh, build, fresh


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    environment = fresh(tmp_path_factory.mktemp("environment") / "env")
    environment.pip("install", *OFFLINE, wheel)
    return environment
