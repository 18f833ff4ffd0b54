"""Real processes that make the calls a test tells them to, for comparison with ``kernel_model``.

Every process of a scene is one of a fixed cast. It reads orders from its own pipe and answers on a common one, so
the scene is played strictly one call after the other. All are below a *stage*, a forked child of
the test which is a subreaper and reaps at once what it adopts, as an init would.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from crtool.kernel.clone import clone3
from crtool.tree.model import CLONE_PARENT, SIGCHLD

# An ordinary child, one with exit signal 0, one by CLONE_PARENT, and one whose number, flags and signal are given.
BIRTHS = ("fork", "quiet", "sibling", "clone")

_PR_SET_CHILD_SUBREAPER = 36  # include/uapi/linux/prctl.h
_WALL = 0x40000000  # include/uapi/linux/wait.h
_libc = ctypes.CDLL(None, use_errno=True)


class Scene:
    """The stage's end of the pipes: *pids* are those of the cast that have been born."""

    def __init__(self, cast: Iterable[str]) -> None:
        self._orders = {name: os.pipe() for name in cast}
        self._answers = os.pipe()
        self.pids: dict[str, int] = {}
        self.stage = os.getpid()

    def start(self, name: str, pid: int = 0) -> int:
        """Forks the first one, with the number *pid* if one is given; returns the errno, or 0."""
        try:
            child = clone3(0, SIGCHLD, (pid,) if pid else ())
        except OSError as error:
            return error.errno or -1
        if not child:
            self._play(name)
        self.pids[name] = child
        return 0

    def tell(self, name: str, call: str, *args: int | str) -> int:
        """Has *name* make a call; returns its errno, or 0."""
        os.write(self._orders[name][1], (" ".join([call, *map(str, args)]) + "\n").encode().ljust(64))
        answer = int(os.read(self._answers[0], 16))
        if call in BIRTHS and answer > 0:
            self.pids[str(args[0])] = answer
            return 0
        if call == "exit":
            # The answer was sent before the end.
            self._await_end(self.pids[name])
        self._reap()
        return -answer

    def _reap(self) -> None:
        for pid in self.pids.values():
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def _await_end(self, pid: int) -> None:
        while (found := status(pid)) is not None and found[3] not in "ZX":
            os.sched_yield()

    def _play(self, name: str) -> None:
        """The life of one of the cast; never returns."""
        try:
            while True:
                call, *args = os.read(self._orders[name][0], 64).decode().split()
                if call == "exit":
                    os.write(self._answers[1], b"0".ljust(16))
                    os._exit(0)
                try:
                    answer = self._make(call, args)
                except OSError as error:
                    answer = -(error.errno or 0)
                if call in BIRTHS and answer == 0:
                    name = args[0]
                    continue
                os.write(self._answers[1], str(answer).encode().ljust(16))
        finally:
            os._exit(1)

    def _make(self, call: str, args: list[str]) -> int:
        if call == "fork":
            return os.fork()
        if call == "quiet":
            return clone3(0, 0)
        if call == "sibling":
            return clone3(CLONE_PARENT, 0)
        if call == "clone":
            pid, flags, exit_signal = map(int, args)
            return clone3(flags, 0 if flags & CLONE_PARENT else exit_signal, (pid,))
        if call == "setsid":
            os.setsid()
        elif call == "setpgid":
            os.setpgid(int(args[0]), int(args[1]))
        elif call == "subreaper":
            _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, int(args[0]), 0, 0, 0))
        elif call == "wait" and os.waitpid(int(args[0]), os.WNOHANG | _WALL)[0] == 0:
            raise ChildProcessError(errno.ECHILD, "it lives")
        return 0

    def close(self) -> None:
        """Ends whoever is left, and waits for all."""
        left = [*filter(self._is_ours, self.pids.values())]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        while left := [*filter(self._is_ours, left)]:
            for pid in left:
                with suppress(ChildProcessError):  # its parent, who is dying, still has it
                    os.waitpid(pid, os.WNOHANG | _WALL)
            os.sched_yield()

    def _is_ours(self, pid: int) -> bool:
        """Whether it is there, dead or alive, below the stage."""
        while pid > 1 and pid != self.stage:
            found = status(pid)
            pid = found[0] if found else 0
        return pid == self.stage


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def status(pid: int) -> tuple[int, int, int, str, int] | None:
    """(ppid, pgid, sid, state letter, exit signal) of /proc/PID/stat; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[1]), int(fields[2]), int(fields[3]), fields[0], int(fields[35])


@contextmanager
def scene(cast: Iterable[str]) -> Iterator[Scene]:
    """A scene in this process, which must be a fork made for it: it becomes a subreaper and leads a session."""
    signal.alarm(30)  # an order to a dead process is never answered
    os.setsid()
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
    played = Scene(cast)
    try:
        yield played
    finally:
        played.close()
