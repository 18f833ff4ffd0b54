"""What all live tests share: this process inherits and reaps orphans, and no test leaves a process behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .harness import processes, warm
from .harness.modes import MODES


def pytest_configure(config: pytest.Config) -> None:
    for mode, story in MODES.items():
        summary = (story.__doc__ or "").splitlines()[0]
        config.addinivalue_line("markers", f"{mode}: specimens: {summary}")


@pytest.fixture(scope="package", autouse=True)
def subreaper() -> Iterator[None]:
    """Orphans of the targets come to us, see :mod:`.harness.processes`; the zygote is there before any census."""
    processes.become_subreaper()
    warm.ready()
    yield
    warm.stop()


@pytest.fixture(autouse=True)
def census(subreaper: None) -> Iterator[None]:
    """Fails a test that leaves a process behind, and ends what it left."""
    before = processes.descendants()
    yield
    left = processes.descendants() - before - warm.zygotes()
    if left:
        names = processes.describe(left)
        processes.end(left)
        pytest.fail(f"left behind: {names}")
