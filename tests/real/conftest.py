"""One fixture: ``survives``, which runs a program once undisturbed and once disturbed, and compares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import midwork, orphans
from .midwork import MODES, Program, Run


@pytest.fixture(scope="session", autouse=True)
def subreaper() -> None:
    """Orphans of the programs come to us, see orphans.py."""
    orphans.become_subreaper()


@pytest.fixture(params=MODES)
def survives(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Program], None]]:
    """``survives(program)``: the program, interrupted in mid-work as the mode says, leaves the same bytes behind."""
    runs: list[Run] = []

    def check(program: Program) -> None:
        expected = midwork.reference(program, tmp_path / "whole")
        run = Run(program, tmp_path / "work", hold=True)
        runs.append(run)
        run.await_work()
        midwork.interrupt(run, request.param, tmp_path)
        results = run.finish()
        for name, content in expected.items():
            assert results[name] == content, f"{name} differs from that of the uninterrupted run\n{run.restart_log()}"

    yield check
    for run in runs:
        run.end()
