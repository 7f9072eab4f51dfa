"""Fresh environments that have what this one has, but for ourselves; no network, no copies.

A virtual environment whose packages are links to those of the environment that runs the tests. Neither our files nor
our metadata, nor any `.pth` file, is among them: `mlrc` is what a test installs, or nothing.
"""

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
OFFLINE = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """One environment; `site` is its `site-packages`."""

    folder: Path
    site: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, *words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment in a folder, with few variables around it."""
        path = os.pathsep.join((str(self.folder / "bin"), os.defpath))
        return subprocess.run(
            [str(word) for word in words],
            cwd=cwd,
            env={"PATH": path, "HOME": str(self.folder), "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def must(self, *words: str | Path, cwd: Path, **environment: str) -> str:
        """Run a command that has to end well, and give what it printed."""
        done = self.run(*words, cwd=cwd, **environment)
        assert done.returncode == 0, (words, done.returncode, done.stdout[-2000:], done.stderr[-4000:])
        return done.stdout

    def pip(self, *words: str | Path) -> None:
        self.must(self.python, "-m", "pip", *words, cwd=self.folder)

    def where(self, cwd: Path, **environment: str) -> Path:
        """Give the file that `import mlrc` finds from a folder."""
        program = "import mlrc, mlrc.harness.plugins; print(mlrc.__file__)"
        return Path(self.must(self.python, "-c", program, cwd=cwd, **environment).strip())


def fresh(folder: Path) -> Fresh:
    """Make an environment without us."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "lib" / version / "site-packages"
    for here in {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}:
        for entry in here.iterdir():
            ours = entry.name.startswith(("mlrc", "_mlrc", "__editable__"))
            if not ours and entry.suffix != ".pth" and entry.name != "__pycache__":
                (site / entry.name).symlink_to(entry)
    return Fresh(folder=folder, site=site)


def build(source: Path, target: Path, kind: str) -> Path:
    """Build an `sdist` or a `wheel` by hatchling, without network; gives the file."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (built,) = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built
