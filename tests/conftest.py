"""What all tests share.

With CI=true a skipped test is a failed one, unless it is marked ``may_skip``. The tests of the folders in QUICK are
marked ``quick``.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

QUICK = ("unit", "contract")
STRICT = os.environ.get("CI", "").lower() in ("1", "true")


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
