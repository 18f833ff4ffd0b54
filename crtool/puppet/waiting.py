"""Since when a thread waits in a call that ends by itself, for the call may have to be made again.

The kernel tells no one. But who waits does not run: it has waited since it ran last, if it has not run in between.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

from crtool.arch import cpu
from crtool.errors import TargetError
from crtool.kernel import run_clock
from crtool.kernel.run_clock import RunClock
from crtool.procfs import stat as stat_file
from crtool.procfs import syscall as syscall_file
from crtool.procfs.read import read
from crtool.procfs.tasks import threads
from crtool.record import dataclass

__all__ = ["Wait", "look"]


@dataclass(frozen=True)
class Wait:
    """What was seen of a thread that waits."""

    pid: int
    since: int  # CLOCK_MONOTONIC in nanoseconds, perhaps somewhat late
    turns: int  # how often it had got a CPU by then

    def passed(self, tid: int) -> int | None:
        """For how many nanoseconds it has waited until it was stopped just now; None if it did anything else."""
        with suppress(TargetError, OSError):
            if _turns(self.pid, tid) == self.turns + 1:  # the one in which it stopped
                return max(0, time.monotonic_ns() - self.since)
        return None


def look(pids: Iterable[int]) -> dict[int, Wait]:
    """The threads of living processes that wait for a limited time, by TID."""
    clock, found = RunClock(), dict[int, Wait]()
    for pid in pids:
        with suppress(TargetError, OSError):  # it has ended, or may not be looked at
            for tid in threads(pid):
                with suppress(TargetError, OSError):
                    if (wait := _look(pid, tid, clock)) is not None:
                        found[tid] = wait
    return found


def _look(pid: int, tid: int, clock: RunClock) -> Wait | None:
    call = syscall_file.parse(read(pid, "syscall", tid))
    if call is None or not cpu.is_limited(call.number, call.args):
        return None
    turns = _turns(pid, tid)
    moment = run_clock.parse(read(pid, "sched", tid, missing=b""))
    if turns is None or moment is None:
        return None
    since = clock.monotonic(stat_file.parse(read(pid, "stat", tid)).processor, moment)
    if since is None or _turns(pid, tid) != turns:
        return None
    return Wait(pid, since, turns)


def _turns(pid: int, tid: int) -> int | None:
    """How often a thread has got a CPU (proc(5), schedstat); None where the kernel does not count."""
    words = read(pid, "schedstat", tid, missing=b"").split()
    return int(words[2]) or None if len(words) == 3 else None
