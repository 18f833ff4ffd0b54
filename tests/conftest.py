"""What all tests share.

With CI=true a skipped test is a failed one. What no package could supply is asked of the machine before
(:mod:`tests.machine`): tests that need what it lacks are not collected, and the summary names them. The tests of the
folders in QUICK are marked ``quick``.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests import census, machine, surroundings

QUICK = ("unit", "contract")
STRICT = os.environ.get("CI", "").lower() in ("1", "true")


IMPOSSIBLE = pytest.StashKey[dict[str, str]]()
"""Tests that are not collected here, and what the machine lacks for them."""

# How long an example takes says little on a machine that does other things as well.
hypothesis.settings.register_profile("crtool", deadline=None)
hypothesis.settings.load_profile("crtool")


def pytest_configure(config: pytest.Config) -> None:
    """Shells without job control start what goes into the background with SIGINT ignored; our targets need it."""
    config.stash[IMPOSSIBLE] = {}
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What this process makes is told from what other workers make; ``tmp_path`` stays where it is."""
    tmp_path_factory.getbasetemp()
    with surroundings.enclosed():
        yield


@pytest.fixture(autouse=True)
def nothing_stays(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, own_surroundings: None
) -> Iterator[None]:
    """Fails a test that leaves a process, a mount, a file or an object of IPC, or another setting of the kernel's; ends
    whom it left.

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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    impossible = {item: lacking for item in items if (lacking := lacking_for(item))}
    config.stash[IMPOSSIBLE].update({name_of(item): lacking for item, lacking in impossible.items()})
    config.hook.pytest_deselected(items=list(impossible))
    items[:] = [item for item in items if item not in impossible]
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).parts[0] in QUICK:
            item.add_marker(pytest.mark.quick)


def lacking_for(item: pytest.Item) -> str:
    """What the machine lacks of what the test's markers ``machine`` name."""
    needs = {need: None for mark in item.iter_markers("machine") for need in mark.args}
    if unknown := needs.keys() - machine.NEEDS.keys():
        raise pytest.UsageError(f"{item.nodeid}: tests/machine.py does not say how to find out: {', '.join(unknown)}")
    return ", ".join(lacking for need in needs if (lacking := machine.missing(need)) is not None)


def name_of(item: pytest.Item) -> str:
    """A specimen's, whatever is done to it, or the test's own."""
    (*_, name) = [mark.kwargs["name"] for mark in item.iter_markers("machine") if mark.kwargs] or [item.nodeid]
    return name


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells who started it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["impossible"] = session.config.stash[IMPOSSIBLE]


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[IMPOSSIBLE].update(getattr(node, "workeroutput", {}).get("impossible", {}))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
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
    may have run in several workers; and the tests that this machine has no place for.
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
    for name, lacking in sorted(terminalreporter.config.stash[IMPOSSIBLE].items()):
        terminalreporter.write_line(f"not run here: {name}: {lacking}")
