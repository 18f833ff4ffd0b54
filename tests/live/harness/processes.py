"""Processes of the tests: found, waited for, and ended by their numbers.

The process that runs the tests is a *subreaper*: orphans below it become its children, also the dead that
``crtool checkpoint --kill`` leaves. It must reap them, since a zombie keeps its number and its groups.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests import below

__all__ = [
    "Deadline",
    "all_ended",
    "become_subreaper",
    "descendants",
    "describe",
    "end",
    "family",
    "holding",
    "is_traced",
    "reap_all",
    "zombie_status",
]

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Deadline:
    """A moment after which waiting is given up."""

    def __init__(self, seconds: float, what: str) -> None:
        self.seconds = seconds
        self.what = what
        self.moment = time.monotonic() + seconds

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Polls until *condition* holds; TimeoutError, saying what was waited for, at the deadline."""
        pause = 0.001
        while not condition():
            if time.monotonic() > self.moment:
                raise TimeoutError(f"not within {self.seconds:.0f} s: {self.what}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)


def become_subreaper() -> None:
    """Makes this process the one that inherits orphans below it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants() -> set[int]:
    """The PIDs of everything below this process, zombies included."""
    return {*below.parents()}


def family(root: int) -> set[int]:
    """The PIDs of a process, which is below this one, and everything below it."""
    return {root, *below.below(root)}


def describe(pids: Iterable[int]) -> str:
    """Numbers, names and state letters, for a message."""
    words = []
    for pid in sorted(pids):
        try:
            process = psutil.Process(pid)
            words.append(f"{pid} ({process.name()}, {process.status()})")
        except psutil.NoSuchProcess:
            words.append(str(pid))
    return ", ".join(words)


def _exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _reap(pid: int) -> None:
    """Collects a child of ours if it is dead; of others' children only their parents can."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def reap_all(pids: Iterable[int], seconds: float = 30) -> None:
    """Waits until none of *pids*, all of them dying or dead, is left, collecting those that are (or become) ours."""
    left = set(pids)

    def gone() -> bool:
        for pid in left:
            _reap(pid)
        left.intersection_update({pid for pid in left if _exists(pid)})
        return not left

    Deadline(seconds, f"the end of PIDs {sorted(left)}").wait_until(gone)


def end(pids: Iterable[int]) -> None:
    """Kills and reaps, parents before their children, who could say otherwise that a child has died.

    Whoever is already gone does not matter.
    """
    pids = set(pids)
    ours = below.parents()  # parents come first
    for pid in [*(pids - ours.keys()), *(pid for pid in ours if pid in pids)]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    reap_all(pids)


@contextmanager
def all_ended() -> Iterator[None]:
    """At the end of the block, whoever has come to be below this process within it is ended, and nobody else."""
    before = descendants()
    try:
        yield
    finally:
        while left := descendants() - before:  # one of them may have borne somebody meanwhile
            end(left)


def is_traced(pid: int) -> bool:
    """Whether a tracer holds the process; nobody holds one that is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "\nTracerPid:\t0\n" not in status


def zombie_status(pid: int) -> int | None:
    """The wait status of a dead child of ours, which stays unreaped; None while it lives."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is None:
        return None
    return found.si_status << 8 if found.si_code == os.CLD_EXITED else found.si_status


@contextmanager
def holding(*fds: int) -> Iterator[int]:
    """A process that has those of this one's open too and does nothing; its PID."""
    work = "import signal; print(flush=True); signal.pause()"
    with all_ended():
        child = subprocess.Popen(
            [sys.executable, "-c", work], pass_fds=fds, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.close()
        try:
            yield child.pid
        finally:
            end([child.pid])
            child.wait()
