"""The guardian: buries the twins of a crtool that has been killed.

A twin dies with crtool, but a dead child stays until its parent waits for it, which no program does for a child that
it does not know of. So a process of crtool's own stands by, in a session of its own, while there are twins. It sees
crtool's end by that of a pipe. If crtool has not said that all is well, it does what crtool would have done: it stops
each parent once more, for one wait4(2).

That there is no twin does not mean that none will be born. Who was on the way into the fork when crtool died makes it
after all, as soon as it gets the CPU, or, if job control has stopped it, is continued. So the guardian looks for twins
only after the parent's thread has come home.

Not handled: a guardian that is killed together with crtool. A twin's zombie then stays until its parent ends.
"""

from __future__ import annotations

import os
import signal
import struct
import time
from contextlib import suppress

from crtool import faults
from crtool.engine.freeze import Frozen
from crtool.errors import CrtoolError, TargetDied
from crtool.kernel import ptrace
from crtool.kernel.wait import WALL, deadline_in
from crtool.procfs import maps as maps_file
from crtool.procfs import stat as stat_file
from crtool.procfs import status as status_file
from crtool.procfs.read import proc_root, read
from crtool.procfs.stat import Stat
from crtool.procfs.tasks import processes
from crtool.puppet import twin
from crtool.puppet.hold import HeldProcess
from crtool.record import dataclass

__all__ = ["Guardian", "bury"]

_WELL = b"."
_PATIENCE = 30.0  # seconds after which a parent that cannot be stopped, or does not come home, is given up
_PAUSE, _LONG_PAUSE = 0.002, 0.1
_OWNER = struct.Struct("<iiQQQQ")  # the fields of Owner


@dataclass(frozen=True)
class Owner:
    """A process that forks a twin, and the signs that the thread which does so is not home yet."""

    pid: int
    tid: int
    scratch: int  # where the scratch mapping begins: who comes home unmaps it, unless seccomp might forbid that
    blocked: int  # the signals that the thread blocks while it is away
    low: int  # bounds of the ways home on the stack: whose stack pointer lies there still walks
    high: int

    def is_home(self) -> bool:
        """Whether one of the signs is gone. Nothing that was on the way in the thread is made any more then."""
        try:
            if status_file.later(read(self.pid, "status", self.tid)).blocked != self.blocked:
                return True
            return all(mapping.start != self.scratch for mapping in maps_file.parse(read(self.pid, "maps", self.tid)))
        except TargetDied:
            return True

    def is_stopped(self) -> bool:
        """Whether job control has stopped it, maybe for long."""
        with suppress(TargetDied):
            return stat_file.parse(read(self.pid, "stat", self.tid)).state == "T"
        return False

    def twins(self) -> list[Stat]:
        """Children of it that are twins, by their name or, if they died too early, by that of the thread."""
        try:
            names = {twin.NAME, stat_file.parse(read(self.pid, "stat", self.tid)).comm}
        except TargetDied:
            names = {twin.NAME}
        found = []
        for pid in processes():
            with suppress(TargetDied):
                stat = stat_file.parse(read(pid, "stat"))
                if stat.ppid == self.pid and stat.exit_signal == 0 and stat.comm in names:
                    found.append(stat)
        return found


class Guardian:
    """Stands by for the block. It does nothing if that ends, however it ends, and crtool with it lives."""

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        crtool = os.getpid()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(reader)
            os.close(self._writer)
            raise
        if self._pid == 0:
            try:
                _stand_by(reader, crtool)
            finally:
                os._exit(0)
        os.close(reader)

    def expect(self, held: HeldProcess) -> None:
        """A twin of *held* is about to be born."""
        tid, (low, content) = held.caller.tid, held.original()
        signs = held.scratch.start, ptrace.signal_mask(tid), low, low + len(content)
        os.write(self._writer, _OWNER.pack(held.pid, tid, *signs))

    def dismiss(self) -> None:
        """All twins are buried."""
        os.write(self._writer, _WELL)
        os.close(self._writer)
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def bury(owner: int, twins: list[int], patience: float, ways: range = range(0)) -> None:
    """Stops process *owner* and lets it wait for its dead *twins*; CrtoolError if that cannot be.

    What has ended in the meantime is passed over: its children are somebody else's now. Nothing is done while a
    thread's stack pointer lies in *ways*: to call from another place on that stack would make it grow.
    """
    numbers = []
    for tid in twins:
        with suppress(TargetDied):
            numbers.append(status_file.later(read(tid, "status")).ns_pid)
    try:
        with suppress(TargetDied), Frozen(owner, lambda root: [root], deadline_in(patience), {}) as frozen:
            process = frozen.processes[owner]
            if process.held is None or any(thread.registers.sp in ways for thread in process.held.threads.values()):
                return
            maps = maps_file.parse(read(process.door, "maps"))
            _leave(twins)
            level = len(process.status.ns_pid) - 1
            for number in numbers:
                twin.bury(process.held, maps, number[level])
    finally:
        _leave(twins)


def _leave(twins: list[int]) -> None:
    """Waits for them as their tracer: before that, nobody else can."""
    for tid in twins:
        with suppress(ChildProcessError):
            os.waitpid(tid, WALL)


def _stand_by(pipe: int, crtool: int) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.dup2(pipe, 0)
    os.closerange(1, os.sysconf("SC_OPEN_MAX"))
    proc_root.cache_clear()  # it was one of them
    faults.disarm()
    said = b""
    while more := os.read(0, 4096):
        said += more
    if len(said) % _OWNER.size == len(_WELL):
        return
    # The pipe ends a moment before the kernel kills the twins and lets the targets go; after that we have a new parent.
    while os.getppid() == crtool:
        time.sleep(_PAUSE)
    _bury_all({Owner(*fields) for fields in _OWNER.iter_unpack(said)})


def _bury_all(owners: set[Owner]) -> None:
    """Returns when nobody of *owners* has a twin any more, or will have one, or when patience is at its end."""
    until = time.monotonic() + _PATIENCE
    while owners and time.monotonic() < until:
        for owner in sorted(owners, key=lambda owner: owner.pid):
            # One that has just been let go may still be somebody's; a twin may still be dying.
            with suppress(CrtoolError, OSError):
                if owner.is_home() and _bury_dead(owner):
                    owners.discard(owner)
        if any(owner.is_stopped() for owner in owners):
            until = time.monotonic() + _PATIENCE
            time.sleep(_LONG_PAUSE)
        else:
            time.sleep(_PAUSE)


def _bury_dead(owner: Owner) -> bool:
    """Buries the twins of *owner* that are dead; says whether there are none: a burial may come too early."""
    mine = owner.twins()
    dead = [stat.pid for stat in mine if stat.is_zombie]
    if dead:
        bury(owner.pid, dead, 5.0, range(owner.low, owner.high))
    return not mine
