"""waitpid(2): the status of a traced task as a value with a closed list of kinds."""

from __future__ import annotations

import os
import time
from enum import Enum

from crtool.abi import ptrace as abi
from crtool.errors import TargetDied, TimeoutExpired
from crtool.record import dataclass

__all__ = ["WALL", "Stop", "WaitStatus", "deadline_in", "keep_status", "kept_status", "note_end", "wait_for_stop"]

WALL = 0x40000000  # __WALL: also children that do not send SIGCHLD, and threads


class Stop(Enum):
    """Why a traced task has stopped, or that it has ended."""

    EXITED = "exited"
    KILLED = "killed by a signal"
    SIGNAL = "a signal is about to be delivered"
    SYSCALL = "at the entry or exit of a system call"
    INTERRUPTED = "PTRACE_INTERRUPT, or just born under a tracer"
    GROUP = "stopped by job control"
    EVENT = "an event of fork, clone, exec…"


@dataclass(frozen=True)
class WaitStatus:
    """What waitpid(2) said: the kind, with the signal, exit code or event that belongs to it."""

    kind: Stop
    signal: int = 0
    event: int = 0
    code: int = 0

    @classmethod
    def of(cls, raw: int) -> WaitStatus:
        """Decodes the status word of a task that was seized with O_TRACESYSGOOD."""
        if os.WIFEXITED(raw):
            return cls(Stop.EXITED, code=os.WEXITSTATUS(raw))
        if os.WIFSIGNALED(raw):
            return cls(Stop.KILLED, signal=os.WTERMSIG(raw))
        signal, event = (raw >> 8) & 0xFF, raw >> 16
        if event == abi.EVENT_STOP:
            kind = Stop.INTERRUPTED if signal == 5 else Stop.GROUP
            return cls(kind, signal=signal, event=event)
        if event:
            return cls(Stop.EVENT, signal=signal, event=event)
        if signal == 0x85:
            return cls(Stop.SYSCALL)
        return cls(Stop.SIGNAL, signal=signal)

    @property
    def dead(self) -> bool:
        """Whether the task has ended."""
        return self.kind in (Stop.EXITED, Stop.KILLED)


_kept: dict[int, int | None] = {}  # PIDs of children whose end matters to us as their parent, with their wait status


def keep_status(pid: int) -> None:
    """From now on the end of child *pid* is not lost if it comes while the child is traced.

    Whoever is tracer and parent at once has one report of it only, which collects the child (wait_task_zombie() in
    kernel/exit.c).
    """
    _kept[pid] = None


def kept_status(pid: int) -> int | None:
    """The wait status of a child that was collected by its tracer; None if it was not."""
    return _kept.get(pid)


def note_end(pid: int, raw: int) -> None:
    """Keeps wait status *raw* if it is the end of somebody for whom that was asked."""
    if pid in _kept and (os.WIFEXITED(raw) or os.WIFSIGNALED(raw)):
        _kept[pid] = raw


def wait_for_stop(tid: int, deadline: float | None = None) -> WaitStatus:
    """Waits until the tracee *tid* stops; raises TargetDied if it ends instead.

    *deadline* is a time of time.monotonic(); after it TimeoutExpired is raised.
    """
    pause = 0.00002
    while True:
        try:
            if deadline is None:
                pid, raw = os.waitpid(tid, WALL)
            else:
                pid, raw = os.waitpid(tid, WALL | os.WNOHANG)
        except ChildProcessError:
            raise TargetDied(tid) from None
        if pid:
            status = WaitStatus.of(raw)
            if status.dead:
                note_end(tid, raw)
                raise TargetDied(tid)
            return status
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutExpired(f"PID {tid} did not stop in the time given", "give it more --timeout")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.002)


def deadline_in(seconds: float | None) -> float | None:
    """The time of time.monotonic() that lies *seconds* ahead."""
    return None if seconds is None else time.monotonic() + seconds
