"""Nothing that a document starts outlives its test: what is left below the process of the tests is ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.orphans import become_subreaper, collect


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Inherits the orphans (terminal.py collects them), and ends them."""
    become_subreaper()
    yield
    collect(30, kill=True)
