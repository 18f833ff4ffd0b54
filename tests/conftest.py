"""What all tests share.

With CI=true a skipped test is a failed one, unless it is marked ``may_skip``. The tests of the folders in QUICK are
marked ``quick``.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import census

QUICK = ("unit", "contract")
STRICT = os.environ.get("CI", "").lower() in ("1", "true")


# How long an example takes says little on a machine that does other things as well.
hypothesis.settings.register_profile("crtool", deadline=None)
hypothesis.settings.load_profile("crtool")


def pytest_configure() -> None:
    """Shells without job control start what goes into the background with SIGINT ignored; our targets need it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_stays(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fails a test that leaves a process, a mount, or a temporary file of crtool's, and ends what it left.

    The quick ones must not leave a descriptor open either.
    """
    part = request.path.relative_to(Path(__file__).parent).parts[0]
    folder = os.fsencode(tmp_path_factory.getbasetemp())
    own = getattr(request.node, "funcargs", {})
    before = census.take(folder)
    yield
    left = census.settled(before, folder, descriptors=part in QUICK)
    if (path := own.get("tmp_path")) is not None:
        left += census.left_in(path)
    if left:
        census.end(census.take(folder).processes - before.processes)
        pytest.fail(f"left behind: {'; '.join(left)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).parts[0] in QUICK:
            item.add_marker(pytest.mark.quick)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if STRICT and report.skipped and not hasattr(report, "wasxfail") and not item.get_closest_marker("may_skip"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI=true does not allow: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if STRICT and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI=true does not allow: {_reason(report.longrepr)}"
    return report


def _reason(about: object) -> object:
    """The words of whoever skipped, without the place."""
    return about[2] if isinstance(about, tuple) else about


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Figures that tests have recorded, and the fault matrices of tests/failures, each put together from the parts that
    may have run in several workers.
    """
    passed = terminalreporter.stats.get("passed", [])
    properties = [one for report in passed for one in getattr(report, "user_properties", ())]
    for name, text in properties:
        if name == "figures":
            terminalreporter.write_line(f"\n{text}")
    if any(name == "fault matrix" for name, _ in properties):
        from tests.failures.matrix import tables

        for table in tables(properties):
            terminalreporter.write_line(f"\n{table}")
