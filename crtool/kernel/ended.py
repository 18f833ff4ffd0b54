"""A process that has ended, for what still refers to one."""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["of_ended"]


def of_ended(take: Callable[[int], int]) -> int:
    """What *take* makes of the PID of a child of ours, which has ended and been waited for when this returns."""
    gate, keeper = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(keeper)
        os.read(gate, 1)
        os._exit(0)
    os.close(gate)
    try:
        return take(pid)
    finally:
        os.close(keeper)
        os.waitpid(pid, 0)
