"""What can be seen of processes and threads that are being stopped, and may end or execute a program meanwhile."""

from __future__ import annotations

import os
from contextlib import suppress

from crtool.engine.vfork import is_in_vfork, refusal
from crtool.errors import Obstacle, TargetDied, TargetError
from crtool.kernel.wait import WALL
from crtool.procfs import stat as stat_file
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.procfs.stat import Stat
from crtool.tree.walk import name_of

__all__ = [
    "has_threads",
    "is_another",
    "is_dead",
    "is_worker",
    "nothing_lives",
    "parent_of",
    "state_of",
    "threads_of",
    "traced_by",
    "tracer_of",
    "why_not_stopped",
]

_WORKER = b"iou-wrk-"  # how the kernel calls workers of io_uring
_LINKS_OF_ONE = 3  # of /proc/PID/task


def threads_of(pid: int) -> list[int]:
    """The TIDs of all its threads, none if it is gone."""
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except (FileNotFoundError, ProcessLookupError):
        return []


def has_threads(pid: int) -> bool:
    """Whether there are several: of that folder the kernel counts a link for each."""
    with suppress(OSError):
        return os.stat(f"/proc/{pid}/task").st_nlink > _LINKS_OF_ONE
    return False


def is_another(pid: int) -> bool:
    """Whether the main thread, which had come to rest, was ended by an execve(2) of another thread, now in its place.

    That one has the TID of the main thread, and runs, or has come to a stop of its own if we trace it.
    """
    try:
        news = os.waitid(os.P_PID, pid, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT | WALL)
    except ChildProcessError:
        return True  # that one is not ours yet
    return news is not None or state_of(pid, pid) != "t"


def is_worker(pid: int, tid: int) -> bool:
    """Whether it is a worker of io_uring's: a thread of the kernel's own, which comes and goes with the requests.

    To stop one would end its request with EINTR. Its name is asked for first: that costs less.
    """
    try:
        return read(pid, "comm", tid).startswith(_WORKER) and stat_file.parse(read(pid, "stat", tid)).is_io_worker
    except TargetDied:
        return False


def is_dead(pid: int, tid: int) -> bool:
    """Whether a thread has ended."""
    try:
        return stat_file.parse(read(pid, "stat", tid)).state in ("Z", "X")
    except TargetDied:
        return True


def why_not_stopped(pid: int, tid: int) -> TargetError | None:
    """Names what keeps a thread from stopping, if that can be seen."""
    if is_in_vfork(pid, tid):
        return refusal(pid)
    if state_of(pid, tid) == "D":
        return TargetError(f"PID {tid} is in an uninterruptible wait of the kernel", "try again later")
    return None


def state_of(pid: int, tid: int) -> str:
    """The letter for its state, X if it is gone."""
    try:
        return stat_file.parse(read(pid, "stat", tid)).state
    except TargetDied:
        return "X"


def nothing_lives(stat: Stat) -> bool:
    """Whether nothing of a process lives. To be asked twice: the file is put together while an execve(2) may change it
    from one thread to another.
    """
    return stat.state in ("Z", "X") and stat.num_threads <= 1


def traced_by(pid: int, tid: int, tracer: int) -> Obstacle:
    """That somebody else is the tracer of a thread, of which there is one at most."""
    what = "" if tid == pid else f"thread {tid}"
    if (name := name_of(tracer)) == "crtool":
        return Obstacle(pid, what, f"is held by PID {tracer} (crtool), which saves it", "try again later")
    return Obstacle(pid, what, f"is traced by PID {tracer} ({name})", "end that, or let it detach")


def tracer_of(pid: int, tid: int) -> int:
    """The TID of its tracer, 0 if there is none."""
    with suppress(TargetDied):
        return status_file.later(read(pid, "status", tid)).tracer_pid
    return 0


def parent_of(pid: int) -> int:
    """The PID of its parent, 0 if it is gone."""
    try:
        return stat_file.parse(read(pid, "stat")).ppid
    except TargetDied:
        return 0
