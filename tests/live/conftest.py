"""What all live tests share: this process inherits and reaps orphans, and no test leaves a process behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .harness import processes
from .harness.modes import MODES


def pytest_configure(config: pytest.Config) -> None:
    for mode, story in MODES.items():
        summary = (story.__doc__ or "").splitlines()[0]
        config.addinivalue_line("markers", f"{mode}: specimens: {summary}")


@pytest.fixture(scope="session", autouse=True)
def subreaper() -> None:
    """Orphans of the targets come to us, see :mod:`.harness.processes`."""
    processes.become_subreaper()


@pytest.fixture(autouse=True)
def census(subreaper: None) -> Iterator[None]:
    """Fails a test that leaves a process behind, and ends what it left."""
    before = processes.descendants()
    yield
    left = processes.descendants() - before
    if left:
        names = processes.describe(left)
        processes.end(left)
        pytest.fail(f"left behind: {names}")
