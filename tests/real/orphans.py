"""What is left below the process of the tests: it inherits all orphans, and collects them.

``crtool checkpoint --kill`` ends a tree whose members are not all children of ours; a zombie keeps its number, and
whoever comes back needs it.
"""

from __future__ import annotations

import os
import time

import psutil

from tests.live.harness.processes import become_subreaper

__all__ = ["become_subreaper", "collect"]


def collect(seconds: float, *, kill: bool = False) -> None:
    """Waits until no process is left below this one; kills them if *kill*. TimeoutError after *seconds*."""
    limit = time.monotonic() + seconds
    while below := psutil.Process().children(recursive=True):
        if time.monotonic() > limit:
            raise TimeoutError(f"still there after {seconds:.0f} s: {below}")
        for process in below:
            if kill:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    pass
            try:
                os.waitpid(process.pid, os.WNOHANG)
            except ChildProcessError:
                pass  # somebody else's child until that one is gone, too
        time.sleep(0.005)
