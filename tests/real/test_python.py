"""CPython: threads, and a multiprocessing pool."""

from __future__ import annotations

import sys
from collections.abc import Callable

from .midwork import PROGRAMS, Program, progress

Survives = Callable[[Program], None]


def test_threads(survives: Survives) -> None:
    """Threads, their locks, queues and thread-local data, the interpreter lock among them."""
    survives(Program("python threads", (sys.executable, str(PROGRAMS / "threads.py")), working=progress(20)))


def test_multiprocessing_pool(survives: Survives) -> None:
    """Workers, the pipes to them, and semaphores in shared memory whose names are gone."""
    survives(Program("python pool", (sys.executable, str(PROGRAMS / "pool.py")), working=progress(20)))
