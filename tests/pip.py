"""Packages of somebody else's, installed beside this environment."""

import subprocess
import sys
from pathlib import Path

OPTIONS = ("--quiet", "--no-build-isolation", "--no-deps", "--no-index")


def install(package: Path, target: Path) -> None:
    """Install a package from its folder into a folder of its own, without network: what it needs is there already."""
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *OPTIONS, "--target", str(target), str(package)], check=True
    )
