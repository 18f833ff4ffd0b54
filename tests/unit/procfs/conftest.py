"""Samples (real files, captured on Linux 6.18) and small processes to look at."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def sample() -> Callable[[str], bytes]:
    """Gives a captured file by its name."""
    return lambda name: (_SAMPLES / name).read_bytes()


@pytest.fixture
def sleeper() -> Iterator[int]:
    """The PID of a process that sleeps and has run for long enough to be in its sleep."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        while b"sleep" not in Path(f"/proc/{process.pid}/comm").read_bytes():
            time.sleep(0.001)
        yield process.pid
        process.kill()


@pytest.fixture
def zombie() -> Iterator[int]:
    """The PID of a child that has ended with status 3 and has not been waited for."""
    pid = os.fork()
    if not pid:
        os._exit(3)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    yield pid
    os.waitpid(pid, 0)


@pytest.fixture
def nobody() -> int:
    """A PID that has just ceased to exist."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid
