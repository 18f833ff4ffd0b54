"""Targets for the tests of failures."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..live.harness import warm
from ..live.harness.processes import become_subreaper


@pytest.fixture(scope="package", autouse=True)
def no_zygote_stays() -> Iterator[None]:
    """Tests of other folders wait for all their children."""
    yield
    warm.stop()


@pytest.fixture(autouse=True)
def subreaper() -> None:
    """Whoever is orphaned comes to this process, and is waited for here."""
    become_subreaper()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A program that sleeps, with nothing open but /dev/null."""
    null = subprocess.DEVNULL
    process = subprocess.Popen(["sleep", "1000"], stdin=null, stdout=null, stderr=null, start_new_session=True)
    while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
        pass
    try:
        yield process
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
