"""/proc and /proc/PID/task: which processes and threads there are.

Spec: proc(5), proc_pid_task(5), proc_tid_children(5). A listing is a look at something that moves: unless everybody
in it is held, some may be gone, and others born, before it is even returned.
"""

from __future__ import annotations

import os
from contextlib import suppress

from crtool.errors import TargetDied
from crtool.procfs.error import ProcfsError
from crtool.procfs.read import alive, entries, proc_root, read

__all__ = ["children", "living_thread", "parse_children", "processes", "threads"]


def processes() -> tuple[int, ...]:
    """The PIDs of all processes in the PID namespace of /proc, ascending, zombies among them."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc_root())
    try:
        return tuple(sorted(int(name) for name in os.listdir(fd) if name.isdecimal()))
    finally:
        os.close(fd)


def threads(pid: int) -> tuple[int, ...]:
    """The TIDs of the threads of a process, ascending: not always the leader first. Zombie threads are among them."""
    return tuple(sorted(int(name) for name in entries(pid, "task")))


def living_thread(pid: int) -> int | None:
    """The TID of a thread that lives: the folder in /proc of a main thread that has ended shows nothing of the process.

    None if there is none, or if there was none for a moment, in which one of them executed a program.
    """
    if alive(pid):
        return pid
    with suppress(TargetDied):
        return next((tid for tid in threads(pid) if alive(pid, tid)), None)
    return None


def children(pid: int, tid: int | None = None) -> tuple[int, ...] | None:
    """The PIDs of the children that thread *tid* (default: the leader) has born; None where the kernel cannot tell.

    Needs CONFIG_PROC_CHILDREN. The kernel may leave out some if a sibling ends meanwhile: exact only if all are held.
    """
    data = read(pid, "children", pid if tid is None else tid, missing=b"?")
    return None if data == b"?" else parse_children(data)


def parse_children(data: bytes) -> tuple[int, ...]:
    """The PIDs in a ``children`` file, ascending; ProcfsError if it has another form."""
    try:
        return tuple(sorted(map(int, data.split())))
    except ValueError:
        raise ProcfsError("task/TID/children", data) from None
