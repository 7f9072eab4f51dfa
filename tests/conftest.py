"""What holds for every test: which examples Hypothesis tries, that a failure names the package it comes from, and that
no test knows the plug-in files of another.
"""

import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from tests import versions
from tests.examples import register

register()


def pytest_configure(config: pytest.Config) -> None:
    """Let Hypothesis keep its tables of characters where they go with the run."""
    folder = tempfile.mkdtemp(prefix="hypothesis")
    set_hypothesis_home_dir(folder)
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_report_header() -> list[str]:
    """Say which versions this run is of."""
    return versions.header()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Name the package inside of which a failure was raised."""
    report = yield
    if call.excinfo is not None and (package := versions.blamed(str(entry.path) for entry in call.excinfo.traceback)):
        report.sections.append(("raised inside of", package))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Name the package that cannot be imported, or warns while it is."""
    report = yield
    excinfo = getattr(report, "call", None) and report.call.excinfo
    if excinfo and (package := versions.blamed(str(entry.path) for entry in excinfo.traceback)):
        report.sections.append(("raised inside of", package))
    return report


@pytest.fixture(autouse=True)
def nothing_of_other_tests() -> Iterator[None]:
    """Forget the losses and protocols that a test let in by a file, and the number of threads that a job took."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    yield
    if torch:
        torch.set_num_threads(threads)
    if plugins := sys.modules.get("mlrc.harness.plugins"):  # a test of results alone imports no torch for this
        plugins.LOSSES.files.clear()
        plugins.PROTOCOLS.files.clear()
