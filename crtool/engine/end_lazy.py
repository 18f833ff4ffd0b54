"""Ends a tree whose memory cannot be brought any more, and whoever has been born in it meanwhile.

Who is below a process of the tree is found by its parents, and others, whose parents have ended, by the memory that is
still to come to them. As long as one of them lives its userfaultfd stays open, or the kernel would give zeros to it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

from crtool.errors import CrtoolError
from crtool.procfs import smaps as smaps_file
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read
from crtool.procfs.tasks import processes
from crtool.resources.memory import lazy

__all__ = ["end_all"]

_SHORTEST, _LONGEST = 0.01, 1.0  # seconds between two looks


def end_all(pidfds: Sequence[int], doors: Sequence[int]) -> None:
    """Kills everybody. *pidfds*: of the processes of the tree; *doors*: userfaultfds, of which none may be closed
    before. Returns when the address spaces of these are gone.
    """
    pause = _SHORTEST
    while True:
        found = _held_still(pidfds, doors)
        for fd in pidfds:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(pause)
        doors = [door for door in doors if not lazy.is_gone(door)]
        if not doors:
            return
        pause = min(2 * pause, _LONGEST)


def _held_still(pidfds: Sequence[int], doors: Sequence[int]) -> set[int]:
    """Everybody who has to end. They are stopped, so that nobody is born between the look and the kill: but not those
    at the top, whose stop whoever has started the restart would follow.
    """
    found = {pid for pid in map(_pid_of, pidfds) if pid > 0} | _owners(doors)
    stopped: set[int] = set()
    while True:
        born = _below(found)
        found |= born
        if not born - stopped:
            return found
        for pid in born - stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        stopped |= born


def _below(found: set[int]) -> set[int]:
    """Who has one of *found* above."""
    parents = {}
    for pid in processes():
        with suppress(CrtoolError, OSError):
            parents[pid] = stat_file.parse(read(pid, "stat")).ppid
    below: set[int] = set()
    while grew := {pid for pid, parent in parents.items() if parent in found or parent in below} - below:
        below |= grew
    return below


def _owners(doors: Sequence[int]) -> set[int]:
    """The processes in whose memory something is watched by one of *doors*."""
    found = set()
    for pid in processes():
        with suppress(CrtoolError, OSError):
            text = read(pid, "smaps")
            if b" um" in text and any(lazy.belongs(door, pid, smaps_file.parse(text)) for door in doors):
                found.add(pid)
    return found


def _pid_of(pidfd: int) -> int:
    with open(f"/proc/self/fdinfo/{pidfd}", "rb") as file:
        return next((int(line.split()[1]) for line in file if line.startswith(b"Pid:")), -1)
