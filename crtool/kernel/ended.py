"""A process that has ended, for what still refers to one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crtool.kernel.wait import WALL

__all__ = ["gated_child", "of_ended"]


def of_ended(take: Callable[[int], int]) -> int:
    """What *take* makes of the PID of a child of ours, which has ended and been waited for when this returns."""
    with gated_child() as pid:
        return take(pid)


@contextmanager
def gated_child() -> Iterator[int]:
    """A child of ours that does nothing, and ends with the block, or with us: a pipe tells it."""
    gate, keeper = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(keeper)
        os.read(gate, 1)
        os._exit(0)
    os.close(gate)
    try:
        yield pid
    finally:
        os.close(keeper)
        os.waitpid(pid, WALL)
